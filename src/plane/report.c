#include "plane/report.h"

#include <mpi/v1/command.pb-c.h>
#include <mpi/v1/files.pb-c.h>
#include <sodium.h>
#include <string.h>

#include "base/arena.h"
#include "base/limits.h"
#include "mpi/wire/wire.h"

enum { DIGEST_BYTES = 32, MODE_DIGITS = 4 };

/* ---- who it is ---- */

/* The labels of its agent instance: one Struct each, of which the texts count. */
typedef struct labels {
    otr_plane_label items[OTR_LIMIT_PLANE_LABELS];
    size_t n;
} labels;

static otr_code add_labels(labels *to, const Mpi__V1__AgentConfig *config, otr_err *err)
{
    for (size_t i = 0; config != NULL && i < config->n_labels; i++) {
        const Google__Protobuf__Struct *one = config->labels[i];
        for (size_t k = 0; k < one->n_fields; k++) {
            const Google__Protobuf__Value *value = one->fields[k]->value;
            if (value == NULL || value->kind_case != GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE) {
                continue;
            }
            if (to->n == OTR_COUNT(to->items)) {
                return otr_fail(err, OTR_EQUOTA, "the agent has more than %d labels",
                                OTR_LIMIT_PLANE_LABELS);
            }
            to->items[to->n++] = (otr_plane_label){ one->fields[k]->key, value->string_value };
        }
    }
    return OTR_OK;
}

/* Instances that are no agent; what the agent says of itself goes to `a` and `its`. */
static otr_code add_instances(const Mpi__V1__Resource *r, otr_plane_agent *a,
                              otr_plane_instance *list, labels *its, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < r->n_instances; i++) {
        const Mpi__V1__InstanceMeta *meta = r->instances[i]->instance_meta;
        const Mpi__V1__InstanceRuntime *runtime = r->instances[i]->instance_runtime;
        const Mpi__V1__InstanceConfig *config = r->instances[i]->instance_config;
        if (meta == NULL) {
            return otr_fail(err, OTR_EINVAL, "instance %zu has no id", i + 1);
        }
        if (meta->instance_type == MPI__V1__INSTANCE_META__INSTANCE_TYPE__INSTANCE_TYPE_AGENT) {
            a->version = meta->version;
            if (config != NULL &&
                config->config_case == MPI__V1__INSTANCE_CONFIG__CONFIG_AGENT_CONFIG) {
                rc = add_labels(its, config->agent_config, err);
            }
            continue;
        }
        list[a->n_instances++] =
            (otr_plane_instance){ .id = meta->instance_id,
                                  .type = (int)meta->instance_type,
                                  .version = meta->version,
                                  .config_path = runtime != NULL ? runtime->config_path : "" };
    }
    return rc;
}

static void add_host(const Mpi__V1__Resource *r, otr_plane_agent *a)
{
    const Mpi__V1__ReleaseInfo *release = NULL;
    if (r->info_case == MPI__V1__RESOURCE__INFO_HOST_INFO && r->host_info != NULL) {
        a->hostname = r->host_info->hostname;
        release = r->host_info->release_info;
    } else if (r->info_case == MPI__V1__RESOURCE__INFO_CONTAINER_INFO &&
               r->container_info != NULL) {
        a->hostname = r->container_info->hostname;
        release = r->container_info->release_info;
    }
    a->os = release != NULL ? release->name : "";
}

/* `id`: who it has to be; "": anybody. */
static otr_code check_who(const otr_plane_from *from, const char *id, const char *told,
                          char ret[OTR_PLANE_ID_BYTES], otr_err *err)
{
    char uuid[OTR_PLANE_ID_BYTES];
    if (!otr_plane_id(told, ret)) {
        return otr_fail(err, OTR_EINVAL, "resource_id is no UUID");
    }
    if (id[0] != '\0' && strcmp(id, ret) != 0) {
        return otr_fail(err, OTR_EDENIED, "agent %s speaks for agent %s", id, ret);
    }
    if (from->uuid[0] != '\0' && (!otr_plane_id(from->uuid, uuid) || strcmp(uuid, ret) != 0)) {
        return otr_fail(err, OTR_EDENIED, "the uuid of the call is not the resource's id, %s", ret);
    }
    return OTR_OK;
}

