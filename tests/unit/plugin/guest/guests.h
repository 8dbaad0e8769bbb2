/* A host with real guests, written as Wasm text: what tests of the life of guests need. */
#ifndef OTR_TESTS_UNIT_PLUGIN_GUEST_GUESTS_H
#define OTR_TESTS_UNIT_PLUGIN_GUEST_GUESTS_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/agent_keys.h"
#include "loop/worker.h"
#include "plugin/guest/guests.h"
#include "plugin/host.h"
#include "support/test.h"
#include "unit/plugin/asked.h"

enum { GUEST_FILES = 3, SEEN_PLUGINS = 4 };

typedef struct seen { /* a plugin's view, with texts of its own */
    otr_plugin_view view;
    char name[64], state[16], reason[512];
} seen;

typedef struct fixture {
    char folder[32];
    otr_loop *loop;
    otr_bus *bus;
    otr_pool *pool;
    otr_config *cfg;
    otr_plugin_host *host;
    otr_sub *sub;
    seen seen[SEEN_PLUGINS];
    size_t n_seen;
    unsigned heard;  /* messages under test.* from guests */
    char trace[512]; /* their topics */
    bool ready, stopped;
} fixture;

typedef struct guest_spec {
    const char *subscriptions; /* JSON; NULL: ["in.*"] */
    const char *answer;        /* what $reply answers; JSON */
    const char *topic;         /* what $say publishes under; NULL: test.out */
    const char *process;       /* a Wasm expression that leaves an i32 */
    const char *more;          /* more of the module */
} guest_spec;

#define LONG  "(i64.gt_u (call $input_length) (i64.const 400))"
#define REPLY "(call $reply)"
#define SAY   "(call $say) (i32.const 0)"

static inline void add_escaped(char *to, size_t cap, const char *text)
{
    size_t n = strlen(to);
    for (; *text != '\0' && n + 4 < cap; text++) {
        if (*text == '"') {
            (void)snprintf(to + n, cap - n, "\\22");
            n += 3;
        } else {
            to[n++] = *text;
            to[n] = '\0';
        }
    }
}

static inline otr_code write_file(const fixture *f, const char *name, const char *text,
                                  otr_err *err)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "%s/%s", f->folder, name);
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        return otr_fail(err, OTR_EIO, "no file");
    }
    (void)fputs(text, file);
    (void)fclose(file);
    return OTR_OK;
}

/* Writes g0.wat, g1.wat or g2.wat. */
static inline otr_code write_guest(const fixture *f, int number, const guest_spec *g, otr_err *err)
{
    static const char info[] = "{\"name\":\"g\",\"version\":\"1.0\",\"api\":\"1\"}";
    const char *subs = g->subscriptions != NULL ? g->subscriptions : "[\"in.*\"]";
    const char *answer = g->answer != NULL ? g->answer : "";
    const char *topic = g->topic != NULL ? g->topic : "test.out";
    char text[8192], name[16], data[3][1024] = { "", "", "" };
    add_escaped(data[0], sizeof(data[0]), info);
    add_escaped(data[1], sizeof(data[1]), subs);
    add_escaped(data[2], sizeof(data[2]), answer);
    (void)snprintf(
        text, sizeof(text),
        "(module (import \"extism:host/env\" \"alloc\" (func $alloc (param i64) (result i64)))"
        "(import \"extism:host/env\" \"store_u8\" (func $store_u8 (param i64 i32)))"
        "(import \"extism:host/env\" \"output_set\" (func $output_set (param i64 i64)))"
        "(import \"extism:host/env\" \"input_length\" (func $input_length (result i64)))"
        "(import \"extism:host/user\" \"outrider_publish\" (func $publish (param i64 i64) "
        "(result i64)))"
        "(memory (export \"memory\") 1) (global $n (mut i32) (i32.const 0))"
        "(data (i32.const 0) \"%s\")(data (i32.const 256) \"%s\")(data (i32.const 1024) \"%s\")"
        "(data (i32.const 2048) \"%s\")(data (i32.const 2304) \"[1,2]\")"
        "(func $copy (param $at i32) (param $n i32) (result i64) (local $i i32) (local $to i64)"
        "(local.set $to (call $alloc (i64.extend_i32_u (local.get $n))))"
        "(block $done (loop $next (br_if $done (i32.ge_u (local.get $i) (local.get $n)))"
        "(call $store_u8 (i64.add (local.get $to) (i64.extend_i32_u (local.get $i)))"
        "(i32.load8_u (i32.add (local.get $at) (local.get $i))))"
        "(local.set $i (i32.add (local.get $i) (i32.const 1))) (br $next))) (local.get $to))"
        "(func $answer (param $at i32) (param $n i32) (result i32)"
        "(call $output_set (call $copy (local.get $at) (local.get $n)) "
        "(i64.extend_i32_u (local.get $n))) (i32.const 0))"
        "(func $reply (result i32) (call $answer (i32.const 1024) (i32.const %zu)))"
        "(func $say (drop (call $publish (call $copy (i32.const 2048) (i32.const %zu))"
        "(call $copy (i32.const 2304) (i32.const 5)))))"
        "(func (export \"info\") (result i32) (call $answer (i32.const 0) (i32.const %zu)))"
        "(func (export \"subscriptions\") (result i32) (call $answer (i32.const 256) "
        "(i32.const %zu)))"
        "(func (export \"process\") (result i32) %s) %s)",
        data[0], data[1], data[2], topic, strlen(answer), strlen(topic), strlen(info), strlen(subs),
        g->process, g->more != NULL ? g->more : "");
    (void)snprintf(name, sizeof(name), "g%d.wat", number);
    return write_file(f, name, text, err);
}

