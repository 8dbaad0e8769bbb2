/* `outrider plugin inspect|call`: a plugin file by itself, without an agent; plugin_bench.c has
 * `bench`. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/thread.h"
#include "cli/cli.h"
#include "cli/input.h"
#include "cli/plugin_args.h"
#include "cli/plugin_bench.h"
#include "cli/plugin_host.h"
#include "plugin/encoding/encoding.h"
#include "wasm/engine/engine.h"
#include "wasm/guest_file.h"

enum {
    EXIT_GUEST = 1,
    EXIT_HOST = 2,
    MAX_PAIRS = 64,
    MAX_MODULES = 7,
    FOLDER_BYTES = 4096,
    REPORT_BYTES = 16 << 20,
    DEFAULT_TIMEOUT_MS = 10000
};

typedef struct options {
    const char *file, *operation, *abi, *engine;
    const char *input; /* text, "@FILE" or "-" */
    const char *pairs[2 * MAX_PAIRS + 1];
    size_t n_pairs;
    const char *args; /* values of a typed call; NULL: an operation */
    otr_load_module modules[MAX_MODULES];
    const char *module_files[MAX_MODULES];
    size_t n_modules;
    uint64_t timeout_ms;
    otr_encoding encoding;
    bool json, rewrite;
} options;

static int complain(const char *what, const char *why)
{
    (void)fprintf(stderr, "outrider plugin: %s%s%s\n", what, why != NULL ? ": " : "",
                  why != NULL ? why : "");
    return EXIT_HOST;
}

static int usage(FILE *to, int rc)
{
    (void)fprintf(
        to,
        "Usage: outrider plugin inspect FILE [--json] [--abi A] [--engine E]\n"
        "       outrider plugin compile FILE --cache DIR [--abi A] [--engine E] [--no-rewrite]\n"
        "       outrider plugin call FILE OPERATION [--input TEXT|@FILE|-] [--config K=V]…\n"
        "                       [--abi A] [--engine E] [--wasi] [--timeout MS] [--no-rewrite]\n"
        "                       [--args i32:1,f64:0.5] [--module NAME=FILE]…\n"
        "                       [--encoding json|protobuf]\n"
        "       outrider plugin bench FILE OPERATION [--bytes N | --input TEXT|@FILE|-] [--json]\n"
        "                       [--abi A] [--engine E] [--seconds S] [--timeout MS] "
        "[--no-rewrite]\n\n"
        "call prints the raw output bytes. Exit: 0 ok, 1 the guest failed, 2 it could not be "
        "asked.\n"
        "What the guest publishes and logs is shown on standard error.\n\n"
        "Of a running agent: outrider plugin list | show NAME | dead-letters NAME |\n"
        "       reload NAME | disable NAME | enable NAME | replay NAME   [--socket PATH]\n");
    return rc;
}

/* ---- options ---- */

static bool add_pair(options *o, char *text)
{
    char *eq = strchr(text, '=');
    if (eq == NULL || o->n_pairs >= MAX_PAIRS) {
        return false;
    }
    *eq = '\0';
    o->pairs[2 * o->n_pairs] = text;
    o->pairs[2 * o->n_pairs + 1] = eq + 1;
    o->n_pairs++;
    return true;
}

static bool add_module(options *o, char *text)
{
    char *eq = strchr(text, '=');
    if (eq == NULL || eq == text || o->n_modules >= MAX_MODULES) {
        return false;
    }
    *eq = '\0';
    o->modules[o->n_modules].name = text;
    o->module_files[o->n_modules++] = eq + 1;
    return true;
}

static bool read_ms(const char *text, uint64_t *ret)
{
    char *end = NULL;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    *ret = (uint64_t)n;
    return errno == 0 && end != text && *end == '\0' && n > 0 && n <= 3600000;
}

/* Takes the option at argv[*i], with its value when it has one. */
static bool take_option(options *o, int argc, char **argv, int *i)
{
    const char *name = argv[*i];
    if (strcmp(name, "--json") == 0) {
        o->json = true;
        return true;
    }
    if (strcmp(name, "--wasi") == 0) {
        return true; /* WASI is always linked when the guest imports it, without files or
                        environment */
    }
    if (strcmp(name, "--no-rewrite") == 0) {
        o->rewrite = false;
        return true;
    }
    if (*i + 1 >= argc) {
        return false;
    }
    char *value = argv[++*i];
    if (strcmp(name, "--abi") == 0) {
        o->abi = value;
    } else if (strcmp(name, "--engine") == 0) {
        o->engine = value;
    } else if (strcmp(name, "--input") == 0) {
        o->input = value;
    } else if (strcmp(name, "--args") == 0) {
        o->args = value;
    } else if (strcmp(name, "--module") == 0) {
        return add_module(o, value);
    } else if (strcmp(name, "--config") == 0) {
        return add_pair(o, value);
    } else if (strcmp(name, "--encoding") == 0) {
        return otr_encoding_find(value, &o->encoding);
    } else if (strcmp(name, "--timeout") == 0) {
        return read_ms(value, &o->timeout_ms);
    } else {
        return false;
    }
    return true;
}

