#include "bus/msg.h"

#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "bus/private.h"

enum {
    ENVELOPE_BYTES = 4096, /* most that stands around a payload */
    USUAL_BYTES = 512,
};

/* What otr_msg.json and otr_msg.other point to. */
typedef struct encoded {
    size_t n;
    size_t data_at; /* JSON: where the payload begins; "}" follows it */
    uint8_t bytes[];
} encoded;

static _Atomic uint64_t last_id;

otr_code otr_msg_new(const otr_topic *topic, void *payload, const char *source,
                     const otr_msg *cause, otr_msg **ret_msg, otr_err *err)
{
    unsigned depth = cause != NULL ? cause->cause_depth + 1 : 0;
    if (depth > OTR_LIMIT_BUS_CAUSE_DEPTH) {
        return otr_fail(err, OTR_EQUOTA,
                        "message on %s from %s would be answer number %u in one chain, the limit "
                        "is %d: do these plugins answer each other?",
                        topic->name, source != NULL ? source : "nobody", depth,
                        OTR_LIMIT_BUS_CAUSE_DEPTH);
    }
    size_t n = source != NULL ? strlen(source) + 1 : 0;
    otr_msg *msg = otr_alloc(sizeof(*msg) + n);
    if (msg == NULL) {
        return otr_fail_nomem(err);
    }
    otr_topic_ref(topic);
    msg->topic = topic;
    msg->payload = payload;
    /* A message may outlive who published it: a plugin that is removed. */
    msg->source = n > 0 ? memcpy(msg + 1, source, n) : NULL;
    msg->id = atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1;
    msg->cause = cause != NULL ? cause->id : 0;
    msg->cause_depth = depth;
    msg->created_ns = otr_now_ns();
    atomic_init(&msg->refs, 1);
    atomic_init(&msg->json, NULL);
    atomic_init(&msg->other, NULL);
    *ret_msg = msg;
    return OTR_OK;
}

