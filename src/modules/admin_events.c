#include <stdio.h>

#include "base/alloc.h"
#include "modules/admin.h"

enum { FRAME_BYTES = OTR_LIMIT_EVENT_BYTES + 2048, STUB_BYTES = 1024 };

struct otr_admin_stream {
    otr_admin_stream *prev, *next;
    otr_admin *admin;
    otr_http_stream *http;
    char *topic; /* pattern */
    uint64_t missed;
};

/* ---- the ring ---- */

void otr_admin_drop_events(otr_admin *a)
{
    for (size_t i = 0; i < OTR_LIMIT_EVENTS_KEPT; i++) {
        otr_topic_unref(a->events[i].topic);
        otr_free(a->events[i].json);
        a->events[i] = (otr_admin_event){ NULL, NULL, 0 };
    }
    a->n_events = 0;
}

/* On one line, and with nothing raw that a terminal would obey: a guest's JSON may be anything. */
static otr_code encode_event(const otr_msg *msg, otr_admin_event *ret, otr_err *err)
{
    otr_buf text, plain;
    otr_buf_init(&text, OTR_LIMIT_EVENT_BYTES + STUB_BYTES);
    otr_buf_init(&plain, OTR_LIMIT_EVENT_BYTES + STUB_BYTES);
    otr_code rc = otr_msg_json_most(msg, OTR_LIMIT_EVENT_BYTES, &text, err);
    rc = rc == OTR_OK ? otr_json_plain(otr_buf_bytes(&text), &plain, err) : rc;
    if (rc == OTR_EQUOTA) { /* escapes made it too long */
        rc = otr_msg_json_most(msg, 0, &plain, err);
    }
    otr_buf_deinit(&text);
    if (rc != OTR_OK) {
        otr_buf_deinit(&plain);
        return rc;
    }
    otr_topic_ref(msg->topic);
    *ret = (otr_admin_event){ msg->topic, (char *)plain.p, plain.n };
    return OTR_OK;
}

static const otr_admin_event *event_at(const otr_admin *a, size_t i)
{
    return &a->events[(a->first_event + i) % OTR_LIMIT_EVENTS_KEPT];
}

static void keep_event(otr_admin *a, const otr_admin_event *event)
{
    if (a->n_events == OTR_LIMIT_EVENTS_KEPT) {
        otr_topic_unref(a->events[a->first_event].topic);
        otr_free(a->events[a->first_event].json);
        a->events[a->first_event] = *event;
        a->first_event = (a->first_event + 1) % OTR_LIMIT_EVENTS_KEPT;
    } else {
        a->events[(a->first_event + a->n_events++) % OTR_LIMIT_EVENTS_KEPT] = *event;
    }
}

/* Where the newest `last` events that match begin. */
static size_t first_of_last(const otr_admin *a, const char *topic, size_t last)
{
    size_t i = a->n_events;
    while (i > 0 && last > 0) {
        last -= otr_topic_match(topic, event_at(a, --i)->topic->name) ? 1 : 0;
    }
    return i;
}

/* ---- streams ---- */

static void forget_stream(otr_admin_stream *s)
{
    otr_admin *a = s->admin;
    *(s->prev != NULL ? &s->prev->next : &a->streams) = s->next;
    if (s->next != NULL) {
        s->next->prev = s->prev;
    }
    a->n_streams--;
    otr_free(s->topic);
    otr_free(s);
}

static void stream_closed(void *arg)
{
    forget_stream(arg);
}

void otr_admin_end_streams(otr_admin *a)
{
    while (a->streams != NULL) {
        otr_http_stream_end(a->streams->http);
        forget_stream(a->streams);
    }
}

/* One server-sent event; what a slow reader missed is told before the next that reaches it. */
static void send_event(otr_admin_stream *s, const otr_admin_event *event)
{
    otr_buf frame;
    otr_buf_init(&frame, FRAME_BYTES);
    otr_code rc = OTR_OK;
    if (s->missed > 0) {
        rc = otr_buf_addf(&frame, NULL, "event: missed\ndata: {\"missed\":%llu}\n\n",
                          (unsigned long long)s->missed);
    }
    rc = rc == OTR_OK ? otr_buf_adds(&frame, "data: ", NULL) : rc;
    rc = rc == OTR_OK
             ? otr_buf_add(&frame, (otr_bytes){ (const uint8_t *)event->json, event->n }, NULL)
             : rc;
    rc = rc == OTR_OK ? otr_buf_adds(&frame, "\n\n", NULL) : rc;
    if (rc == OTR_OK && otr_http_stream_send(s->http, otr_buf_bytes(&frame))) {
        s->missed = 0;
    } else {
        s->missed++;
    }
    otr_buf_deinit(&frame);
}

