/*
 * Our side of the differential suite: one process that loads guests and calls them, as many as it
 * is told to.
 *
 *     differential_driver ENGINE        commands on standard input, a line each, answered by a line
 * each
 *
 *     load PATH [abi=A] [pages=N] [timeout=MS] [config=KEYHEX:VALUEHEX] [module=NAME:PATH]
 *     fresh                             a new sandbox of what is loaded; a dead one is replaced by
 * itself, as the agent does call OPERATION-HEX INPUT-HEX      both may be "-": no bytes
 *
 * An answer is "ok HEX LOGS" or "fail CLASS HEX LOGS", HEX being the output or the error's text,
 * LOGS what the guest logged as LEVEL:HEX,… The classes: load, missing, guest (it said no), trap,
 * timeout, memory, host.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "wasm/abi/user.h"
#include "wasm/guest_file.h"

enum { MAX_FILE = 64 << 20, MAX_CONFIG = 16, MAX_MODULES = 4, PAGE = 65536 };

typedef struct pair {
    char *key;
    otr_buf value;
} pair;

typedef struct driver {
    otr_engine *engine;
    otr_guest_code *code;
    otr_guest *guest;
    uint64_t pages, timeout_ms;
    const char *abi;
    pair config[MAX_CONFIG];
    size_t n_config;
    otr_load_module modules[MAX_MODULES];
    otr_buf module_files[MAX_MODULES];
    size_t n_modules;
    otr_buf op, in, out, logs;
} driver;

/* ---- bytes as text ---- */

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c - 'a' + 10;
}

static void read_hex(otr_buf *out, const char *hex, size_t n)
{
    otr_buf_clear(out);
    for (size_t i = 0; i + 1 < n; i += 2) {
        uint8_t byte = (uint8_t)(digit(hex[i]) * 16 + digit(hex[i + 1]));
        if (otr_buf_add(out, (otr_bytes){ &byte, 1 }, NULL) != OTR_OK) {
            exit(3);
        }
    }
}

static void put_hex(otr_bytes bytes)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.n; i++) {
        (void)putchar(digits[bytes.p[i] >> 4]);
        (void)putchar(digits[bytes.p[i] & 15]);
    }
    if (bytes.n == 0) {
        (void)putchar('-');
    }
}

/* ---- what the guest may ask: the peers give the same answers ---- */

static otr_code add_hex(otr_buf *out, otr_bytes bytes)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < bytes.n; i++) {
        rc = otr_buf_addf(out, NULL, "%02x", bytes.p[i]);
    }
    return rc;
}

static otr_code publish(void *host, const char *topic, otr_bytes payload, otr_err *err)
{
    driver *d = host;
    (void)err;
    otr_code rc = otr_buf_adds(&d->logs, d->logs.n > 0 ? ",publish:" : "publish:", NULL);
    rc =
        rc == OTR_OK ? add_hex(&d->logs, (otr_bytes){ (const uint8_t *)topic, strlen(topic) }) : rc;
    rc = rc == OTR_OK ? otr_buf_adds(&d->logs, ":", NULL) : rc;
    return rc == OTR_OK ? add_hex(&d->logs, payload) : rc;
}

static otr_code config(void *host, const char *key, otr_buf *out, otr_err *err)
{
    driver *d = host;
    for (size_t i = 0; i < d->n_config; i++) {
        if (strcmp(d->config[i].key, key) == 0) {
            return otr_buf_add(out, otr_buf_bytes(&d->config[i].value), err);
        }
    }
    return otr_fail(err, OTR_ENOTFOUND, "no key %s", key);
}

/* One place may be asked by HTTP, as grants would have it. */
static otr_code call(void *host, const char *op, otr_bytes in, otr_buf *out, otr_err *err)
{
    static const char answer[] = "\x1b\0\0\0{\"status\":200,\"headers\":{}}hi";
    static const char granted[] = "http://granted.test/";
    (void)host;
    if (strcmp(op, "http.request") == 0 && memmem(in.p, in.n, granted, strlen(granted)) != NULL) {
        return otr_buf_add(out, (otr_bytes){ (const uint8_t *)answer, sizeof(answer) - 1 }, err);
    }
    return otr_fail(err, OTR_EDENIED, "no grant for %s", op);
}

static void log_line(void *host, int level, otr_bytes text)
{
    static const char *const names[] = { "trace", "debug", "info", "warn", "error" };
    driver *d = host;
    otr_code rc = otr_buf_addf(&d->logs, NULL, "%s%s:", d->logs.n > 0 ? "," : "", names[level + 1]);
    if (rc == OTR_OK) {
        rc = add_hex(&d->logs, text);
    }
}

