#include "modules/host_series.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "modules/host_families.h"

/* The series of one sample, while they are set. */
typedef struct writer {
    otr_registry *reg;
    otr_host_series next;
    otr_code rc;
    otr_err *err;
} writer;

/* A text that is too long for a label is no value of one: the ceiling is that of all of a series.
 */
static void put(writer *w, const otr_family *family, const char *const *labels, double value)
{
    otr_series *one = NULL;
    if (w->rc != OTR_OK) {
        return;
    }
    otr_code rc = otr_registry_series(w->reg, family, labels, &one, w->err);
    if (rc == OTR_EQUOTA || rc == OTR_ESTATE || rc == OTR_EINVAL) {
        w->next.refused++;
        return;
    }
    w->rc = rc;
    if (w->rc == OTR_OK) {
        w->rc = otr_grow(&w->next.items, w->next.n, &w->next.cap, sizeof(*w->next.items), w->err);
    }
    if (w->rc == OTR_OK) {
        otr_series_set(one, value);
        w->next.items[w->next.n++] = one;
    }
}

/* Label values; NULL for a family without labels. */
#define PUT(w, family, value, ...) put(w, family, (const char *const[]){ __VA_ARGS__, NULL }, value)

/* ---- processors and memory ---- */

static void put_cpus(writer *w, const otr_host_sample *before, const otr_host_sample *now)
{
    for (size_t i = 0; i < now->cpus.n; i++) {
        const otr_host_cpu *cpu = &now->cpus.items[i];
        char name[OTR_HOST_NAME_BYTES];
        double shares[OTR_CPU_STATES];
        (void)snprintf(name, sizeof(name), "cpu%u", cpu->number);
        bool shared = otr_host_cpu_shares(before, cpu, shares);
        for (size_t s = 0; s < OTR_CPU_STATES; s++) {
            const char *state = otr_cpu_state_name((otr_cpu_state)s);
            PUT(w, &otr_host_cpu_time, cpu->seconds[s], name, state);
            if (shared) {
                PUT(w, &otr_host_cpu_utilization, shares[s], name, state);
            }
        }
    }
}

static void put_memory(writer *w, const otr_host_memory *m)
{
    const struct {
        const char *state;
        uint64_t bytes;
    } rows[] = {
        { "buffered", m->buffered },
        { "cached", m->cached },
        { "free", m->free },
        { "slab_reclaimable", m->slab_reclaimable },
        { "slab_unreclaimable", m->slab_unreclaimable },
        { "used", m->used },
    };
    if (!m->known) {
        return;
    }
    for (size_t i = 0; i < OTR_COUNT(rows); i++) {
        PUT(w, &otr_host_memory_usage, (double)rows[i].bytes, rows[i].state);
    }
    PUT(w, &otr_host_memory_limit, (double)m->total, NULL);
    PUT(w, &otr_host_memory_available, (double)m->available, NULL);
    PUT(w, &otr_host_paging_usage, (double)m->swap_free, "free");
    PUT(w, &otr_host_paging_usage,
        (double)(m->swap_total > m->swap_free ? m->swap_total - m->swap_free : 0), "used");
}

static double all_cpu_seconds(const otr_host_sample *sample)
{
    double sum = 0;
    for (size_t i = 0; i < sample->cpus.n; i++) {
        for (size_t s = 0; s < OTR_CPU_STATES; s++) {
            sum += sample->cpus.items[i].seconds[s];
        }
    }
    return sum;
}

static double positive(double value)
{
    return value > 0 ? value : 0;
}

/* In processors: 1 is one of them all the time. The first sample of a container is since boot. */
static void put_group_cpu(writer *w, const otr_host_sample *before, const otr_host_sample *now)
{
    const otr_cgroup *was = before != NULL && before->cgroup.cpu_known ? &before->cgroup : NULL;
    double all = all_cpu_seconds(now) - (was != NULL ? all_cpu_seconds(before) : 0);
    double user = now->cgroup.user_s - (was != NULL ? was->user_s : 0);
    double system = now->cgroup.system_s - (was != NULL ? was->system_s : 0);
    if (now->cgroup.cpu_known && all > 0) {
        double cores = (double)now->cpus.n;
        PUT(w, &otr_host_container_utilization, positive(user) / all * cores, "user");
        PUT(w, &otr_host_container_utilization, positive(system) / all * cores, "system");
    }
}

