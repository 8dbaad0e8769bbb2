/*
 * What one plugin may cause in the agent's log: so many lines a second, of all its instances
 * together and of every kind, its own texts as well as what the agent says of its errors.
 *
 * Who is about to write a line that a guest can cause at will asks first. A second's lines may come
 * at once; from then on they come one by one, so that storms of several plugins do not meet at each
 * second's begin. What does not fit is counted, and once a second a line says how many there were.
 *
 * Thread: any.
 */
#ifndef OTR_PLUGIN_LOG_BUDGET_H
#define OTR_PLUGIN_LOG_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct otr_log_budget { /* zeroed: nothing written */
    _Atomic uint64_t paid_ns;   /* monotonic: when the rate would have made good for all so far */
    _Atomic uint64_t dropped;   /* ever */
    _Atomic uint64_t told;      /* of `dropped`: those that a line of the log has told of */
    _Atomic uint64_t told_ns;   /* monotonic: when it did */
} otr_log_budget;

/* May a line about plugin `name` be written now? False: it is counted as dropped. */
bool otr_log_budget_take(otr_log_budget *b, const char *name);
uint64_t otr_log_budget_dropped(const otr_log_budget *b);

#endif
