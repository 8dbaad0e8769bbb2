/*
 * What the host asks of whoever runs its guests.
 *
 * The host knows participants; what a guest is made of it does not know. It hands each part of a
 * guest's life to this table, which plugin/guest/guests.h fills and the composition root lends to
 * the host. A host without it has modules only and does not look at the configuration's `plugins:`.
 *
 * Thread: loop.
 */
#ifndef OTR_PLUGIN_GUESTS_H
#define OTR_PLUGIN_GUESTS_H

#include "plugin/host.h"

struct otr_hook_call;
typedef struct otr_guests otr_guests;             /* all guests of one host */
typedef struct otr_manifest_set otr_manifest_set; /* what the operator wrote about them */

struct otr_guests_ops {
    /* ---- all of them ---- */
    otr_code (*open)(otr_plugin_host *host, otr_guests **ret, otr_err *err);
    void (*close)(otr_guests *all); /* after the last of them was freed; NULL is fine */
    /* Reads and checks the configuration; nothing changes yet. */
    otr_code (*read)(const otr_config *cfg, otr_manifest_set **ret, otr_err *err);
    /* Makes room for them in `report` and opens what they need, while nothing changes yet. */
    otr_code (*prepare)(otr_guests *all, const otr_manifest_set *set, otr_reload_report *report,
                        otr_err *err);
    /* Makes the guests those of `set`, frees it and fills `report`, which was prepared. */
    void (*apply)(otr_guests *all, otr_manifest_set *set, otr_reload_report *report);
    void (*forget)(otr_manifest_set *set); /* instead of apply(); NULL is fine */
    /* Somebody came up or failed to; others may have waited for it. */
    void (*settled)(otr_guests *all);
    /* Some were removed and have stopped: frees them, and begins those that came back. */
    void (*sweep)(otr_guests *all);
    /* The host begins to stop: no file is watched and nothing compiled any more. */
    void (*end)(otr_guests *all);
    /* Stops those that were asked to stop and are no longer needed by others. */
    void (*stop_more)(otr_guests *all);

    /* ---- one of them ---- */
    /* It is to stop, when all that came up after it have: see stop_more. */
    void (*stop)(otr_plugin *p, uint64_t deadline_ns);
    /* Fills what is a guest's own in its view. */
    void (*describe)(const otr_plugin *p, otr_plugin_view *view);
    /* Patterns of the questions that it answers, NULL-terminated; NULL: nobody knows yet. */
    char *const *(*hooks)(const otr_plugin *p);
    /* No answer means deny. */
    bool (*fail_closed)(const otr_plugin *p);
    /* Takes the question up and owns `call`, or answers it at once. */
    void (*ask)(otr_plugin *p, struct otr_hook_call *call);
    otr_code (*tell)(otr_plugin *p, otr_plugin_verb verb, otr_err *err);
    otr_code (*write_dead)(const otr_plugin *p, otr_buf *out, otr_err *err);
};

#endif
