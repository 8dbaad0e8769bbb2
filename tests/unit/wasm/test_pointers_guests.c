/*
 * Every host function of every ABI, and every one of WASI, with arguments that no host should
 * follow: each argument takes each hostile value, beside valid ones, beside zeros and beside its
 * like. The call ends in an answer, an error or a trap; the host and other guests do not notice.
 */
#include <stdarg.h>
#include <stdlib.h>

#include "base/log.h"
#include "unit/wasm/guest_files.h"

enum { CALL_MS = 2000, MOST_ARGS = 9, TEXT_BYTES = 16384 };

/* In place of this one the guest puts something valid: a block of Extism memory, or an address. */
#define VALID INT64_C(-0x5a5a5a5a)

static const int64_t values[] = {
    0,           1,         7,          8,          16,         4095,       65535,
    65536,       131071,    0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff, 0x100000000,
    0x100000001, INT64_MAX, INT64_MIN,  -8,         -1,
};

typedef struct function {
    const char *module, *name;
    const char *args; /* 'i': i32, 'I': i64 */
    char result;      /* the same, or 0 */
} function;

#define ENV  "extism:host/env"
#define USER "extism:host/user"
#define WASI "wasi_snapshot_preview1"

static const function extism[] = {
    { ENV, "alloc", "I", 'I' },           { ENV, "free", "I", 0 },
    { ENV, "length", "I", 'I' },          { ENV, "length_unsafe", "I", 'I' },
    { ENV, "load_u8", "I", 'i' },         { ENV, "load_u64", "I", 'I' },
    { ENV, "store_u8", "Ii", 0 },         { ENV, "store_u64", "II", 0 },
    { ENV, "input_load_u8", "I", 'i' },   { ENV, "input_load_u64", "I", 'I' },
    { ENV, "output_set", "II", 0 },       { ENV, "error_set", "I", 0 },
    { ENV, "config_get", "I", 'I' },      { ENV, "var_get", "I", 'I' },
    { ENV, "var_set", "II", 0 },          { ENV, "http_request", "II", 'I' },
    { ENV, "log_trace", "I", 0 },         { ENV, "log_debug", "I", 0 },
    { ENV, "log_info", "I", 0 },          { ENV, "log_warn", "I", 0 },
    { ENV, "log_error", "I", 0 },         { USER, "outrider_publish", "II", 'I' },
    { USER, "outrider_call", "II", 'I' },
};

static const function wapc[] = {
    { "wapc", "__guest_request", "ii", 0 }, { "wapc", "__guest_response", "ii", 0 },
    { "wapc", "__guest_error", "ii", 0 },   { "wapc", "__host_call", "iiiiiiii", 'i' },
    { "wapc", "__host_response", "i", 0 },  { "wapc", "__host_error", "i", 0 },
    { "wapc", "__console_log", "ii", 0 },
};

static const function wasi[] = {
    { WASI, "args_get", "ii", 'i' },
    { WASI, "args_sizes_get", "ii", 'i' },
    { WASI, "clock_res_get", "ii", 'i' },
    { WASI, "clock_time_get", "iIi", 'i' },
    { WASI, "environ_get", "ii", 'i' },
    { WASI, "environ_sizes_get", "ii", 'i' },
    { WASI, "fd_advise", "iIIi", 'i' },
    { WASI, "fd_allocate", "iII", 'i' },
    { WASI, "fd_close", "i", 'i' },
    { WASI, "fd_datasync", "i", 'i' },
    { WASI, "fd_fdstat_get", "ii", 'i' },
    { WASI, "fd_fdstat_set_flags", "ii", 'i' },
    { WASI, "fd_fdstat_set_rights", "iII", 'i' },
    { WASI, "fd_filestat_get", "ii", 'i' },
    { WASI, "fd_filestat_set_size", "iI", 'i' },
    { WASI, "fd_filestat_set_times", "iIIi", 'i' },
    { WASI, "fd_pread", "iiiIi", 'i' },
    { WASI, "fd_prestat_get", "ii", 'i' },
    { WASI, "fd_prestat_dir_name", "iii", 'i' },
    { WASI, "fd_pwrite", "iiiIi", 'i' },
    { WASI, "fd_read", "iiii", 'i' },
    { WASI, "fd_readdir", "iiiIi", 'i' },
    { WASI, "fd_renumber", "ii", 'i' },
    { WASI, "fd_seek", "iIii", 'i' },
    { WASI, "fd_sync", "i", 'i' },
    { WASI, "fd_tell", "ii", 'i' },
    { WASI, "fd_write", "iiii", 'i' },
    { WASI, "path_create_directory", "iii", 'i' },
    { WASI, "path_filestat_get", "iiiii", 'i' },
    { WASI, "path_filestat_set_times", "iiiiIIi", 'i' },
    { WASI, "path_link", "iiiiiii", 'i' },
    { WASI, "path_open", "iiiiiIIii", 'i' },
    { WASI, "path_readlink", "iiiiii", 'i' },
    { WASI, "path_remove_directory", "iii", 'i' },
    { WASI, "path_rename", "iiiiii", 'i' },
    { WASI, "path_symlink", "iiiii", 'i' },
    { WASI, "path_unlink_file", "iii", 'i' },
    { WASI, "poll_oneoff", "iiii", 'i' },
    { WASI, "proc_exit", "i", 0 },
    { WASI, "proc_raise", "i", 'i' },
    { WASI, "random_get", "ii", 'i' },
    { WASI, "sock_accept", "iii", 'i' },
    { WASI, "sock_recv", "iiiiii", 'i' },
    { WASI, "sock_send", "iiiii", 'i' },
    { WASI, "sock_shutdown", "ii", 'i' },
};