static otr_code take_resource(otr_plane_store *store, const otr_plane_from *from,
                              const Mpi__V1__Resource *r, char id[OTR_PLANE_ID_BYTES], otr_err *err)
{
    char told[OTR_PLANE_ID_BYTES] = "";
    labels its = { .n = 0 };
    otr_arena arena = { 0 };
    if (r == NULL) {
        return otr_fail(err, OTR_EINVAL, "there is no resource");
    }
    if (r->n_instances > OTR_LIMIT_PLANE_INSTANCES) {
        return otr_fail(err, OTR_EQUOTA, "the agent has %zu instances: at most %d", r->n_instances,
                        OTR_LIMIT_PLANE_INSTANCES);
    }
    otr_code rc = check_who(from, id, r->resource_id, told, err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_plane_instance *list = otr_arena_alloc(&arena, r->n_instances + 1, sizeof(*list));
    otr_plane_agent a = { .id = told,
                          .peer = from->peer,
                          .subject = from->subject,
                          .last_ms = from->now_ms,
                          .instances = list,
                          .labels = its.items };
    add_host(r, &a);
    rc = list != NULL ? add_instances(r, &a, list, &its, err) : otr_fail_nomem(err);
    a.n_labels = its.n;
    rc = rc == OTR_OK ? otr_plane_store_put(store, &a, err) : rc;
    if (rc == OTR_OK) {
        memcpy(id, told, sizeof(told));
    }
    otr_arena_deinit(&arena);
    return rc;
}

otr_code otr_plane_take_connection(otr_plane_store *store, const otr_plane_from *from,
                                   otr_bytes message, char ret_id[OTR_PLANE_ID_BYTES], otr_err *err)
{
    otr_mpi_message got;
    char id[OTR_PLANE_ID_BYTES] = "";
    otr_code rc =
        otr_mpi_unpack(&mpi__v1__create_connection_request__descriptor, message, &got, err);
    if (rc != OTR_OK) {
        return rc;
    }
    const Mpi__V1__CreateConnectionRequest *request =
        (const Mpi__V1__CreateConnectionRequest *)got.root;
    rc = take_resource(store, from, request->resource, id, err);
    if (rc == OTR_OK) {
        memcpy(ret_id, id, sizeof(id));
    }
    otr_mpi_message_deinit(&got);
    return rc;
}

otr_code otr_plane_take_status(otr_plane_store *store, const otr_plane_from *from, const char *id,
                               otr_bytes message, otr_err *err)
{
    otr_mpi_message got;
    char own[OTR_PLANE_ID_BYTES];
    if (!otr_plane_id(id, own)) {
        return otr_fail(err, OTR_ESTATE, "the agent has not connected");
    }
    otr_code rc =
        otr_mpi_unpack(&mpi__v1__update_data_plane_status_request__descriptor, message, &got, err);
    if (rc != OTR_OK) {
        return rc;
    }
    const Mpi__V1__UpdateDataPlaneStatusRequest *request =
        (const Mpi__V1__UpdateDataPlaneStatusRequest *)got.root;
    rc = take_resource(store, from, request->resource, own, err);
    otr_mpi_message_deinit(&got);
    return rc;
}

/* ---- health ---- */

static otr_plane_health health_of(int number)
{
    return number >= OTR_PLANE_HEALTHY && number <= OTR_PLANE_DEGRADED ? (otr_plane_health)number
                                                                       : OTR_PLANE_HEALTH_UNKNOWN;
}

otr_code otr_plane_take_health(otr_plane_store *store, const otr_plane_from *from, const char *id,
                               otr_bytes message, otr_err *err)
{
    otr_mpi_message got;
    otr_code rc =
        otr_mpi_unpack(&mpi__v1__update_data_plane_health_request__descriptor, message, &got, err);
    if (rc != OTR_OK) {
        return rc;
    }
    const Mpi__V1__UpdateDataPlaneHealthRequest *request =
        (const Mpi__V1__UpdateDataPlaneHealthRequest *)got.root;
    if (request->n_instance_healths > OTR_LIMIT_PLANE_INSTANCES) {
        rc = otr_fail(err, OTR_EQUOTA, "%zu healths at once: at most %d",
                      request->n_instance_healths, OTR_LIMIT_PLANE_INSTANCES);
    }
    for (size_t i = 0; rc == OTR_OK && i < request->n_instance_healths; i++) {
        const Mpi__V1__InstanceHealth *one = request->instance_healths[i];
        rc = otr_plane_store_health(store, id, one->instance_id,
                                    health_of((int)one->instance_health_status), one->description,
                                    from->now_ms, err);
        rc = rc == OTR_ENOTFOUND ? OTR_OK : rc;
    }
    otr_mpi_message_deinit(&got);
    return rc;
}

/* ---- files ---- */

/* Hex of the base64 of 32 bytes; else "". */
static void digest_of(const char *hash, char ret[OTR_HISTORY_ID_BYTES])
{
    unsigned char bytes[DIGEST_BYTES];
    size_t n = 0;
    ret[0] = '\0';
    if (sodium_base642bin(bytes, sizeof(bytes), hash, strlen(hash), NULL, &n, NULL,
                          sodium_base64_VARIANT_ORIGINAL) == 0 &&
        n == sizeof(bytes)) {
        (void)sodium_bin2hex(ret, OTR_HISTORY_ID_BYTES, bytes, sizeof(bytes));
    }
}

/* The last digits of an octal number; 0: it is none. */
static mode_t mode_of(const char *text)
{
    size_t n = strlen(text);
    mode_t mode = 0;
    if (n < MODE_DIGITS || strspn(text, "01234567") != n) {
        return 0;
    }
    for (const char *c = text + n - MODE_DIGITS; *c != '\0'; c++) {
        mode = mode * 8 + (mode_t)(*c - '0');
    }
    return mode;
}

static otr_code read_files(const Mpi__V1__FileOverview *overview, otr_plane_file *to, otr_err *err)
{
    for (size_t i = 0; i < overview->n_files; i++) {
        const Mpi__V1__FileMeta *meta = overview->files[i]->file_meta;
        if (meta == NULL) {
            return otr_fail(err, OTR_EINVAL, "file %zu of the overview has no name", i + 1);
        }
        to[i].path = meta->name;
        to[i].mode = mode_of(meta->permissions);
        to[i].bytes = meta->size > 0 ? (uint64_t)meta->size : 0;
        to[i].unmanaged = overview->files[i]->unmanaged;
        to[i].certificate = meta->file_type_case == MPI__V1__FILE_META__FILE_TYPE_CERTIFICATE_META;
        digest_of(meta->hash, to[i].digest);
    }
    return OTR_OK;
}

static otr_code take_files(otr_plane_store *store, const otr_plane_from *from, const char *id,
                           const Mpi__V1__FileOverview *overview, otr_err *err)
{
    otr_arena arena = { 0 };
    if (overview == NULL || overview->config_version == NULL) {
        return otr_fail(err, OTR_EINVAL, "the overview names no instance");
    }
    if (overview->n_files > OTR_LIMIT_PLANE_FILES) {
        return otr_fail(err, OTR_EQUOTA, "the overview has %zu files: at most %d",
                        overview->n_files, OTR_LIMIT_PLANE_FILES);
    }
    otr_plane_file *files = otr_arena_alloc(&arena, overview->n_files + 1, sizeof(*files));
    otr_code rc = files != NULL ? read_files(overview, files, err) : otr_fail_nomem(err);
    if (rc == OTR_OK) {
        const otr_plane_overview o = { .agent = id,
                                       .instance = overview->config_version->instance_id,
                                       .version = overview->config_version->version,
                                       .config_path = overview->config_path,
                                       .files = files,
                                       .n_files = overview->n_files,
                                       .now_ms = from->now_ms };
        rc = otr_plane_store_overview(store, &o, err);
    }
    otr_arena_deinit(&arena);
    return rc;
}

otr_code otr_plane_take_overview(otr_plane_store *store, const otr_plane_from *from, const char *id,
                                 otr_bytes message, otr_err *err)
{
    otr_mpi_message got;
    otr_code rc = otr_mpi_unpack(&mpi__v1__update_overview_request__descriptor, message, &got, err);
    if (rc != OTR_OK) {
        return rc;
    }
    const Mpi__V1__UpdateOverviewRequest *request =
        (const Mpi__V1__UpdateOverviewRequest *)got.root;
    rc = take_files(store, from, id, request->overview, err);
    otr_mpi_message_deinit(&got);
    return rc;
}
