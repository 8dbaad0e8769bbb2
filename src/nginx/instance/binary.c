#include "nginx/instance/binary.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "nginx/files.h"
#include "nginx/instance/image.h"

enum { WINDOW_BYTES = 1 << 16, LINE_BYTES = 256, OVERLAP_BYTES = 512, WORD_BYTES = 32 };

static const char version_mark[] = " version: ";
static const char configure_lead[] = "configure arguments:";

/* ---- the version line ---- */

static bool in_word(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

typedef struct version_line { /* "<lead> version: <name>/<version>" */
    otr_bytes lead, name, version;
} version_line;

static size_t word_end(otr_bytes text, size_t at)
{
    while (at < text.n && in_word(text.p[at])) {
        at++;
    }
    return at;
}

/* The word before `at` when it stands at the start of a line or string; else `at`. */
static size_t lead_begin(otr_bytes text, size_t at)
{
    size_t from = at;
    while (from > 0 && at - from <= WORD_BYTES && in_word(text.p[from - 1])) {
        from--;
    }
    bool begins = from == 0 || text.p[from - 1] == '\0' || text.p[from - 1] == '\n';
    return begins ? from : at;
}

/* "/1.2.3" to the end of the line or string; 0: it is not that, or does not end here. */
static size_t version_bytes(otr_bytes text, size_t slash)
{
    size_t end = slash + 1;
    if (end >= text.n || text.p[slash] != '/' || text.p[end] < '0' || text.p[end] > '9') {
        return 0;
    }
    while (end < text.n && end - slash < LINE_BYTES / 2 && text.p[end] != '\0' &&
           text.p[end] != '\n') {
        end++;
    }
    bool ends = end < text.n && (text.p[end] == '\0' || text.p[end] == '\n');
    return ends ? end - slash - 1 : 0;
}

/* The line around the mark at `at` in `text`. */
static bool version_line_at(otr_bytes text, size_t at, version_line *ret)
{
    size_t name = at + sizeof(version_mark) - 1, slash = word_end(text, name);
    size_t from = lead_begin(text, at), version = version_bytes(text, slash);
    if (from == at || slash == name || slash - name > WORD_BYTES || version == 0) {
        return false;
    }
    *ret = (version_line){ .lead = { text.p + from, at - from },
                           .name = { text.p + name, slash - name },
                           .version = { text.p + slash + 1, version } };
    return true;
}

static bool find_version(otr_bytes text, version_line *ret)
{
    for (size_t at = 0; at < text.n;) {
        const uint8_t *hit =
            memmem(text.p + at, text.n - at, version_mark, sizeof(version_mark) - 1);
        if (hit == NULL) {
            return false;
        }
        if (version_line_at(text, (size_t)(hit - text.p), ret)) {
            return true;
        }
        at = (size_t)(hit - text.p) + 1;
    }
    return false;
}

static char *lowered(otr_bytes text)
{
    char *copy = otr_strndup((const char *)text.p, text.n);
    for (char *p = copy; p != NULL && *p != '\0'; p++) {
        *p = (char)(*p >= 'A' && *p <= 'Z' ? *p - 'A' + 'a' : *p);
    }
    return copy;
}

/* The name before the slash, when it is one of those that exist: whoever wants to hide their server
 * changes just that. Otherwise the word in front. */
static char *maker_of(const version_line *line)
{
    static const char *const makers[] = { "nginx", "openresty", "angie", "tengine", "freenginx" };
    char *name = lowered(line->name);
    for (size_t i = 0; name != NULL && i < OTR_COUNT(makers); i++) {
        if (strcmp(name, makers[i]) == 0) {
            return name;
        }
    }
    otr_free(name);
    return lowered(line->lead);
}

/* ---- texts ---- */

/* The rest of the line behind `lead`, blanks in front cut; {NULL, 0} when there is none. */
static otr_bytes line_after(otr_bytes text, const char *lead)
{
    const uint8_t *at = text.n > 0 ? memmem(text.p, text.n, lead, strlen(lead)) : NULL;
    if (at == NULL) {
        return (otr_bytes){ 0 };
    }
    at += strlen(lead);
    const uint8_t *end = text.p + text.n;
    const uint8_t *stop = at;
    while (stop < end && *stop != '\n' && *stop != '\0') {
        stop++;
    }
    while (at < stop && *at == ' ') {
        at++;
    }
    return (otr_bytes){ at, (size_t)(stop - at) };
}

static char *copy(otr_bytes text)
{
    return otr_strndup((const char *)text.p, text.n);
}

/* A backslash is not special: configure wrote these arguments itself, quoted by '…'. */
bool otr_binary_argument(const char *configure, const char *name, char *out, size_t cap)
{
    size_t name_n = strlen(name);
    for (const char *p = configure + strspn(configure, " "); *p != '\0'; p += strspn(p, " ")) {
        bool ours =
            strncmp(p, "--", 2) == 0 && strncmp(p + 2, name, name_n) == 0 && p[2 + name_n] == '=';
        p += ours ? name_n + 3 : 0;
        size_t n = 0;
        for (char quote = '\0'; *p != '\0' && (quote != '\0' || *p != ' '); p++) {
            if (quote == '\0' && (*p == '\'' || *p == '"')) {
                quote = *p;
            } else if (*p == quote) {
                quote = '\0';
            } else if (ours && n + 1 < cap) {
                out[n++] = *p;
            }
        }
        if (ours) {
            out[n] = '\0';
            return true;
        }
    }
    return false;
}

static char *argument_or(const char *configure, const char *name, const char *otherwise)
{
    char value[OTR_NGINX_PATH_BYTES];
    bool given = otr_binary_argument(configure, name, value, sizeof(value)) && value[0] != '\0';
    return otr_strdup(given ? value : otherwise);
}

static otr_code fill(const version_line *line, otr_bytes configure, otr_binary *ret, otr_err *err)
{
    otr_binary b = { .maker = maker_of(line),
                     .version = copy(line->version),
                     .configure = copy(configure) };
    if (b.maker != NULL && b.version != NULL && b.configure != NULL) {
        b.prefix = argument_or(b.configure, "prefix", "/usr/local/nginx");
        b.conf_path = argument_or(b.configure, "conf-path", "conf/nginx.conf");
        b.error_log = argument_or(b.configure, "error-log-path", "logs/error.log");
        b.access_log = argument_or(b.configure, "http-log-path", "logs/access.log");
        b.plus = strstr(b.version, "nginx-plus") != NULL;
    }
    if (b.prefix == NULL || b.conf_path == NULL || b.error_log == NULL || b.access_log == NULL) {
        otr_binary_deinit(&b);
        return otr_fail_nomem(err);
    }
    *ret = b;
    return OTR_OK;
}

otr_code otr_binary_parse(otr_bytes texts, otr_binary *ret, otr_err *err)
{
    static const uint8_t none[] = "";
    version_line line;
    if (!find_version(texts, &line)) {
        line = (version_line){ { none, 0 }, { none, 0 }, { none, 0 } };
    }
    otr_bytes configure = line_after(texts, configure_lead);
    return fill(&line, configure.p != NULL ? configure : (otr_bytes){ none, 0 }, ret, err);
}

void otr_binary_deinit(otr_binary *b)
{
    char *texts[] = { b->maker,     b->version,   b->configure, b->prefix,
                      b->conf_path, b->error_log, b->access_log };
    for (size_t i = 0; i < OTR_COUNT(texts); i++) {
        otr_free(texts[i]);
    }
    *b = (otr_binary){ 0 };
}

/* ---- the file ---- */

typedef struct search {
    int fd;
    otr_image image;
    uint8_t *window;
} search;

/* Called with every window; they overlap, so that each holds what another one cuts. True: enough.
 */
typedef bool see_fn(void *arg, otr_bytes window, uint64_t at);

static otr_code each_window(const search *s, see_fn *see, void *arg, otr_err *err)
{
    uint64_t left = OTR_LIMIT_NGINX_BINARY_BYTES;
    for (size_t i = 0; i < s->image.n_parts; i++) {
        uint64_t at = s->image.parts[i].at, end = at + s->image.parts[i].n;
        while (at < end && left > 0) {
            size_t want = end - at < WINDOW_BYTES ? (size_t)(end - at) : WINDOW_BYTES;
            ssize_t n = pread(s->fd, s->window, want, (off_t)at);
            if (n < 0) {
                return otr_fail_sys(err, errno, "cannot read an executable");
            }
            if (n == 0 || see(arg, (otr_bytes){ s->window, (size_t)n }, at)) {
                break;
            }
            if (at + (uint64_t)n >= end) {
                break;
            }
            uint64_t step = n > OVERLAP_BYTES ? (uint64_t)n - OVERLAP_BYTES : (uint64_t)n;
            at += step;
            left = left > step ? left - step : 0;
        }
    }
    return OTR_OK;
}

/* Names of directives that every NGINX has, and each ends in it with a NUL. They are put together
 * when they are needed: or the agent's own executable would hold them. */
static const char *const proofs[][2] = { { "worker_", "rlimit_nofile" },
                                         { "worker_", "processes" },
                                         { "master_", "process" } };

typedef struct proof_arg {
    size_t from, n; /* of `proofs` */
    bool found[OTR_COUNT(proofs)];
} proof_arg;

static bool see_proofs(void *arg, otr_bytes window, uint64_t at)
{
    (void)at;
    proof_arg *p = arg;
    bool all = true;
    for (size_t i = p->from; i < p->n; i++) {
        char name[WORD_BYTES];
        size_t n = (size_t)snprintf(name, sizeof(name), "%s%s", proofs[i][0], proofs[i][1]) + 1;
        p->found[i] = p->found[i] || memmem(window.p, window.n, name, n) != NULL;
        all &= p->found[i];
    }
    return all;
}

/* The first name alone tells nearly all executables apart, at the price of one pass. */
static otr_code prove(const search *s, bool *ret, otr_err *err)
{
    proof_arg p = { .n = 1 };
    otr_code rc = each_window(s, see_proofs, &p, err);
    if (rc == OTR_OK && p.found[0]) {
        p.n = OTR_COUNT(proofs);
        rc = each_window(s, see_proofs, &p, err);
    }
    *ret = true;
    for (size_t i = 0; i < OTR_COUNT(proofs); i++) {
        *ret &= p.found[i];
    }
    return rc;
}

typedef struct text_arg {
    otr_buf *out;
    bool version;
    bool configure;
    uint64_t configure_at;
    otr_code rc;
} text_arg;

static bool see_texts(void *arg, otr_bytes window, uint64_t at)
{
    text_arg *t = arg;
    version_line line;
    if (!t->version && find_version(window, &line)) {
        t->version = true;
        otr_bytes text = { line.lead.p, (size_t)(line.version.p + line.version.n - line.lead.p) };
        t->rc = otr_buf_add(t->out, text, NULL);
        t->rc = t->rc == OTR_OK ? otr_buf_addc(t->out, '\n', NULL) : t->rc;
    }
    const uint8_t *hit =
        t->configure ? NULL
                     : memmem(window.p, window.n, configure_lead, sizeof(configure_lead) - 1);
    if (hit != NULL) {
        t->configure = true;
        t->configure_at = at + (uint64_t)(hit - window.p);
    }
    return t->rc != OTR_OK || (t->version && t->configure);
}

/* The string at an offset of the file, to its line end. */
static otr_code take_string(int fd, uint64_t at, otr_buf *out, otr_err *err)
{
    uint8_t *to;
    otr_code rc = otr_buf_reserve(out, OTR_LIMIT_NGINX_CONFIGURE_BYTES, &to, err);
    if (rc != OTR_OK) {
        return rc;
    }
    ssize_t got = pread(fd, to, OTR_LIMIT_NGINX_CONFIGURE_BYTES, (off_t)at);
    size_t n = 0;
    while (got > 0 && n < (size_t)got && to[n] != '\0' && to[n] != '\n') {
        n++;
    }
    otr_buf_grew(out, n);
    return otr_buf_addc(out, '\n', err);
}

static otr_code take_texts(const search *s, otr_buf *out, otr_err *err)
{
    text_arg t = { .out = out };
    otr_code rc = each_window(s, see_texts, &t, err);
    if (rc == OTR_OK && t.rc != OTR_OK) {
        return otr_fail_nomem(err);
    }
    return rc == OTR_OK && t.configure ? take_string(s->fd, t.configure_at, out, err) : rc;
}

otr_code otr_binary_read(int fd, uint64_t size, bool *ret_is_nginx, otr_binary *ret, otr_err *err)
{
    search s = { .fd = fd, .window = otr_alloc(WINDOW_BYTES) };
    if (s.window == NULL) {
        return otr_fail_nomem(err);
    }
    otr_buf text;
    otr_buf_init(&text, 4 * OTR_LIMIT_NGINX_CONFIGURE_BYTES);
    otr_image_read(fd, size, &s.image);
    bool is_nginx = false;
    otr_code rc = prove(&s, &is_nginx, err);
    if (rc == OTR_OK && is_nginx) {
        rc = take_texts(&s, &text, err);
        rc = rc == OTR_OK ? otr_binary_parse(otr_buf_bytes(&text), ret, err) : rc;
    }
    if (rc == OTR_OK) {
        *ret_is_nginx = is_nginx;
    }
    otr_free(s.window);
    otr_buf_deinit(&text);
    return rc;
}
