/*
 * A guest file with every grant there is, on the real host calls: a kv store, a secret, a folder, a
 * variable, topics and an HTTP server on loopback, all in a temporary folder.
 *
 * Thread: one.
 */
#ifndef OTR_TESTS_UNIT_PLUGIN_SERVICES_GRANTED_H
#define OTR_TESTS_UNIT_PLUGIN_SERVICES_GRANTED_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "plugin/services/hostcalls.h"
#include "unit/plugin/services/loopback_http.h"
#include "unit/wasm/guest_files.h"

typedef struct granted {
    char folder[32], store[64], secret[64], in[64], url[64];
    char *secrets[3], *pairs[5];
    loopback_http server;
    otr_http_grant grant;
    struct otr_wasi_dir dir;
    otr_wasi wasi;
    otr_manifest manifest;
    otr_hostcalls hc;
    otr_engine *engine;
    guest_file guest;
    otr_err err;
} granted;

static char granted_topic[] = "test.*", granted_k[] = "k", granted_v[] = "v", granted_url[] = "url";
static char granted_host[] = "127.0.0.1", granted_token[] = "token";
static char granted_colour[] = "COLOUR", granted_set[] = "COLOUR=bl\xC3\xA5";
static char *granted_topics[] = { granted_topic, NULL };
static char *granted_hosts[] = { granted_host, NULL };
static char *granted_names[] = { granted_colour, NULL };
static char *granted_env[] = { granted_set, NULL };

static inline void granted_deinit(granted *f)
{
    static const char *const files[] = { "kv", "kv-wal", "kv-shm", "token", "in/note", "outside" };
    char path[128];
    guest_file_deinit(&f->guest);
    close_engine(&f->engine);
    loopback_stop(&f->server);
    otr_hostcalls_deinit(&f->hc);
    for (size_t i = 0; i < OTR_COUNT(files); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", f->folder, files[i]);
        (void)unlink(path);
    }
    (void)rmdir(f->in);
    (void)rmdir(f->folder);
}

static inline bool granted_write(const granted *f, const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", f->folder, name);
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        return false;
    }
    (void)fputs(text, file);
    return fclose(file) == 0 && chmod(path, 0600) == 0;
}

static inline void granted_manifest(granted *f, uint64_t call_ns)
{
    f->grant = (otr_http_grant){
        .hosts = granted_hosts, .ports = { f->server.port }, .n_ports = 1, .http = true
    };
    f->secrets[0] = granted_token;
    f->secrets[1] = f->secret;
    f->pairs[0] = granted_k;
    f->pairs[1] = granted_v;
    f->pairs[2] = granted_url;
    f->pairs[3] = f->url;
    f->dir = (struct otr_wasi_dir){ .host = f->in, .guest = "/in", .writable = true };
    f->wasi = (otr_wasi){ .dirs = &f->dir, .n_dirs = 1 };
    f->manifest = (otr_manifest){ .where = "x.yaml:1:1",
                                  .publish = granted_topics,
                                  .config_pairs = f->pairs,
                                  .http = { &f->grant, 1 },
                                  .metrics = 10,
                                  .env_names = granted_names,
                                  .env = granted_env,
                                  .secrets = f->secrets,
                                  .store = f->store,
                                  .kv_bytes = 65536,
                                  .call_ns = call_ns };
}

/* The engine is opened and the guest loaded by the caller. */
static inline otr_code granted_init(granted *f, uint64_t call_ns, otr_err *err)
{
    otr_log_set_level(OTR_LOG_ERROR);
    (void)snprintf(f->folder, sizeof f->folder, "/tmp/otr-kits-XXXXXX");
    if (mkdtemp(f->folder) == NULL || !loopback_start(&f->server)) {
        return otr_fail(err, OTR_EIO, "no folder or no server");
    }
    (void)snprintf(f->store, sizeof f->store, "%s/kv", f->folder);
    (void)snprintf(f->secret, sizeof f->secret, "%s/token", f->folder);
    (void)snprintf(f->in, sizeof f->in, "%s/in", f->folder);
    (void)snprintf(f->url, sizeof f->url, "http://127.0.0.1:%u/drip", (unsigned)f->server.port);
    granted_manifest(f, call_ns);
    if (mkdir(f->in, 0700) != 0 || !granted_write(f, "token", "hush\n") ||
        !granted_write(f, "outside", "x")) {
        return otr_fail(err, OTR_EIO, "no files");
    }
    otr_hostcalls_init(&f->hc, "kit", &f->manifest);
    otr_hostcalls_begin(&f->hc, NULL);
    f->guest.ops = &otr_hostcalls_ops;
    f->guest.host = &f->hc;
    f->guest.wasi = &f->wasi;
    f->guest.memory_bytes = 512ULL * OTR_MIB;
    return otr_hostcalls_load(&f->hc, err);
}

#endif
