/*
 * What an entry of `load:` says about a guest that does not know our contract: by which names it is
 * asked, what it is given, and where its answer goes.
 *
 *     operations: { process: count_vowels }   # the contract's name: the guest's own
 *     version: 1.0.0                          # in place of `info`
 *     subscribe: [nginx.health.changed]       # in place of `subscriptions`
 *     input: data.reason                      # or message (the default), or data
 *     publish: text.vowels                    # where what `process` answers is published
 *
 * With `version:` the guest is taken to know nothing of us: of init, reconfigure and close it is
 * asked what `operations:` names.
 *
 * Thread: any; read-only once it is read.
 */
#ifndef OTR_PLUGIN_MANIFEST_MAPPING_H
#define OTR_PLUGIN_MANIFEST_MAPPING_H

#include <stdbool.h>

#include "base/buf.h"
#include "config/config.h"

enum { OTR_MAPPING_OPERATIONS = 6 }; /* of the contract */

typedef enum otr_input_kind {
    OTR_INPUT_MESSAGE, /* the whole envelope */
    OTR_INPUT_DATA,    /* its data */
    OTR_INPUT_FIELD,   /* one value of it */
} otr_input_kind;

typedef struct otr_plugin_mapping {
    bool any;          /* one of the keys is given; else all below is empty */
    bool topics_given; /* by `subscribe:` or `hooks:`, so that nobody needs `subscriptions` */
    char **names;      /* operation, the guest's own name, …; NULL-terminated; NULL: none */
    char *version;     /* NULL: the guest says it */
    otr_input_kind input;
    char *input_text; /* as it is written; NULL: not given */
    char **path;      /* of OTR_INPUT_FIELD; see plugin/encoding/pick.h */
    char *publish;    /* topic; NULL: what the guest answers is not published */
} otr_plugin_mapping;

/* Reads the keys of one entry. Errors have file:line:column, the plugin's name and the key. On
 * failure `ret` is half-built: deinit it. */
otr_code otr_mapping_read(const otr_node *entry, const char *plugin, otr_plugin_mapping *ret,
                          otr_err *err) OTR_MUST_CHECK;
void otr_mapping_deinit(otr_plugin_mapping *m);
/* Whether a guest of `a` is asked by the same names under `b`, and no less than what it was not
 * asked before. */
bool otr_mapping_asks_alike(const otr_plugin_mapping *a, const otr_plugin_mapping *b);
/* Whether it is given the same. */
bool otr_mapping_gives_alike(const otr_plugin_mapping *a, const otr_plugin_mapping *b);

/* The guest's own name for the contract's operation, NULL when `operations:` does not name it. */
const char *otr_mapping_find(const otr_plugin_mapping *m, const char *operation);
/* What a guest must have, by its own names, into `list`, NULL-terminated. */
void otr_mapping_required(const otr_plugin_mapping *m,
                          const char *list[OTR_MAPPING_OPERATIONS + 1]);
/* Appends "process → count_vowels, …", "" when no operation has another name. */
otr_code otr_mapping_text(const otr_plugin_mapping *m, otr_buf *out, otr_err *err) OTR_MUST_CHECK;

/* By which name the guest is asked. */
static inline const char *otr_mapping_name(const otr_plugin_mapping *m, const char *operation)
{
    const char *own = m->any ? otr_mapping_find(m, operation) : NULL;
    return own != NULL ? own : operation;
}

#endif