static void put_group(writer *w, const otr_host_sample *before, const otr_host_sample *now)
{
    const otr_cgroup *g = &now->cgroup;
    put_group_cpu(w, before, now);
    if (g->memory_known) {
        uint64_t used = g->memory > g->cache ? g->memory - g->cache : 0;
        uint64_t most = g->memory_most > 0 ? g->memory_most : now->memory.total;
        PUT(w, &otr_host_memory_usage, (double)used, "used");
        PUT(w, &otr_host_memory_usage, (double)(most > used ? most - used : 0), "free");
        PUT(w, &otr_host_container_cache, (double)g->cache, NULL);
    }
    if (g->memory_known && g->memory_most > 0) {
        PUT(w, &otr_host_container_memory_limit, (double)g->memory_most, NULL);
    }
    if (g->cpu_most > 0) {
        PUT(w, &otr_host_container_cpu_limit, g->cpu_most, NULL);
        PUT(w, &otr_host_container_periods, (double)g->periods, NULL);
        PUT(w, &otr_host_container_throttled, (double)g->throttled, NULL);
    }
    if (g->pids_known) {
        PUT(w, &otr_host_container_pids, (double)g->pids, NULL);
    }
    if (g->pids_known && g->pids_most > 0) {
        PUT(w, &otr_host_container_pids_limit, (double)g->pids_most, NULL);
    }
}

/* ---- disks, file systems, network ---- */

static void put_flow(writer *w, const char *disk, const char *direction, const otr_host_flow *flow)
{
    PUT(w, &otr_host_disk_io, (double)flow->bytes, disk, direction);
    PUT(w, &otr_host_disk_operations, (double)flow->operations, disk, direction);
    PUT(w, &otr_host_disk_merged, (double)flow->merged, disk, direction);
    PUT(w, &otr_host_disk_operation_time, flow->seconds, disk, direction);
}

static void put_disks(writer *w, const otr_host_disks *disks)
{
    for (size_t i = 0; i < disks->n; i++) {
        const otr_host_disk *disk = &disks->items[i];
        put_flow(w, disk->name, "read", &disk->read);
        put_flow(w, disk->name, "write", &disk->write);
        PUT(w, &otr_host_disk_io_time, disk->busy_s, disk->name);
        PUT(w, &otr_host_disk_weighted_time, disk->weighted_s, disk->name);
        PUT(w, &otr_host_disk_pending, (double)disk->pending, disk->name);
    }
}

static void put_filesystems(writer *w, const otr_host_filesystems *list)
{
    for (size_t i = 0; i < list->n; i++) {
        const otr_host_filesystem *f = &list->items[i];
        const char *mode = f->read_only ? "ro" : "rw";
        PUT(w, &otr_host_fs_usage, (double)f->free, f->device, mode, f->mount, f->type, "free");
        PUT(w, &otr_host_fs_usage, (double)f->reserved, f->device, mode, f->mount, f->type,
            "reserved");
        PUT(w, &otr_host_fs_usage, (double)f->used, f->device, mode, f->mount, f->type, "used");
        PUT(w, &otr_host_fs_inodes, (double)f->inodes_free, f->device, mode, f->mount, f->type,
            "free");
        PUT(w, &otr_host_fs_inodes, (double)f->inodes_used, f->device, mode, f->mount, f->type,
            "used");
    }
}

static void put_traffic(writer *w, const char *name, const char *direction,
                        const otr_host_traffic *t)
{
    PUT(w, &otr_host_net_io, (double)t->bytes, name, direction);
    PUT(w, &otr_host_net_packets, (double)t->packets, name, direction);
    PUT(w, &otr_host_net_errors, (double)t->errors, name, direction);
    PUT(w, &otr_host_net_dropped, (double)t->dropped, name, direction);
}

static void put_network(writer *w, const otr_host_sample *now)
{
    for (size_t i = 0; i < now->network.n; i++) {
        const otr_host_interface *one = &now->network.items[i];
        put_traffic(w, one->name, "receive", &one->receive);
        put_traffic(w, one->name, "transmit", &one->transmit);
    }
    if (!now->sockets.known) {
        return;
    }
    for (size_t i = 1; i < OTR_TCP_STATES; i++) {
        PUT(w, &otr_host_net_connections, (double)now->sockets.count[i], "tcp",
            otr_tcp_state_name((otr_tcp_state)i));
    }
    PUT(w, &otr_host_net_connections, 0, "tcp",
        "DELETE"); /* of another system; the collector has it */
}

