/*
 * Header fields: those of a guest's question for libcurl, those of an answer for the guest.
 *
 * Thread: that of the guest.
 */
#ifndef OTR_PLUGIN_SERVICES_HTTP_FIELDS_H
#define OTR_PLUGIN_SERVICES_HTTP_FIELDS_H

#include "base/json.h"
#include "net/curl/curl.h"

/* ---- the question ---- */

/* OTR_EINVAL names a key of the question that there is not, or one of the wrong kind. */
otr_code otr_http_question_check(const otr_json *head, otr_err *err) OTR_MUST_CHECK;

typedef enum otr_http_origin {
    OTR_HTTP_FIRST,   /* where the guest sends it */
    OTR_HTTP_FOREIGN, /* where a redirect led to: credentials stay behind */
} otr_http_origin;

/* Replaces `*list` by the fields of the checked question `head`. */
otr_code otr_http_question_fields(const otr_curl *curl, const otr_json *head,
                                  otr_http_origin origin, struct curl_slist **list, otr_err *err)
    OTR_MUST_CHECK;

/* ---- the answer ---- */

typedef struct otr_http_fields {
    otr_buf text; /* name NUL value NUL … */
    size_t n;
    size_t bytes;  /* of all lines of this exchange */
    bool complete; /* the head's last line came: what follows are trailers */
} otr_http_fields;

void otr_http_fields_init(otr_http_fields *f);
void otr_http_fields_deinit(otr_http_fields *f);
void otr_http_fields_clear(otr_http_fields *f);
/* One line of a head, as libcurl gives it. A status line begins anew, trailers are left out. False:
 * more than OTR_LIMIT_PLUGIN_HTTP_HEADER_BYTES, or no memory. */
bool otr_http_fields_line(otr_http_fields *f, otr_bytes line);
/* As members of an open JSON object, by name: lower case, values without blanks around them, those
 * of one name joined by ", " in the order they came. */
otr_code otr_http_fields_write(const otr_http_fields *f, otr_jw *w, otr_err *err) OTR_MUST_CHECK;

#endif
