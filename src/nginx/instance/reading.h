/*
 * Private to survey.c: when the configuration of an instance is read, and with which rights.
 *
 * Thread: one at a time; calls block.
 */
#ifndef OTR_NGINX_INSTANCE_READING_H
#define OTR_NGINX_INSTANCE_READING_H

#include "base/base.h"
#include "base/err.h"
#include "nginx/instance/groups.h"

/* How files of the master of `r` are opened; borrows from all. */
otr_root otr_reading_root(const otr_survey *s, const otr_master *m, const record *r);

/* Reads the files into `r->config`; what NGINX has loaded may be something else by now. */
otr_code otr_reading_read(const otr_survey *s, const group *g, const otr_workers *workers,
                          record *r, otr_err *err) OTR_MUST_CHECK;
/* The configuration of the last run goes on, whatever the files say by now; `load` as it was
 * compared. Sets s->early. */
otr_code otr_reading_keep(otr_survey *s, const group *g, const otr_workers *workers, otr_load load,
                          record *r, otr_err *err) OTR_MUST_CHECK;

#endif
