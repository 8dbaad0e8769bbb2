/*
 * Two configurations, split at the first "\n%%\n" (a second one gives b.conf before and after):
 * what the change comes to can always be told, one that changes nothing reaches nothing, and
 * neither does one that only lays the text out anew.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/limits.h"
#include "nginx/impact/question.h"
#include "nginx/language/build.h"
#include "nginx/language/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MANY_BYTES = 64 << 20, PATH_BYTES = 256 };

static char dir[128], config[PATH_BYTES], other[PATH_BYTES];

static void clean_up(void)
{
    (void)unlink(config);
    (void)unlink(other);
    (void)rmdir(dir);
}

static void set_up(void)
{
    (void)snprintf(dir, sizeof(dir), "%s/otr-fuzz-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (dir[0] == '\0' || mkdtemp(dir) == NULL || atexit(clean_up) != 0) {
        abort();
    }
    (void)snprintf(config, sizeof(config), "%s/nginx.conf", dir);
    (void)snprintf(other, sizeof(other), "%s/b.conf", dir);
}

static void write_file(const char *path, otr_bytes text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text.p, text.n) != (ssize_t)text.n || close(fd) != 0) {
        abort();
    }
}

static void check_told(const otr_impact *impact)
{
    otr_buf out;
    otr_err err;
    otr_impact_question question = { .action = "apply" };
    otr_buf_init(&out, OTR_LIMIT_BUS_PAYLOAD_BYTES);
    if (otr_impact_ask(impact, &question, &out, &err) != OTR_OK ||
        !otr_json_valid(otr_buf_bytes(&out))) {
        abort();
    }
    otr_buf_clear(&out);
    if (otr_impact_write_text(impact, 3, &out, &err) != OTR_OK) {
        abort();
    }
    otr_buf_deinit(&out);
}

/* `b` NULL: b.conf stays. */
static otr_impact_reach reach_of(otr_bytes new, const otr_bytes *b)
{
    const char *const allowed[] = { dir, NULL };
    otr_root root = { .path = "", .allowed = allowed };
    otr_overlay *overlay = NULL;
    otr_impact *impact = NULL;
    otr_err err = { 0 };
    otr_impact_spec spec = { .root = &root, .config = config, .with_config = true };
    otr_impact_reach reach = OTR_IMPACT_UNKNOWN;
    if (otr_overlay_new(&root, &overlay, &err) != OTR_OK ||
        otr_overlay_put(overlay, config, new, &err) != OTR_OK ||
        (b != NULL && otr_overlay_put(overlay, other, *b, &err) != OTR_OK)) {
        abort();
    }
    spec.overlay = overlay;
    otr_code rc = otr_impact_new(&spec, &impact, &err);
    otr_overlay_free(overlay);
    if (rc == OTR_OK) {
        check_told(impact);
        reach = otr_impact_get(impact)->reach;
    } else if (rc != OTR_EQUOTA) {
        abort();
    }
    otr_impact_free(impact);
    return reach;
}

static void check_layout(otr_bytes old)
{
    static const otr_root nowhere = { .path = "" };
    otr_parse spec = { .root = &nowhere,
                       .path = config,
                       .text = &old,
                       .single = true,
                       .any_place = true,
                       .any_args = true };
    otr_conf *conf = NULL;
    otr_buf mini;
    otr_err err;
    otr_buf_init(&mini, MANY_BYTES);
    if (otr_conf_parse(&spec, &conf, &err) == OTR_OK && conf->n_errors == 0 &&
        otr_conf_write_mini(conf->files[0].first, &mini, &err) == OTR_OK) {
        otr_impact_reach reach = reach_of(otr_buf_bytes(&mini), NULL);
        if (reach == OTR_IMPACT_SOME || reach == OTR_IMPACT_EVERYTHING) {
            abort();
        }
    }
    otr_conf_free(conf);
    otr_buf_deinit(&mini);
}

static otr_bytes take(otr_bytes *from)
{
    const uint8_t *cut = from->n > 0 ? memmem(from->p, from->n, "\n%%\n", 4) : NULL;
    otr_bytes part = { from->p, cut != NULL ? (size_t)(cut - from->p) : from->n };
    size_t skip = cut != NULL ? part.n + 4 : from->n;
    *from = (otr_bytes){ from->p + skip, from->n - skip };
    return part;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t empty[1];
    if (dir[0] == '\0') {
        set_up();
    }
    otr_bytes rest = { size > 0 ? data : empty, size };
    otr_bytes old = take(&rest), new = take(&rest), b_old = take(&rest), b_new = take(&rest);
    write_file(config, old);
    write_file(other, b_old);
    (void)reach_of(new, &b_new);
    if (reach_of(old, &b_old) != OTR_IMPACT_NONE) {
        abort();
    }
    check_layout(old);
    return 0;
}
