#include <stdio.h>
#include <unistd.h>

#include "base/limits.h"
#include "host/sections.h"
#include "host/text.h"

enum { PATH_BYTES = 1024, TAIL_BYTES = 512, UNLIMITED_SHIFT = 62 };

static const char mounted[] = "/sys/fs/cgroup";

typedef struct reader {
    const char *root;
    const char *controller; /* "" for version 2 */
    char group[TAIL_BYTES]; /* "/system.slice/outrider.service"; "" at the top */
    otr_buf text;
    otr_err *err;
    otr_code rc;
} reader;

/* One file of the group, "" when there is none. */
static otr_bytes text_of(reader *r, const char *file)
{
    char path[PATH_BYTES];
    int len = snprintf(path, sizeof(path), "%s%s%s%s/%s", mounted,
                       r->controller[0] != '\0' ? "/" : "", r->controller, r->group, file);
    otr_buf_clear(&r->text);
    if (r->rc == OTR_OK && len > 0 && (size_t)len < sizeof(path)) {
        r->rc = otr_host_text(r->root, path, &r->text, r->err);
    }
    return otr_buf_bytes(&r->text);
}

static bool number_of(reader *r, const char *file, uint64_t *ret)
{
    otr_bytes text = text_of(r, file), line;
    return otr_host_line(&text, &line) && otr_host_next_u64(&line, ret);
}

/* A limit; "max" and what no machine has are 0. */
static uint64_t limit_of(reader *r, const char *file)
{
    uint64_t value;
    return number_of(r, file, &value) && value >> UNLIMITED_SHIFT == 0 ? value : 0;
}

/* "cpu" is in "cpu,cpuacct", and not in "cpuset". */
static bool has_controller(otr_bytes names, const char *controller)
{
    size_t n = strlen(controller), from = 0;
    for (size_t i = 0; i <= names.n; i++) {
        if (i < names.n && names.p[i] != ',') {
            continue;
        }
        if (i - from == n && memcmp(names.p + from, controller, n) == 0) {
            return true;
        }
        from = i + 1;
    }
    return false;
}

/* The group of a controller, by /proc/self/cgroup: "4:memory:/a/b", "0::/a/b". */
static bool find_group(otr_bytes own, const char *controller, otr_bytes *ret)
{
    otr_bytes line;
    while (otr_host_line(&own, &line)) {
        const uint8_t *first = memchr(line.p, ':', line.n);
        size_t n = first != NULL ? line.n - (size_t)(first + 1 - line.p) : 0;
        const uint8_t *second = first != NULL ? memchr(first + 1, ':', n) : NULL;
        if (second == NULL) {
            continue;
        }
        otr_bytes names = { first + 1, (size_t)(second - first - 1) };
        if (has_controller(names, controller)) {
            *ret = (otr_bytes){ second + 1, line.n - (size_t)(second + 1 - line.p) };
            return true;
        }
    }
    return false;
}

/* A container may see its group at the top while /proc tells where the host has it: then the top
 * it is. `probe`: a file that every group has. */
static void enter(reader *r, otr_bytes own, const char *controller, const char *probe)
{
    otr_bytes group;
    r->controller = controller;
    r->group[0] = '\0';
    if (!find_group(own, controller, &group) || group.n >= sizeof(r->group) || group.n <= 1) {
        return;
    }
    otr_host_copy(group, r->group, sizeof(r->group));
    if (strstr(r->group, "/..") != NULL || text_of(r, probe).n == 0) {
        r->group[0] = '\0';
    }
}

/* ---- version 2 ---- */

static void read_quota(reader *r, otr_cgroup *ret)
{
    otr_bytes text = text_of(r, "cpu.max"), line;
    uint64_t quota, period;
    if (otr_host_line(&text, &line) && otr_host_next_u64(&line, &quota) &&
        otr_host_next_u64(&line, &period) && period > 0) {
        ret->cpu_most = (double)quota / (double)period;
    }
}

