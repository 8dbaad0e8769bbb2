/* What an agent reports, as NGINX Agent v3 words it, and what a hostile one may try. */
#include <dirent.h>
#include <mpi/v1/command.pb-c.h>
#include <mpi/v1/files.pb-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "mpi/wire/wire.h"
#include "plane/report.h"
#include "support/test.h"

#define A "3b0ceaf6-ca84-34be-80bb-502333546f3d"
#define B "3b0ceaf6-ca84-34be-80bb-502333546f3e"
#define I "cd2d5dc0-c528-3f37-b83c-727fd4010777"

typedef struct shop {
    char folder[40];
    otr_plane_store *s;
    otr_buf wire;
} shop;

static otr_code shop_open(shop *p, otr_err *err)
{
    otr_buf_init(&p->wire, 8 << 20);
    (void)snprintf(p->folder, sizeof(p->folder), "%s/otr-report-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    return mkdtemp(p->folder) != NULL ? otr_plane_store_open(p->folder, &p->s, err)
                                      : otr_fail(err, OTR_EIO, "no folder");
}

static void shop_close(shop *p)
{
    otr_plane_store_close(p->s);
    otr_buf_deinit(&p->wire);
    DIR *dir = opendir(p->folder);
    const struct dirent *e;
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        char path[400];
        (void)snprintf(path, sizeof(path), "%s/%s", p->folder, e->d_name);
        (void)unlink(path);
    }
    if (dir != NULL) {
        closedir(dir);
    }
    (void)rmdir(p->folder);
}

#define SHOP                                        \
    OTR_CLEANUP(shop_close) shop p = { .s = NULL }; \
    otr_err err = { 0 };                            \
    char id[OTR_PLANE_ID_BYTES] = "";               \
    REQUIRE_OK(shop_open(&p, &err), err)

static const otr_plane_from from = { .uuid = A, .peer = "192.0.2.1:5", .subject = "", .now_ms = 7 };

/* The recorded agent's message: its own instance first, then one NGINX, `n` times. */
static otr_code connect_as(shop *p, const otr_plane_from *who, const char *agent, size_t n,
                           char ret[OTR_PLANE_ID_BYTES], otr_err *err)
{
    Mpi__V1__CreateConnectionRequest request = MPI__V1__CREATE_CONNECTION_REQUEST__INIT;
    Mpi__V1__Resource resource = MPI__V1__RESOURCE__INIT;
    Mpi__V1__HostInfo host = MPI__V1__HOST_INFO__INIT;
    Mpi__V1__ReleaseInfo release = MPI__V1__RELEASE_INFO__INIT;
    Mpi__V1__InstanceMeta own = MPI__V1__INSTANCE_META__INIT, nginx = MPI__V1__INSTANCE_META__INIT;
    Mpi__V1__InstanceConfig config = MPI__V1__INSTANCE_CONFIG__INIT;
    Mpi__V1__AgentConfig agent_config = MPI__V1__AGENT_CONFIG__INIT;
    Mpi__V1__InstanceRuntime runtime = MPI__V1__INSTANCE_RUNTIME__INIT;
    Mpi__V1__Instance first = MPI__V1__INSTANCE__INIT, other = MPI__V1__INSTANCE__INIT;
    Google__Protobuf__Struct text = GOOGLE__PROTOBUF__STRUCT__INIT,
                             number = GOOGLE__PROTOBUF__STRUCT__INIT;
    Google__Protobuf__Struct__FieldsEntry text_entry = GOOGLE__PROTOBUF__STRUCT__FIELDS_ENTRY__INIT,
                                          number_entry = text_entry;
    Google__Protobuf__Value text_value = GOOGLE__PROTOBUF__VALUE__INIT, number_value = text_value;
    Google__Protobuf__Struct__FieldsEntry *texts[] = { &text_entry },
                                          *numbers[] = { &number_entry };
    Google__Protobuf__Struct *labels[] = { &number, &text };
    text_value.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
    text_value.string_value = (char *)"ns_dep";
    number_value.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
    number_value.number_value = 7;
    text_entry.key = (char *)"owner-name";
    text_entry.value = &text_value;
    number_entry.key = (char *)"num";
    number_entry.value = &number_value;
    text.n_fields = number.n_fields = 1;
    text.fields = texts;
    number.fields = numbers;
    agent_config.n_labels = 2;
    agent_config.labels = labels;
    config.config_case = MPI__V1__INSTANCE_CONFIG__CONFIG_AGENT_CONFIG;
    config.agent_config = &agent_config;
    own.instance_id = (char *)"7a2dd20e-07e2-339f-a6c6-5d968f19705a";
    own.instance_type = MPI__V1__INSTANCE_META__INSTANCE_TYPE__INSTANCE_TYPE_AGENT;
    own.version = (char *)"v3.11.3";
    nginx.instance_id = (char *)I;
    nginx.instance_type = MPI__V1__INSTANCE_META__INSTANCE_TYPE__INSTANCE_TYPE_NGINX;
    runtime.config_path = (char *)"/etc/nginx/nginx.conf";
    first.instance_meta = &own;
    first.instance_config = &config;
    other.instance_meta = &nginx;
    other.instance_runtime = &runtime;
    release.name = (char *)"Debian GNU/Linux";
    host.hostname = (char *)"vm";
    host.release_info = &release;
    resource.resource_id = (char *)(uintptr_t)agent;
    resource.info_case = MPI__V1__RESOURCE__INFO_HOST_INFO;
    resource.host_info = &host;
    Mpi__V1__Instance **list = otr_calloc(n + 1, sizeof(Mpi__V1__Instance *));
    if (list == NULL) {
        return otr_fail_nomem(err);
    }
    list[0] = &first;
    for (size_t i = 1; i <= n; i++) {
        list[i] = &other;
    }
    resource.n_instances = n + 1;
    resource.instances = list;
    request.resource = &resource;
    otr_buf_clear(&p->wire);
    otr_code rc = otr_mpi_pack(&request.base, &p->wire, err);
    otr_free(list);
    return rc == OTR_OK ? otr_plane_take_connection(p->s, who, otr_buf_bytes(&p->wire), ret, err)
                        : rc;
}

