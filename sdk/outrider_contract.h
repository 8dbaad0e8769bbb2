/*
 * The two operations that every plugin answers with constants, the answer to a hook, and questions
 * to the host that are JSON.
 *
 * Included by outrider_extism.h and outrider_wapc.h; not for direct use.
 */
#ifndef OUTRIDER_CONTRACT_H
#define OUTRIDER_CONTRACT_H

/* `OG_INFO("rate-watch", "1.0.0")`: the operation `info`. */
#define OG_INFO(name, version)                 \
    OG_OPERATION(info)                         \
    {                                          \
        return og_answer_info_(name, version); \
    }

/* In OG_SUBSCRIBE: a question that `process` answers with og_allow() or og_deny(), instead of an
 * event. */
#define OG_HOOK(pattern) "?" pattern

OG_SHARED int og_answer_verdict_(const char *verdict, og_str message)
{
    size_t cap = message.len * 6 + 64;
    char *text = og_new(cap);
    if (text == NULL) {
        return og_fail("no memory for the verdict");
    }
    og_writer w = og_json_object(text, cap);
    og_put_text(&w, "verdict", verdict);
    if (message.at != NULL) {
        og_put_str(&w, "message", message);
    }
    return og_output_json(&w);
}

/* The answers to a hook: `return og_deny(OG_STR("gzip is off"));`. The agent shows the message. */
static inline int og_allow(void)
{
    return og_answer_verdict_("allow", (og_str){ NULL, 0 });
}

static inline int og_deny(og_str message)
{
    return og_answer_verdict_("deny", message);
}

/* A denial of what stands in `file` at `line` (0: of no line); the agent shows both. */
OG_SHARED int og_deny_at(og_str message, og_str file, uint32_t line)
{
    size_t cap = (message.len + file.len) * 6 + 128;
    char *text = og_new(cap);
    if (text == NULL) {
        return og_fail("no memory for the verdict");
    }
    og_writer w = og_json_object(text, cap);
    og_put_text(&w, "verdict", "deny");
    og_put_str(&w, "message", message);
    og_put_str(&w, "file", file);
    if (line > 0) {
        og_put_u64(&w, "line", line);
    }
    return og_output_json(&w);
}

/* Is the message that `process` got one on this topic? Tells a hook from an event. */
static inline bool og_topic_is(const char *topic)
{
    char buf[129];
    return og_str_eq(og_json_string(og_json_get(og_input(), "topic"), buf, sizeof buf),
                     og_text(topic));
}

OG_SHARED int og_answer_subscriptions_(const char *const *patterns, size_t n)
{
    size_t cap = 32;
    for (size_t i = 0; i < n; i++) {
        cap += og_text(patterns[i]).len * 6 + 40;
    }
    char *text = og_new(cap);
    if (text == NULL) {
        return og_fail("no memory for the subscriptions");
    }
    og_writer w = og_json_object(text, cap);
    og_put_array(&w, "topics");
    for (size_t i = 0; i < n; i++) {
        og_put_object(&w, NULL);
        bool hook = patterns[i][0] == '?';
        og_put_text(&w, "pattern", patterns[i] + (hook ? 1 : 0));
        og_put_text(&w, "kind", hook ? "hook" : "event");
        og_put_close(&w);
    }
    return og_output_json(&w);
}

/* `OG_SUBSCRIBE("nginx.metrics.sampled", OG_HOOK("nginx.config.validate"))`: the operation
 * `subscriptions`. */
#define OG_SUBSCRIBE(...)                                                                \
    OG_OPERATION(subscriptions)                                                          \
    {                                                                                    \
        static const char *const patterns[] = { __VA_ARGS__ };                           \
        return og_answer_subscriptions_(patterns, sizeof patterns / sizeof patterns[0]); \
    }

/* A page of the plugin's own keys in the agent's store: those that begin with `prefix` and stand
 * after the key `after`, `limit` at most (0: 1,000). Either text may be absent. Answers
 * {"keys":[…],"more":…}, absent on failure; the last key is the next page's `after`. */
OG_SHARED og_str og_kv_page(og_str prefix, og_str after, unsigned limit)
{
    size_t cap = (prefix.len + after.len) * 6 + 64;
    char *text = og_new(cap);
    if (text == NULL) {
        og_.error = OG_STR("no memory for the question");
        return (og_str){ NULL, 0 };
    }
    og_writer w = og_json_object(text, cap);
    if (prefix.at != NULL) {
        og_put_str(&w, "prefix", prefix);
    }
    og_put_str(&w, "after", after.at != NULL ? after : OG_STR(""));
    if (limit > 0) {
        og_put_u64(&w, "limit", limit);
    }
    return og_call("kv.list", og_json_end(&w));
}

#endif
