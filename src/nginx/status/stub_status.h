/*
 * stub_status: its text.
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_STATUS_STUB_STATUS_H
#define OTR_NGINX_STATUS_STUB_STATUS_H

#include "base/base.h"
#include "base/err.h"

typedef struct otr_stub_status {
    uint64_t active, reading, writing, waiting; /* connections now */
    uint64_t accepted, handled, requests;       /* since NGINX started */
} otr_stub_status;

typedef struct otr_stub_answer {
    otr_stub_status status;
    int master_pid; /* the master whose process gave it; 0: that could not be seen */
    uint64_t started_ticks;
} otr_stub_answer;

/* OTR_EINVAL when it is not the text of stub_status, also not that of Tengine, which has one more
 * column; `ret` is then untouched. */
otr_code otr_stub_status_parse(otr_bytes body, otr_stub_status *ret, otr_err *err) OTR_MUST_CHECK;

#endif
