#include <ctype.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "modules/command.h"
#include "net/rpc/target.h"

enum { KEY_BYTES = 64, MOST_LABELS = 256 };

static bool given(const otr_config *cfg, const char *prefix)
{
    static const char *const names[] = { "ca", "cert", "key", "server_name", "skip_verify" };
    char key[KEY_BYTES];
    for (size_t i = 0; i < OTR_COUNT(names); i++) {
        (void)snprintf(key, sizeof(key), "%s.%s", prefix, names[i]);
        if (otr_config_origin(cfg, key) != OTR_FROM_DEFAULT) {
            return true;
        }
    }
    return false;
}

static otr_code open_tls(const otr_config *cfg, const char *prefix, otr_tls_alpn alpn,
                         otr_tls **ret, otr_err *err)
{
    char keys[5][KEY_BYTES];
    static const char *const names[] = { "ca", "cert", "key", "server_name", "skip_verify" };
    for (size_t i = 0; i < OTR_COUNT(names); i++) {
        (void)snprintf(keys[i], sizeof(keys[i]), "%s.%s", prefix, names[i]);
    }
    otr_tls_spec spec = { .role = OTR_TLS_CLIENT,
                          .check =
                              otr_config_bool(cfg, keys[4]) ? OTR_TLS_CHECK_NONE : OTR_TLS_CHECK,
                          .alpn = alpn,
                          .ca = otr_config_str(cfg, keys[0]),
                          .cert = otr_config_str(cfg, keys[1]),
                          .key = otr_config_str(cfg, keys[2]),
                          .server_name = otr_config_str(cfg, keys[3]) };
    otr_code rc = otr_tls_new(&spec, ret, err);
    return rc == OTR_OK ? rc : otr_wrap(err, rc, "%s", prefix);
}

static otr_code open_token(otr_command *c, const otr_config *cfg, otr_err *err)
{
    otr_rpc_token_spec spec = { .path = otr_config_str(cfg, "command.auth.tokenpath"),
                                .value = otr_config_str(cfg, "command.auth.token") };
    otr_rpc_target target;
    if (spec.path[0] == '\0' && spec.value[0] == '\0') {
        return OTR_OK;
    }
    otr_code rc = otr_rpc_target_parse(c->target, 0, &target, err);
    if (rc == OTR_OK && c->tls == NULL && !otr_rpc_target_is_loopback(&target)) {
        return otr_fail(err, OTR_EINVAL,
                        "command.auth needs TLS: a token is not sent in plain text to %s; set "
                        "command.tls (its ca, or skip_verify: false for the system's roots)",
                        c->target);
    }
    return rc == OTR_OK ? otr_rpc_token_new(&spec, &c->token, err) : rc;
}

static otr_code proxy_of(otr_command *c, const otr_config *cfg, otr_rpc_proxy_spec *ret,
                         otr_err *err)
{
    const char *method = otr_config_str(cfg, "command.server.proxy.auth_method");
    *ret = (otr_rpc_proxy_spec){
        .url = otr_config_str(cfg, "command.server.proxy.url"),
        .auth = strcmp(method, "basic") == 0    ? OTR_RPC_PROXY_BASIC
                : strcmp(method, "bearer") == 0 ? OTR_RPC_PROXY_BEARER
                                                : OTR_RPC_PROXY_NONE,
        .user = otr_config_str(cfg, "command.server.proxy.username"),
        .password = otr_config_str(cfg, "command.server.proxy.password"),
        .token = otr_config_str(cfg, "command.server.proxy.token"),
        .no_proxy = otr_config_str(cfg, "command.server.proxy.no_proxy"),
        .timeout_ms = otr_config_duration_ns(cfg, "command.server.proxy.timeout") / OTR_NS_PER_MS
    };
    if (strncmp(ret->url, "https:", 6) != 0) {
        return OTR_OK;
    }
    otr_code rc = open_tls(cfg, "command.server.proxy.tls", OTR_TLS_ALPN_NONE, &c->proxy_tls, err);
    ret->tls = c->proxy_tls;
    return rc;
}

