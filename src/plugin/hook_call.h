/*
 * One question on its way to one guest. Internal to src/plugin and its wings.
 *
 * The guest's side owns the call, from otr_guests_ops.ask() until it resolves it; the asker may
 * be gone by then. What the worker reads of it (deadline) does not change.
 *
 * Thread: loop.
 */
#ifndef OTR_PLUGIN_HOOK_CALL_H
#define OTR_PLUGIN_HOOK_CALL_H

#include "plugin/hooks.h"

typedef struct otr_hook_call {
    struct otr_hook_call *next; /* in the plugin's queue */
    otr_hook *hook;             /* NULL: the asker waits no more */
    size_t index;               /* among the answers */
    otr_msg *msg;               /* a reference */
    uint64_t deadline_ns;
    uint64_t position; /* it is due when so many messages have left the plugin's queue */
} otr_hook_call;

/* The answer of a guest, or why there is none (`verdict` NULL, `message` says it). Frees `call`. */
void otr_hook_call_answer(otr_hook_call *call, const otr_contract_verdict *verdict);
void otr_hook_call_fail(otr_hook_call *call, otr_hook_how how, const char *why);

/* Answers all that is under way: the host stops. */
void otr_hooks_end(otr_plugin_host *host);

#endif
