#include "modules/self.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static uint64_t resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL) {
        return 0;
    }
    uint64_t pages = 0;
    long page = sysconf(_SC_PAGESIZE);
    int fields = fscanf(f, "%*u %" SCNu64, &pages);
    (void)fclose(f);
    return fields == 1 && page > 0 ? pages * (uint64_t)page : 0;
}

void otr_self_usage_read(otr_self_usage *ret)
{
    *ret = (otr_self_usage){ .memory_bytes = resident_bytes() };
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        ret->cpu_user_s = seconds(usage.ru_utime);
        ret->cpu_system_s = seconds(usage.ru_stime);
    }
}
