/* Folders and variables of WIT components: what was granted, and no way around it. */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "unit/wasm/fixture.h"
#include "unit/wasm/wit_guests.h"
#include "wasm/guest.h"

/* clang-format off */

#define ERROR_CODES \
    "(enum \"access\" \"would-block\" \"already\" \"bad-descriptor\" \"busy\" \"deadlock\" \"quota\"" \
    " \"exist\" \"file-too-large\" \"illegal-byte-sequence\" \"in-progress\" \"interrupted\"" \
    " \"invalid\" \"io\" \"is-directory\" \"loop\" \"too-many-links\" \"message-size\"" \
    " \"name-too-long\" \"no-device\" \"no-entry\" \"no-lock\" \"insufficient-memory\"" \
    " \"insufficient-space\" \"not-directory\" \"not-empty\" \"not-recoverable\" \"unsupported\"" \
    " \"no-tty\" \"no-such-device\" \"overflow\" \"not-permitted\" \"pipe\" \"read-only\"" \
    " \"invalid-seek\" \"text-file-busy\" \"cross-device\")"
#define METHOD(name, rest) \
    "(export \"[method]descriptor." name "\" (func (param \"self\" (borrow $d)) " rest "))"

static const char imports[] =
    "(component"
    "(import \"wasi:cli/environment@0.2.0\" (instance $env (export \"get-environment\""
    " (func (result (list (tuple string string)))))))"
    "(import \"wasi:filesystem/types@0.2.0\" (instance $types"
    " (export \"descriptor\" (type $d (sub resource)))"
    " (type $e0 " ERROR_CODES ") (export \"error-code\" (type $e (eq $e0)))"
    " (type $p0 (flags \"symlink-follow\")) (export \"path-flags\" (type $p (eq $p0)))"
    " (type $o0 (flags \"create\" \"directory\" \"exclusive\" \"truncate\"))"
    " (export \"open-flags\" (type $o (eq $o0)))"
    " (type $f0 (flags \"read\" \"write\" \"file-integrity-sync\" \"data-integrity-sync\""
    "  \"requested-write-sync\" \"mutate-directory\"))"
    " (export \"descriptor-flags\" (type $f (eq $f0)))"
    METHOD("open-at", "(param \"path-flags\" $p) (param \"path\" string) (param \"open-flags\" $o)"
                      " (param \"flags\" $f) (result (result (own $d) (error $e)))")
    METHOD("read", "(param \"length\" u64) (param \"offset\" u64)"
                   " (result (result (tuple (list u8) bool) (error $e)))")
    METHOD("write", "(param \"buffer\" (list u8)) (param \"offset\" u64)"
                    " (result (result u64 (error $e)))")
    METHOD("create-directory-at", "(param \"path\" string) (result (result (error $e)))")
    METHOD("unlink-file-at", "(param \"path\" string) (result (result (error $e)))")
    "))"
    "(alias export $types \"descriptor\" (type $descriptor))"
    "(import \"wasi:filesystem/preopens@0.2.0\" (instance $dirs"
    " (alias outer 1 $descriptor (type $inner)) (export \"descriptor\" (type $d (eq $inner)))"
    " (export \"get-directories\" (func (result (list (tuple (own $d) string)))))))"
    LIBC;

/* "file": a letter (r: read, w: write, k: open and keep, m: make a folder, u: unlink), the number of
 * the folder, open-flags as a digit, the path. An error answers with its number as one character. */
static const char code[] =
    LOWER("env", "env", "get-environment") LOWER("dirs", "dirs", "get-directories")
    LOWER("open", "types", "[method]descriptor.open-at") LOWER("read", "types", "[method]descriptor.read")
    LOWER("write", "types", "[method]descriptor.write")
    LOWER("mkdir", "types", "[method]descriptor.create-directory-at")
    LOWER("unlink", "types", "[method]descriptor.unlink-file-at")
    "(core func $drop (canon resource.drop $descriptor))"
    "(core module $m " USE_MEMORY
    TAKE("env", "i32") TAKE("dirs", "i32") TAKE("open", "i32 i32 i32 i32 i32 i32 i32")
    TAKE("read", "i32 i64 i64 i32") TAKE("write", "i32 i32 i32 i64 i32") TAKE("mkdir", "i32 i32 i32 i32")
    TAKE("unlink", "i32 i32 i32 i32") TAKE("drop", "i32")
    " (data (i32.const 256) \"written\")"
    " (func $fail (param i32) (result i32)"
    "  (i32.store8 (i32.const 48) (i32.add (local.get 0) (i32.const 48)))"
    ANSWER("(i32.const 1)", "(i32.const 48)", "(i32.const 1)")
    " (func $is (param i32 i32) (result i32) (i32.eq (i32.load8_u (local.get 0)) (local.get 1)))"
    " (func $done (result i32) "
    " (if (result i32) (i32.load8_u (i32.const 128)) (then (call $fail (i32.load8_u (i32.const 132))))"
    "  (else " ANSWER("(i32.const 0)", "(i32.const 256)", "(i32.const 7)") "))"
    " (func $named (param $dir i32) (param $p i32) (param $n i32) (result i32)"
    "  (if (call $is (local.get $p) (i32.const 109)) (then (call $h-mkdir (local.get $dir)"
    "   (i32.add (local.get $p) (i32.const 3)) (i32.sub (local.get $n) (i32.const 3)) (i32.const 128)))"
    "   (else (call $h-unlink (local.get $dir)"
    "   (i32.add (local.get $p) (i32.const 3)) (i32.sub (local.get $n) (i32.const 3)) (i32.const 128))))"
    "  (i32.store8 (i32.const 132) (i32.load8_u (i32.const 129)))"
    "  (call $done))";

