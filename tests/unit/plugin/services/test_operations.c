/*
 * The services' own tables are the one list of host operations. Whatever else names operations, the
 * shims of each ABI and encoding, the kits and the documents, is checked against it here.
 */
#include <ctype.h>
#include <stdio.h>

#include "plugin/encoding/encoding.h"
#include "plugin/services/hostcalls.h"
#include "support/test.h"

enum { MOST_BYTES = 1 << 20, NAME_BYTES = 64 };

static void deinit(otr_buf *b)
{
    otr_buf_deinit(b);
}

#define BUF(name)                     \
    OTR_CLEANUP(deinit) otr_buf name; \
    otr_buf_init(&(name), MOST_BYTES)

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '.' || c == '_' || c == '-';
}

/* Does `text` name `op`, and not only something that contains it? */
static bool names(const char *text, const char *op)
{
    size_t n = strlen(op);
    const char *at = strstr(text, op);
    while (at != NULL && ((at > text && is_word(at[-1])) ||
                          (is_word(at[n]) && !(at[n] == '.' && !is_word(at[n + 1]))))) {
        at = strstr(at + 1, op);
    }
    return at != NULL;
}

/* Calls `fn` for each operation of the table; returns how many there are. */
static size_t each(void (*fn)(void *arg, const char *op), void *arg)
{
    static const otr_manifest manifest;
    otr_hostcalls hc;
    size_t n = 0;
    otr_hostcalls_init(&hc, "p", &manifest);
    for (size_t i = 0; hc.gate.services[i] != NULL; i++) {
        for (const otr_operation *op = hc.gate.services[i]->operations; op->name != NULL; op++) {
            fn(arg, op->name);
            n++;
        }
    }
    otr_hostcalls_deinit(&hc);
    return n;
}

typedef struct place { /* that has to name every operation */
    const char *file, *text;
} place;

static void check_named(void *arg, const char *op)
{
    const place *p = arg;
    if (!names(p->text, op)) {
        (void)printf("# %s does not name the host operation %s\n", p->file, op);
    }
    CHECK(names(p->text, op));
}

T_NO_OOM(every_place_that_lists_operations_names_all_of_them)
{
    static const char *const files[] = {
        "docs/abi/operations.md",
        "docs/abi/encoding.md",
        "proto/outrider/plugin/v1/host.proto",
        "wit/outrider-plugin/world.wit",
        "sdk/outrider_guest.h",
        "src/plugin/services/services.h",
        "tests/unit/plugin/services/test_conformance_guests.c",
    };
    for (size_t i = 0; i < OTR_COUNT(files); i++) {
        BUF(text);
        otr_err err;
        char path[512];
        (void)snprintf(path, sizeof(path), "%s/%s", OTR_SOURCE_DIR, files[i]);
        REQUIRE_OK(otr_buf_read_file(&text, path, &err), err);
        place p = { files[i], otr_buf_text(&text) };
        CHECK(each(check_named, &p) >= 14);
    }
}

typedef struct wanted {
    const char *op;
    bool found;
} wanted;

static void compare(void *arg, const char *op)
{
    wanted *w = arg;
    w->found = w->found || strcmp(op, w->op) == 0;
}

/* Rows begin with "| `name`", perhaps with more names behind it. */
T_NO_OOM(the_document_lists_no_operation_that_there_is_not)
{
    BUF(text);
    otr_err err;
    size_t n = 0;
    REQUIRE_OK(otr_buf_read_file(&text, OTR_SOURCE_DIR "/docs/abi/operations.md", &err), err);
    for (const char *row = strstr(otr_buf_text(&text), "\n| `"); row != NULL;
         row = strstr(row + 1, "\n| `")) {
        const char *end = strchr(row + 3, '|');
        REQUIRE(end != NULL);
        for (const char *at = strchr(row, '`'); at != NULL && at < end; at = strchr(at + 1, '`')) {
            char op[NAME_BYTES];
            size_t len = strcspn(at + 1, "`");
            (void)snprintf(op, sizeof(op), "%.*s", (int)len, at + 1);
            at += len + 1;
            wanted w = { .op = op };
            (void)each(compare, &w);
            CHECK(w.found);
            n++;
        }
    }
    size_t there_are = each(compare, &(wanted){ .op = "" });
    CHECK_INT(n, there_are);
}