static otr_code tell_file(shop *p, const char *instance, const char *path, const char *hash,
                          otr_err *err)
{
    Mpi__V1__UpdateOverviewRequest request = MPI__V1__UPDATE_OVERVIEW_REQUEST__INIT;
    Mpi__V1__FileOverview overview = MPI__V1__FILE_OVERVIEW__INIT;
    Mpi__V1__ConfigVersion version = MPI__V1__CONFIG_VERSION__INIT;
    Mpi__V1__File file = MPI__V1__FILE__INIT;
    Mpi__V1__FileMeta meta = MPI__V1__FILE_META__INIT;
    Mpi__V1__File *files[] = { &file };
    meta.name = (char *)(uintptr_t)path;
    meta.hash = (char *)(uintptr_t)hash;
    meta.permissions = (char *)"0644";
    meta.size = 438;
    file.file_meta = &meta;
    version.instance_id = (char *)(uintptr_t)instance;
    overview.config_version = &version;
    overview.n_files = 1;
    overview.files = files;
    request.overview = &overview;
    otr_buf_clear(&p->wire);
    otr_code rc = otr_mpi_pack(&request.base, &p->wire, err);
    return rc == OTR_OK ? otr_plane_take_overview(p->s, &from, A, otr_buf_bytes(&p->wire), err)
                        : rc;
}

static bool keep_file(void *arg, const otr_plane_file *f)
{
    CHECK_STR(f->path, "/etc/nginx/nginx.conf");
    CHECK_INT(f->mode, 0644);
    memcpy(arg, f->digest, sizeof(f->digest));
    return true;
}

static bool look_at_agent(void *arg, const otr_plane_agent *a)
{
    CHECK_STR(a->id, A);
    CHECK_STR(a->hostname, "vm");
    CHECK_STR(a->os, "Debian GNU/Linux");
    CHECK_STR(a->version, "v3.11.3");
    CHECK_STR(a->peer, "192.0.2.1:5");
    (*(int *)arg)++;
    return true;
}

static bool look_at_label(void *arg, const otr_plane_label *l)
{
    CHECK_STR(l->name, "owner-name");
    CHECK_STR(l->value, "ns_dep");
    (*(int *)arg)++;
    return true;
}

static bool look_at_instance(void *arg, const otr_plane_instance *i)
{
    CHECK_STR(i->id, I);
    CHECK_STR(i->config_path, "/etc/nginx/nginx.conf");
    (*(int *)arg)++;
    return true;
}