/* ---- guests in text ---- */

static void add(otr_buf *text, const char *s)
{
    otr_err err;
    if (otr_buf_adds(text, s, &err) != OTR_OK) {
        abort(); /* the room is a constant of ours */
    }
}

OTR_PRINTF(2, 3) static void addf(otr_buf *text, const char *format, ...)
{
    char piece[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(piece, sizeof piece, format, args);
    va_end(args);
    add(text, piece);
}

static void add_import(otr_buf *text, const function *fn)
{
    addf(text, "(import \"%s\" \"%s\" (func $f (param", fn->module, fn->name);
    for (const char *a = fn->args; *a != '\0'; a++) {
        add(text, *a == 'i' ? " i32" : " i64");
    }
    add(text, ")");
    add(text, fn->result == 0 ? "" : fn->result == 'i' ? "(result i32)" : "(result i64)");
    add(text, "))");
}

/* Calls $f with what $arg gives for each argument. */
static void add_call(otr_buf *text, const function *fn)
{
    add(text, fn->result != 0 ? "(drop (call $f" : "(call $f");
    for (size_t i = 0; fn->args[i] != '\0'; i++) {
        const char *wrap = fn->args[i] == 'i' ? "(i32.wrap_i64 " : "(i64.or (i64.const 0) ";
        addf(text, " %s(call $arg (i32.const %zu)))", wrap, i * 8);
    }
    add(text, fn->result != 0 ? "))" : ")");
}

static void extism_text(otr_buf *text, const function *fn)
{
    add(text, "(module (import \"" ENV "\" \"input_load_u64\" (func $in (param i64) (result i64)))"
              " (import \"" ENV "\" \"alloc\" (func $alloc (param i64) (result i64)))");
    add_import(text, fn);
    add(text, " (memory (export \"memory\") 1)"
              " (func $arg (param i32) (result i64) (local $v i64)"
              "  (local.set $v (call $in (i64.extend_i32_u (local.get 0))))"
              "  (if (result i64) (i64.eq (local.get $v) (i64.const -0x5a5a5a5a))"
              "   (then (call $alloc (i64.const 64))) (else (local.get $v))))"
              " (func (export \"attack\") (result i32) ");
    add_call(text, fn);
    add(text, " (i32.const 0)))");
}

static void wapc_text(otr_buf *text, const function *fn)
{
    add(text, "(module (import \"wapc\" \"__guest_request\" (func $req (param i32 i32)))");
    add_import(text, fn);
    add(text, " (memory (export \"memory\") 2)"
              " (func $arg (param i32) (result i64) (local $v i64)"
              "  (local.set $v (i64.load offset=1024 (local.get 0)))"
              "  (if (result i64) (i64.eq (local.get $v) (i64.const -0x5a5a5a5a))"
              "   (then (i64.const 4096)) (else (local.get $v))))"
              " (func (export \"__guest_call\") (param i32 i32) (result i32)"
              "  (call $req (i32.const 256) (i32.const 1024)) ");
    add_call(text, fn);
    add(text, " (i32.const 1)))");
}

typedef void text_fn(otr_buf *text, const function *fn);

/* ---- one call ---- */

typedef struct attack {
    const function *fn;
    guest_file guest;
    unsigned calls, answers, traps;
} attack;

static bool bearable(otr_code rc)
{
    return rc == OTR_OK || rc == OTR_EINVAL || rc == OTR_EGUEST || rc == OTR_EQUOTA ||
           rc == OTR_ETIMEOUT;
}

static void call(attack *a, const int64_t *args)
{
    otr_err err = { 0 };
    if (a->guest.guest == NULL || otr_guest_dead(a->guest.guest)) {
        otr_guest_free(otr_steal(&a->guest.guest));
        REQUIRE_OK(guest_file_start(&a->guest, &err), err);
    }
    a->calls++;
    otr_code rc = guest_file_ask_bytes(
        &a->guest, "attack", (otr_bytes){ (const uint8_t *)args, MOST_ARGS * sizeof(*args) },
        CALL_MS, &err);
    a->traps += rc == OTR_EGUEST;
    a->answers += rc == OTR_OK;
    if (!bearable(rc) || (rc != OTR_OK && err.msg[0] == '\0')) {
        char what[256];
        (void)snprintf(what, sizeof what, "%s: %s: %.100s", a->fn->name, otr_code_name(rc),
                       err.msg);
        (void)otr_test_check(false, __FILE__, __LINE__, what);
    }
}

/* Each argument takes each value; the others are valid, zero, or the same. */
static void call_all(attack *a)
{
    int64_t args[MOST_ARGS] = { 0 };
    size_t n = strlen(a->fn->args);
    for (size_t at = 0; at < n; at++) {
        for (size_t v = 0; v < OTR_COUNT(values); v++) {
            const int64_t others[] = { VALID, 0, values[v] };
            for (size_t o = 0; o < OTR_COUNT(others); o++) {
                for (size_t i = 0; i < n; i++) {
                    args[i] = others[o];
                }
                args[at] = values[v];
                call(a, args);
            }
        }
    }
}

static void check_text(otr_engine *engine, const function *fn, const char *wat)
{
    attack a = { .fn = fn };
    otr_err err = { 0 };
    guest_file_prepare(&a.guest);
    const otr_load_spec spec = { .name = fn->name, .wasm = otr_bytes_of(wat) };
    otr_code rc = otr_guest_load(engine, &spec, &a.guest.code, &err);
    if (rc == OTR_OK) {
        call_all(&a);
        printf("# %s: %u calls, %u answered, %u trapped\n", fn->name, a.calls, a.answers, a.traps);
        CHECK(a.calls == strlen(fn->args) * OTR_COUNT(values) * 3);
    } else {
        /* Not every engine has all of WASI; then the import is named. */
        (void)otr_test_check(strcmp(fn->module, WASI) == 0 && strstr(err.msg, fn->name) != NULL,
                             __FILE__, __LINE__, err.msg);
    }
    guest_file_deinit(&a.guest);
}

static void check_functions(const function *fns, size_t n, text_fn *write)
{
    otr_err err = { 0 };
    ENGINE(engine);
    otr_log_set_level(OTR_LOG_ERROR);
    REQUIRE_OK(open_engine(&engine, &err), err);
    long blocks = 0;
    for (size_t i = 0; i < n; i++) {
        otr_buf text;
        otr_buf_init(&text, TEXT_BYTES);
        write(&text, &fns[i]);
        check_text(engine, &fns[i], otr_buf_text(&text));
        otr_buf_deinit(&text);
        blocks = i == 0 ? otr_alloc_live() : blocks; /* the kernel is compiled for the first one */
    }
    CHECK_INT(otr_alloc_live(), blocks);
    GUEST_FILE(good);
    REQUIRE_OK(guest_file_load(&good, engine, "tests/guests/c-extism.wasm", NULL, &err), err);
    REQUIRE_OK(guest_file_start(&good, &err), err);
    REQUIRE_OK(guest_file_ask(&good, "echo", "alive", CALL_MS, &err), err);
    CHECK_STR(otr_buf_text(&good.out), "alive");
}

/* No failing allocation here: thousands of calls, and what they reach has tests for that. */
T_NO_OOM(extism_functions_bear_every_argument)
{
    check_functions(extism, OTR_COUNT(extism), extism_text);
}

T_NO_OOM(wapc_functions_bear_every_argument)
{
    check_functions(wapc, OTR_COUNT(wapc), wapc_text);
}

T_NO_OOM(wasi_functions_bear_every_argument)
{
    check_functions(wasi, OTR_COUNT(wasi), wapc_text);
}

/* ---- components ---- */

#ifndef ON_WASMI /* they run on wasmtime alone */

typedef struct interface {
    const char *name, *function, *type;
    function core;
} interface;

#define ANSWERS "(result (result (list u8) (error string)))"

static const interface interfaces[] = {
    { "bus",
      "publish",
      "(param \"topic\" string) (param \"data\" (list u8)) (result (result (error string)))",
      { "", "publish", "iiiii", 0 } },
    { "log", "write", "(param \"level\" u8) (param \"line\" string)", { "", "write", "iii", 0 } },
    { "config", "get", "(param \"key\" string) (result (option string))", { "", "get", "iii", 0 } },
    { "kv",
      "get",
      "(param \"key\" string) (result (result (option (list u8)) (error string)))",
      { "", "get", "iii", 0 } },
    { "kv",
      "set",
      "(param \"key\" string) (param \"value\" (list u8)) (result (result (error string)))",
      { "", "set", "iiiii", 0 } },
    { "kv",
      "delete",
      "(param \"key\" string) (result (result string (error string)))",
      { "", "delete", "iii", 0 } },
    { "kv",
      "list",
      "(param \"prefix\" string) (result (result string (error string)))",
      { "", "list", "iii", 0 } },
    { "host",
      "call",
      "(param \"operation\" string) (param \"input\" (list u8)) " ANSWERS,
      { "", "call", "iiiii", 0 } },
};

static void component_text(otr_buf *text, const interface *it)
{
    addf(text,
         "(component (import \"outrider:plugin/%s@1.0.0\" (instance $n (export \"%s\""
         " (func %s))))",
         it->name, it->function, it->type);
    add(text, "(core module $libc (memory (export \"memory\") 1)"
              " (func (export \"realloc\") (param i32 i32 i32 i32) (result i32) (i32.const 8192)))"
              "(core instance $libc (instantiate $libc))"
              "(alias core export $libc \"memory\" (core memory $mem))"
              "(alias core export $libc \"realloc\" (core func $realloc))");
    addf(text,
         "(core func $low (canon lower (func $n \"%s\") (memory $mem)"
         " (realloc $realloc)))",
         it->function);
    add(text, "(core module $m (import \"libc\" \"memory\" (memory 1))");
    function fn = it->core;
    fn.module = "host";
    add_import(text, &fn);
    add(text, " (func $arg (param i32) (result i64) (local $v i64)"
              "  (local.set $v (i64.load offset=8192 (local.get 0)))"
              "  (if (result i64) (i64.eq (local.get $v) (i64.const -0x5a5a5a5a))"
              "   (then (i64.const 4096)) (else (local.get $v))))"
              " (func (export \"attack\") (param i32 i32) (result i32) ");
    add_call(text, &fn);
    addf(text,
         " (i64.store (i32.const 16) (i64.const 0)) (i32.const 16)))"
         "(core instance $i (instantiate $m (with \"libc\" (instance $libc))"
         " (with \"host\" (instance (export \"%s\" (func $low))))))"
         "(func (export \"attack\") (param \"in\" (list u8)) (result (list u8))"
         " (canon lift (core func $i \"attack\") (memory $mem) (realloc $realloc))))",
         fn.name);
}

T_NO_OOM(component_imports_bear_every_argument)
{
    otr_err err = { 0 };
    ENGINE(engine);
    otr_log_set_level(OTR_LOG_ERROR);
    REQUIRE_OK(open_engine(&engine, &err), err);
    for (size_t i = 0; i < OTR_COUNT(interfaces); i++) {
        OTR_CLEANUP(otr_buf_deinit) otr_buf text;
        otr_buf_init(&text, TEXT_BYTES);
        component_text(&text, &interfaces[i]);
        check_text(engine, &interfaces[i].core, otr_buf_text(&text));
    }
}
#endif