static const char exports[] =
    " (func $opened (param $dir i32) (param $p i32) (param $n i32) (result i32) (local $fd i32) (local $r i32)"
    "  (call $h-open (local.get $dir) (i32.const 1) (i32.add (local.get $p) (i32.const 3))"
    "   (i32.sub (local.get $n) (i32.const 3))"
    "   (i32.sub (i32.load8_u (i32.add (local.get $p) (i32.const 2))) (i32.const 48))"
    "   (select (i32.const 2) (i32.const 1) (call $is (local.get $p) (i32.const 119))) (i32.const 80))"
    "  (if (i32.load8_u (i32.const 80)) (then (return (call $fail (i32.load8_u (i32.const 84))))))"
    "  (local.set $fd (i32.load (i32.const 84)))"
    "  (if (call $is (local.get $p) (i32.const 107)) (then (i32.store8 (i32.const 128) (i32.const 0))"
    "   (return (call $done))))"
    "  (if (call $is (local.get $p) (i32.const 119))"
    "   (then (call $h-write (local.get $fd) (i32.const 256) (i32.const 7) (i64.const 0) (i32.const 128))"
    "    (i32.store8 (i32.const 132) (i32.load8_u (i32.const 136)))"
    "    (local.set $r (call $done)))"
    "   (else (call $h-read (local.get $fd) (i64.const 1000) (i64.const 0) (i32.const 96))"
    "    (if (i32.load8_u (i32.const 96)) (then (local.set $r (call $fail (i32.load8_u (i32.const 100)))))"
    "     (else (local.set $r (call $said))))))"
    "  (call $h-drop (local.get $fd)) (local.get $r))"
    " (func $said (result i32)"
    ANSWER("(i32.const 0)", "(i32.load (i32.const 100))", "(i32.load (i32.const 104))")
    OP("file") "(local $dirs i32) (local $dir i32) (local $r i32) (call $h-dirs (i32.const 64))"
    " (local.set $dirs (i32.load (i32.const 64)))"
    " (local.set $dir (i32.load (i32.add (local.get $dirs) (i32.mul (i32.const 12)"
    "  (i32.sub (i32.load8_u (i32.add (local.get $p) (i32.const 1))) (i32.const 48))))))"
    " (if (i32.or (call $is (local.get $p) (i32.const 109)) (call $is (local.get $p) (i32.const 117)))"
    "  (then (local.set $r (call $named (local.get $dir) (local.get $p) (local.get $n))))"
    "  (else (local.set $r (call $opened (local.get $dir) (local.get $p) (local.get $n)))))"
    " (call $h-drop (i32.load (local.get $dirs))) (call $h-drop (i32.load offset=12 (local.get $dirs)))"
    " (local.get $r))"
    /* the first variable's value, if there is just one */
    OP("variable") "(call $h-env (i32.const 64))"
    " (if (i32.ne (i32.load (i32.const 68)) (i32.const 1)) (then (return (call $fail (i32.load (i32.const 68))))))"
    ANSWER("(i32.const 0)", "(i32.load offset=8 (i32.load (i32.const 64)))",
           "(i32.load offset=12 (i32.load (i32.const 64)))") ")"
    "(core instance $i (instantiate $m (with \"libc\" (instance $libc)) (with \"host\" (instance"
    GIVE("env") GIVE("dirs") GIVE("open") GIVE("read") GIVE("write") GIVE("mkdir") GIVE("unlink") GIVE("drop")
    "))))" LIFT("file") LIFT("variable") ")";

