/*
 * Private to survey.c: the executables that were met, each read or asked once.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NGINX_INSTANCE_EXECUTABLES_H
#define OTR_NGINX_INSTANCE_EXECUTABLES_H

#include "nginx/instance/binary.h"
#include "nginx/instance/survey.h"

typedef struct executable {
    otr_file_key key;
    char *path;
    char *file;        /* what to run for -V */
    otr_binary binary; /* of state READY and FAILED */
    enum {
        EXECUTABLE_ASK,   /* has to be run with -V */
        EXECUTABLE_ASKED, /* is being run */
        EXECUTABLE_READY,
        EXECUTABLE_FAILED, /* run again at retry_ns, until then nothing is known of it */
    } state;
    unsigned failures;
    uint64_t retry_ns; /* monotonic */
    bool used;         /* by a master of this run */
} executable;

typedef struct executables {
    executable *items;
    size_t n, cap;
} executables;

void otr_executables_deinit(executables *list);
/* The entry of the master's executable, made and read on first use. */
otr_code otr_executables_get(executables *list, const char *proc_root, const otr_master *m,
                             executable **ret, otr_err *err) OTR_MUST_CHECK;
executable *otr_executables_find(executables *list, const otr_file_key *key);
otr_code otr_executables_answer(executable *e, const otr_bytes *output, otr_err *err)
    OTR_MUST_CHECK;
/* Forgets those that no master uses; `used` of the others starts anew. */
void otr_executables_sweep(executables *list);

#endif
