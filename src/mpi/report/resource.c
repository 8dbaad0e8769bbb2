#include "mpi/report/resource.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mpi/wire/wire.h"

/* Everything is built in one arena; what fails for lack of memory shows once, at the end. */
typedef struct maker {
    otr_arena *arena;
    bool failed;
} maker;

static void *make(maker *m, const ProtobufCMessageDescriptor *of)
{
    void *made = otr_mpi_new(of, m->arena);
    m->failed |= made == NULL;
    return made;
}

static char *text(maker *m, const char *from)
{
    char *made = otr_mpi_text(m->arena, from);
    m->failed |= made == NULL;
    return made;
}

static void *list(maker *m, size_t n)
{
    void *made = otr_arena_alloc(m->arena, n > 0 ? n : 1, sizeof(void *));
    m->failed |= made == NULL;
    return made;
}

/* ---- the agent ---- */

static Google__Protobuf__Struct *label_of(maker *m, const otr_resource_label *from)
{
    Google__Protobuf__Struct *made = make(m, &google__protobuf__struct__descriptor);
    Google__Protobuf__Struct__FieldsEntry *entry =
        make(m, &google__protobuf__struct__fields_entry__descriptor);
    Google__Protobuf__Value *value = make(m, &google__protobuf__value__descriptor);
    Google__Protobuf__Struct__FieldsEntry **entries = list(m, 1);
    char *key = text(m, from->key);
    if (m->failed) {
        return NULL;
    }
    switch (from->kind) {
    case OTR_LABEL_IS_NUMBER:
        value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
        value->number_value = strtod(from->text, NULL);
        break;
    case OTR_LABEL_IS_BOOL:
        value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE;
        value->bool_value = strchr("tT1", from->text[0]) != NULL;
        break;
    case OTR_LABEL_IS_NULL:
        value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE;
        break;
    case OTR_LABEL_IS_TEXT:
    default:
        value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
        value->string_value = text(m, from->text);
        break;
    }
    entry->key = key;
    entry->value = value;
    entries[0] = entry;
    made->fields = entries;
    made->n_fields = 1;
    return made;
}

static Mpi__V1__CommandServer *command_of(maker *m, const otr_resource_server *from)
{
    Mpi__V1__CommandServer *made = make(m, &mpi__v1__command_server__descriptor);
    Mpi__V1__ServerSettings *server = make(m, &mpi__v1__server_settings__descriptor);
    Mpi__V1__AuthSettings *auth = make(m, &mpi__v1__auth_settings__descriptor);
    Mpi__V1__TLSSettings *tls = make(m, &mpi__v1__tlssettings__descriptor);
    if (m->failed) {
        return NULL;
    }
    server->host = text(m, from->host);
    server->port = from->port;
    server->type = MPI__V1__SERVER_SETTINGS__SERVER_TYPE__SERVER_SETTINGS_TYPE_GRPC;
    tls->cert = text(m, from->cert);
    tls->key = text(m, from->key);
    tls->ca = text(m, from->ca);
    tls->server_name = text(m, from->server_name);
    tls->skip_verify = from->skip_verify;
    made->server = server;
    made->auth = from->token ? auth : NULL;
    made->tls = from->tls ? tls : NULL;
    return made;
}

static Mpi__V1__Log *log_of(maker *m, const otr_resource_agent *agent)
{
    static const struct {
        const char *name;
        Mpi__V1__Log__LogLevel level;
    } levels[] = { { "error", MPI__V1__LOG__LOG_LEVEL__LOG_LEVEL_ERROR },
                   { "warn", MPI__V1__LOG__LOG_LEVEL__LOG_LEVEL_WARN },
                   { "debug", MPI__V1__LOG__LOG_LEVEL__LOG_LEVEL_DEBUG } };
    Mpi__V1__Log *made = make(m, &mpi__v1__log__descriptor);
    char *path = text(m, agent->log_path);
    for (size_t i = 0; !m->failed && i < OTR_COUNT(levels); i++) {
        if (strcasecmp(agent->log_level, levels[i].name) == 0) {
            made->log_level = levels[i].level;
        }
    }
    if (!m->failed) {
        made->log_path = path;
    }
    return made;
}

static char **texts(maker *m, const char *const *from, size_t n)
{
    char **made = list(m, n);
    for (size_t i = 0; !m->failed && i < n; i++) {
        made[i] = text(m, from[i]);
    }
    return made;
}

