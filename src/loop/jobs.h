/*
 * Lists of jobs: private to worker.c.
 *
 * Thread: one at a time.
 */
#ifndef OTR_LOOP_JOBS_H
#define OTR_LOOP_JOBS_H

#include "base/base.h"
#include "loop/worker.h"

typedef struct job {
    struct job *next;
    otr_strand *strand;
    otr_job_fn *fn;
    otr_done_fn *done;
    void *arg;
    otr_code rc;
} job;

typedef struct job_list {
    job *first;
    job **last;
} job_list;

static inline void list_init(job_list *list)
{
    list->first = NULL;
    list->last = &list->first;
}

static inline void list_append(job_list *list, job *j)
{
    j->next = NULL;
    *list->last = j;
    list->last = &j->next;
}

static inline job *list_pop(job_list *list)
{
    job *j = list->first;
    if (j != NULL) {
        list->first = j->next;
        if (list->first == NULL) {
            list->last = &list->first;
        }
    }
    return j;
}

#endif
