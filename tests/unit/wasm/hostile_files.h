/*
 * The list of the hostile corpus: a line `file | abi | phase | expected` each.
 *
 * Thread: any.
 */
#ifndef OTR_TESTS_UNIT_WASM_HOSTILE_FILES_H
#define OTR_TESTS_UNIT_WASM_HOSTILE_FILES_H

#include "unit/wasm/guest_files.h"

typedef struct hostile {
    char file[96], abi[16], phase[24], expect[160];
} hostile;

static inline bool hostile_next(const char **at, hostile *h)
{
    char line[512];
    size_t n = strcspn(*at, "\n");
    if (n == 0 || n >= sizeof line) {
        return false;
    }
    memcpy(line, *at, n);
    line[n] = '\0';
    *at += n + ((*at)[n] == '\n');
    return sscanf(line, "%95s | %15s | %23s | %159[^\n]", h->file, h->abi, h->phase, h->expect) ==
           4;
}

static inline const char *hostile_code(otr_code rc)
{
    const char *name = rc == OTR_OK ? "OK" : otr_code_name(rc);
    return strncmp(name, "OTR_", 4) == 0 ? name + 4 : name;
}

/* Milliseconds for a call: one that is to meet another limit than the deadline gets the time that
 * it takes on a slow machine and a slow engine. */
static inline uint64_t hostile_ms(const hostile *h, uint64_t ms)
{
    bool timed = strcmp(h->phase, "any") == 0 || strstr(h->expect, "ETIMEOUT") != NULL;
    return timed ? ms : 20 * ms;
}

#endif
