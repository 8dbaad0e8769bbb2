/*
 * rate-watch: raises an alert when an NGINX instance answers more requests a second than it should.
 *
 * An alert is raised above `threshold` and cleared below `clear`, so a rate that hovers around one
 * value does not raise and clear with every sample. Each instance has its own state.
 */
#include "outrider_extism.h"

OG_INFO("rate-watch", "1.0.0")
OG_SUBSCRIBE("nginx.metrics.sampled", "nginx.instance.stopped")

enum { MAX_INSTANCES = 64, ID_BYTES = 64 };

typedef struct watched {
    char id[ID_BYTES];
    size_t id_len; /* 0: the entry is free */
    bool raised;
    uint64_t seen; /* number of the sample that was its last */
} watched;

static watched instances[MAX_INSTANCES];
static uint64_t samples;
static double threshold; /* requests a second; 0: init has not run */
static double clear_below;

/* A number, also as text: hosts that know only string settings pass "100". */
static double number(og_str value)
{
    if (og_json_kind(value) == '"' && value.len > 2) {
        value = (og_str){ value.at + 1, value.len - 2 };
    }
    return og_json_double(value, -1);
}

static int unknown_key(og_str key)
{
    og_str text = og_concat(OG_STR("config: unknown key \""), key);
    return og_fail_str(og_concat(text, OG_STR("\"; known are threshold and clear")));
}

/* Takes all of the configuration or, on failure, none of it. */
static int configure(og_str config)
{
    double new_threshold = 0;
    double new_clear = 0;
    og_json_iter it = og_json_each(config);
    if (!og_json_valid(config) || og_json_kind(config) != '{') {
        return og_fail("config: not a JSON object");
    }
    while (og_json_next(&it)) {
        if (og_json_key_eq(it.key, OG_STR("threshold"))) {
            new_threshold = number(it.value);
        } else if (og_json_key_eq(it.key, OG_STR("clear"))) {
            new_clear = number(it.value);
            if (!(new_clear > 0)) {
                return og_fail("config: clear must be a number above 0 (requests a second)");
            }
        } else {
            return unknown_key(it.key);
        }
    }
    if (new_threshold == 0) {
        return og_fail("config: threshold is missing: give requests a second, for example 100");
    }
    if (!(new_threshold > 0)) {
        return og_fail("config: threshold must be a number above 0 (requests a second)");
    }
    if (new_clear > new_threshold) {
        return og_fail("config: clear must not be above threshold");
    }
    threshold = new_threshold;
    clear_below = new_clear > 0 ? new_clear : new_threshold * 0.8;
    return OG_OK;
}

/* The instance's entry; a new one takes a free place or that of the one not seen for longest. */
static watched *find(og_str id)
{
    watched *place = &instances[0];
    for (size_t i = 0; i < MAX_INSTANCES; i++) {
        watched *w = &instances[i];
        if (og_str_eq((og_str){ w->id, w->id_len }, id)) {
            return w;
        }
        if (w->seen < place->seen) {
            place = w;
        }
    }
    *place = (watched){ .id_len = id.len };
    og_copy(place->id, id.at, id.len);
    return place;
}

static int publish(const watched *w, double rate)
{
    char buf[512];
    og_writer out = og_json_object(buf, sizeof buf);
    og_put_str(&out, "instance", (og_str){ w->id, w->id_len });
    og_put_num(&out, "rate", rate);
    og_put_num(&out, "threshold", threshold);
    og_put_text(&out, "state", w->raised ? "raised" : "cleared");
    return og_publish("alert.request-rate", og_json_end(&out));
}

/* The state changes only when the alert was taken, so a refused one is tried again. */
static int turn(watched *w, bool raised, double rate)
{
    if (w->raised == raised) {
        return OG_OK;
    }
    w->raised = raised;
    int code = publish(w, rate);
    if (code != OG_OK) {
        w->raised = !raised;
    }
    return code;
}

static int sampled(watched *w, og_str data)
{
    double rate = og_json_double(og_json_get(data, "requests_per_second"), -1);
    if (rate < 0) {
        return og_fail("nginx.metrics.sampled: no number requests_per_second");
    }
    if (og_json_u64(og_json_get(data, "interval_ms"), 1) == 0 ||
        !og_json_bool(og_json_get(data, "status_ok"), true)) {
        return OG_OK; /* the first sample and a silent status page tell no rate */
    }
    if (rate > threshold) {
        return turn(w, true, rate);
    }
    return rate < clear_below ? turn(w, false, rate) : OG_OK;
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
    if (threshold == 0) {
        return og_fail("process came before init: the threshold is not known");
    }
    if (id.at == NULL || id.len == 0) {
        return og_fail("the message has no data.id of 1 to 64 bytes");
    }
    watched *w = find(id);
    w->seen = ++samples;
    if (og_str_eq(og_json_get(og_input(), "topic"), OG_STR("\"nginx.instance.stopped\""))) {
        int code = turn(w, false, 0);
        *w = (watched){ .seen = 0 };
        return code;
    }
    return sampled(w, data);
}