/* ---- load and pressure ---- */

static void put_stall(writer *w, const char *resource, const char *kind,
                      const otr_pressure_line *line)
{
    static const char *const windows[] = { "10s", "60s", "300s" };
    if (!line->known) {
        return;
    }
    PUT(w, &otr_host_pressure_time, line->seconds, resource, kind);
    for (size_t i = 0; i < OTR_COUNT(windows); i++) {
        PUT(w, &otr_host_pressure_share, line->share[i], resource, kind, windows[i]);
    }
}

static void put_pressure(writer *w, const otr_pressure pressure[OTR_PRESSURE_KINDS])
{
    for (size_t i = 0; i < OTR_PRESSURE_KINDS; i++) {
        const char *resource = otr_pressure_name((otr_pressure_kind)i);
        put_stall(w, resource, "some", &pressure[i].some);
        put_stall(w, resource, "full", &pressure[i].full);
    }
}

static void put_load(writer *w, const otr_host_sample *now)
{
    if (now->load.known) {
        PUT(w, &otr_host_load_1m, now->load.minutes[0], NULL);
        PUT(w, &otr_host_load_5m, now->load.minutes[1], NULL);
        PUT(w, &otr_host_load_15m, now->load.minutes[2], NULL);
    }
    if (now->files.known) {
        PUT(w, &otr_host_files_count, (double)now->files.used, NULL);
        PUT(w, &otr_host_files_limit, (double)now->files.most, NULL);
    }
    if (now->cpus.n > 0) {
        PUT(w, &otr_host_cpu_count, (double)now->cpus.n, NULL);
        PUT(w, &otr_host_processes_created, (double)now->cpus.processes_created, NULL);
        PUT(w, &otr_host_processes_count, (double)now->cpus.running, "running");
        PUT(w, &otr_host_processes_count, (double)now->cpus.blocked, "blocked");
    }
}

/* ---- from one sample to the next ---- */

static int by_address(const void *a, const void *b)
{
    const otr_series *x = *(otr_series *const *)a, *y = *(otr_series *const *)b;
    return ((uintptr_t)x > (uintptr_t)y) - ((uintptr_t)x < (uintptr_t)y);
}

/* Drops what `next` does not have; both are sorted. */
static void drop_others(const otr_host_series *now, const otr_host_series *next)
{
    size_t j = 0;
    for (size_t i = 0; i < now->n; i++) {
        while (j < next->n && (uintptr_t)next->items[j] < (uintptr_t)now->items[i]) {
            j++;
        }
        if (j == next->n || next->items[j] != now->items[i]) {
            otr_series_drop(now->items[i]);
        }
    }
}

otr_code otr_host_series_set(otr_host_series *s, otr_registry *reg, const otr_host_sample *before,
                             const otr_host_sample *now, otr_err *err)
{
    writer w = { .reg = reg, .err = err };
    if (now->in_container) {
        put_group(&w, before, now);
    } else {
        put_cpus(&w, before, now);
        put_memory(&w, &now->memory);
    }
    put_disks(&w, &now->disks);
    put_filesystems(&w, &now->filesystems);
    put_network(&w, now);
    put_load(&w, now);
    bool group = now->in_container && now->cgroup.version == 2;
    put_pressure(&w, group ? now->cgroup.pressure : now->pressure);
    if (w.next.n > 0) {
        qsort(w.next.items, w.next.n, sizeof(*w.next.items), by_address);
    }
    if (w.rc != OTR_OK) {
        drop_others(&w.next, s); /* those that were made just now */
        otr_free(w.next.items);
        return w.rc;
    }
    drop_others(s, &w.next);
    otr_free(s->items);
    *s = w.next;
    return OTR_OK;
}

void otr_host_series_drop(otr_host_series *s)
{
    for (size_t i = 0; i < s->n; i++) {
        otr_series_drop(s->items[i]);
    }
    otr_free(s->items);
    *s = (otr_host_series){ 0 };
}
