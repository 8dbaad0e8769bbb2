/*
 * Labels: texts that NGINX Agent gives a type.
 *
 * Thread: any.
 */
#ifndef OTR_CONFIG_LABELS_H
#define OTR_CONFIG_LABELS_H

#include "base/json.h"
#include "config/config.h"

/* Pairs as one JSON object with typed values. */
void otr_labels_write(const char *const *pairs, otr_jw *w, const char *key);

#endif
