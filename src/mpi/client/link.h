/*
 * The connection to one management plane, for as long as the agent lives.
 *
 *     waits ──► CreateConnection ──► Subscribe ──► (the stream ends) ──► waits
 *       ▲              │ refused
 *       └──────────────┘
 *
 * Whatever ends, it is begun again after ever longer waits. What the plane has to learn is kept
 * until it has learnt it: a change of status or health is told again after a failure or a new
 * connection, and answers wait for a stream. There is one stream at a time: the old one has ended
 * before the next CreateConnection. Changed certificates or tokens make a new connection.
 *
 * It knows no NGINX: what is told comes from its owner.
 *
 * Thread: loop.
 */
#ifndef OTR_MPI_CLIENT_LINK_H
#define OTR_MPI_CLIENT_LINK_H

#include "base/arena.h"
#include "base/base.h"
#include "base/err.h"
#include "loop/loop.h"
#include "mpi/v1/command.pb-c.h"
#include "net/rpc/channel.h"

typedef struct otr_mpi_link otr_mpi_link;

/* All but `connected` are required. Freeing the link in them is not safe. */
typedef struct otr_mpi_link_ops {
    /* As it is now; built in `arena`. */
    otr_code (*resource)(void *arg, otr_arena *arena, Mpi__V1__Resource **ret, otr_err *err);
    otr_code (*health)(void *arg, otr_arena *arena, Mpi__V1__UpdateDataPlaneHealthRequest *to,
                       otr_err *err);
    /* What goes with each call beside the token. */
    otr_code (*metadata)(void *arg, otr_rpc_metadata *to, otr_err *err);
    /* Optional. The plane took the connection; `answer` is borrowed until return. */
    void (*connected)(void *arg, const Mpi__V1__CreateConnectionResponse *answer);
    /* A request that is not about the link's own reports: to be answered once. Borrowed until
     * return. */
    void (*request)(void *arg, const Mpi__V1__ManagementPlaneRequest *request);
    /* Connected or not any more: otr_mpi_link_read() has it. */
    void (*changed)(void *arg);
} otr_mpi_link_ops;

typedef struct otr_mpi_link_spec {
    const otr_rpc_channel_spec *channel; /* its ops and arg are the link's; borrowed until return */
    otr_rpc_backoff backoff;             /* between two attempts */
    uint64_t response_ms;                /* of one call */
    const otr_mpi_link_ops *ops;
    void *arg;
} otr_mpi_link_spec;

otr_code otr_mpi_link_new(otr_loop *loop, const otr_mpi_link_spec *spec, otr_mpi_link **ret,
                          otr_err *err) OTR_MUST_CHECK;
/* Cancels what is under way. NULL is fine. */
void otr_mpi_link_free(otr_mpi_link *link);
/* Connects from now on. */
void otr_mpi_link_start(otr_mpi_link *link);

typedef enum otr_mpi_report { OTR_MPI_STATUS, OTR_MPI_HEALTH, OTR_MPI_REPORTS } otr_mpi_report;
/* It is another one than was told: the plane hears of it as soon as it can. */
void otr_mpi_link_tell(otr_mpi_link *link, otr_mpi_report report);
/* An answer to the plane; it gets a message id and the time, and is kept until there is a stream.
 * What cannot be kept is logged. */
typedef struct otr_mpi_outcome {
    const char *correlation;
    const char *instance; /* "" */
    Mpi__V1__DataPlaneResponse__RequestType type;
    Mpi__V1__CommandResponse__CommandStatus status;
    const char *message, *error;
} otr_mpi_outcome;
void otr_mpi_link_conclude(otr_mpi_link *link, const otr_mpi_outcome *outcome);

typedef enum otr_mpi_state {
    OTR_MPI_WAITING,    /* for the next attempt */
    OTR_MPI_CONNECTING, /* CreateConnection is under way */
    OTR_MPI_CONNECTED,  /* and the stream is open */
} otr_mpi_state;
const char *otr_mpi_state_name(otr_mpi_state state); /* "connected" */

enum { OTR_MPI_LAST = 8, OTR_MPI_ID_BYTES = 64 };
typedef struct otr_mpi_heard { /* one request of the plane */
    const char *type;          /* "config_apply_request"; static */
    char correlation[OTR_MPI_ID_BYTES];
    char instance[OTR_MPI_ID_BYTES];
    uint64_t heard_ns, answered_ns; /* monotonic; 0: not yet */
    const char *status;             /* "OK"; static; "": not answered yet */
    char message[160];
} otr_mpi_heard;

typedef struct otr_mpi_link_info {
    otr_mpi_state state;
    uint64_t since_ns; /* monotonic: of the state */
    char last_error[OTR_ERR_MSG_BYTES];
    uint64_t error_ns;           /* 0: none yet */
    uint64_t connects, requests; /* so far */
    size_t waiting;              /* answers that wait for a stream */
    otr_mpi_heard last[OTR_MPI_LAST];
    size_t n_last; /* newest last */
    otr_rpc_channel_info channel;
} otr_mpi_link_info;
void otr_mpi_link_read(const otr_mpi_link *link, otr_mpi_link_info *ret);

#endif
