/*
 * The exported series of the host, under the names of OpenTelemetry's host metrics.
 *
 * Private to host.c. In a container the processors and the memory are those of its control group,
 * as NGINX Agent has it. What is not known has no series; what is gone (a disk, a file system)
 * takes its series with it.
 *
 * Thread: loop.
 */
#ifndef OTR_MODULES_HOST_SERIES_H
#define OTR_MODULES_HOST_SERIES_H

#include "host/host.h"
#include "telemetry/registry.h"

typedef struct otr_host_series { /* zeroed at start */
    otr_series **items;          /* exported now */
    size_t n, cap;
    size_t refused; /* that found no room in the registry */
} otr_host_series;

/* `before` may be NULL: then there are no shares. On an error the series stay as they were or are
 * partly set. */
otr_code otr_host_series_set(otr_host_series *s, otr_registry *reg, const otr_host_sample *before,
                             const otr_host_sample *now, otr_err *err) OTR_MUST_CHECK;
void otr_host_series_drop(otr_host_series *s);

#endif
