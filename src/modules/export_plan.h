/*
 * What `collector.pipelines.metrics` asks for: which metrics go to which collector.
 *
 * Private to export.c.
 *
 * Thread: loop.
 */
#ifndef OTR_MODULES_EXPORT_PLAN_H
#define OTR_MODULES_EXPORT_PLAN_H

#include "base/limits.h"
#include "config/config.h"
#include "modules/problems.h"
#include "telemetry/export/grpc.h"

enum { OTR_EXPORT_NGINX = 1, OTR_EXPORT_HOST = 2 };
enum { OTR_EXPORT_HEADERS = 32 };

typedef struct otr_export_way { /* one exporter of one pipeline; texts are the configuration's */
    const char *pipeline, *exporter;
    unsigned sources; /* OTR_EXPORT_* */
    char target[280];
    otr_otlp_grpc_spec spec;
    const char *headers[2 * OTR_EXPORT_HEADERS + 1];
} otr_export_way;

typedef struct otr_export_plan {
    otr_export_way ways[OTR_LIMIT_EXPORT_PIPELINES];
    size_t n;
    uint64_t delay_ms, interval_ms;
} otr_export_plan;

/* What is not understood or not supported is left out and is a problem of the agent. */
void otr_export_plan_read(const otr_config *cfg, otr_export_plan *ret, otr_problems *problems);

#endif
