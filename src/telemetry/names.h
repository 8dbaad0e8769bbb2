/*
 * OpenTelemetry names and units as Prometheus names.
 *
 * The rules are those of the OpenTelemetry to Prometheus compatibility specification: what is not
 * a letter or a digit becomes '_', the unit is spelled out and added unless the name has it
 * already, a counter ends in "_total", a gauge of unit "1" in "_ratio".
 *
 * Thread: any.
 */
#ifndef OTR_TELEMETRY_NAMES_H
#define OTR_TELEMETRY_NAMES_H

#include "base/buf.h"
#include "base/err.h"
#include "telemetry/registry.h"

/* Appends the metric name. OTR_EINVAL when the name has no letter and no digit. */
otr_code otr_prom_metric_name(const otr_family *family, otr_buf *out, otr_err *err) OTR_MUST_CHECK;
/* Appends the label name: never empty, never beginning with a digit. */
otr_code otr_prom_label_name(const char *name, otr_buf *out, otr_err *err) OTR_MUST_CHECK;

#endif
