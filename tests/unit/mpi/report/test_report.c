#include <stdio.h>

#include "mpi/report/identity.h"
#include "mpi/report/resource.h"
#include "support/test.h"

T(the_agent_has_an_id_of_its_own_that_stays)
{
    char id[OTR_NGINX_ID_BYTES];
    otr_err err = { 0 };
    REQUIRE_OK(
        otr_identity_agent("/usr/bin/nginx-agent", "/etc/nginx-agent/nginx-agent.conf", id, &err),
        err);
    char other[OTR_NGINX_ID_BYTES];
    REQUIRE_OK(otr_identity_agent("/usr/bin/nginx-agent", "/etc/other.conf", other, &err), err);
    CHECK_INT(strlen(id), 36);
    CHECK(strcmp(id, other) != 0);
}

T(this_machine_has_an_id_and_a_release)
{
    otr_identity who;
    otr_err err = { 0 };
    REQUIRE_OK(otr_identity_read("", &who, &err), err);
    CHECK_INT(strlen(who.id), 36);
    CHECK_INT(who.id[14], '3');
}

static otr_nginx_instance nginx_like_the_recorded_one(void)
{
    static pid_t workers[] = { 31 };
    static char path[] = "/var/log/nginx/access.log";
    static otr_nginx_log logs[] = { { .path = path } };
    return (otr_nginx_instance){ .id = "cd2d5dc0-c528-3f37-b83c-727fd4010777",
                                 .pid = 30,
                                 .workers = workers,
                                 .n_workers = 1,
                                 .binary = "/usr/sbin/nginx",
                                 .version = "1.22.1",
                                 .config = "/etc/nginx/nginx.conf",
                                 .configure = "--prefix=/usr/share/nginx --with-stream=dynamic "
                                              "--with-http_v2_module "
                                              "--with-http_perl_module=dynamic --with-pcre-jit",
                                 .error_log = "/var/log/nginx/error.log",
                                 .stub_status = "http://127.0.0.1:8080/api#host=x",
                                 .access_logs = logs,
                                 .n_access_logs = 1 };
}

T(an_instance_is_told_as_it_was_recorded)
{
    static const char *const features[] = { "configuration", "certificates", NULL };
    static const otr_resource_label labels[] = { { "num", "7", OTR_LABEL_IS_NUMBER },
                                                 { "owner-name", "ns_dep", OTR_LABEL_IS_TEXT } };
    OTR_CLEANUP(otr_arena_deinit) otr_arena arena = { 0 };
    otr_identity who = { .id = "3b0ceaf6-ca84-34be-80bb-502333546f3d", .hostname = "vm" };
    otr_nginx_instance nginx = nginx_like_the_recorded_one();
    const otr_nginx_instance *all[] = { &nginx };
    otr_resource_agent agent = { .identity = &who,
                                 .id = "7a2dd20e-07e2-339f-a6c6-5d968f19705a",
                                 .version = "v1",
                                 .binary = "/usr/bin/nginx-agent",
                                 .config = "/etc/nginx-agent/nginx-agent.conf",
                                 .pid = 38,
                                 .command = { .host = "127.0.0.1", .port = 9091, .token = true },
                                 .features = features,
                                 .labels = labels,
                                 .n_labels = 2,
                                 .log_level = "DEBUG",
                                 .log_path = "/var/log/nginx-agent/" };
    Mpi__V1__Resource *made = NULL;
    otr_err err = { 0 };
    REQUIRE_OK(otr_resource_make(&agent, all, 1, &arena, &made, &err), err);
    CHECK_STR(made->resource_id, who.id);
    CHECK_STR(made->host_info->host_id, who.id);
    REQUIRE(made->n_instances == 2);
    const Mpi__V1__AgentConfig *config = made->instances[0]->instance_config->agent_config;
    CHECK_INT(config->log->log_level, MPI__V1__LOG__LOG_LEVEL__LOG_LEVEL_DEBUG);
    CHECK_INT(config->n_features, 2);
    CHECK(config->command->auth != NULL && config->command->tls == NULL);
    CHECK(config->labels[0]->fields[0]->value->number_value == 7);
    CHECK_STR(config->labels[1]->fields[0]->value->string_value, "ns_dep");
    const Mpi__V1__InstanceRuntime *runtime = made->instances[1]->instance_runtime;
    CHECK_INT(runtime->process_id, 30);
    CHECK_INT(runtime->instance_children[0]->process_id, 31);
    const Mpi__V1__NGINXRuntimeInfo *info = runtime->nginx_runtime_info;
    CHECK_STR(info->access_logs[0], "/var/log/nginx/access.log");
    CHECK_STR(info->error_logs[0], "/var/log/nginx/error.log");
    REQUIRE(info->n_dynamic_modules == 2);
    CHECK_STR(info->dynamic_modules[0], "http_perl_module");
    CHECK_STR(info->dynamic_modules[1], "http_v2_module");
    CHECK_STR(info->stub_status->listen, "127.0.0.1:8080");
    CHECK_STR(info->stub_status->location, "/api");
}
