/*
 * One question about the history of configurations: what was asked, and the answer in the making.
 *
 * Made on the loop, answered on the strand of the history, sent on the loop.
 *
 * Thread: as said at each.
 */
#ifndef OTR_MODULES_CONFIG_QUESTION_H
#define OTR_MODULES_CONFIG_QUESTION_H

#include "base/buf.h"
#include "bus/msg.h"
#include "net/http/server.h"
#include "nginx/history/history.h"
#include "nginx/instance/instance.h"

typedef struct otr_config_question otr_config_question;

/* Worker. Fills the answer. */
typedef otr_code otr_config_answer_fn(otr_config_question *q, otr_history *h, otr_err *err);

struct otr_config_question {
    otr_config_answer_fn *answer;
    otr_http_later *later; /* NULL: nobody waits any more */
    bool begun;            /* its job will come back */
    otr_msg *nginx;        /* the last message about the instance; NULL: it does not run */
    char *instance;        /* its id; NULL: all */
    char *version, *from, *to, *path;
    char *which;         /* a transaction */
    const char *hidden;  /* why what may quote contents is left out; NULL: it is told */
    uint64_t started_ms; /* of this agent, wall time: what began before has no end of its own */
    char *state_dir;     /* where files without a name may be made */
    otr_history_query query;
    otr_buf body; /* the answer … */
    int file;     /* … or this; -1: none */
    uint64_t file_bytes;
};

/* config_history_json.c: transactions. */
otr_code otr_config_answer_list(otr_config_question *q, otr_history *h, otr_err *err);
otr_code otr_config_answer_one(otr_config_question *q, otr_history *h, otr_err *err);
otr_code otr_config_answer_versions(otr_config_question *q, otr_history *h, otr_err *err);

/* config_versions.c: files. */
otr_code otr_config_answer_files(otr_config_question *q, otr_history *h, otr_err *err);
otr_code otr_config_answer_file(otr_config_question *q, otr_history *h, otr_err *err);
otr_code otr_config_answer_diff(otr_config_question *q, otr_history *h, otr_err *err);
otr_code otr_config_answer_export(otr_config_question *q, otr_history *h, otr_err *err);

#endif
