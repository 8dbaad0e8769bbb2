/*
 * The two operations that every plugin answers with constants.
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
        og_put_text(&w, "pattern", patterns[i]);
        og_put_text(&w, "kind", "event");
        og_put_close(&w);
    }
    return og_output_json(&w);
}

/* `OG_SUBSCRIBE("nginx.metrics.sampled", "nginx.instance.*")`: the operation `subscriptions`. */
#define OG_SUBSCRIBE(...)                                                                \
    OG_OPERATION(subscriptions)                                                          \
    {                                                                                    \
        static const char *const patterns[] = { __VA_ARGS__ };                           \
        return og_answer_subscriptions_(patterns, sizeof patterns / sizeof patterns[0]); \
    }

#endif