static int read_options(options *o, int argc, char **argv, const char **ret_positional[2])
{
    size_t n = 0;
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) == 0) {
            const char *name = argv[i];
            if (!take_option(o, argc, argv, &i)) {
                return complain(
                    name, "not an option here, or its value is missing or malformed; see --help");
            }
        } else if (n < 2 && ret_positional[n] != NULL) {
            *ret_positional[n++] = argv[i];
        } else {
            return complain(argv[i], "one argument too many");
        }
    }
    for (; n < 2; n++) {
        if (ret_positional[n] != NULL) {
            (void)usage(stderr, 0);
            return EXIT_HOST;
        }
    }
    return 0;
}

/* ---- files and engine ---- */

/* $XDG_CACHE_HOME/outrider/wasm: compiled code of the last calls; none without a home. */
static void cache_dir(otr_buf *out)
{
    const char *xdg = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    otr_code rc = OTR_OK;
    if (xdg != NULL && xdg[0] == '/') {
        rc = otr_buf_addf(out, NULL, "%s/outrider", xdg);
    } else if (home != NULL && home[0] == '/') {
        rc = otr_buf_addf(out, NULL, "%s/.cache/outrider", home);
    }
    if (rc != OTR_OK || out->n == 0) {
        return;
    }
    (void)mkdir(otr_buf_text(out), 0700);
    rc = otr_buf_adds(out, "/wasm", NULL);
    if (rc != OTR_OK) {
        otr_buf_clear(out);
    }
}

typedef struct session {
    otr_engine *engine;
    otr_guest_code *code;
    otr_guest *guest;
    otr_buf wasm, in, out, cache;
    otr_buf scratch; /* input or output in the other encoding */
    otr_buf modules[MAX_MODULES];
    char folder[FOLDER_BYTES]; /* of the file: where an Extism manifest's paths begin */
} session;

static otr_code read_modules(session *s, options *o, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < o->n_modules; i++) {
        otr_buf_init(&s->modules[i], OTR_LIMIT_PLUGIN_FILE_BYTES);
        rc = otr_buf_read_file(&s->modules[i], o->module_files[i], err);
        o->modules[i].wasm = otr_buf_bytes(&s->modules[i]);
    }
    return rc;
}

static otr_extism_source source_of(session *s, const options *o)
{
    const char *slash = strrchr(o->file, '/');
    int n = slash != NULL ? (int)(slash - o->file) : 1;
    (void)snprintf(s->folder, sizeof(s->folder), "%.*s", n, slash != NULL ? o->file : ".");
    return (otr_extism_source){ .folder = (size_t)n < sizeof(s->folder) ? s->folder : NULL };
}