otr_code otr_admin_event_add(otr_admin *a, const otr_msg *msg, otr_err *err)
{
    a->events_seen++;
    otr_admin_event event;
    otr_code rc = encode_event(msg, &event, err);
    if (rc != OTR_OK) {
        return rc;
    }
    keep_event(a, &event);
    for (otr_admin_stream *s = a->streams; s != NULL; s = s->next) {
        if (otr_topic_match(s->topic, event.topic->name)) {
            send_event(s, &event);
        }
    }
    return OTR_OK;
}

/* ---- requests ---- */

static otr_code query_topic(const otr_http_request *req, const char **ret, otr_err *err)
{
    const char *topic = otr_http_query(req, "topic");
    *ret = topic != NULL && topic[0] != '\0' ? topic : "*";
    return otr_topic_check(*ret, true, err);
}

static otr_code query_last(const otr_http_request *req, size_t otherwise, size_t *ret, otr_err *err)
{
    const char *text = otr_http_query(req, "last");
    size_t digits = text != NULL ? strspn(text, "0123456789") : 0;
    *ret = otherwise;
    if (text == NULL) {
        return OTR_OK;
    }
    if (digits == 0 || text[digits] != '\0') {
        return otr_fail(err, OTR_EINVAL, "last=\"%s\" is not a number", text);
    }
    size_t n = 0;
    for (; *text != '\0' && n < OTR_LIMIT_EVENTS_KEPT; text++) {
        n = n * 10 + (size_t)(*text - '0');
    }
    *ret = n < OTR_LIMIT_EVENTS_KEPT ? n : OTR_LIMIT_EVENTS_KEPT;
    return OTR_OK;
}

otr_code otr_admin_get_events(void *admin, const otr_http_request *req, otr_http_reply *reply,
                              otr_err *err)
{
    const otr_admin *a = admin;
    const char *topic = NULL;
    size_t last = 0;
    otr_code rc = query_topic(req, &topic, err);
    rc = rc == OTR_OK ? query_last(req, OTR_LIMIT_EVENTS_KEPT, &last, err) : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    otr_jw w;
    otr_jw_begin(&w, &reply->body, err);
    otr_jw_obj(&w, NULL);
    otr_jw_u64(&w, "seen", a->events_seen);
    otr_jw_u64(&w, "kept", a->n_events);
    otr_jw_arr(&w, "events");
    for (size_t i = first_of_last(a, topic, last); i < a->n_events; i++) {
        const otr_admin_event *e = event_at(a, i);
        if (otr_topic_match(topic, e->topic->name)) {
            otr_jw_raw(&w, NULL, (otr_bytes){ (const uint8_t *)e->json, e->n });
        }
    }
    otr_jw_arr_end(&w);
    otr_jw_obj_end(&w);
    return otr_jw_end(&w);
}

static otr_code new_stream(otr_admin *a, const char *topic, otr_admin_stream **ret, otr_err *err)
{
    otr_admin_stream *s = otr_zalloc(sizeof(*s));
    if (s == NULL) {
        return otr_fail_nomem(err);
    }
    s->topic = otr_strdup(topic);
    if (s->topic == NULL) {
        otr_free(s);
        return otr_fail_nomem(err);
    }
    s->admin = a;
    s->next = a->streams;
    if (s->next != NULL) {
        s->next->prev = s;
    }
    a->streams = s;
    a->n_streams++;
    *ret = s;
    return OTR_OK;
}

otr_code otr_admin_get_stream(void *admin, const otr_http_request *req, otr_http_reply *reply,
                              otr_err *err)
{
    otr_admin *a = admin;
    const char *topic = NULL;
    size_t last = 0;
    otr_admin_stream *s = NULL;
    otr_code rc = query_topic(req, &topic, err);
    rc = rc == OTR_OK ? query_last(req, 0, &last, err) : rc;
    rc = rc == OTR_OK ? new_stream(a, topic, &s, err) : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    rc = otr_http_stream_open(req, reply, stream_closed, s, &s->http, err);
    if (rc != OTR_OK) {
        forget_stream(s);
        return rc;
    }
    /* A comment at once: the reader knows that it is connected before the first event. */
    (void)otr_http_stream_send(s->http, otr_bytes_of(":\n\n"));
    for (size_t i = first_of_last(a, topic, last); i < a->n_events; i++) {
        const otr_admin_event *e = event_at(a, i);
        if (otr_topic_match(topic, e->topic->name)) {
            send_event(s, e);
        }
    }
    return OTR_OK;
}