static otr_rpc_backoff backoff_of(const otr_config *cfg)
{
    return (otr_rpc_backoff){
        .initial_ms =
            otr_config_duration_ns(cfg, "client.backoff.initial_interval") / OTR_NS_PER_MS,
        .max_ms = otr_config_duration_ns(cfg, "client.backoff.max_interval") / OTR_NS_PER_MS,
        .multiplier = otr_config_float(cfg, "client.backoff.multiplier"),
        .randomization = otr_config_float(cfg, "client.backoff.randomization_factor")
    };
}

static otr_code who_we_are(otr_command *c, const otr_config *cfg, otr_err *err)
{
    ssize_t n = readlink("/proc/self/exe", c->binary, sizeof(c->binary) - 1);
    c->binary[n > 0 ? n : 0] = '\0';
    otr_code rc = otr_identity_read("", &c->identity, err);
    return rc == OTR_OK ? otr_identity_agent(c->binary, otr_config_file(cfg), c->agent_id, err)
                        : rc;
}

static otr_rpc_limits limits_of(const otr_config *cfg)
{
    int64_t both = otr_config_int(cfg, "client.grpc.max_message_size");
    int64_t in = otr_config_int(cfg, "client.grpc.max_message_receive_size");
    int64_t out = otr_config_int(cfg, "client.grpc.max_message_send_size");
    return (otr_rpc_limits){
        .max_recv_bytes = (size_t)(both > 0 ? both : in),
        .max_send_bytes = (size_t)(both > 0 ? both : out),
        .keepalive_ms = otr_config_duration_ns(cfg, "client.grpc.keepalive.time") / OTR_NS_PER_MS,
        .keepalive_timeout_ms =
            otr_config_duration_ns(cfg, "client.grpc.keepalive.timeout") / OTR_NS_PER_MS,
        .keepalive_idle = otr_config_bool(cfg, "client.grpc.keepalive.permit_without_stream")
    };
}

otr_code otr_command_connect(otr_command *c, const otr_config *cfg, const otr_mpi_link_ops *ops,
                             otr_err *err)
{
    const char *host = otr_config_str(cfg, "command.server.host");
    otr_rpc_proxy_spec proxy;
    (void)snprintf(c->target, sizeof(c->target),
                   strchr(host, ':') != NULL && host[0] != '[' ? "[%s]:%d" : "%s:%d", host,
                   (int)otr_config_int(cfg, "command.server.port"));
    otr_rpc_channel_spec channel = { .target = c->target,
                                     .user_agent = "nginx-agent/3.11.3 outrider/" OTR_VERSION,
                                     .proxy = &proxy,
                                     .backoff = backoff_of(cfg),
                                     .limits = limits_of(cfg) };
    otr_mpi_link_spec spec = {
        .channel = &channel,
        .backoff = channel.backoff,
        .response_ms = otr_config_duration_ns(cfg, "client.grpc.response_timeout") / OTR_NS_PER_MS,
        .ops = ops,
        .arg = c
    };
    otr_code rc = who_we_are(c, cfg, err);
    if (rc == OTR_OK && given(cfg, "command.tls")) {
        rc = open_tls(cfg, "command.tls", OTR_TLS_ALPN_H2, &c->tls, err);
    }
    rc = rc == OTR_OK ? open_token(c, cfg, err) : rc;
    rc = rc == OTR_OK ? proxy_of(c, cfg, &proxy, err) : rc;
    channel.tls = c->tls;
    channel.token = c->token;
    channel.proxy = rc == OTR_OK && proxy.url[0] != '\0' ? &proxy : NULL;
    return rc == OTR_OK ? otr_mpi_link_new(otr_plugin_loop(c->plugin), &spec, &c->link, err) : rc;
}