/* clang-format on */

enum { NOT_PERMITTED = '0' + 31, NO_ENTRY = '0' + 20, EXIST = '0' + 7, QUOTA = '0' + 6 };

typedef struct wit {
    char root[64];
    otr_engine *engine;
    otr_guest_code *code;
    otr_guest *guest;
    otr_buf wat, out;
} wit;

static int forget(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static void wit_deinit(wit *w)
{
    otr_guest_free(w->guest);
    otr_guest_code_free(w->code);
    if (w->engine != NULL) {
        w->engine->ops->close(w->engine);
    }
    otr_buf_deinit(&w->wat);
    otr_buf_deinit(&w->out);
    if (w->root[0] != '\0') {
        (void)nftw(w->root, forget, 16, FTW_DEPTH | FTW_PHYS);
    }
}

#define WIT_GUEST(name) OTR_CLEANUP(wit_deinit) wit name = { .root = "" }

static otr_code on_publish(void *arg, const char *topic, otr_bytes payload, otr_err *err)
{
    (void)arg;
    (void)topic;
    (void)payload;
    return otr_fail(err, OTR_EDENIED, "no grant");
}

static otr_code on_config(void *arg, const char *key, otr_buf *out, otr_err *err)
{
    (void)arg;
    (void)key;
    (void)out;
    return otr_fail(err, OTR_ENOTFOUND, "no key");
}

static otr_code on_call(void *arg, const char *op, otr_bytes in, otr_buf *out, otr_err *err)
{
    (void)in;
    return on_config(arg, op, out, err);
}

static void on_log(void *arg, int level, otr_bytes text)
{
    (void)arg;
    (void)level;
    (void)text;
}

static const char *path_of(const wit *w, const char *name)
{
    static char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", w->root, name);
    return path;
}

static bool make(wit *w)
{
    static const char *const names[] = { "rw", "ro", "out" };
    (void)snprintf(w->root, sizeof(w->root), "/tmp/otr-wit-XXXXXX");
    if (mkdtemp(w->root) == NULL) {
        w->root[0] = '\0';
        return false;
    }
    bool ok = true;
    for (size_t i = 0; ok && i < OTR_COUNT(names); i++) {
        char name[32];
        ok = mkdir(path_of(w, names[i]), 0700) == 0;
        (void)snprintf(name, sizeof(name), "%s/file", names[i]);
        FILE *f = ok ? fopen(path_of(w, name), "we") : NULL;
        ok = f != NULL && fprintf(f, "in %s", names[i]) > 0;
        ok = f != NULL && fclose(f) == 0 && ok;
    }
    return ok;
}

static otr_code wit_open(wit *w, const char *third, otr_err *err)
{
    static const otr_host_ops ops = {
        .publish = on_publish, .config = on_config, .call = on_call, .log = on_log
    };
    static const char *const env[] = { "GRANTED=a value", NULL };
    char rw[96], ro[96];
    (void)snprintf(rw, sizeof(rw), "%s/rw", w->root);
    (void)snprintf(ro, sizeof(ro), "%s/ro", w->root);
    const struct otr_wasi_dir dirs[] = { { rw, "/data", true },
                                         { ro, "/static", false },
                                         { third, "/x", false } };
    const otr_wasi wasi = { .env = env, .dirs = dirs, .n_dirs = third != NULL ? 3 : 2 };
    const otr_guest_spec spec = {
        .name = "test", .wasi = &wasi, .ops = &ops, .max_memory_bytes = OTR_MIB, .init_ms = 10000
    };
    otr_buf_init(&w->wat, 65536);
    otr_buf_init(&w->out, OTR_MIB);
    otr_code rc = otr_buf_addf(&w->wat, err, "%s%s%s", imports, code, exports);
    const otr_load_spec load = { .name = "test", .wasm = otr_buf_bytes(&w->wat) };
    rc = rc == OTR_OK ? otr_engine_find("wasmtime")->open(NULL, &w->engine, err) : rc;
    rc = rc == OTR_OK ? otr_guest_load(w->engine, &load, &w->code, err) : rc;
    return rc == OTR_OK ? otr_guest_new(w->code, &spec, &w->guest, err) : rc;
}

/* The answer, or the error's character. */
static const char *ask(wit *w, const char *op, const char *in)
{
    static char text[512];
    otr_err err = { 0 };
    otr_buf_clear(&w->out);
    otr_code rc = otr_guest_call(w->guest, op, otr_bytes_of(in), in_ms(10000), &w->out, &err);
    (void)snprintf(text, sizeof(text), "%s", rc == OTR_OK ? otr_buf_text(&w->out) : err.msg);
    return text;
}

static int refusal(wit *w, const char *in)
{
    const char *text = ask(w, "file", in);
    return strlen(text) == 1 ? text[0] : 0;
}

T(a_component_reads_and_writes_what_it_was_granted)
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    REQUIRE(make(&w));
    REQUIRE_OK(wit_open(&w, NULL, &err), err);
    CHECK_STR(ask(&w, "variable", ""), "a value");
    CHECK_STR(ask(&w, "file", "r00file"), "in rw");
    CHECK_STR(ask(&w, "file", "r10file"), "in ro");
    CHECK_STR(ask(&w, "file", "w01new"), "written");
    CHECK_STR(ask(&w, "file", "r00new"), "written");
    CHECK_STR(ask(&w, "file", "m00sub"), "written");
    CHECK_STR(ask(&w, "file", "w05sub/deep"), "written");
    CHECK_INT(refusal(&w, "w05sub/deep"), EXIST);
    CHECK_STR(ask(&w, "file", "u00sub/deep"), "written");
    CHECK_INT(refusal(&w, "r00sub/deep"), NO_ENTRY);
    CHECK(access(path_of(&w, "rw/new"), R_OK) == 0);
}

