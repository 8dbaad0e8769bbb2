/* The database is opened by the first job and again by the one after a failure. Who writes has one
 * strand and one connection, who reads another: a slow disk under the files of an NGINX, or a large
 * export, must not hold up who has to record a change. */
#include "modules/config_history.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "modules/services.h"

enum { JOBS = 256, PRUNE_MS = 10 * 60 * 1000, PATH_BYTES = 4096 };

static const char age_key[] = "outrider.config.history.max_age";
static const char bytes_key[] = "outrider.config.history.max_bytes";
static const char changes_key[] = "outrider.config.history.max_changes";
static const char write_problem[] = "config history";
static const char aside_problem[] = "config history put aside";

struct otr_config_history {
    otr_services *services;
    otr_strand *strand;  /* of `h` */
    otr_strand *readers; /* of `reader`: who only looks does not hold up who records */
    otr_timer *timer;
    char *folder;   /* lib_dir */
    char *path;     /* of the database in it */
    otr_history *h; /* the strand's */
    bool checked;   /* the strand's: it was whole when it was opened first */
    otr_history *reader;
    uint64_t reader_of;  /* the readers': which database it has open … */
    uint64_t generation; /* … of those that there were */
    otr_history_bounds bounds;
    size_t pending;     /* jobs that are not done */
    atomic_bool ending; /* what can wait for the next life does */
    bool gone;          /* the module is: the last job releases the rest */
    bool written;       /* since it was pruned */
    otr_loop_fn *closed;
    void *closed_arg;
};

typedef struct job {
    otr_config_history *ch;
    otr_config_history_job spec;
    uint64_t generation; /* of the database, when it was submitted */
    bool skipped;        /* there was nothing to be sparing with */
    bool closed;         /* it was put aside */
    otr_err err;
    char remark[OTR_ERR_MSG_BYTES]; /* of a database that was opened just now; "" */
} job;

static void release(otr_config_history *ch)
{
    if (ch->gone && ch->pending == 0) {
        otr_history_close(ch->reader);
        otr_history_close(ch->h);
        otr_free(ch->folder);
        otr_free(ch->path);
        otr_free(ch);
    }
}

/* ---- jobs, on the strand ---- */

/* The agent's own folder, which the package makes; not those above it. */
static otr_code make_folder(const otr_config_history *ch, otr_err *err)
{
    if (mkdir(ch->folder, 0700) != 0 && errno != EEXIST) {
        return otr_fail_sys(err, errno, "cannot make the folder %s (lib_dir)", ch->folder);
    }
    return OTR_OK;
}

static otr_code open_it(job *j)
{
    otr_config_history *ch = j->ch;
    if (ch->h != NULL) {
        return OTR_OK;
    }
    otr_code rc = make_folder(ch, &j->err);
    rc = rc == OTR_OK
             ? otr_history_open(ch->path, ch->checked ? OTR_HISTORY_AGAIN : OTR_HISTORY_WRITES,
                                &ch->h, &j->err)
             : rc;
    if (rc != OTR_OK) {
        return rc == OTR_ENOMEM ? rc : OTR_EIO; /* that there is none is no "not found" */
    }
    ch->checked = true;
    const char *remark = otr_history_remark(ch->h);
    if (remark != NULL) {
        size_t n = strnlen(remark, sizeof(j->remark) - 1);
        memcpy(j->remark, remark, n);
    }
    return rc;
}

static otr_code run_job(otr_strand *strand, void *arg)
{
    job *j = arg;
    (void)strand;
    struct stat st;
    if (j->spec.sparing && atomic_load(&j->ch->ending)) {
        j->skipped = true; /* they are for later lives as well */
        return OTR_OK;
    }
    if (j->spec.sparing && j->ch->h == NULL && lstat(j->ch->path, &st) != 0 && errno == ENOENT) {
        j->skipped = true;
        return OTR_OK;
    }
    otr_code rc = open_it(j);
    if (rc != OTR_OK) {
        return rc;
    }
    rc = j->spec.run(j->spec.arg, j->ch->h, &j->err);
    if (otr_history_is_damaged(j->ch->h)) {
        otr_history_close(otr_steal(&j->ch->h)); /* puts it aside: the next job begins anew */
        j->ch->checked = false;
        j->closed = true;
    } else if (j->spec.sparing) {
        otr_history_close(otr_steal(&j->ch->h));
    }
    return rc;
}