T(an_agent_is_taken_with_its_labels_and_instances)
{
    SHOP;
    int agents = 0, labels = 0, instances = 0;
    REQUIRE_OK(connect_as(&p, &from, A, 1, id, &err), err);
    CHECK_STR(id, A);
    REQUIRE_OK(otr_plane_store_agents(p.s, look_at_agent, &agents, &err), err);
    REQUIRE_OK(otr_plane_store_labels(p.s, A, look_at_label, &labels, &err), err);
    REQUIRE_OK(otr_plane_store_instances(p.s, A, look_at_instance, &instances, &err), err);
    CHECK_INT(agents * 100 + labels * 10 + instances, 111);
}

T(an_agent_speaks_for_itself_only)
{
    SHOP;
    CHECK_INT(connect_as(&p, &from, B, 1, id, &err), OTR_EDENIED);
    CHECK_INT(connect_as(&p, &from, "../x", 1, id, &err), OTR_EINVAL);
    CHECK_STR(id, "");
    otr_plane_from none = from;
    none.uuid = "";
    REQUIRE_OK(connect_as(&p, &none, B, 1, id, &err), err);
    CHECK_STR(id, B);
    CHECK_INT(otr_plane_take_status(p.s, &none, A, otr_buf_bytes(&p.wire), &err), OTR_EDENIED);
    CHECK_INT(otr_plane_take_status(p.s, &none, "", otr_buf_bytes(&p.wire), &err), OTR_ESTATE);
    REQUIRE_OK(otr_plane_take_status(p.s, &none, B, otr_buf_bytes(&p.wire), &err), err);
}

T_NO_OOM(
    instances_have_a_ceiling_at_and_above) /* thousands of allocations, each as in the others */
{
    SHOP;
    /* The agent's own counts, too. */
    CHECK_INT(connect_as(&p, &from, A, OTR_LIMIT_PLANE_INSTANCES, id, &err), OTR_EQUOTA);
    CHECK_INT(connect_as(&p, &from, A, 10000, id, &err), OTR_EQUOTA);
    REQUIRE_OK(connect_as(&p, &from, A, OTR_LIMIT_PLANE_INSTANCES - 1, id, &err), err);
}

T(a_digest_that_is_none_is_unknown_and_a_path_that_is_none_refused)
{
    SHOP;
    char digest[OTR_HISTORY_ID_BYTES] = "";
    REQUIRE_OK(connect_as(&p, &from, A, 1, id, &err), err);
    REQUIRE_OK(tell_file(&p, I, "/etc/nginx/nginx.conf",
                         "mpNQegoWn2FGGepcMPB32Oqf2ki7uuWlVN8aa1urkEU=", &err),
               err);
    CHECK_INT(tell_file(&p, I, "/etc/nginx/../shadow", "", &err), OTR_EINVAL);
    CHECK_INT(tell_file(&p, I, "etc", "", &err), OTR_EINVAL);
    CHECK_INT(tell_file(&p, B, "/etc/nginx/nginx.conf", "", &err), OTR_ENOTFOUND);
    REQUIRE_OK(otr_plane_store_files(p.s, A, I, keep_file, digest, &err), err);
    CHECK_STR(digest, "9a93507a0a169f614619ea5c30f077d8ea9fda48bbbae5a554df1a6b5bab9045");
    REQUIRE_OK(tell_file(&p, I, "/etc/nginx/nginx.conf", "YWJj", &err), err);
    REQUIRE_OK(otr_plane_store_files(p.s, A, I, keep_file, digest, &err), err);
    CHECK_STR(digest, "");
}

T(what_is_no_message_is_refused)
{
    SHOP;
    static const uint8_t junk[] = { 0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f };
    const otr_bytes bytes = { junk, sizeof(junk) }, nothing = { NULL, 0 };
    CHECK(otr_plane_take_connection(p.s, &from, bytes, id, &err) != OTR_OK);
    CHECK(otr_plane_take_status(p.s, &from, A, bytes, &err) != OTR_OK);
    CHECK(otr_plane_take_health(p.s, &from, A, bytes, &err) != OTR_OK);
    CHECK(otr_plane_take_overview(p.s, &from, A, bytes, &err) != OTR_OK);
    CHECK_INT(otr_plane_take_connection(p.s, &from, nothing, id, &err), OTR_EINVAL);
    CHECK_INT(otr_plane_take_overview(p.s, &from, A, nothing, &err), OTR_EINVAL);
    REQUIRE_OK(otr_plane_take_health(p.s, &from, A, nothing, &err), err);
}
