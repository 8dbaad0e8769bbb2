/*
 * status-digest: how many answers of each class an NGINX instance gave, window by window.
 *
 * Samples are added up until they cover `window` seconds; then one digest is published and the
 * next window begins. What a stopping instance or agent leaves is published as a shorter window.
 */
#include "outrider_wapc.h"

OG_INFO("status-digest", "1.0.0")
OG_SUBSCRIBE("nginx.metrics.sampled", "nginx.instance.stopped")

enum { MAX_INSTANCES = 64, ID_BYTES = 64, TIME_BYTES = 48, CLASSES = 5, DEFAULT_WINDOW_S = 60 };

typedef struct window {
    char id[ID_BYTES];
    size_t id_len; /* 0: the entry is free */
    uint64_t seen; /* number of the sample that was its last */
    uint64_t covered_ms;
    uint64_t counts[CLASSES];              /* 1xx … 5xx */
    char from[TIME_BYTES], to[TIME_BYTES]; /* envelope times as raw JSON */
    size_t from_len, to_len;
} window;

static window windows[MAX_INSTANCES];
static uint64_t samples;
static uint64_t window_ms = DEFAULT_WINDOW_S * 1000;

static const char *const members[CLASSES] = { "1xx", "2xx", "3xx", "4xx", "5xx" };

static int configure(og_str config)
{
    uint64_t seconds = DEFAULT_WINDOW_S;
    og_json_iter it = og_json_each(config);
    if (!og_json_valid(config) || og_json_kind(config) != '{') {
        return og_fail("config: not a JSON object");
    }
    while (og_json_next(&it)) {
        if (!og_json_key_eq(it.key, OG_STR("window"))) {
            og_str text = og_concat(OG_STR("config: unknown key \""), it.key);
            return og_fail_str(og_concat(text, OG_STR("\"; known is window")));
        }
        og_str value = it.value;
        if (og_json_kind(value) == '"' && value.len > 2) { /* hosts that know only strings */
            value = (og_str){ value.at + 1, value.len - 2 };
        }
        seconds = og_json_u64(value, 0);
    }
    if (seconds < 1 || seconds > 86400) {
        return og_fail("config: window must be whole seconds from 1 to 86400");
    }
    window_ms = seconds * 1000;
    return OG_OK;
}

/* The instance's window; a new one takes a free place or that of the one not seen for longest. */
static window *find(og_str id)
{
    window *place = &windows[0];
    for (size_t i = 0; i < MAX_INSTANCES; i++) {
        window *w = &windows[i];
        if (og_str_eq((og_str){ w->id, w->id_len }, id)) {
            return w;
        }
        if (w->seen < place->seen) {
            place = w;
        }
    }
    *place = (window){ .id_len = id.len };
    og_copy(place->id, id.at, id.len);
    return place;
}

/* Begins anew where the last window ended. */
static void restart(window *w)
{
    og_copy(w->from, w->to, w->to_len);
    w->from_len = w->to_len;
    w->covered_ms = 0;
    for (size_t i = 0; i < CLASSES; i++) {
        w->counts[i] = 0;
    }
}

static int publish(window *w)
{
    char buf[512];
    uint64_t total = 0;
    for (size_t i = 0; i < CLASSES; i++) {
        total += w->counts[i];
    }
    double errors = (double)(w->counts[3] + w->counts[4]);
    og_writer out = og_json_object(buf, sizeof buf);
    og_put_str(&out, "instance", (og_str){ w->id, w->id_len });
    og_put_raw(&out, "from", (og_str){ w->from_len > 0 ? w->from : NULL, w->from_len });
    og_put_raw(&out, "to", (og_str){ w->to_len > 0 ? w->to : NULL, w->to_len });
    og_put_u64(&out, "total", total);
    for (size_t i = 0; i < CLASSES; i++) {
        og_put_u64(&out, members[i], w->counts[i]);
    }
    og_put_num(&out, "error_ratio", total > 0 ? errors / (double)total : 0);
    restart(w);
    return og_publish("digest.status", og_json_end(&out));
}

static int flush(window *w)
{
    return w->id_len > 0 && w->covered_ms > 0 ? publish(w) : OG_OK;
}

static int add(window *w, og_str data, og_str time)
{
    if (time.at != NULL && time.len <= TIME_BYTES) {
        og_copy(w->to, time.at, time.len);
        w->to_len = time.len;
    }
    uint64_t interval = og_json_u64(og_json_get(data, "interval_ms"), 0);
    og_str counts = og_json_get(data, "responses");
    if (og_json_kind(counts) != '{') {
        return og_fail("nginx.metrics.sampled: no object responses");
    }
    if (interval == 0) { /* the first sample of an instance: its time is where the window begins */
        restart(w);
        return OG_OK;
    }
    for (size_t i = 0; i < CLASSES; i++) {
        w->counts[i] += og_json_u64(og_json_get(counts, members[i]), 0);
    }
    w->covered_ms += interval;
    return w->covered_ms >= window_ms ? publish(w) : OG_OK;
}

OG_OPERATION(init)
{
    return configure(og_input());
}

OG_OPERATION(reconfigure)
{
    return configure(og_input());
}

OG_OPERATION(process)
{
    char buf[ID_BYTES];
    og_str data = og_json_get(og_input(), "data");
    og_str id = og_json_string(og_json_get(data, "id"), buf, sizeof buf);
    if (id.at == NULL || id.len == 0) {
        return og_fail("the message has no data.id of 1 to 64 bytes");
    }
    window *w = find(id);
    w->seen = ++samples;
    if (og_str_eq(og_json_get(og_input(), "topic"), OG_STR("\"nginx.instance.stopped\""))) {
        int code = flush(w);
        *w = (window){ .seen = 0 };
        return code;
    }
    return add(w, data, og_json_get(og_input(), "time"));
}

OG_OPERATION(close)
{
    for (size_t i = 0; i < MAX_INSTANCES; i++) {
        if (flush(&windows[i]) != OG_OK) {
            return OG_FAILED;
        }
    }
    return OG_OK;
}