static Mpi__V1__AgentConfig *config_of(maker *m, const otr_resource_agent *agent)
{
    Mpi__V1__AgentConfig *made = make(m, &mpi__v1__agent_config__descriptor);
    Google__Protobuf__Struct **labels = list(m, agent->n_labels);
    if (m->failed) {
        return NULL;
    }
    while (agent->features[made->n_features] != NULL) {
        made->n_features++;
    }
    made->features = texts(m, agent->features, made->n_features);
    made->command = command_of(m, &agent->command);
    made->metrics = make(m, &mpi__v1__metrics_server__descriptor);
    made->file = make(m, &mpi__v1__file_server__descriptor);
    made->log = log_of(m, agent);
    for (size_t i = 0; !m->failed && i < agent->n_labels; i++) {
        labels[i] = label_of(m, &agent->labels[i]);
    }
    made->labels = labels;
    made->n_labels = agent->n_labels;
    return made;
}

static Mpi__V1__Instance *instance_new(maker *m, const char *id, const char *version,
                                       Mpi__V1__InstanceMeta__InstanceType type)
{
    Mpi__V1__Instance *made = make(m, &mpi__v1__instance__descriptor);
    Mpi__V1__InstanceMeta *meta = make(m, &mpi__v1__instance_meta__descriptor);
    Mpi__V1__InstanceRuntime *runtime = make(m, &mpi__v1__instance_runtime__descriptor);
    if (m->failed) {
        return NULL;
    }
    meta->instance_id = text(m, id);
    meta->instance_type = type;
    meta->version = text(m, version);
    made->instance_meta = meta;
    made->instance_runtime = runtime;
    return made;
}

static Mpi__V1__Instance *agent_of(maker *m, const otr_resource_agent *agent)
{
    Mpi__V1__Instance *made = instance_new(
        m, agent->id, agent->version, MPI__V1__INSTANCE_META__INSTANCE_TYPE__INSTANCE_TYPE_AGENT);
    Mpi__V1__InstanceConfig *config = make(m, &mpi__v1__instance_config__descriptor);
    if (m->failed) {
        return NULL;
    }
    config->agent_config = config_of(m, agent);
    config->config_case = MPI__V1__INSTANCE_CONFIG__CONFIG_AGENT_CONFIG;
    made->instance_config = config;
    made->instance_runtime->process_id = agent->pid;
    made->instance_runtime->binary_path = text(m, agent->binary);
    made->instance_runtime->config_path = text(m, agent->config);
    return made;
}

/* ---- NGINX ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Flags "--with-…module" of the configure arguments, also "=dynamic" ones, without "--with-",
 * sorted. */
static char **modules_of(maker *m, const char *configure, size_t *ret_n)
{
    static const char lead[] = "--with-";
    size_t n = 0;
    for (const char *at = configure; (at = strstr(at, lead)) != NULL; at++) {
        n++;
    }
    char **made = list(m, n);
    n = 0;
    for (const char *at = configure; !m->failed && (at = strstr(at, lead)) != NULL;) {
        at += sizeof(lead) - 1;
        size_t len = strcspn(at, " =");
        if (len > 6 && memcmp(at + len - 6, "module", 6) == 0) {
            made[n] = otr_arena_strndup(m->arena, at, len);
            m->failed |= made[n++] == NULL;
        }
    }
    if (!m->failed && n > 0) {
        qsort(made, n, sizeof(*made), by_text);
    }
    *ret_n = n;
    return made;
}

/* "http://127.0.0.1:8080/status", "unix:/run/x.sock:/status", with a fragment that is ours. */
static Mpi__V1__APIDetails *status_of(maker *m, const char *url)
{
    Mpi__V1__APIDetails *made = make(m, &mpi__v1__apidetails__descriptor);
    if (m->failed || url[0] == '\0') {
        return made;
    }
    bool local = strncmp(url, "unix:", 5) == 0;
    const char *host = strstr(url, "://");
    host = local || host == NULL ? url : host + 3;
    const char *path = local ? strstr(host + 5, ":/") : strchr(host, '/');
    path = path != NULL ? path : host + strlen(host);
    const char *location = path + (local && *path != '\0' ? 1 : 0);
    size_t len = strcspn(location, "#");
    char *listen = otr_arena_strndup(m->arena, host, (size_t)(path - host));
    char *where = otr_arena_strndup(m->arena, location, len);
    m->failed |= listen == NULL || where == NULL;
    if (!m->failed) {
        made->listen = text(m, listen);
        made->location = text(m, where);
    }
    return made;
}

typedef struct runtime { /* what both kinds of NGINX tell */
    Mpi__V1__APIDetails *status;
    char **access, **error, **dynamic;
    size_t n_access, n_error, n_dynamic;
} runtime;

static runtime runtime_of(maker *m, const otr_nginx_instance *i)
{
    runtime made = { .status = status_of(m, i->stub_status) };
    made.access = list(m, i->n_access_logs);
    for (size_t k = 0; !m->failed && k < i->n_access_logs; k++) {
        made.access[made.n_access++] = text(m, i->access_logs[k].path);
    }
    made.error = list(m, 1);
    if (!m->failed && i->error_log[0] == '/') {
        made.error[made.n_error++] = text(m, i->error_log);
    }
    made.dynamic = modules_of(m, i->configure, &made.n_dynamic);
    return made;
}