static otr_code open_session(session *s, options *o, otr_err *err)
{
    otr_buf_init(&s->wasm, OTR_LIMIT_PLUGIN_FILE_BYTES);
    otr_buf_init(&s->in, OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
    otr_buf_init(&s->out, OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
    otr_buf_init(&s->cache, 4096);
    otr_buf_init(&s->scratch, OTR_LIMIT_JSON_BYTES);
    const otr_engine_ops *ops = otr_engine_find(o->engine);
    if (ops == NULL) {
        return otr_fail(err, OTR_EUNSUP, "engine \"%s\" is not built in; there are: %s", o->engine,
                        otr_engine_names());
    }
    otr_code rc = otr_buf_read_file(&s->wasm, o->file, err);
    rc = rc == OTR_OK ? read_modules(s, o, err) : rc;
    if (rc == OTR_OK) {
        cache_dir(&s->cache);
        rc = ops->open(s->cache.n > 0 ? otr_buf_text(&s->cache) : NULL, &s->engine, err);
    }
    return rc;
}

static void close_session(session *s)
{
    otr_guest_free(s->guest);
    otr_guest_code_free(s->code);
    if (s->engine != NULL) {
        s->engine->ops->close(s->engine);
    }
    otr_buf_deinit(&s->wasm);
    otr_buf_deinit(&s->in);
    otr_buf_deinit(&s->out);
    otr_buf_deinit(&s->cache);
    otr_buf_deinit(&s->scratch);
    for (size_t i = 0; i < MAX_MODULES; i++) {
        otr_buf_deinit(&s->modules[i]);
    }
}

static otr_load_spec load_spec(const session *s, const options *o)
{
    return (otr_load_spec){
        .name = o->file,
        .wasm = otr_buf_bytes(&s->wasm),
        .abi = o->abi,
        .rewrite = o->rewrite,
        .modules = o->modules,
        .n_modules = o->n_modules,
    };
}

/* ---- call ---- */

/* The results on a line, then what the guest left as output. */
static otr_code call_typed(session *s, const options *o, uint64_t deadline_ns, otr_err *err)
{
    otr_typed args[OTR_WASM_MAX_ARGS];
    otr_typed_call c = {
        .ask = { .op = o->operation, .in = otr_buf_bytes(&s->in), .deadline_ns = deadline_ns },
        .args = args,
    };
    otr_buf output;
    otr_buf_init(&output, OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
    otr_code rc = otr_cli_read_values(o->args, args, &c.n_args, err);
    rc = rc == OTR_OK ? otr_guest_call_typed(s->guest, &c, &output, err) : rc;
    rc = rc == OTR_OK ? otr_cli_write_values(c.results, c.n_results, &s->out, err) : rc;
    rc = rc == OTR_OK ? otr_buf_adds(&s->out, "\n", err) : rc;
    rc = rc == OTR_OK ? otr_buf_add(&s->out, otr_buf_bytes(&output), err) : rc;
    otr_buf_deinit(&output);
    return rc;
}

/* Asks the operation and leaves the answer in `s->out`, JSON where the contract knows what it is.
 */
static otr_code call_operation(session *s, const options *o, otr_bytes in, uint64_t deadline_ns,
                               otr_err *err)
{
    otr_bytes answer;
    otr_code rc = otr_guest_call(s->guest, o->operation, in, deadline_ns, &s->out, err);
    bool verdict = strcmp(o->operation, "process") == 0;
    if (rc != OTR_OK || (verdict && s->out.n == 0)) {
        return rc;
    }
    rc = otr_encoding_answer(o->encoding, o->operation, otr_buf_bytes(&s->out), &s->scratch,
                             &answer, err);
    if (rc == OTR_OK && answer.p != s->out.p) {
        otr_buf_clear(&s->out);
        rc = otr_buf_add(&s->out, answer, err);
    }
    return rc;
}

static otr_code ask_guest(session *s, const options *o, otr_bytes in, otr_err *err)
{
    otr_cli_guest_host cli = { .pairs = o->pairs };
    otr_encoded_host host = { o->encoding, &otr_cli_guest_host_ops, &cli };
    otr_guest_spec guest = {
        .name = o->file,
        .max_memory_bytes = OTR_LIMIT_PLUGIN_MEMORY_BYTES,
        .max_vars_bytes = OTR_LIMIT_PLUGIN_VARS_BYTES,
        .max_output_bytes = OTR_LIMIT_PLUGIN_OUTPUT_BYTES,
        .init_ms = o->timeout_ms,
    };
    otr_encoding_host(&host, &guest);
    otr_code rc = otr_guest_new(s->code, &guest, &s->guest, err);
    if (rc != OTR_OK) {
        return rc;
    }
    uint64_t deadline = otr_now_ns() + o->timeout_ms * OTR_NS_PER_MS;
    return o->args != NULL ? call_typed(s, o, deadline, err)
                           : call_operation(s, o, in, deadline, err);
}

static otr_code load_guest(session *s, const options *o, otr_bytes *ret_in, otr_err *err)
{
    otr_load_spec spec = load_spec(s, o);
    const otr_extism_source source = source_of(s, o);
    otr_code rc = otr_guest_load_file(s->engine, &spec, &source, &s->code, err);
    if (rc == OTR_OK) {
        rc = otr_encoding_check(o->encoding, otr_abi_name(otr_guest_code_abi(s->code)), err);
    }
    return rc == OTR_OK ? otr_encoding_input(o->encoding, o->operation, otr_buf_bytes(&s->in),
                                             &s->scratch, ret_in, err)
                        : rc;
}

static int call_guest(session *s, const options *o, otr_err *err)
{
    otr_bytes in;
    otr_code rc = load_guest(s, o, &in, err);
    if (rc != OTR_OK) {
        return EXIT_HOST;
    }
    const otr_extism_manifest *brought = otr_guest_code_manifest(s->code);
    if (brought != NULL && brought->n_paths > 0) {
        (void)fprintf(stderr, "note: allowed_paths needs an agent that grants them; no folder is "
                              "given here\n");
    }
    if (o->args == NULL && !otr_guest_code_has(s->code, o->operation)) {
        (void)otr_fail(err, OTR_ENOTFOUND,
                       "%s has no operation \"%s\"; `outrider plugin inspect` lists its exports",
                       o->file, o->operation);
        return EXIT_HOST;
    }
    rc = ask_guest(s, o, in, err);
    return rc == OTR_OK ? 0 : rc == OTR_ENOTFOUND ? EXIT_HOST : EXIT_GUEST;
}

static int call(int argc, char **argv)
{
    options o = { .engine = "wasmtime", .timeout_ms = DEFAULT_TIMEOUT_MS, .rewrite = true };
    int bad = read_options(&o, argc, argv, (const char **[2]){ &o.file, &o.operation });
    if (bad != 0) {
        return bad;
    }
    session s = { 0 };
    otr_err err = { 0 };
    otr_code rc = open_session(&s, &o, &err);
    rc = rc == OTR_OK ? otr_cli_read_input(o.input, &s.in, &err) : rc;
    int exit_code = rc == OTR_OK ? call_guest(&s, &o, &err) : EXIT_HOST;
    if (exit_code != 0) {
        (void)complain(o.file, err.msg);
    } else if ((s.out.n > 0 && fwrite(s.out.p, 1, s.out.n, stdout) != s.out.n) ||
               fflush(stdout) != 0) {
        exit_code = complain("cannot write the output", NULL);
    }
    close_session(&s);
    return exit_code;
}

/* ---- inspect ---- */

static const char *text_of(const otr_json *root, const char *key)
{
    return otr_json_str(otr_json_get(root, key), "");
}

static void print_list(const otr_json *root, const char *key, const char *title)
{
    const otr_json *list = otr_json_get(root, key);
    size_t n = list != NULL ? otr_json_size(list) : 0;
    (void)printf("%s (%zu)\n", title, n);
    for (size_t i = 0; i < n; i++) {
        const otr_json *item = otr_json_at(list, i);
        const char *plain = otr_json_str(item, NULL);
        const char *module = text_of(item, "module");
        (void)printf("  %s%s%s  %s\n", module, module[0] != '\0' ? "." : "",
                     plain != NULL ? plain : text_of(item, "name"),
                     plain != NULL ? "" : text_of(item, "type"));
    }
}

static void print_modules(const otr_json *root)
{
    const otr_json *list = otr_json_get(root, "modules");
    for (size_t i = 0; list != NULL && i < otr_json_size(list); i++) {
        const otr_json *item = otr_json_at(list, i);
        (void)printf("module %s\n", text_of(item, "name"));
        print_list(item, "exports", " exports");
        print_list(item, "imports", " imports");
    }
}

static int print_inspection(const session *s, const options *o, otr_err *err)
{
    if (o->json) {
        (void)printf("%s\n", otr_buf_text(&s->out));
        return 0;
    }
    OTR_CLEANUP(otr_json_freep) otr_json *root = NULL;
    if (otr_json_parse(otr_buf_bytes(&s->out), &root, err) != OTR_OK) {
        return complain(o->file, err->msg);
    }
    (void)printf("file     %s\nabi      %s\nengine   %s\nsize     %zu bytes\nsha256   %s\n",
                 o->file, text_of(root, "abi"), text_of(root, "engine"), s->wasm.n,
                 text_of(root, "sha256"));
    print_list(root, "exports", "exports");
    print_list(root, "imports", "imports");
    print_modules(root);
    print_list(root, "missing", "missing");
    return 0;
}

static int inspect(int argc, char **argv)
{
    options o = { .engine = "wasmtime", .rewrite = true };
    int bad = read_options(&o, argc, argv, (const char **[2]){ &o.file, NULL });
    if (bad != 0) {
        return bad;
    }
    session s = { 0 };
    otr_err err = { 0 };
    otr_code rc = open_session(&s, &o, &err);
    s.out.max_bytes = REPORT_BYTES;
    if (rc == OTR_OK) {
        otr_load_spec spec = load_spec(&s, &o);
        const otr_extism_source source = source_of(&s, &o);
        rc = otr_guest_inspect_file(s.engine, &spec, &source, &s.out, &err);
    }
    int exit_code = rc == OTR_OK ? print_inspection(&s, &o, &err) : complain(o.file, err.msg);
    close_session(&s);
    return exit_code;
}

/* Those that compile or run a guest, which may recurse as deep as its stack allows. */
static int with_guest(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } all[] = { { "inspect", inspect },
                { "call", call },
                { "bench", otr_cli_plugin_bench },
                { "compile", otr_cli_plugin_compile } };
    for (size_t i = 0; i < OTR_COUNT(all); i++) {
        if (strcmp(argv[0], all[i].name) == 0) {
            int rc = otr_thread_with_stack(all[i].run, argc, argv);
            return rc >= 0 ? rc : complain("there is no memory for a thread", NULL);
        }
    }
    return otr_cli_is_plugin_view(argv[0]) ? otr_cli_plugin_view(argc, argv)
                                           : usage(stderr, EXIT_HOST);
}

int otr_cli_plugin(int argc, char **argv)
{
    otr_log_set_level(OTR_LOG_WARN);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return usage(stdout, 0);
        }
    }
    return argc >= 2 ? with_guest(argc - 1, argv + 1) : usage(stderr, EXIT_HOST);
}