static inline void hear(void *arg, otr_sub *sub)
{
    fixture *f = arg;
    for (otr_msg *msg; (msg = otr_sub_take(sub)) != NULL; otr_msg_unref(msg)) {
        f->heard++;
        size_t n = strlen(f->trace);
        (void)snprintf(f->trace + n, sizeof(f->trace) - n, "%s%s", n > 0 ? " " : "",
                       msg->topic->name);
    }
}

static inline bool look(void *arg, const otr_plugin_view *view)
{
    fixture *f = arg;
    if (f->n_seen == SEEN_PLUGINS) {
        return false;
    }
    seen *s = &f->seen[f->n_seen++];
    s->view = *view;
    (void)snprintf(s->name, sizeof(s->name), "%s", view->name);
    (void)snprintf(s->reason, sizeof(s->reason), "%s", view->reason);
    (void)snprintf(s->state, sizeof(s->state), "%s", otr_plugin_state_name(view->state));
    return true;
}

/* What there is of the plugin now; a static empty one when there is none. */
static inline const seen *plugin(fixture *f, const char *name)
{
    static const seen none;
    f->n_seen = 0;
    otr_plugin_host_each(f->host, look, f);
    for (size_t i = 0; i < f->n_seen; i++) {
        if (strcmp(f->seen[i].name, name) == 0) {
            return &f->seen[i];
        }
    }
    return &none;
}

static inline void on_ready(void *arg)
{
    fixture *f = arg;
    f->ready = true;
}

static inline void on_stopped(void *arg)
{
    fixture *f = arg;
    f->stopped = true;
}

/* `entries`: the lines of `load:`, indented by four. */
static inline otr_code load_config(fixture *f, const char *entries, otr_config **ret, otr_err *err)
{
    static const otr_key *const tables[] = { otr_agent_keys, NULL };
    char yaml[2048], path[64];
    (void)snprintf(yaml, sizeof(yaml), "plugins:\n  cache: off\n  directory: %s\n  load:%s\n%s\n",
                   f->folder, entries[0] != '\0' ? "" : " []", entries);
    (void)snprintf(path, sizeof(path), "%s/c.yaml", f->folder);
    otr_code rc = write_file(f, "c.yaml", yaml, err);
    otr_config_source source = { .tables = tables, .file = path };
    return rc == OTR_OK ? otr_config_load(&source, ret, err) : rc;
}

