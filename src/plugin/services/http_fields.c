#include "plugin/services/http_fields.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/limits.h"

/* ---- the question ---- */

typedef struct check {
    otr_code rc;
    otr_err *err;
    const char *fields; /* the name by which they came */
} check;

static otr_code check_kind(const char *key, const otr_json *v, otr_json_type kind, otr_err *err)
{
    return otr_json_kind(v) == kind || otr_json_kind(v) == OTR_JSON_NULL
               ? OTR_OK
               : otr_fail(err, OTR_EINVAL, "http.request: %s: expected %s", key,
                          kind == OTR_JSON_STRING ? "a text" : "an object of texts");
}

static bool on_key(void *arg, const char *key, const otr_json *v)
{
    check *c = arg;
    if (strcmp(key, "url") == 0 || strcmp(key, "method") == 0) {
        c->rc = check_kind(key, v, OTR_JSON_STRING, c->err);
    } else if (strcmp(key, "headers") == 0 || strcmp(key, "header") == 0) {
        c->rc = c->fields == NULL
                    ? check_kind(key, v, OTR_JSON_OBJECT, c->err)
                    : otr_fail(c->err, OTR_EINVAL,
                               "http.request: headers and header are one key; give it once");
        c->fields = key;
    } else {
        c->rc = otr_fail(c->err, OTR_EINVAL,
                         "http.request: there is no key \"%.64s\"; there are url, method, headers",
                         key);
    }
    return c->rc == OTR_OK;
}

otr_code otr_http_question_check(const otr_json *head, otr_err *err)
{
    check c = { .err = err };
    if (otr_json_kind(head) != OTR_JSON_OBJECT) {
        return otr_fail(err, OTR_EINVAL, "http.request: expected {\"url\":text,…}");
    }
    otr_json_each(head, on_key, &c);
    return c.rc;
}

/* Those would change where the request goes or where it ends. */
static bool is_ours(const char *name)
{
    static const char *const ours[] = { "host",       "content-length", "transfer-encoding",
                                        "connection", "upgrade",        "te",
                                        "trailer",    "expect",         "keep-alive" };
    for (size_t i = 0; i < OTR_COUNT(ours); i++) {
        if (strcasecmp(name, ours[i]) == 0) {
            return true;
        }
    }
    return strncasecmp(name, "proxy-", 6) == 0;
}

static bool field_ok(const char *name, const char *value)
{
    if (name[0] == '\0' || is_ours(name)) {
        return false;
    }
    for (const char *p = name; *p != '\0'; p++) {
        if (!isalnum((unsigned char)*p) && strchr("!#$%&'*+-.^_`|~", *p) == NULL) {
            return false;
        }
    }
    for (const char *p = value; *p != '\0'; p++) {
        if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool is_credential(const char *name)
{
    return strcasecmp(name, "authorization") == 0 || strcasecmp(name, "cookie") == 0;
}

typedef struct walk {
    const otr_curl *curl;
    struct curl_slist *list;
    otr_http_origin origin;
    otr_code rc;
    otr_err *err;
} walk;

static bool add_field(void *arg, const char *name, const otr_json *v)
{
    walk *w = arg;
    const char *value = otr_json_str(v, NULL);
    if (value == NULL || !field_ok(name, value)) {
        w->rc = otr_fail(w->err, OTR_EINVAL,
                         "http.request: header \"%.64s\" is not a plugin's to send", name);
        return false;
    }
    if (w->origin == OTR_HTTP_FOREIGN && is_credential(name)) {
        return true;
    }
    otr_buf line;
    otr_buf_init(&line, OTR_LIMIT_PLUGIN_HTTP_HEADER_BYTES);
    /* "name;" is how libcurl is told to send a header without a value */
    w->rc = value[strspn(value, " \t")] != '\0' ? otr_buf_addf(&line, w->err, "%s: %s", name, value)
                                                : otr_buf_addf(&line, w->err, "%s;", name);
    if (w->rc == OTR_OK) {
        struct curl_slist *more = w->curl->slist_append(w->list, otr_buf_text(&line));
        w->list = more != NULL ? more : w->list;
        w->rc = more != NULL ? OTR_OK : otr_fail_nomem(w->err);
    }
    otr_buf_deinit(&line);
    return w->rc == OTR_OK;
}

otr_code otr_http_question_fields(const otr_curl *curl, const otr_json *head,
                                  otr_http_origin origin, struct curl_slist **list, otr_err *err)
{
    walk w = { .curl = curl, .origin = origin, .err = err };
    const otr_json *fields = otr_json_get(head, "headers");
    fields = fields != NULL ? fields : otr_json_get(head, "header");
    curl->slist_free_all(*list);
    /* No "Expect: 100-continue", and a type only when the plugin names one. */
    *list = curl->slist_append(NULL, "Expect:");
    struct curl_slist *more = curl->slist_append(*list, "Content-Type:");
    if (*list == NULL || more == NULL) {
        return otr_fail_nomem(err);
    }
    w.list = more;
    if (otr_json_kind(fields) == OTR_JSON_OBJECT) {
        otr_json_each(fields, add_field, &w);
    }
    *list = w.list;
    return w.rc;
}

/* ---- the answer ---- */

void otr_http_fields_init(otr_http_fields *f)
{
    *f = (otr_http_fields){ .n = 0 };
    otr_buf_init(&f->text, 2 * OTR_LIMIT_PLUGIN_HTTP_HEADER_BYTES);
}

void otr_http_fields_deinit(otr_http_fields *f)
{
    otr_buf_deinit(&f->text);
}

static void begin(otr_http_fields *f)
{
    otr_buf_clear(&f->text);
    f->n = 0;
    f->complete = false;
}

void otr_http_fields_clear(otr_http_fields *f)
{
    begin(f);
    f->bytes = 0;
}

static otr_bytes trim(otr_bytes b)
{
    while (b.n > 0 && strchr(" \t\r\n", (char)b.p[0]) != NULL && b.p[0] != '\0') {
        b = (otr_bytes){ b.p + 1, b.n - 1 };
    }
    while (b.n > 0 && strchr(" \t\r\n", (char)b.p[b.n - 1]) != NULL && b.p[b.n - 1] != '\0') {
        b.n--;
    }
    return b;
}

/* What may stand in a name: else the line is no field. */
static bool name_ok(otr_bytes name)
{
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] <= ' ' || name.p[i] >= 0x7f) {
            return false;
        }
    }
    return name.n > 0;
}