/* waPC: what wapc_peer answers, too. */
static otr_code operation(const otr_user_call *c, otr_bytes in, otr_buf *out, otr_err *err)
{
    if (strcmp(c->name, "echo") == 0) {
        return otr_buf_add(out, in, err);
    }
    if (strcmp(c->name, "names") == 0) {
        return otr_buf_addf(out, err, "%s/%s/%s", c->binding, c->space, c->name);
    }
    if (strcmp(c->name, "empty") == 0) {
        return OTR_OK;
    }
    if (strcmp(c->name, "fail") == 0) {
        return otr_fail(err, OTR_EINVAL, "%.*s", (int)in.n, in.n > 0 ? (const char *)in.p : "");
    }
    return otr_fail(err, OTR_ENOTFOUND, "no operation %s", c->name);
}

static const otr_host_ops host_ops = {
    .publish = publish, .config = config, .call = call, .log = log_line
};
static const otr_user_operation operations[] = { { .fn = operation } };

/* ---- answers ---- */

static const char *class_of(otr_code code)
{
    switch (code) {
    case OTR_EINVAL:
        return "guest";
    case OTR_EGUEST:
        return "trap";
    case OTR_ETIMEOUT:
        return "timeout";
    case OTR_EQUOTA:
    case OTR_ENOMEM:
        return "memory";
    case OTR_ENOTFOUND:
        return "missing";
    default:
        return "host";
    }
}

static void finish_answer(driver *d)
{
    (void)printf(" %s\n", d->logs.n > 0 ? otr_buf_text(&d->logs) : "-");
    (void)fflush(stdout);
    otr_buf_clear(&d->logs);
}

static void put_failure(driver *d, const char *class, const otr_err *err)
{
    (void)printf("fail %s ", class);
    put_hex((otr_bytes){ (const uint8_t *)err->msg, strlen(err->msg) });
    finish_answer(d);
}

static void put_success(driver *d, otr_bytes bytes)
{
    (void)printf("ok ");
    put_hex(bytes);
    finish_answer(d);
}

/* ---- commands ---- */

static void unload(driver *d)
{
    otr_guest_free(d->guest);
    otr_guest_code_free(d->code);
    d->guest = NULL;
    d->code = NULL;
    for (size_t i = 0; i < d->n_config; i++) {
        free(d->config[i].key);
        otr_buf_deinit(&d->config[i].value);
    }
    for (size_t i = 0; i < d->n_modules; i++) {
        otr_buf_deinit(&d->module_files[i]);
    }
    d->n_config = 0;
    d->n_modules = 0;
    d->pages = 1024;
    d->timeout_ms = 20000;
    d->abi = NULL;
}

static void add_config(driver *d, char *text)
{
    char *colon = strchr(text, ':');
    if (colon == NULL || d->n_config == MAX_CONFIG) {
        exit(3);
    }
    pair *p = &d->config[d->n_config++];
    otr_buf key;
    otr_buf_init(&key, 4096);
    read_hex(&key, text, (size_t)(colon - text));
    p->key = strdup(otr_buf_text(&key));
    otr_buf_deinit(&key);
    otr_buf_init(&p->value, MAX_FILE);
    read_hex(&p->value, colon + 1, strlen(colon + 1));
}

static otr_code add_module(driver *d, char *text, otr_err *err)
{
    char *colon = strchr(text, ':');
    if (colon == NULL || d->n_modules == MAX_MODULES) {
        exit(3);
    }
    *colon = '\0';
    otr_buf *file = &d->module_files[d->n_modules];
    otr_buf_init(file, MAX_FILE);
    otr_code rc = otr_buf_read_file(file, colon + 1, err);
    d->modules[d->n_modules++] = (otr_load_module){ text, otr_buf_bytes(file) };
    return rc;
}

static otr_code take_option(driver *d, char *word, otr_err *err)
{
    if (strncmp(word, "pages=", 6) == 0) {
        d->pages = strtoull(word + 6, NULL, 10);
    } else if (strncmp(word, "timeout=", 8) == 0) {
        d->timeout_ms = strtoull(word + 8, NULL, 10);
    } else if (strncmp(word, "abi=", 4) == 0) {
        d->abi = word + 4;
    } else if (strncmp(word, "config=", 7) == 0) {
        add_config(d, word + 7);
    } else if (strncmp(word, "module=", 7) == 0) {
        return add_module(d, word + 7, err);
    }
    return OTR_OK;
}

static otr_code start(driver *d, otr_err *err)
{
    otr_guest_free(d->guest);
    d->guest = NULL;
    const otr_guest_spec spec = { .name = "guest",
                                  .ops = &host_ops,
                                  .host = d,
                                  .operations = operations,
                                  .n_operations = OTR_COUNT(operations),
                                  .max_memory_bytes = d->pages * PAGE,
                                  .init_ms = d->timeout_ms };
    return otr_guest_new(d->code, &spec, &d->guest, err);
}

