#include "plugin/guest/job.h"
#include "support/test.h"

static void end_job(otr_guest_job *job)
{
    otr_hostcalls_deinit(&job->hostcalls);
}

T(what_a_job_counted_is_added_once)
{
    char *none[] = { NULL };
    otr_manifest manifest = { .publish = none, .config_pairs = none };
    OTR_CLEANUP(end_job) otr_guest_job job = { .manifest = &manifest };
    otr_hostcalls_init(&job.hostcalls, "p", &manifest);
    job.delta = (otr_plugin_stats){
        .calls = 1, .errors = 2, .traps = 3, .timeouts = 4, .call_ns = 5, .memory_bytes = 77
    };
    job.hostcalls.outbox.dropped = 6;
    job.hostcalls.lines = 7;
    uint64_t denials = 0;
    for (size_t i = 0; i < OTR_DENIAL_KINDS; i++) {
        job.hostcalls.gate.denials[i] = 10 + i;
        denials += 10 + i;
    }
    for (size_t i = 0; i <= OTR_PLUGIN_BUCKETS; i++) {
        job.delta.time_counts[i] = 20 + i;
    }
    otr_plugin_stats all = { .calls = 100,
                             .errors = 200,
                             .traps = 300,
                             .timeouts = 400,
                             .call_ns = 500,
                             .publish_dropped = 600,
                             .logs = 700,
                             .logs_dropped = 800,
                             .published = 900,
                             .denials = 1000,
                             .memory_bytes = 5 };
    for (int times = 0; times < 2; times++) { /* the second time there is nothing new */
        otr_guest_job_merge(&job, &all, NULL);
        CHECK_INT(all.calls, 101);
        CHECK_INT(all.errors, 202);
        CHECK_INT(all.traps, 303);
        CHECK_INT(all.timeouts, 404);
        CHECK_INT(all.call_ns, 505);
        CHECK_INT(all.publish_dropped, 606);
        CHECK_INT(all.logs, 707);
        CHECK_INT(all.logs_dropped, 800);
        CHECK_INT(all.published, 900);
        CHECK_INT(all.denials, 1000 + denials);
        for (size_t i = 0; i < OTR_DENIAL_KINDS; i++) {
            CHECK_INT(all.denials_by[i], 10 + i);
        }
        for (size_t i = 0; i <= OTR_PLUGIN_BUCKETS; i++) {
            CHECK_INT(all.time_counts[i], 20 + i);
        }
        CHECK_INT(all.memory_bytes, 5);
        CHECK_INT(job.delta.memory_bytes, 77);
        CHECK(all.metrics == NULL);
    }
}