static otr_code read_v2(reader *r, otr_bytes own, otr_cgroup *ret)
{
    static const char *const files[OTR_PRESSURE_KINDS] = { "cpu.pressure", "memory.pressure",
                                                           "io.pressure" };
    uint64_t user, system;
    enter(r, own, "", "cpu.stat");
    ret->version = 2;
    otr_bytes stat = text_of(r, "cpu.stat");
    ret->cpu_known =
        otr_host_find(stat, "user_usec", &user) && otr_host_find(stat, "system_usec", &system);
    if (ret->cpu_known) {
        ret->user_s = (double)user / 1e6;
        ret->system_s = (double)system / 1e6;
        (void)otr_host_find(stat, "nr_periods", &ret->periods);
        (void)otr_host_find(stat, "nr_throttled", &ret->throttled);
    }
    read_quota(r, ret);
    ret->memory_known = number_of(r, "memory.current", &ret->memory);
    ret->memory_most = limit_of(r, "memory.max");
    (void)otr_host_find(text_of(r, "memory.stat"), "file", &ret->cache);
    ret->pids_known = number_of(r, "pids.current", &ret->pids);
    ret->pids_most = limit_of(r, "pids.max");
    for (size_t i = 0; i < OTR_PRESSURE_KINDS; i++) {
        otr_pressure_parse(text_of(r, files[i]), &ret->pressure[i]);
    }
    return r->rc;
}

/* ---- version 1 ---- */

static void read_cpu_v1(reader *r, otr_bytes own, otr_cgroup *ret)
{
    uint64_t user, system, quota, period;
    long ticks = sysconf(_SC_CLK_TCK);
    enter(r, own, "cpuacct", "cpuacct.stat");
    otr_bytes stat = text_of(r, "cpuacct.stat");
    ret->cpu_known =
        ticks > 0 && otr_host_find(stat, "user", &user) && otr_host_find(stat, "system", &system);
    if (ret->cpu_known) {
        ret->user_s = (double)user / (double)ticks;
        ret->system_s = (double)system / (double)ticks;
    }
    enter(r, own, "cpu", "cpu.cfs_period_us");
    if (number_of(r, "cpu.cfs_quota_us", &quota) && number_of(r, "cpu.cfs_period_us", &period) &&
        period > 0) {
        ret->cpu_most = (double)quota / (double)period;
    }
    stat = text_of(r, "cpu.stat");
    (void)otr_host_find(stat, "nr_periods", &ret->periods);
    (void)otr_host_find(stat, "nr_throttled", &ret->throttled);
}

static otr_code read_v1(reader *r, otr_bytes own, otr_cgroup *ret)
{
    read_cpu_v1(r, own, ret);
    enter(r, own, "memory", "memory.usage_in_bytes");
    ret->memory_known = number_of(r, "memory.usage_in_bytes", &ret->memory);
    ret->memory_most = limit_of(r, "memory.limit_in_bytes");
    (void)otr_host_find(text_of(r, "memory.stat"), "cache", &ret->cache);
    enter(r, own, "pids", "pids.current");
    ret->pids_known = number_of(r, "pids.current", &ret->pids);
    ret->pids_most = limit_of(r, "pids.max");
    ret->version = ret->cpu_known || ret->memory_known ? 1 : 0;
    return r->rc;
}

otr_code otr_cgroup_read(const char *root, otr_cgroup *ret, otr_err *err)
{
    otr_buf own;
    otr_buf_init(&own, OTR_LIMIT_HOST_TEXT_BYTES);
    reader r = { .root = root, .controller = "", .err = err };
    otr_buf_init(&r.text, OTR_LIMIT_HOST_TEXT_BYTES);
    r.rc = otr_host_text(root, "/proc/self/cgroup", &own, err);
    bool unified = r.rc == OTR_OK && text_of(&r, "cgroup.controllers").n > 0;
    if (r.rc == OTR_OK) {
        r.rc =
            unified ? read_v2(&r, otr_buf_bytes(&own), ret) : read_v1(&r, otr_buf_bytes(&own), ret);
    }
    otr_buf_deinit(&r.text);
    otr_buf_deinit(&own);
    return r.rc;
}
