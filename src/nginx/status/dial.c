#include "nginx/status/dial.h"

#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "nginx/status/connect.h"

typedef struct job {
    otr_dial *dial; /* NULL: nobody waits any more */
    otr_connect_spec spec;
    otr_connection made;
    otr_err err;
} job;

struct otr_dial {
    otr_strand *strand;
    otr_master_id master;
    otr_http_dialer dialer;
    job *job; /* under way */
    bool proved;
};

static otr_code run(otr_strand *strand, void *arg)
{
    (void)strand;
    job *j = arg;
    return otr_status_connect(&j->spec, &j->made, &j->err);
}

static void on_done(void *arg, otr_code rc)
{
    job *j = arg;
    otr_dial *dial = j->dial;
    if (dial == NULL) {
        if (j->made.fd >= 0) {
            close(j->made.fd);
        }
        otr_free(j);
        return;
    }
    dial->job = NULL;
    dial->proved = rc == OTR_OK && j->made.proved;
    otr_err err = j->err;
    int fd = j->made.fd;
    otr_free(j);
    if (rc != OTR_OK && err.code == OTR_OK) {
        otr_fail(&err, rc, "the connection was not made");
    }
    dial->dialer.done(dial->dialer.arg, rc, fd, rc == OTR_OK ? NULL : &err);
}

static otr_code begin(void *self, const struct sockaddr *to, unsigned size, uint64_t timeout_ms,
                      otr_err *err)
{
    otr_dial *dial = self;
    job *j = otr_zalloc(sizeof(*j));
    if (j == NULL) {
        return otr_fail_nomem(err);
    }
    j->dial = dial;
    j->made.fd = -1;
    j->spec.master = dial->master;
    j->spec.deadline_ns = otr_now_ns() + timeout_ms * OTR_NS_PER_MS;
    j->spec.to.size = size < sizeof(j->spec.to.bytes) ? size : sizeof(j->spec.to.bytes);
    memcpy(j->spec.to.bytes, to, j->spec.to.size);
    otr_code rc = otr_worker_submit(dial->strand, run, on_done, j, err);
    if (rc != OTR_OK) {
        otr_free(j);
        return rc;
    }
    dial->job = j;
    return OTR_OK;
}

static void cancel(void *self)
{
    otr_dial *dial = self;
    if (dial->job != NULL) {
        dial->job->dial = NULL;
        dial->job = NULL;
    }
}

otr_code otr_dial_new(otr_pool *pool, const otr_master_id *master, otr_dial **ret, otr_err *err)
{
    enum { JOBS = 4 }; /* those that were given up may still be running */
    otr_dial *dial = otr_zalloc(sizeof(*dial));
    if (dial == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = otr_strand_new(pool, JOBS, &dial->strand, err);
    if (rc != OTR_OK) {
        otr_free(dial);
        return rc;
    }
    dial->master = *master;
    dial->dialer = (otr_http_dialer){ .dial = begin, .cancel = cancel, .self = dial };
    *ret = dial;
    return OTR_OK;
}

otr_http_dialer *otr_dial_dialer(otr_dial *dial)
{
    return &dial->dialer;
}

bool otr_dial_proved(const otr_dial *dial)
{
    return dial->proved;
}

void otr_dial_free(otr_dial *dial)
{
    if (dial != NULL) {
        cancel(dial);
        otr_strand_free(dial->strand);
        otr_free(dial);
    }
}