/* waPC asks by namespace and name, and so does outrider_wapc.h. */
static void check_form(void *arg, const char *op)
{
    const char *dot = strchr(op, '.');
    (void)arg;
    CHECK(dot != NULL && dot > op && dot[1] != '\0' && strchr(dot + 1, '.') == NULL);
    CHECK_INT(strspn(op, "abcdefghijklmnopqrstuvwxyz_."), strlen(op));
}

T(every_operation_is_a_namespace_and_a_name)
{
    (void)each(check_form, NULL);
}

typedef struct host {
    char asked[NAME_BYTES];
} host;

static otr_code on_call(void *arg, const char *op, otr_bytes in, otr_buf *out, otr_err *err)
{
    host *h = arg;
    (void)in;
    (void)out;
    (void)snprintf(h->asked, sizeof(h->asked), "%s", op);
    return otr_fail(err, OTR_EUNSUP, "asked for %s", op);
}

static const otr_host_ops ops = { .call = on_call };

/* A question of no bytes is a message of no fields, or no text. */
static void check_passed_on(void *arg, const char *op)
{
    host h = { "" };
    otr_encoded_host encoded = { OTR_ENCODING_PROTOBUF, &ops, &h };
    otr_err err;
    BUF(out);
    (void)arg;
    if (strcmp(op, "kv.set") == 0) {
        return; /* becomes kv.put: test_encoding.c */
    }
    CHECK_INT(otr_encoding_protobuf_ops.call(&encoded, op, otr_bytes_of(""), &out, &err),
              OTR_EUNSUP);
    CHECK_STR(h.asked, op);
}

T_NO_OOM(the_protobuf_encoding_passes_every_operation_on)
{
    (void)each(check_passed_on, NULL);
}

static otr_code on_permits(void *arg, const char *op, const char *topic, otr_err *err)
{
    host *h = arg;
    (void)snprintf(h->asked, sizeof(h->asked), "may %s", op != NULL ? op : topic);
    return otr_fail(err, OTR_EDENIED, "no");
}

static otr_code on_publish(void *arg, const char *topic, otr_bytes payload, otr_err *err)
{
    host *h = arg;
    (void)payload;
    (void)snprintf(h->asked, sizeof(h->asked), "publish %s", topic);
    return otr_fail(err, OTR_EUNSUP, "published");
}

static const otr_host_ops strict = { .call = on_call,
                                     .publish = on_publish,
                                     .permits = on_permits };

T_NO_OOM(a_large_question_that_no_grant_covers_is_not_unpacked)
{
    static const char *const asked[] = { "kv.set", "kv.get", "http.request", "metric.gauge",
                                         "kv.list" };
    host h = { "" };
    otr_encoded_host encoded = { OTR_ENCODING_PROTOBUF, &strict, &h };
    otr_err err = { 0 };
    BUF(large);
    BUF(out);
    uint8_t *at = NULL;
    REQUIRE_OK(otr_buf_reserve(&large, MOST_BYTES, &at, &err), err);
    memset(at, 0, MOST_BYTES);
    const otr_bytes in = { at, MOST_BYTES };
    for (size_t i = 0; i < OTR_COUNT(asked); i++) {
        char want[NAME_BYTES];
        (void)snprintf(want, sizeof(want), "may %s", asked[i]);
        CHECK_INT(otr_encoding_protobuf_ops.call(&encoded, asked[i], in, &out, &err), OTR_EDENIED);
        CHECK_STR(h.asked, want);
    }
    CHECK_INT(otr_encoding_protobuf_ops.publish(&encoded, "a.b", in, &err), OTR_EDENIED);
    CHECK_STR(h.asked, "may a.b");
    encoded.ops = &ops; /* a host that does not say: what is always short is refused */
    CHECK_INT(otr_encoding_protobuf_ops.call(&encoded, "metric.gauge", in, &out, &err), OTR_EQUOTA);
}