otr_code otr_command_metadata(const otr_command *c, otr_rpc_metadata *to, otr_err *err)
{
    const char *const *label = otr_config_labels(c->services->config, "labels");
    otr_code rc = OTR_OK;
    for (; rc == OTR_OK && label[0] != NULL; label += 2) {
        if (otr_label_type_of(label[1]) != OTR_LABEL_TEXT) {
            continue;
        }
        char key[KEY_BYTES];
        size_t n = 0;
        for (; n + 1 < sizeof(key) && label[0][n] != '\0'; n++) {
            key[n] = (char)tolower((unsigned char)label[0][n]);
        }
        key[n] = '\0';
        rc = otr_rpc_metadata_adds(to, key, label[1], err);
        rc = rc == OTR_EINVAL ? OTR_OK : rc; /* no name for metadata: it stands in the resource */
    }
    return rc == OTR_OK && c->token != NULL ? otr_rpc_metadata_adds(to, "uuid", c->identity.id, err)
                                            : rc;
}

static otr_label_kind kind_of(const char *text)
{
    switch (otr_label_type_of(text)) {
    case OTR_LABEL_INT:
    case OTR_LABEL_FLOAT:
        return OTR_LABEL_IS_NUMBER;
    case OTR_LABEL_BOOL:
        return OTR_LABEL_IS_BOOL;
    case OTR_LABEL_NULL:
        return OTR_LABEL_IS_NULL;
    default:
        return OTR_LABEL_IS_TEXT;
    }
}

otr_code otr_command_resource(const otr_command *c, otr_arena *arena, Mpi__V1__Resource **ret,
                              otr_err *err)
{
    const otr_config *cfg = c->services->config;
    otr_resource_label labels[MOST_LABELS];
    size_t n = 0;
    /* NGINX Agent reads all keys of its file in lower case, and planes look for them so. */
    bool lower = otr_config_origin(cfg, "labels") == OTR_FROM_FILE;
    for (const char *const *l = otr_config_labels(cfg, "labels"); l[0] != NULL && n < MOST_LABELS;
         l += 2) {
        char *key = otr_arena_strdup(arena, l[0]);
        if (key == NULL) {
            return otr_fail_nomem(err);
        }
        for (char *k = key; *k != '\0' && lower; k++) {
            *k = (char)tolower((unsigned char)*k);
        }
        labels[n++] = (otr_resource_label){ key, l[1], kind_of(l[1]) };
    }
    otr_resource_agent agent = {
        .identity = &c->identity,
        .id = c->agent_id,
        .version = "v" OTR_VERSION,
        .binary = c->binary,
        .config = otr_config_file(cfg),
        .pid = (int)getpid(),
        .command = { .host = otr_config_str(cfg, "command.server.host"),
                     .port = (int)otr_config_int(cfg, "command.server.port"),
                     .token = c->token != NULL,
                     .tls = c->tls != NULL,
                     .cert = otr_config_str(cfg, "command.tls.cert"),
                     .key = otr_config_str(cfg, "command.tls.key"),
                     .ca = otr_config_str(cfg, "command.tls.ca"),
                     .server_name = otr_config_str(cfg, "command.tls.server_name"),
                     .skip_verify = otr_config_bool(cfg, "command.tls.skip_verify") },
        .features = otr_config_strings(cfg, "features"),
        .labels = labels,
        .n_labels = n,
        .log_level = otr_config_str(cfg, "log.level"),
        .log_path = otr_config_str(cfg, "log.path")
    };
    const otr_nginx_instance **all =
        otr_arena_alloc(arena, c->instances.n + 1, sizeof(const otr_nginx_instance *));
    if (all == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; i < c->instances.n; i++) {
        all[i] = otr_config_instance_of(c->instances.items[i]);
    }
    return otr_resource_make(&agent, all, c->instances.n, arena, ret, err);
}
