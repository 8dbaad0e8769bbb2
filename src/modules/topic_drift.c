#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "modules/topics.h"

enum { BY_BYTES = 256, PUBLIC = 0004 };

static void drop_drift(void *payload)
{
    otr_drift_event *event = payload;
    otr_drift_report_free(event->report);
    otr_free(event);
}

static void write_time(otr_jw *w, const char *key, uint64_t wall_ns)
{
    char text[OTR_TIME_BYTES];
    otr_jw_str(w, key, wall_ns > 0 ? otr_time_text(wall_ns, text) : NULL);
}

/* A digest may serve to guess what somebody may not read. */
static void write_digest(otr_jw *w, const char *key, const char *digest, uint32_t mode,
                         const otr_drift_file *f)
{
    bool hidden = f->named || mode == OTR_DRIFT_NO_MODE || (mode & PUBLIC) == 0;
    otr_jw_str(w, key, hidden ? "" : digest);
}

void otr_drift_by(const otr_drift_file *f, char *out, size_t cap)
{
    const otr_drift_writer *by = &f->writer;
    if (by->pid <= 0) {
        out[0] = '\0';
        return;
    }
    char process[OTR_DRIFT_COMM_BYTES + 32];
    (void)snprintf(process, sizeof(process), "%s%sprocess %ld", by->comm,
                   by->comm[0] != '\0' ? ", " : "", (long)by->pid);
    if (by->user[0] != '\0') {
        (void)snprintf(out, cap, "%s (%s)", by->user, process);
    } else {
        (void)snprintf(out, cap, "%s", process);
    }
}

static void write_file(otr_jw *w, const otr_drift_file *f)
{
    char by[BY_BYTES];
    uint32_t mode = f->new_mode != OTR_DRIFT_NO_MODE ? f->new_mode : f->old_mode;
    otr_drift_by(f, by, sizeof(by));
    otr_jw_obj(w, NULL);
    otr_jw_bytes(w, "path", otr_bytes_of(f->path));
    otr_jw_str(w, "kind", otr_drift_kind_name(f->kind));
    otr_jw_bool(w, "named", f->named);
    write_digest(w, "old_digest", f->old_digest, mode, f);
    write_digest(w, "new_digest", f->new_digest, mode, f);
    write_time(w, "noticed", f->seen_ns);
    write_time(w, "modified", f->mtime_ns);
    otr_jw_bytes(w, "owner", otr_bytes_of(f->owner));
    otr_jw_bytes(w, "by", otr_bytes_of(by));
    otr_jw_obj_end(w);
}

/* The first writer that is known stands for all: a burst is mostly of one. */
static void write_by(otr_jw *w, const otr_drift_report *r)
{
    char by[BY_BYTES] = "";
    for (size_t i = 0; by[0] == '\0' && i < r->n; i++) {
        otr_drift_by(&r->files[i], by, sizeof(by));
    }
    otr_jw_bytes(w, "by", otr_bytes_of(by));
}

void otr_drift_write(otr_jw *w, const otr_drift_report *r)
{
    otr_jw_str(w, "id", r->id);
    otr_jw_bytes(w, "version", otr_bytes_of(r->version));
    otr_jw_bool(w, "known", r->known);
    write_time(w, "since", r->since_ns);
    otr_jw_arr(w, "files");
    size_t begin = w->out->n;
    size_t i = 0;
    for (; i < r->n && w->out->n - begin < OTR_LIMIT_DRIFT_JSON_BYTES; i++) {
        write_file(w, &r->files[i]);
    }
    otr_jw_arr_end(w);
    otr_jw_u64(w, "more", r->more + (r->n - i));
    write_by(w, r);
    otr_jw_bytes(w, "remark", otr_bytes_of(r->remark));
}

static otr_code encode_drift(const void *payload, otr_buf *out, otr_err *err)
{
    otr_jw w;
    otr_jw_begin(&w, out, err);
    otr_jw_obj(&w, NULL);
    otr_drift_write(&w, ((const otr_drift_event *)payload)->report);
    otr_jw_obj_end(&w);
    return otr_jw_end(&w);
}

const char *otr_drift_event_id(const void *payload)
{
    return ((const otr_drift_event *)payload)->report->id;
}

const otr_topic otr_topic_config_drifted = { "nginx.config.drifted", 1, drop_drift, encode_drift };
