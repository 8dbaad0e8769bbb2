#include <stdlib.h>

#include "host/sections.h"
#include "host/text.h"

const char *otr_cpu_state_name(otr_cpu_state state)
{
    static const char *const names[OTR_CPU_STATES] = { "idle",  "interrupt", "nice", "softirq",
                                                       "steal", "system",    "user", "wait" };
    return names[state];
}

/* The columns of /proc/stat. What guests took is in "user" and "nice" already. */
static const otr_cpu_state columns[] = { OTR_CPU_USER,    OTR_CPU_NICE, OTR_CPU_SYSTEM,
                                         OTR_CPU_IDLE,    OTR_CPU_WAIT, OTR_CPU_INTERRUPT,
                                         OTR_CPU_SOFTIRQ, OTR_CPU_STEAL };

static otr_code add_cpu(otr_bytes number, otr_bytes line, double tick_s, otr_host_cpus *ret,
                        otr_err *err)
{
    otr_host_cpu cpu = { 0 };
    uint64_t value;
    if (!otr_host_u64(number, &value) || value > UINT32_MAX) {
        return OTR_OK;
    }
    cpu.number = (unsigned)value;
    for (size_t i = 0; i < OTR_COUNT(columns); i++) {
        if (!otr_host_next_u64(&line, &value)) {
            break; /* an old kernel has fewer */
        }
        cpu.seconds[columns[i]] = (double)value * tick_s;
    }
    return OTR_HOST_PUSH(ret, cpu, err);
}

otr_code otr_host_cpus_parse(otr_bytes stat, long ticks_per_s, otr_host_cpus *ret, otr_err *err)
{
    otr_bytes line, word;
    double tick_s = ticks_per_s > 0 ? 1.0 / (double)ticks_per_s : 0.01;
    while (otr_host_line(&stat, &line)) {
        otr_code rc = OTR_OK;
        if (!otr_host_word(&line, &word)) {
            continue;
        }
        if (word.n > 3 && memcmp(word.p, "cpu", 3) == 0) {
            rc = add_cpu((otr_bytes){ word.p + 3, word.n - 3 }, line, tick_s, ret, err);
        } else if (otr_host_is(word, "processes")) {
            (void)otr_host_next_u64(&line, &ret->processes_created);
        } else if (otr_host_is(word, "procs_running")) {
            (void)otr_host_next_u64(&line, &ret->running);
        } else if (otr_host_is(word, "procs_blocked")) {
            (void)otr_host_next_u64(&line, &ret->blocked);
        }
        if (rc != OTR_OK) {
            return rc;
        }
    }
    return OTR_OK;
}

static const otr_host_cpu *find(const otr_host_cpus *cpus, unsigned number)
{
    for (size_t i = 0; i < cpus->n; i++) {
        if (cpus->items[i].number == number) {
            return &cpus->items[i];
        }
    }
    return NULL;
}

/* Adds what a processor did since; idle and wait may go back a little. */
static void add_delta(const otr_host_cpu *was, const otr_host_cpu *now, double sums[OTR_CPU_STATES])
{
    for (size_t i = 0; i < OTR_CPU_STATES; i++) {
        double delta = now->seconds[i] - was->seconds[i];
        sums[i] += delta > 0 ? delta : 0;
    }
}

static bool to_shares(const double sums[OTR_CPU_STATES], double out[OTR_CPU_STATES])
{
    double all = 0;
    for (size_t i = 0; i < OTR_CPU_STATES; i++) {
        all += sums[i];
    }
    for (size_t i = 0; i < OTR_CPU_STATES && all > 0; i++) {
        out[i] = sums[i] / all;
    }
    return all > 0;
}

bool otr_host_cpu_shares(const otr_host_sample *before, const otr_host_cpu *now,
                         double out[OTR_CPU_STATES])
{
    const otr_host_cpu *was = before != NULL ? find(&before->cpus, now->number) : NULL;
    double sums[OTR_CPU_STATES] = { 0 };
    if (was == NULL) {
        return false;
    }
    add_delta(was, now, sums);
    return to_shares(sums, out);
}

bool otr_host_shares(const otr_host_sample *before, const otr_host_sample *now,
                     double out[OTR_CPU_STATES])
{
    double sums[OTR_CPU_STATES] = { 0 };
    for (size_t i = 0; i < now->cpus.n && before != NULL; i++) {
        const otr_host_cpu *was = find(&before->cpus, now->cpus.items[i].number);
        if (was != NULL) {
            add_delta(was, &now->cpus.items[i], sums);
        }
    }
    return to_shares(sums, out);
}
