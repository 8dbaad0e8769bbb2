/* After a job: its batch goes, and what it counted becomes the plugin's. */
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "plugin/guest/job.h"
#include "plugin/manifest/changes.h"

void otr_guest_job_release(otr_guest_job *job, size_t n)
{
    for (size_t i = 0; i < job->n_failed; i++) {
        otr_free(job->failed[i].reason);
    }
    job->n_failed = 0;
    for (size_t i = 0; i < n; i++) {
        otr_msg_unref(job->batch[i].msg);
    }
    memmove(job->batch, job->batch + n, (job->n - n) * sizeof(job->batch[0]));
    job->n -= n;
    job->next = 0;
}

void otr_guest_job_merge(otr_guest_job *job, otr_plugin_stats *to, otr_bus *bus)
{
    otr_plugin_stats *d = &job->delta;
    otr_hostcalls *hc = &job->hostcalls;
    to->published += otr_hostcalls_flush(hc, bus);
    to->calls += d->calls;
    to->errors += d->errors;
    to->skipped += d->skipped;
    to->traps += d->traps;
    to->timeouts += d->timeouts;
    to->handled += d->handled;
    to->call_ns += d->call_ns;
    for (size_t i = 0; i < OTR_COUNT(to->time_counts); i++) {
        to->time_counts[i] += d->time_counts[i];
    }
    to->publish_dropped += hc->outbox.dropped;
    for (size_t i = 0; i < OTR_DENIAL_KINDS; i++) {
        to->denials += hc->gate.denials[i];
        to->denials_by[i] += hc->gate.denials[i];
        hc->gate.denials[i] = 0;
    }
    to->logs += hc->lines;
    hc->outbox.dropped = hc->lines = 0;
    otr_guest_metrics *own = otr_hostcalls_metrics(hc);
    if (own != NULL && own->changed && to->metrics == NULL) {
        to->metrics = otr_zalloc(sizeof(*to->metrics)); /* or the next time */
        if (to->metrics != NULL) {
            to->metrics->born_ns = otr_now_ns();
        }
    }
    if (own != NULL && to->metrics != NULL) {
        otr_guest_metrics_merge(
            to->metrics, own,
            otr_least(job->manifest->metrics, otr_gate_policy(&hc->gate)->metrics));
    }
    *d = (otr_plugin_stats){ .memory_bytes = d->memory_bytes };
}
