/*
 * What the files of the link share. Private to src/mpi/client.
 *
 * link.c holds connection and stream, reports.c what is told by calls of its own, answers.c what
 * goes up the stream.
 *
 * Thread: loop.
 */
#ifndef OTR_MPI_CLIENT_INTERNAL_H
#define OTR_MPI_CLIENT_INTERNAL_H

#include "mpi/client/link.h"
#include "mpi/client/unary.h"

enum { OTR_MPI_ASKED = 16 };

typedef struct otr_mpi_told { /* one kind of report */
    struct otr_mpi_link *link;
    otr_mpi_report report;
    bool dirty;
    otr_mpi_unary *call;
    otr_timer *again;
    otr_rpc_backoff backoff;
    char asked[OTR_MPI_ASKED][OTR_MPI_ID_BYTES]; /* requests that wait for it */
    size_t n_asked;
    size_t n_sent; /* of these: the call under way is for them */
} otr_mpi_told;

typedef struct otr_mpi_pending { /* one answer */
    uint8_t *wire;
    size_t n;
} otr_mpi_pending;

struct otr_mpi_link {
    otr_loop *loop;
    otr_rpc_channel *channel;
    const otr_mpi_link_ops *ops;
    void *arg;
    uint64_t response_ms;
    otr_rpc_backoff backoff;
    otr_timer *retry;
    otr_mpi_unary *create;
    otr_rpc_call *stream;
    bool renew; /* the stream was cancelled for new files */
    char correlation[OTR_MPI_ID_BYTES];
    otr_mpi_told told[OTR_MPI_REPORTS];
    otr_mpi_pending *pending; /* oldest first; [0, n_sent) were given to the stream */
    size_t n_pending, n_sent, cap_pending;
    otr_mpi_link_info info; /* its `channel` is not kept */
};

/* answers.c */
void otr_mpi_answers_flush(otr_mpi_link *link);
/* The stream has ended: what it did not take is sent on the next one. */
void otr_mpi_answers_back(otr_mpi_link *link);
void otr_mpi_answers_deinit(otr_mpi_link *link);
void otr_mpi_heard_add(otr_mpi_link *link, const Mpi__V1__ManagementPlaneRequest *request);

/* reports.c */
otr_code otr_mpi_reports_init(otr_mpi_link *link, otr_err *err) OTR_MUST_CHECK;
void otr_mpi_reports_deinit(otr_mpi_link *link);
void otr_mpi_reports_connected(otr_mpi_link *link);
void otr_mpi_reports_broken(otr_mpi_link *link);
/* A request of the plane for one: it is sent with this correlation id, then the request is
 * answered. */
void otr_mpi_reports_asked(otr_mpi_link *link, otr_mpi_report report, const char *correlation);

/* call.c: a message_meta in `arena`; NULL: memory is out. */
Mpi__V1__MessageMeta *otr_mpi_meta(otr_arena *arena, const char *correlation);
/* The call `spec` with the metadata of the owner. */
otr_code otr_mpi_link_call(otr_mpi_link *link, otr_mpi_unary_spec *spec, otr_mpi_unary **ret,
                           otr_err *err) OTR_MUST_CHECK;

#endif