static inline otr_code begin(fixture *f, unsigned workers, otr_err *err)
{
    static const char *const patterns[] = { "test.*", NULL };
    otr_log_set_level(OTR_LOG_ERROR + 1);
    (void)snprintf(f->folder, sizeof(f->folder), "/tmp/otr-guests-XXXXXX");
    if (mkdtemp(f->folder) == NULL) {
        return otr_fail(err, OTR_EIO, "no folder");
    }
    otr_code rc = otr_loop_new(&f->loop, err);
    rc = rc == OTR_OK ? otr_bus_new(f->loop, &f->bus, err) : rc;
    rc = rc == OTR_OK ? otr_pool_new(f->loop, workers, &f->pool, err) : rc;
    otr_plugin_host_spec spec = { .loop = f->loop,
                                  .bus = f->bus,
                                  .pool = f->pool,
                                  .guests = &otr_guests_of_wasm,
                                  .services = f,
                                  .ready = on_ready,
                                  .arg = f };
    rc = rc == OTR_OK ? otr_plugin_host_new(&spec, &f->host, err) : rc;
    otr_sub_spec sub = {
        .name = "test", .patterns = patterns, .capacity = 10000, .ready = hear, .arg = f
    };
    return rc == OTR_OK ? otr_bus_subscribe(f->bus, &sub, &f->sub, err) : rc;
}

static inline otr_code start(fixture *f, const char *entries, otr_err *err)
{
    otr_code rc = load_config(f, entries, &f->cfg, err);
    return rc == OTR_OK ? otr_plugin_host_start(f->host, f->cfg, err) : rc;
}

#define WAIT_STATE(name, wanted) WAIT(strcmp(plugin(&f, name)->state, wanted) == 0)

static inline bool stop(fixture *f)
{
    otr_plugin_host_stop(f->host, otr_now_ns() + 5 * OTR_NS_PER_S, on_stopped, f);
    for (int i = 0; i < 2000 && !f->stopped; i++) {
        otr_loop_step(f->loop, ROUND_MS);
    }
    return f->stopped && !otr_plugin_host_stuck(f->host);
}

static inline void teardown(fixture *f)
{
    if (f->host != NULL && !f->stopped) {
        (void)stop(f);
    }
    otr_sub_free(f->sub);
    otr_plugin_host_free(f->host);
    otr_pool_free(f->pool);
    otr_bus_free(f->bus);
    otr_loop_free(f->loop);
    otr_config_unref(f->cfg);
    for (int i = -1; i < GUEST_FILES && f->folder[0] != '\0'; i++) {
        char path[64];
        if (i < 0) {
            (void)snprintf(path, sizeof(path), "%s/c.yaml", f->folder);
        } else {
            (void)snprintf(path, sizeof(path), "%s/g%d.wat", f->folder, i);
        }
        unlink(path);
    }
    rmdir(f->folder);
}

#define BEGIN(workers)                       \
    OTR_CLEANUP(teardown) fixture f = { 0 }; \
    otr_err err = { 0 };                     \
    REQUIRE_OK(begin(&f, workers, &err), err)
#define GUEST(number, ...) \
    REQUIRE_OK(write_guest(&f, number, &(guest_spec){ __VA_ARGS__ }, &err), err)
#define START(entries) REQUIRE_OK(start(&f, entries, &err), err)

static inline otr_code publish(fixture *f, unsigned n, const char *json, otr_err *err)
{
    const otr_topic *topic;
    otr_code rc = otr_bus_topic(f->bus, "in.x", &topic, err);
    for (unsigned i = 0; rc == OTR_OK && i < n; i++) {
        OTR_CLEANUP(otr_msg_unrefp) otr_msg *msg = NULL;
        otr_bus_json *payload = otr_bus_json_new(otr_bytes_of(json));
        rc = otr_msg_new(topic, payload, "t", NULL, &msg, err);
        rc = rc == OTR_OK ? otr_bus_publish(f->bus, msg, err) : rc;
    }
    return rc;
}

#define PUBLISH(n)     REQUIRE_OK(publish(&f, n, "1", &err), err)
#define PUBLISH_LONG() REQUIRE_OK(publish(&f, 1, LONG_JSON, &err), err)

#endif
