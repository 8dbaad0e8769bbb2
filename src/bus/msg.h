/*
 * Messages: immutable, reference-counted, typed by their topic.
 *
 * A message owns a C payload whose type its topic fixes (src/modules/topics.h). The envelope that
 * guests receive is encoded once for each encoding, on first use, and shared by every guest.
 *
 * Thread: a message may be shared between threads; the last unref frees it on whichever thread.
 */
#ifndef OTR_BUS_MSG_H
#define OTR_BUS_MSG_H

#include <stdatomic.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"

typedef struct otr_topic {
    const char *name;            /* "nginx.config.updated": area.noun.verb, lower case */
    unsigned version;            /* raised when the payload layout changes */
    void (*drop)(void *payload); /* frees a payload; NULL if it owns nothing */
    /* Appends the payload as one JSON value, for guests and people. Pure: any thread. */
    otr_code (*encode)(const void *payload, otr_buf *out, otr_err *err);
} otr_topic;

/* One owner more or less of a topic, for who keeps it longer than a message of it: one made at run
 * time may go with the last of them. A compiled-in one does not mind. NULL is fine. Any thread. */
void otr_topic_ref(const otr_topic *topic);
void otr_topic_unref(const otr_topic *topic);

typedef struct otr_msg {
    const otr_topic *topic;
    const void *payload; /* its type is fixed by topic: see modules/topics.h */
    const char *source;  /* name of who published it; the message's own, or NULL */
    uint64_t id;         /* unique in this process, > 0 */
    uint64_t cause;      /* id of the message this one answers, or 0 */
    unsigned
        cause_depth;     /* 0, or one more than the cause's: bounded by OTR_LIMIT_BUS_CAUSE_DEPTH */
    uint64_t created_ns; /* CLOCK_MONOTONIC */
    _Atomic unsigned refs; /* only otr_msg_ref() and otr_msg_unref() touch it */
    _Atomic(void *) json;  /* only otr_msg_json() touches it */
    _Atomic(void *) other; /* only otr_msg_encoded() touches it */
} otr_msg;

/* Owns `payload` from success on; on failure it stays the caller's. `cause` may be NULL. `source`
 * is copied, as guests come and go.
 * OTR_EQUOTA when the chain of causes is too deep: two participants answer each other. */
otr_code otr_msg_new(const otr_topic *topic, void *payload, const char *source,
                     const otr_msg *cause, otr_msg **ret_msg, otr_err *err) OTR_MUST_CHECK;
otr_msg *otr_msg_ref(const otr_msg *msg);
otr_msg *otr_msg_unref(otr_msg *msg); /* NULL is fine; always returns NULL */
void otr_msg_unrefp(void *slot);      /* for OTR_CLEANUP */

/* {"id":…,"topic":"…","version":…,"time":"…","source":"…","cause":…,"data":<payload>}: encoded on
 * the first call and kept; the bytes live as long as the message. Any thread. */
otr_code otr_msg_json(const otr_msg *msg, otr_bytes *ret, otr_err *err) OTR_MUST_CHECK;
/* Bytes that it takes, as far as they are known: a payload of a run-time topic, and what was
 * encoded so far. Any thread. */
size_t otr_msg_weight(const otr_msg *msg);
/* Drops what was encoded, to be made anew when it is asked for: if nobody but the caller has the
 * message, who holds `own` references and none of the bytes. */
void otr_msg_trim(otr_msg *msg, unsigned own);

/* Appends the envelope as otr_msg_json() has it, which is not kept, or, when that is longer than
 * `most` bytes, with null as "data" and a member "omitted_bytes": how long it is. */
otr_code otr_msg_json_most(const otr_msg *msg, size_t most, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;
/* The payload alone as JSON, with the same life. */
otr_code otr_msg_data(const otr_msg *msg, otr_bytes *ret, otr_err *err) OTR_MUST_CHECK;

/* Appends the whole message in another encoding than JSON. Pure: any thread. */
typedef otr_code otr_msg_encode_fn(const otr_msg *msg, otr_buf *out, otr_err *err);
/* The same as otr_msg_json() in that encoding. There is room for one: every caller of the process
 * passes the same function. */
otr_code otr_msg_encoded(const otr_msg *msg, otr_msg_encode_fn *fn, otr_bytes *ret, otr_err *err)
    OTR_MUST_CHECK;

#endif