static void take_plain(maker *m, Mpi__V1__InstanceRuntime *to, const runtime *from)
{
    Mpi__V1__NGINXRuntimeInfo *info = make(m, &mpi__v1__nginxruntime_info__descriptor);
    if (m->failed) {
        return;
    }
    info->stub_status = from->status;
    info->access_logs = from->access;
    info->n_access_logs = from->n_access;
    info->error_logs = from->error;
    info->n_error_logs = from->n_error;
    info->dynamic_modules = from->dynamic;
    info->n_dynamic_modules = from->n_dynamic;
    to->nginx_runtime_info = info;
    to->details_case = MPI__V1__INSTANCE_RUNTIME__DETAILS_NGINX_RUNTIME_INFO;
}

static void take_plus(maker *m, Mpi__V1__InstanceRuntime *to, const runtime *from)
{
    Mpi__V1__NGINXPlusRuntimeInfo *info = make(m, &mpi__v1__nginxplus_runtime_info__descriptor);
    if (m->failed) {
        return;
    }
    info->stub_status = from->status;
    info->access_logs = from->access;
    info->n_access_logs = from->n_access;
    info->error_logs = from->error;
    info->n_error_logs = from->n_error;
    info->dynamic_modules = from->dynamic;
    info->n_dynamic_modules = from->n_dynamic;
    to->nginx_plus_runtime_info = info;
    to->details_case = MPI__V1__INSTANCE_RUNTIME__DETAILS_NGINX_PLUS_RUNTIME_INFO;
}

static Mpi__V1__Instance *nginx_of(maker *m, const otr_nginx_instance *i)
{
    Mpi__V1__Instance *made =
        instance_new(m, i->id, i->version,
                     i->plus ? MPI__V1__INSTANCE_META__INSTANCE_TYPE__INSTANCE_TYPE_NGINX_PLUS
                             : MPI__V1__INSTANCE_META__INSTANCE_TYPE__INSTANCE_TYPE_NGINX);
    runtime info = runtime_of(m, i);
    Mpi__V1__InstanceChild **children = list(m, i->n_workers);
    if (m->failed) {
        return NULL;
    }
    Mpi__V1__InstanceRuntime *to = made->instance_runtime;
    to->process_id = i->pid;
    to->binary_path = text(m, i->binary);
    to->config_path = text(m, i->config);
    for (size_t k = 0; !m->failed && k < i->n_workers; k++) {
        children[k] = make(m, &mpi__v1__instance_child__descriptor);
        if (children[k] != NULL) {
            children[k]->process_id = i->workers[k];
        }
    }
    to->instance_children = children;
    to->n_instance_children = i->n_workers;
    (i->plus ? take_plus : take_plain)(m, to, &info);
    return made;
}

/* ---- all of it ---- */

static void release_of(maker *m, const otr_identity *from, Mpi__V1__Resource *to)
{
    Mpi__V1__ReleaseInfo *release = make(m, &mpi__v1__release_info__descriptor);
    Mpi__V1__HostInfo *host = make(m, &mpi__v1__host_info__descriptor);
    Mpi__V1__ContainerInfo *container = make(m, &mpi__v1__container_info__descriptor);
    if (m->failed) {
        return;
    }
    release->codename = text(m, from->codename);
    release->id = text(m, from->release_id);
    release->name = text(m, from->name);
    release->version_id = text(m, from->version_id);
    release->version = text(m, from->version);
    to->resource_id = text(m, from->id);
    if (from->container) {
        container->container_id = to->resource_id;
        container->hostname = text(m, from->hostname);
        container->release_info = release;
        to->container_info = container;
        to->info_case = MPI__V1__RESOURCE__INFO_CONTAINER_INFO;
    } else {
        host->host_id = to->resource_id;
        host->hostname = text(m, from->hostname);
        host->release_info = release;
        to->host_info = host;
        to->info_case = MPI__V1__RESOURCE__INFO_HOST_INFO;
    }
}

otr_code otr_resource_make(const otr_resource_agent *agent,
                           const otr_nginx_instance *const *instances, size_t n, otr_arena *arena,
                           Mpi__V1__Resource **ret, otr_err *err)
{
    maker m = { .arena = arena };
    Mpi__V1__Resource *made = make(&m, &mpi__v1__resource__descriptor);
    Mpi__V1__Instance **all = list(&m, n + 1);
    if (m.failed) {
        return otr_fail_nomem(err);
    }
    release_of(&m, agent->identity, made);
    all[0] = agent_of(&m, agent);
    for (size_t i = 0; !m.failed && i < n; i++) {
        all[i + 1] = nginx_of(&m, instances[i]);
    }
    if (m.failed) {
        return otr_fail_nomem(err);
    }
    made->instances = all;
    made->n_instances = n + 1;
    *ret = made;
    return OTR_OK;
}