static otr_code add(otr_http_fields *f, otr_bytes name, otr_bytes value)
{
    uint8_t *to;
    size_t n = name.n + value.n + 2;
    otr_code rc = otr_buf_reserve(&f->text, n, &to, NULL);
    if (rc != OTR_OK) {
        return rc;
    }
    for (size_t i = 0; i < name.n; i++) {
        *to++ = (uint8_t)tolower(name.p[i]);
    }
    *to++ = '\0';
    for (size_t i = 0; i < value.n; i++) {
        *to++ = value.p[i] != '\0' ? value.p[i] : ' ';
    }
    *to = '\0';
    otr_buf_grew(&f->text, n);
    f->n++;
    return OTR_OK;
}

/* A line that begins with a blank goes on with the value before it (RFC 9112, obs-fold). */
static otr_code fold(otr_http_fields *f, otr_bytes more)
{
    if (f->n == 0 || more.n == 0) {
        return OTR_OK;
    }
    size_t before = f->text.n;
    bool empty = before >= 2 && f->text.p[before - 2] == '\0';
    otr_buf_cut(&f->text, before - 1);
    otr_code rc = empty ? OTR_OK : otr_buf_addc(&f->text, ' ', NULL);
    rc = rc == OTR_OK ? otr_buf_add(&f->text, more, NULL) : rc;
    return rc == OTR_OK ? otr_buf_addc(&f->text, '\0', NULL) : rc;
}

bool otr_http_fields_line(otr_http_fields *f, otr_bytes line)
{
    f->bytes += line.n;
    if (f->bytes > OTR_LIMIT_PLUGIN_HTTP_HEADER_BYTES) {
        return false;
    }
    if (line.n > 5 && memcmp(line.p, "HTTP/", 5) == 0) {
        begin(f); /* after a "100 Continue", too */
        return true;
    }
    otr_bytes text = trim(line);
    const uint8_t *colon = text.n > 0 ? memchr(text.p, ':', text.n) : NULL;
    if (text.n == 0 || f->complete) {
        f->complete = true;
        return true;
    }
    if (line.p[0] == ' ' || line.p[0] == '\t') {
        return fold(f, text) == OTR_OK;
    }
    otr_bytes name = trim((otr_bytes){ text.p, colon != NULL ? (size_t)(colon - text.p) : 0 });
    if (!name_ok(name)) {
        return true;
    }
    otr_bytes value = trim((otr_bytes){ colon + 1, text.n - (size_t)(colon + 1 - text.p) });
    return add(f, name, value) == OTR_OK;
}

typedef struct field {
    const char *name, *value;
} field;

/* In the order of the names; those of one name stay in the order of the text they lie in. */
static int compare(const void *a, const void *b)
{
    const field *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order != 0 ? order : (x->name > y->name) - (x->name < y->name);
}

static otr_code write_sorted(const field *all, size_t n, otr_jw *w, otr_err *err)
{
    otr_buf value;
    otr_code rc = OTR_OK;
    otr_buf_init(&value, 2 * OTR_LIMIT_PLUGIN_HTTP_HEADER_BYTES);
    for (size_t i = 0; rc == OTR_OK && i < n; i++) {
        rc = otr_buf_adds(&value, all[i].value, err);
        if (rc == OTR_OK && i + 1 < n && strcmp(all[i].name, all[i + 1].name) == 0) {
            rc = otr_buf_adds(&value, ", ", err);
        } else if (rc == OTR_OK) {
            otr_jw_bytes(w, all[i].name, otr_buf_bytes(&value));
            otr_buf_clear(&value);
        }
    }
    otr_buf_deinit(&value);
    return rc;
}

otr_code otr_http_fields_write(const otr_http_fields *f, otr_jw *w, otr_err *err)
{
    if (f->n == 0) {
        return OTR_OK;
    }
    field *all = otr_calloc(f->n, sizeof(*all));
    if (all == NULL) {
        return otr_fail_nomem(err);
    }
    const char *at = (const char *)f->text.p; /* there is one: f->n is not 0 */
    for (size_t i = 0; i < f->n; i++) {
        all[i].name = at;
        all[i].value = at + strlen(at) + 1;
        at = all[i].value + strlen(all[i].value) + 1;
    }
    qsort(all, f->n, sizeof(*all), compare);
    otr_code rc = write_sorted(all, f->n, w, err);
    otr_free(all);
    return rc;
}