otr_msg *otr_msg_ref(const otr_msg *msg)
{
    otr_msg *m = (otr_msg *)msg;
    (void)atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

static void destroy(otr_msg *msg)
{
    /* A compiled-in topic may be part of the payload. */
    const otr_topic *made = otr_topic_is_run_time(msg->topic) ? msg->topic : NULL;
    if (msg->topic->drop != NULL && msg->payload != NULL) {
        msg->topic->drop((void *)msg->payload);
    }
    otr_free(atomic_load_explicit(&msg->json, memory_order_relaxed));
    otr_free(atomic_load_explicit(&msg->other, memory_order_relaxed));
    otr_topic_unref(made);
    otr_free(msg);
}

otr_msg *otr_msg_unref(otr_msg *msg)
{
    /* The only reference is ours: nobody else can add or drop one, so the load is enough. */
    if (msg != NULL && (atomic_load_explicit(&msg->refs, memory_order_acquire) == 1 ||
                        atomic_fetch_sub_explicit(&msg->refs, 1, memory_order_acq_rel) == 1)) {
        destroy(msg);
    }
    return NULL;
}

void otr_msg_unrefp(void *slot)
{
    (void)otr_msg_unref(otr_steal(slot));
}

static otr_code encode_payload(const otr_msg *msg, otr_buf *out, otr_err *err)
{
    if (msg->topic->encode == NULL || msg->payload == NULL) {
        return otr_buf_adds(out, "null", err);
    }
    return msg->topic->encode(msg->payload, out, err);
}

/* All of an envelope before its data. */
static void begin_envelope(const otr_msg *msg, otr_jw *w, otr_buf *out, otr_err *err)
{
    char when[OTR_TIME_BYTES];
    otr_jw_begin(w, out, err);
    otr_jw_obj(w, NULL);
    otr_jw_u64(w, "id", msg->id);
    otr_jw_str(w, "topic", msg->topic->name);
    otr_jw_u64(w, "version", msg->topic->version);
    otr_jw_str(w, "time", otr_time_text(otr_wall_of(msg->created_ns), when));
    otr_jw_str(w, "source", msg->source);
    otr_jw_u64(w, "cause", msg->cause);
}

static otr_code write_envelope(const otr_msg *msg, otr_buf *out, size_t *ret_data_at, otr_err *err)
{
    size_t start = out->n;
    otr_jw w;
    begin_envelope(msg, &w, out, err);
    otr_jw_raw(&w, "data", (otr_bytes){ 0 }); /* the payload writes itself behind the key */
    *ret_data_at = out->n - start;
    if (w.rc == OTR_OK) {
        w.rc = encode_payload(msg, out, err);
    }
    otr_jw_obj_end(&w);
    return otr_jw_end(&w);
}

/* Behind an `encoded`, which is told where the payload begins. */
static otr_code encode_envelope(const otr_msg *msg, otr_buf *out, otr_err *err)
{
    size_t start = out->n, data_at = 0;
    otr_code rc = write_envelope(msg, out, &data_at, err);
    if (rc == OTR_OK) {
        memcpy(out->p + start - sizeof(encoded) + offsetof(encoded, data_at), &data_at,
               sizeof(data_at));
    }
    return rc;
}

static void deinit_buf(void *buf)
{
    otr_buf_deinit(buf);
}

/* The bytes behind their length, in one block. */
static otr_code encode(const otr_msg *msg, otr_msg_encode_fn *fn, encoded **ret, otr_err *err)
{
    otr_buf out OTR_CLEANUP(deinit_buf);
    otr_buf_init(&out, sizeof(encoded) + ENVELOPE_BYTES + OTR_LIMIT_BUS_ENCODED_BYTES);
    uint8_t *at;
    otr_code rc = otr_buf_reserve(&out, USUAL_BYTES, &at, err);
    if (rc != OTR_OK) {
        return rc;
    }
    memset(at, 0, sizeof(encoded));
    otr_buf_grew(&out, sizeof(encoded));
    rc = fn(msg, &out, err);
    if (rc != OTR_OK) {
        return otr_wrap(err, rc, "message on %s cannot be encoded", msg->topic->name);
    }
    size_t n = out.n - sizeof(encoded);
    void *fitted = otr_realloc(out.p, out.n);
    encoded *made = fitted != NULL ? fitted : (void *)out.p;
    made->n = n;
    out.p = NULL;
    *ret = made;
    return OTR_OK;
}

static otr_code once(const otr_msg *msg, _Atomic(void *) *slot, otr_msg_encode_fn *fn,
                     const encoded **ret, otr_err *err)
{
    void *known = atomic_load_explicit(slot, memory_order_acquire);
    if (known == NULL) {
        encoded *mine = NULL;
        otr_code rc = encode(msg, fn, &mine, err);
        if (rc != OTR_OK) {
            return rc;
        }
        if (atomic_compare_exchange_strong_explicit(slot, &known, mine, memory_order_acq_rel,
                                                    memory_order_acquire)) {
            known = mine;
        } else {
            otr_free(mine); /* another thread was first: everyone shares its bytes */
        }
    }
    *ret = known;
    return OTR_OK;
}

otr_code otr_msg_json(const otr_msg *msg, otr_bytes *ret, otr_err *err)
{
    const encoded *text;
    otr_code rc = once(msg, &((otr_msg *)msg)->json, encode_envelope, &text, err);
    if (rc == OTR_OK) {
        *ret = (otr_bytes){ text->bytes, text->n };
    }
    return rc;
}

/* `n`: how long the envelope is; 0: it is not encoded, but its payload has a length. */
static otr_code write_without_data(const otr_msg *msg, size_t n, otr_buf *out, otr_err *err)
{
    otr_jw w;
    size_t start = out->n;
    begin_envelope(msg, &w, out, err);
    n = n != 0 ? n : out->n - start + sizeof(",\"data\":}") - 1 + otr_msg_bytes(msg);
    otr_jw_null(&w, "data");
    otr_jw_u64(&w, "omitted_bytes", n);
    otr_jw_obj_end(&w);
    return otr_jw_end(&w);
}

otr_code otr_msg_json_most(const otr_msg *msg, size_t most, otr_buf *out, otr_err *err)
{
    const encoded *text = atomic_load_explicit(&((otr_msg *)msg)->json, memory_order_acquire);
    if (text != NULL) {
        return text->n <= most ? otr_buf_add(out, (otr_bytes){ text->bytes, text->n }, err)
                               : write_without_data(msg, text->n, out, err);
    }
    if (otr_msg_bytes(msg) > most) {
        return write_without_data(msg, 0, out, err);
    }
    size_t data_at = 0;
    otr_buf whole OTR_CLEANUP(deinit_buf);
    otr_buf_init(&whole, ENVELOPE_BYTES + OTR_LIMIT_BUS_ENCODED_BYTES);
    otr_code rc = write_envelope(msg, &whole, &data_at, err);
    if (rc != OTR_OK) {
        return otr_wrap(err, rc, "message on %s cannot be encoded", msg->topic->name);
    }
    return whole.n <= most ? otr_buf_add(out, otr_buf_bytes(&whole), err)
                           : write_without_data(msg, whole.n, out, err);
}

static size_t encoded_bytes(const _Atomic(void *) *slot)
{
    const encoded *made = atomic_load_explicit((_Atomic(void *) *)slot, memory_order_acquire);
    return made != NULL ? sizeof(*made) + made->n : 0;
}

size_t otr_msg_weight(const otr_msg *msg)
{
    return sizeof(*msg) + otr_msg_bytes(msg) + encoded_bytes(&msg->json) +
           encoded_bytes(&msg->other);
}

void otr_msg_trim(otr_msg *msg, unsigned own)
{
    if (atomic_load_explicit(&msg->refs, memory_order_acquire) == own) {
        otr_free(atomic_exchange(&msg->json, NULL));
        otr_free(atomic_exchange(&msg->other, NULL));
    }
}

otr_code otr_msg_data(const otr_msg *msg, otr_bytes *ret, otr_err *err)
{
    const otr_bus_json *json = msg->payload;
    if (msg->topic->encode == otr_bus_json_encode && json != NULL) {
        *ret = (otr_bytes){ json->bytes, json->n };
        return OTR_OK;
    }
    const encoded *text;
    otr_code rc = once(msg, &((otr_msg *)msg)->json, encode_envelope, &text, err);
    if (rc == OTR_OK) {
        *ret = (otr_bytes){ text->bytes + text->data_at, text->n - text->data_at - 1 };
    }
    return rc;
}

otr_code otr_msg_encoded(const otr_msg *msg, otr_msg_encode_fn *fn, otr_bytes *ret, otr_err *err)
{
    const encoded *made;
    otr_code rc = once(msg, &((otr_msg *)msg)->other, fn, &made, err);
    if (rc == OTR_OK) {
        *ret = (otr_bytes){ made->bytes, made->n };
    }
    return rc;
}