T_NO_OOM(a_component_finds_no_way_out) /* the loading is the one above */
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    REQUIRE(make(&w));
    REQUIRE(symlink("../out/file", path_of(&w, "rw/away")) == 0);
    REQUIRE(symlink("file", path_of(&w, "rw/near")) == 0);
    REQUIRE_OK(wit_open(&w, NULL, &err), err);
    CHECK_STR(ask(&w, "file", "r00near"), "in rw");
    CHECK_INT(refusal(&w, "r00away"), NOT_PERMITTED);
    CHECK_INT(refusal(&w, "r00../out/file"), NOT_PERMITTED);
    CHECK_INT(refusal(&w, "r00/etc/passwd"), NOT_PERMITTED);
    CHECK_INT(refusal(&w, "w01../out/new"), NOT_PERMITTED);
    CHECK_INT(refusal(&w, "m00../out/new"), NOT_PERMITTED);
    CHECK_INT(refusal(&w, "u00../out/file"), NOT_PERMITTED);
    CHECK(access(path_of(&w, "out/file"), R_OK) == 0);
    CHECK(access(path_of(&w, "out/new"), F_OK) != 0);
}

T_NO_OOM(a_component_changes_nothing_in_a_folder_to_read) /* the loading is the one above */
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    REQUIRE(make(&w));
    REQUIRE_OK(wit_open(&w, NULL, &err), err);
    CHECK_INT(refusal(&w, "w10file"), NOT_PERMITTED);
    CHECK_INT(refusal(&w, "w18file"), NOT_PERMITTED);
    CHECK_INT(refusal(&w, "r18file"), NOT_PERMITTED);
    CHECK_INT(refusal(&w, "r11new"), NOT_PERMITTED);
    CHECK_INT(refusal(&w, "m10new"), NOT_PERMITTED);
    CHECK_INT(refusal(&w, "u10file"), NOT_PERMITTED);
    CHECK_STR(ask(&w, "file", "r10file"), "in ro");
}

T_NO_OOM(a_fifo_does_not_hold_up_a_component) /* the loading is the one above */
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    REQUIRE(make(&w));
    REQUIRE(mkfifo(path_of(&w, "rw/fifo"), 0600) == 0);
    REQUIRE_OK(wit_open(&w, NULL, &err), err);
    CHECK_INT(refusal(&w, "r00fifo"), NOT_PERMITTED);
    CHECK_INT(refusal(&w, "w00fifo"), NOT_PERMITTED);
    CHECK_STR(ask(&w, "file", "r00file"), "in rw");
}

T_NO_OOM(descriptors_of_a_component_are_bounded) /* the loading is the one above */
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    REQUIRE(make(&w));
    REQUIRE_OK(wit_open(&w, NULL, &err), err);
    int n = 0;
    while (n < 10000 && strcmp(ask(&w, "file", "k00file"), "written") == 0) {
        n++;
    }
    CHECK(n > 100 && n <= OTR_LIMIT_WASI_FDS);
    CHECK_INT(refusal(&w, "r00file"), QUOTA);
}

T(a_folder_that_is_missing_is_named)
{
    otr_err err = { 0 };
    WIT_GUEST(w);
    REQUIRE(make(&w));
    CHECK_INT(wit_open(&w, "/no/such/folder", &err), OTR_ENOTFOUND);
    CHECK_HAS(err.msg, "/no/such/folder");
}