static otr_code read_job(otr_strand *strand, void *arg)
{
    job *j = arg;
    otr_config_history *ch = j->ch;
    (void)strand;
    if (ch->reader != NULL && ch->reader_of != j->generation) {
        otr_history_close(otr_steal(&ch->reader));
    }
    otr_code rc = ch->reader == NULL ? make_folder(ch, &j->err) : OTR_OK;
    if (rc == OTR_OK && ch->reader == NULL) {
        ch->reader_of = j->generation;
        rc = otr_history_open(ch->path, OTR_HISTORY_READS, &ch->reader, &j->err);
    }
    if (rc != OTR_OK) {
        return rc == OTR_ENOMEM ? rc : OTR_EIO;
    }
    rc = j->spec.run(j->spec.arg, ch->reader, &j->err);
    if (otr_history_is_damaged(ch->reader)) {
        otr_history_close(otr_steal(&ch->reader)); /* the one that writes will meet it, too */
    }
    return rc;
}

/* ---- and back on the loop ---- */

static void tell(const job *j, otr_code rc)
{
    otr_problems *problems = j->ch->services->problems;
    if (j->remark[0] != '\0') {
        otr_problem_set(problems, "", aside_problem, "%s", j->remark);
    }
    if (!j->spec.writes || j->skipped) {
        return;
    }
    if (rc == OTR_OK) {
        otr_problem_clear(problems, "", write_problem);
    } else if (rc != OTR_ESTATE) {
        otr_problem_set(problems, "", write_problem,
                        "could not %s: %s; changes go on, but cannot be looked up or undone from "
                        "the history: see to the disk of %s",
                        j->spec.what, j->err.msg, j->ch->path);
    }
}

static void on_done(void *arg, otr_code rc)
{
    job *j = arg;
    otr_config_history *ch = j->ch;
    if (rc == OTR_ESTATE && j->err.msg[0] == '\0') {
        (void)otr_fail(&j->err, OTR_ESTATE, "the agent is stopping");
    }
    if (!ch->gone) {
        tell(j, rc);
        ch->generation += j->closed || j->remark[0] != '\0';
        ch->written = ch->written || (rc == OTR_OK && j->spec.writes);
    }
    j->spec.done(j->spec.arg, rc, &j->err);
    otr_free(j);
    ch->pending--;
    release(ch);
}

otr_code otr_config_history_submit(otr_config_history *ch, const otr_config_history_job *spec,
                                   otr_err *err)
{
    if (ch == NULL || ch->gone) {
        return otr_fail(err, OTR_ESTATE, "there is no history of configurations");
    }
    job *j = otr_zalloc(sizeof(*j));
    if (j == NULL) {
        return otr_fail_nomem(err);
    }
    j->ch = ch;
    j->spec = *spec;
    j->generation = ch->generation;
    otr_code rc = spec->use == OTR_HISTORY_READS
                      ? otr_worker_submit(ch->readers, read_job, on_done, j, err)
                      : otr_worker_submit(ch->strand, run_job, on_done, j, err);
    if (rc != OTR_OK) {
        otr_free(j);
        return rc;
    }
    ch->pending++;
    return OTR_OK;
}

/* ---- retention ---- */

typedef struct pruning {
    otr_history_bounds bounds;
    uint64_t gone;
} pruning;

static otr_code prune(void *arg, otr_history *h, otr_err *err)
{
    pruning *p = arg;
    return otr_history_prune(h, &p->bounds, otr_wall_ns() / OTR_NS_PER_MS, &p->gone, err);
}

static void on_pruned(void *arg, otr_code rc, const otr_err *err)
{
    pruning *p = arg;
    if (rc == OTR_OK && p->gone > 0) {
        otr_log_info("old changes forgotten", "changes", OTR_I64((int64_t)p->gone));
    } else if (rc != OTR_OK && rc != OTR_ESTATE) {
        otr_log_warn("history not pruned, trying again later", "err", err->msg);
    }
    otr_free(p);
}