static void load(driver *d, char *words)
{
    otr_err err = { 0 };
    otr_code rc = OTR_OK;
    char *rest = NULL, *path = strtok_r(words, " ", &rest);
    unload(d);
    for (char *word = strtok_r(NULL, " ", &rest); rc == OTR_OK && word != NULL;
         word = strtok_r(NULL, " ", &rest)) {
        rc = take_option(d, word, &err);
    }
    otr_buf wasm;
    otr_buf_init(&wasm, MAX_FILE);
    rc = rc == OTR_OK ? otr_buf_read_file(&wasm, path, &err) : rc;
    const otr_load_spec spec = { .name = "guest",
                                 .wasm = otr_buf_bytes(&wasm),
                                 .abi = d->abi,
                                 .rewrite = true,
                                 .modules = d->modules,
                                 .n_modules = d->n_modules };
    const char *slash = strrchr(path, '/');
    otr_buf folder; /* where the paths of a manifest begin */
    otr_buf_init(&folder, 4096);
    if (rc == OTR_OK && slash != NULL) {
        rc = otr_buf_add(&folder, (otr_bytes){ (const uint8_t *)path, (size_t)(slash - path) },
                         &err);
    }
    const otr_extism_source source = { .folder = slash != NULL ? otr_buf_text(&folder) : "." };
    rc = rc == OTR_OK ? otr_guest_load_file(d->engine, &spec, &source, &d->code, &err) : rc;
    otr_buf_deinit(&folder);
    rc = rc == OTR_OK ? start(d, &err) : rc;
    otr_buf_deinit(&wasm);
    if (rc == OTR_OK) {
        put_success(d, (otr_bytes){ 0 });
    } else {
        put_failure(d, "load", &err);
    }
}

static void fresh(driver *d)
{
    otr_err err = { 0 };
    if (d->code == NULL || start(d, &err) != OTR_OK) {
        put_failure(d, "load", &err);
    } else {
        put_success(d, (otr_bytes){ 0 });
    }
}

static void ask(driver *d, char *words)
{
    otr_err err = { 0 };
    char *space = strchr(words, ' ');
    if (space == NULL || d->guest == NULL) {
        put_failure(d, "host", &err);
        return;
    }
    read_hex(&d->op, words, (size_t)(space - words));
    read_hex(&d->in, space + 1, strlen(space + 1));
    otr_buf_clear(&d->out);
    if (!otr_guest_code_has(d->code, otr_buf_text(&d->op))) {
        put_failure(d, "missing", &err);
        return;
    }
    uint64_t deadline = otr_now_ns() + d->timeout_ms * OTR_NS_PER_MS;
    otr_code rc = otr_guest_call(d->guest, otr_buf_text(&d->op), otr_buf_bytes(&d->in), deadline,
                                 &d->out, &err);
    if (rc == OTR_OK) {
        put_success(d, otr_buf_bytes(&d->out));
    } else {
        put_failure(d, class_of(rc), &err);
    }
    if (otr_guest_dead(d->guest) && start(d, &err) != OTR_OK) {
        otr_guest_free(d->guest);
        d->guest = NULL;
    }
}

static void obey(driver *d, char *line)
{
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "load ", 5) == 0) {
        load(d, line + 5);
    } else if (strcmp(line, "fresh") == 0) {
        fresh(d);
    } else if (strncmp(line, "call ", 5) == 0) {
        ask(d, line + 5);
    } else {
        exit(3);
    }
}

int main(int argc, char **argv)
{
    driver d = { 0 };
    otr_err err = { 0 };
    const otr_engine_ops *ops = otr_engine_find(argc == 2 ? argv[1] : "wasmtime");
    otr_log_set_level(OTR_LOG_DEBUG);
    if (ops == NULL || ops->open(NULL, &d.engine, &err) != OTR_OK) {
        (void)fprintf(stderr, "differential_driver: %s\n", err.msg);
        return 2;
    }
    otr_buf_init(&d.op, 4096);
    otr_buf_init(&d.in, MAX_FILE);
    otr_buf_init(&d.out, MAX_FILE);
    otr_buf_init(&d.logs, MAX_FILE);
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, stdin) > 0) {
        obey(&d, line);
    }
    unload(&d);
    free(line);
    otr_buf_deinit(&d.op);
    otr_buf_deinit(&d.in);
    otr_buf_deinit(&d.out);
    otr_buf_deinit(&d.logs);
    ops->close(d.engine);
    return 0;
}
