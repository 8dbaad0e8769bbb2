/*
 * What it costs to say what a change means.
 *
 *     bench_impact CONFIG FILE [FROM TO]
 *
 * The change: in FILE the first FROM becomes TO (without them: a line at the end). Prints the best
 * milliseconds of several runs for the impact alone, for the payload of the question to plugins
 * beside it, and the bytes of that payload.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "nginx/impact/question.h"

enum { RUNS = 5 };

static void die(const otr_err *err)
{
    (void)fprintf(stderr, "bench_impact: %s\n", err->msg);
    exit(2);
}

static otr_code change(const otr_buf *old, char **argv, otr_buf *out, otr_err *err)
{
    const char *at = argv[0] != NULL ? strstr(otr_buf_text(old), argv[0]) : NULL;
    size_t n = at != NULL ? (size_t)(at - otr_buf_text(old)) : old->n;
    size_t skip = at != NULL ? strlen(argv[0]) : 0;
    otr_code rc = otr_buf_add(out, (otr_bytes){ old->p, n }, err);
    rc = rc == OTR_OK ? otr_buf_adds(out, at != NULL ? argv[1] : "# changed\n", err) : rc;
    return rc == OTR_OK ? otr_buf_add(out, (otr_bytes){ old->p + n + skip, old->n - n - skip }, err)
                        : rc;
}

static otr_code once(const otr_impact_spec *spec, const char *file, otr_bytes text,
                     uint64_t best[2], size_t *ret_bytes, otr_err *err)
{
    OTR_CLEANUP(otr_overlay_freep) otr_overlay *overlay = NULL;
    OTR_CLEANUP(otr_impact_freep) otr_impact *impact = NULL;
    otr_impact_question question = { .instance = "bench", .action = "apply" };
    otr_impact_spec mine = *spec;
    otr_buf payload;
    otr_buf_init(&payload, OTR_LIMIT_BUS_PAYLOAD_BYTES);
    uint64_t begun = otr_now_ns();
    otr_code rc = otr_overlay_new(spec->root, &overlay, err);
    rc = rc == OTR_OK ? otr_overlay_put(overlay, file, text, err) : rc;
    mine.overlay = overlay;
    rc = rc == OTR_OK ? otr_impact_new(&mine, &impact, err) : rc;
    uint64_t made = otr_now_ns();
    rc = rc == OTR_OK ? otr_impact_ask(impact, &question, &payload, err) : rc;
    uint64_t ns[] = { made - begun, otr_now_ns() - made };
    for (size_t i = 0; i < 2; i++) {
        best[i] = ns[i] < best[i] ? ns[i] : best[i];
    }
    *ret_bytes = payload.n;
    otr_buf_deinit(&payload);
    return rc;
}

int main(int argc, char **argv)
{
    static const otr_root root = { .path = "" };
    otr_impact_spec spec = { .root = &root, .with_config = true };
    uint64_t best[2] = { UINT64_MAX, UINT64_MAX };
    size_t bytes = 0;
    otr_err err = { 0 };
    otr_buf old, new;
    if (argc != 3 && argc != 5) {
        (void)fprintf(stderr, "usage: bench_impact CONFIG FILE [FROM TO]\n");
        return 2;
    }
    spec.config = argv[1];
    otr_buf_init(&old, OTR_LIMIT_NGINX_CONFIG_BYTES);
    otr_buf_init(&new, OTR_LIMIT_NGINX_CONFIG_BYTES);
    otr_code rc = otr_buf_read_file(&old, argv[2], &err);
    rc = rc == OTR_OK ? change(&old, argv + 3, &new, &err) : rc;
    for (int i = 0; rc == OTR_OK && i < RUNS; i++) {
        rc = once(&spec, argv[2], otr_buf_bytes(&new), best, &bytes, &err);
    }
    if (rc != OTR_OK) {
        die(&err);
    }
    (void)printf("impact_ms %.2f\npayload_ms %.2f\npayload_bytes %zu\n", (double)best[0] / 1e6,
                 (double)best[1] / 1e6, bytes);
    otr_buf_deinit(&old);
    otr_buf_deinit(&new);
    return 0;
}