/* Also opens it at the start, so that what is wrong with it is known before it is needed. */
static void begin_to_prune(otr_config_history *ch)
{
    pruning *p = otr_zalloc(sizeof(*p));
    if (p == NULL) {
        return;
    }
    p->bounds = ch->bounds;
    const otr_config_history_job spec = { .what = "open the history of configurations",
                                          .writes = true,
                                          .sparing = true,
                                          .run = prune,
                                          .done = on_pruned,
                                          .arg = p };
    if (otr_config_history_submit(ch, &spec, NULL) != OTR_OK) {
        otr_free(p);
    }
    ch->written = false;
}

static void on_timer(void *arg)
{
    otr_config_history *ch = arg;
    if (ch->written) {
        begin_to_prune(ch);
    }
}

/* ---- its life ---- */

void otr_config_history_configure(otr_config_history *ch, const otr_config *cfg)
{
    ch->bounds = (otr_history_bounds){
        .age_ms = otr_config_duration_ns(cfg, age_key) / OTR_NS_PER_MS,
        .transactions = (uint64_t)otr_config_int(cfg, changes_key),
        .bytes = (uint64_t)otr_config_int(cfg, bytes_key),
    };
}

static otr_code set_path(otr_config_history *ch, const otr_config *cfg, otr_err *err)
{
    otr_buf path;
    otr_buf_init(&path, PATH_BYTES);
    const char *folder = otr_config_str(cfg, "lib_dir");
    otr_code rc = otr_buf_addf(&path, err, "%s/history.db", folder);
    if (rc == OTR_OK) {
        ch->folder = otr_strdup(folder);
        ch->path = otr_strdup(otr_buf_text(&path));
        rc = ch->folder != NULL && ch->path != NULL ? OTR_OK : otr_fail_nomem(err);
    }
    otr_buf_deinit(&path);
    return rc;
}

otr_code otr_config_history_new(otr_services *services, otr_loop *loop, const otr_config *cfg,
                                otr_config_history **ret, otr_err *err)
{
    otr_config_history *ch = otr_zalloc(sizeof(*ch));
    if (ch == NULL) {
        return otr_fail_nomem(err);
    }
    ch->services = services;
    otr_config_history_configure(ch, cfg);
    otr_code rc = set_path(ch, cfg, err);
    rc = rc == OTR_OK ? otr_strand_new(services->pool, JOBS, &ch->strand, err) : rc;
    rc = rc == OTR_OK ? otr_strand_new(services->pool, JOBS, &ch->readers, err) : rc;
    rc = rc == OTR_OK ? otr_timer_new(loop, on_timer, ch, &ch->timer, err) : rc;
    if (rc != OTR_OK) {
        otr_config_history_free(ch);
        return rc;
    }
    *ret = ch;
    return OTR_OK;
}

void otr_config_history_start(otr_config_history *ch)
{
    otr_problem_clear(ch->services->problems, "", aside_problem); /* it was read by now */
    begin_to_prune(ch);
    otr_timer_start(ch->timer, PRUNE_MS, PRUNE_MS);
}

static otr_code do_nothing(void *arg, otr_history *h, otr_err *err)
{
    (void)arg;
    (void)h;
    (void)err;
    return OTR_OK;
}

static void on_last(void *arg, otr_code rc, const otr_err *err)
{
    otr_config_history *ch = arg;
    otr_loop_fn *done = ch->closed;
    (void)rc;
    (void)err;
    ch->closed = NULL;
    if (done != NULL) { /* else nobody waited so long */
        done(ch->closed_arg);
    }
}

void otr_config_history_stop(otr_config_history *ch, otr_loop_fn *done, void *arg)
{
    const otr_config_history_job last = {
        .what = "end", .sparing = true, .run = do_nothing, .done = on_last, .arg = ch
    };
    ch->closed = done;
    ch->closed_arg = arg;
    atomic_store(&ch->ending, true);
    otr_timer_stop(ch->timer);
    bool idle = ch->pending == 0 && ch->h == NULL && ch->reader == NULL;
    if (idle || otr_config_history_submit(ch, &last, NULL) != OTR_OK) {
        ch->closed = NULL;
        done(arg);
    }
}

void otr_config_history_free(otr_config_history *ch)
{
    if (ch == NULL) {
        return;
    }
    otr_timer_free(ch->timer);
    ch->closed = NULL; /* whoever waits for the last job is about to go */
    ch->gone = true;
    ch->pending++; /* jobs that are cancelled here must not release it */
    otr_strand_free(ch->readers);
    otr_strand_free(ch->strand);
    ch->pending--;
    release(ch);
}
