/*
 * What the agent's own process uses.
 *
 * Thread: any.
 */
#ifndef OTR_MODULES_SELF_H
#define OTR_MODULES_SELF_H

#include <stdint.h>

typedef struct otr_self_usage {
    uint64_t memory_bytes; /* resident; 0 when /proc cannot be read */
    double cpu_user_s, cpu_system_s;
} otr_self_usage;

void otr_self_usage_read(otr_self_usage *ret);

#endif
