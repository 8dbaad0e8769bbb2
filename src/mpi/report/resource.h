/*
 * What a management plane is told of this agent and its instances: the message Resource.
 *
 * The agent comes first, as planes look for it there.
 *
 * Thread: any; nothing waits.
 */
#ifndef OTR_MPI_REPORT_RESOURCE_H
#define OTR_MPI_REPORT_RESOURCE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "mpi/report/identity.h"
#include "mpi/v1/command.pb-c.h"
#include "nginx/instance/instance.h"

typedef enum otr_label_kind {
    OTR_LABEL_IS_TEXT,
    OTR_LABEL_IS_NUMBER,
    OTR_LABEL_IS_BOOL,
    OTR_LABEL_IS_NULL
} otr_label_kind;
typedef struct otr_resource_label {
    const char *key, *text;
    otr_label_kind kind;
} otr_resource_label;

/* How a plane is reached; told to it. */
typedef struct otr_resource_server {
    const char *host;
    int port;
    bool token, tls;
    const char *cert, *key, *ca, *server_name;
    bool skip_verify;
} otr_resource_server;

typedef struct otr_resource_agent { /* borrowed until return */
    const otr_identity *identity;
    const char *id, *version, *binary, *config;
    int pid;
    otr_resource_server command;
    const char *const *features; /* NULL-terminated */
    const otr_resource_label *labels;
    size_t n_labels;
    const char *log_level, *log_path;
} otr_resource_agent;

otr_code otr_resource_make(const otr_resource_agent *agent,
                           const otr_nginx_instance *const *instances, size_t n, otr_arena *arena,
                           Mpi__V1__Resource **ret, otr_err *err) OTR_MUST_CHECK;

#endif
