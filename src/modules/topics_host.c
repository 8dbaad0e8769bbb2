/* The topic host.metrics. */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "modules/topics.h"

static void drop_host(void *payload)
{
    otr_host_event *event = payload;
    otr_host_sample_free(event->sample);
    otr_free(event);
}

static void write_cpu(otr_jw *w, const otr_host_event *event)
{
    otr_jw_obj(w, "cpu");
    otr_jw_u64(w, "count", event->sample->cpus.n);
    otr_jw_obj(w, "shares");
    for (size_t i = 0; i < OTR_CPU_STATES && event->shares_known; i++) {
        otr_jw_f64(w, otr_cpu_state_name((otr_cpu_state)i), event->shares[i]);
    }
    otr_jw_obj_end(w);
    otr_jw_obj_end(w);
}

static void write_memory(otr_jw *w, const otr_host_memory *m)
{
    if (!m->known) {
        return;
    }
    otr_jw_obj(w, "memory");
    otr_jw_u64(w, "total", m->total);
    otr_jw_u64(w, "available", m->available);
    otr_jw_u64(w, "used", m->used);
    otr_jw_u64(w, "free", m->free);
    otr_jw_u64(w, "buffered", m->buffered);
    otr_jw_u64(w, "cached", m->cached);
    otr_jw_u64(w, "swap_total", m->swap_total);
    otr_jw_u64(w, "swap_free", m->swap_free);
    otr_jw_obj_end(w);
}

static void write_load(otr_jw *w, const otr_host_sample *s)
{
    otr_jw_arr(w, "load");
    for (size_t i = 0; i < OTR_COUNT(s->load.minutes) && s->load.known; i++) {
        otr_jw_f64(w, NULL, s->load.minutes[i]);
    }
    otr_jw_arr_end(w);
    if (s->files.known) {
        otr_jw_obj(w, "files");
        otr_jw_u64(w, "used", s->files.used);
        otr_jw_u64(w, "most", s->files.most);
        otr_jw_obj_end(w);
    }
}

static void write_disks(otr_jw *w, const otr_host_sample *s)
{
    otr_jw_arr(w, "disks");
    for (size_t i = 0; i < s->disks.n; i++) {
        const otr_host_disk *d = &s->disks.items[i];
        otr_jw_obj(w, NULL);
        otr_jw_bytes(w, "name", otr_bytes_of(d->name));
        otr_jw_u64(w, "read_bytes", d->read.bytes);
        otr_jw_u64(w, "write_bytes", d->write.bytes);
        otr_jw_u64(w, "reads", d->read.operations);
        otr_jw_u64(w, "writes", d->write.operations);
        otr_jw_f64(w, "busy_s", d->busy_s);
        otr_jw_u64(w, "pending", d->pending);
        otr_jw_obj_end(w);
    }
    otr_jw_arr_end(w);
    otr_jw_arr(w, "filesystems");
    for (size_t i = 0; i < s->filesystems.n; i++) {
        const otr_host_filesystem *f = &s->filesystems.items[i];
        otr_jw_obj(w, NULL);
        otr_jw_bytes(w, "mount", otr_bytes_of(f->mount));
        otr_jw_bytes(w, "device", otr_bytes_of(f->device));
        otr_jw_bytes(w, "type", otr_bytes_of(f->type));
        otr_jw_bool(w, "read_only", f->read_only);
        otr_jw_u64(w, "used", f->used);
        otr_jw_u64(w, "free", f->free);
        otr_jw_u64(w, "reserved", f->reserved);
        otr_jw_u64(w, "inodes_used", f->inodes_used);
        otr_jw_u64(w, "inodes_free", f->inodes_free);
        otr_jw_obj_end(w);
    }
    otr_jw_arr_end(w);
}

static void write_network(otr_jw *w, const otr_host_sample *s)
{
    otr_jw_arr(w, "interfaces");
    for (size_t i = 0; i < s->network.n; i++) {
        const otr_host_interface *one = &s->network.items[i];
        otr_jw_obj(w, NULL);
        otr_jw_bytes(w, "name", otr_bytes_of(one->name));
        otr_jw_u64(w, "received_bytes", one->receive.bytes);
        otr_jw_u64(w, "sent_bytes", one->transmit.bytes);
        otr_jw_u64(w, "receive_errors", one->receive.errors);
        otr_jw_u64(w, "send_errors", one->transmit.errors);
        otr_jw_u64(w, "receive_dropped", one->receive.dropped);
        otr_jw_u64(w, "send_dropped", one->transmit.dropped);
        otr_jw_obj_end(w);
    }
    otr_jw_arr_end(w);
    otr_jw_obj(w, "connections");
    for (size_t i = 1; i < OTR_TCP_STATES && s->sockets.known; i++) {
        otr_jw_u64(w, otr_tcp_state_name((otr_tcp_state)i), s->sockets.count[i]);
    }
    otr_jw_obj_end(w);
}

static void write_pressure(otr_jw *w, const otr_pressure pressure[OTR_PRESSURE_KINDS])
{
    otr_jw_obj(w, "pressure");
    for (size_t i = 0; i < OTR_PRESSURE_KINDS; i++) {
        if (pressure[i].some.known) {
            otr_jw_obj(w, otr_pressure_name((otr_pressure_kind)i));
            otr_jw_f64(w, "some", pressure[i].some.share[0]);
            otr_jw_f64(w, "full", pressure[i].full.share[0]);
            otr_jw_obj_end(w);
        }
    }
    otr_jw_obj_end(w);
}

static void write_group(otr_jw *w, const otr_cgroup *g)
{
    if (g->version == 0) {
        return;
    }
    otr_jw_obj(w, "cgroup");
    otr_jw_u64(w, "version", g->version);
    otr_jw_f64(w, "user_s", g->user_s);
    otr_jw_f64(w, "system_s", g->system_s);
    otr_jw_f64(w, "cpu_most", g->cpu_most);
    otr_jw_u64(w, "throttled", g->throttled);
    otr_jw_u64(w, "memory", g->memory);
    otr_jw_u64(w, "cache", g->cache);
    otr_jw_u64(w, "memory_most", g->memory_most);
    otr_jw_u64(w, "pids", g->pids);
    otr_jw_u64(w, "pids_most", g->pids_most);
    otr_jw_obj_end(w);
}

static otr_code encode_host(const void *payload, otr_buf *out, otr_err *err)
{
    const otr_host_event *event = payload;
    const otr_host_sample *s = event->sample;
    otr_jw w;
    otr_jw_begin(&w, out, err);
    otr_jw_obj(&w, NULL);
    otr_jw_u64(&w, "interval_ms", event->interval_ns / OTR_NS_PER_MS);
    otr_jw_bool(&w, "container", s->in_container);
    write_cpu(&w, event);
    write_memory(&w, &s->memory);
    write_load(&w, s);
    write_disks(&w, s);
    write_network(&w, s);
    write_pressure(&w, s->pressure);
    write_group(&w, &s->cgroup);
    otr_jw_obj_end(&w);
    return otr_jw_end(&w);
}

const otr_topic otr_topic_host_metrics = { "host.metrics", 1, drop_host, encode_host };
