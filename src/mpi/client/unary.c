#include "mpi/client/unary.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "mpi/wire/wire.h"

struct otr_mpi_unary {
    otr_rpc_call *call;
    const ProtobufCMessageDescriptor *of;
    otr_mpi_message answer; /* root NULL: none came */
    otr_err broken;         /* why the answer cannot be read */
    otr_mpi_unary_fn *done;
    void *arg;
};

static void on_message(void *arg, otr_rpc_call *call, otr_bytes message)
{
    otr_mpi_unary *u = arg;
    (void)call;
    if (u->answer.root == NULL && u->broken.code == OTR_OK &&
        otr_mpi_unpack(u->of, message, &u->answer, &u->broken) != OTR_OK) {
        otr_rpc_call_cancel(u->call); /* on_closed() tells of u->broken */
    }
}

static void on_closed(void *arg, otr_rpc_call *call, const otr_rpc_end *end)
{
    otr_mpi_unary *u = arg;
    otr_rpc_end told = *end;
    (void)call;
    if (u->broken.code != OTR_OK || (end->status == OTR_RPC_OK && u->answer.root == NULL)) {
        told.status = OTR_RPC_INTERNAL;
        told.message = u->broken.code != OTR_OK ? u->broken.msg : "no message came";
    }
    u->done(u->arg, told.status == OTR_RPC_OK ? u->answer.root : NULL, &told);
}

otr_code otr_mpi_unary_start(otr_rpc_channel *channel, const otr_mpi_unary_spec *spec,
                             otr_mpi_unary **ret, otr_err *err)
{
    static const otr_rpc_call_ops ops = { .message = on_message, .closed = on_closed };
    otr_buf wire;
    otr_mpi_unary *u = otr_zalloc(sizeof(*u));
    if (u == NULL) {
        return otr_fail_nomem(err);
    }
    *u = (otr_mpi_unary){ .of = spec->answer, .done = spec->done, .arg = spec->arg };
    otr_buf_init(&wire, OTR_LIMIT_MPI_SEND_BYTES);
    otr_rpc_call_spec call = { .path = spec->path,
                               .metadata = spec->metadata,
                               .timeout_ms = spec->timeout_ms,
                               .wait = OTR_RPC_WAIT_FOR_READY,
                               .ops = &ops,
                               .arg = u };
    otr_code rc = otr_mpi_pack(spec->request, &wire, err);
    rc = rc == OTR_OK ? otr_rpc_call_start(channel, &call, &u->call, err) : rc;
    rc = rc == OTR_OK ? otr_rpc_call_send(u->call, otr_buf_bytes(&wire), err) : rc;
    otr_buf_deinit(&wire);
    if (rc != OTR_OK) {
        otr_mpi_unary_free(u);
        return rc;
    }
    otr_rpc_call_finish(u->call);
    *ret = u;
    return OTR_OK;
}

void otr_mpi_unary_free(otr_mpi_unary *unary)
{
    if (unary != NULL) {
        otr_rpc_call_free(unary->call);
        otr_mpi_message_deinit(&unary->answer);
        otr_free(unary);
    }
}
