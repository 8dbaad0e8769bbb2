/*
 * Records of a journal: a transaction as bytes.
 *
 * A journal is a header of 8 bytes and records one after the other, each two fields (base/frame.h):
 * what it says and the digest of that. The first says what is to be done (folders, steps, the old
 * files), the next which new files were staged, the further ones how far it came.
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_CHANGE_RECORD_H
#define OTR_NGINX_CHANGE_RECORD_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "nginx/change/work.h"

enum { OTR_RECORD_HEADER_BYTES = 8 };

/* Each appends one record to `out`; the first with the header before it. */
otr_code otr_record_begin(const otr_work *work, otr_buf *out, otr_err *err) OTR_MUST_CHECK;
otr_code otr_record_staged(const otr_work *work, otr_buf *out, otr_err *err) OTR_MUST_CHECK;
otr_code otr_record_state(const otr_work *work, otr_change_state state, otr_bytes note,
                          otr_buf *out, otr_err *err) OTR_MUST_CHECK;

typedef enum otr_record_verdict {
    OTR_RECORDS_NONE,    /* no transaction: empty, or torn before anything was done */
    OTR_RECORDS_WHOLE,   /* one, in `work` */
    OTR_RECORDS_TROUBLE, /* none that can be read: `why` says what to do */
} otr_record_verdict;

typedef struct otr_record_result {
    otr_record_verdict verdict;
    size_t end;    /* bytes that hold whole records: where the next one goes */
    char why[160]; /* of trouble */
} otr_record_result;

/* Reads a whole journal into the empty `work`, whose first actor is `root` or, without one, as it
 * was. What follows a torn record is not believed, what stands around a damaged one is. */
otr_code otr_records_read(otr_bytes journal, const otr_root *root, otr_work *work,
                          otr_record_result *ret, otr_err *err) OTR_MUST_CHECK;

#endif
