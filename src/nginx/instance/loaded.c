#include "nginx/instance/loaded.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "nginx/proc.h"

enum { WAITS_MOST = 50, TITLE_BYTES = 128 };

/* A file's time and a process's are of different clocks and grains. */
static const uint64_t slack_ns = 20 * OTR_NS_PER_MS;

static int by_pid(const void *a, const void *b)
{
    pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;
    return x < y ? -1 : x > y;
}

static bool is_among(pid_t pid, const pid_t *pids, size_t n)
{
    return n > 0 && bsearch(&pid, pids, n, sizeof(*pids), by_pid) != NULL;
}

/* An old worker after a reload, until its last connection ends. */
static bool is_leaving(const otr_workers *w, pid_t pid)
{
    char title[TITLE_BYTES];
    return otr_proc_title(w->proc_root, pid, title, sizeof(title)) > 0 &&
           strstr(title, "shutting down") != NULL;
}

uint64_t otr_loaded_fds(const otr_workers *now)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%d/fd", now->proc_root, (int)now->master);
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return 0;
    }
    uint64_t sum = 1;
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        uint64_t n = (uint64_t)otr_proc_pid(e->d_name) + 1;
        n *= UINT64_C(0x9e3779b97f4a7c15);
        sum += n ^ n >> 29; /* in any order */
    }
    closedir(dir);
    return sum != 0 ? sum : 1;
}

otr_load otr_loaded_compare(const otr_loaded *loaded, const otr_workers *now)
{
    size_t n_new = 0, n_kept = 0;
    for (size_t i = 0; i < now->n; i++) {
        n_new += !is_among(now->pids[i], loaded->workers, loaded->n);
    }
    if (n_new == 0) {
        return OTR_LOAD_SAME;
    }
    for (size_t i = 0; i < loaded->n; i++) {
        bool here = is_among(loaded->workers[i], now->pids, now->n);
        if (here && is_leaving(now, loaded->workers[i])) {
            return OTR_LOAD_NEW;
        }
        n_kept += here;
    }
    if (n_kept > 0) {
        bool more = n_new > loaded->n - n_kept;
        return !more                        ? OTR_LOAD_RESPAWN
               : loaded->waits < WAITS_MOST ? OTR_LOAD_LATER
                                            : OTR_LOAD_NEW;
    }
    uint64_t fds = loaded->fds != 0 ? otr_loaded_fds(now) : 0;
    return fds != 0 && fds == loaded->fds ? OTR_LOAD_RESPAWN : OTR_LOAD_NEW;
}

static otr_code dup_pids(const pid_t *from, size_t n, pid_t **ret, otr_err *err)
{
    pid_t *to = otr_calloc(n + 1, sizeof(*to));
    if (to == NULL) {
        return otr_fail_nomem(err);
    }
    if (n > 0) {
        memcpy(to, from, n * sizeof(*to));
    }
    *ret = to;
    return OTR_OK;
}

otr_code otr_loaded_take(const otr_workers *now, otr_loaded *ret, otr_err *err)
{
    otr_loaded l = { .n = now->n, .fds = otr_loaded_fds(now) };
    otr_code rc = dup_pids(now->pids, now->n, &l.workers, err);
    if (rc == OTR_OK) {
        *ret = l;
    }
    return rc;
}

otr_code otr_loaded_copy(const otr_loaded *from, otr_loaded *ret, otr_err *err)
{
    otr_loaded l = *from;
    otr_code rc = dup_pids(from->workers, from->n, &l.workers, err);
    if (rc == OTR_OK) {
        *ret = l;
    }
    return rc;
}

void otr_loaded_deinit(otr_loaded *loaded)
{
    otr_free(loaded->workers);
    *loaded = (otr_loaded){ 0 };
}

/* When the first worker was started that does not leave, leaving out those of the generation
 * `before` (NULL: none); UINT64_MAX: there is none. */
static uint64_t first_start(const otr_workers *now, const otr_loaded *before)
{
    uint64_t first = UINT64_MAX;
    for (size_t i = 0; i < now->n; i++) {
        char title[TITLE_BYTES];
        otr_proc_stat st;
        if ((before != NULL && is_among(now->pids[i], before->workers, before->n)) ||
            otr_proc_title(now->proc_root, now->pids[i], title, sizeof(title)) == 0 ||
            strstr(title, "shutting down") != NULL ||
            !otr_proc_stat_read(now->proc_root, now->pids[i], &st)) {
            continue;
        }
        bool ended = st.state == 'Z' || st.state == 'X'; /* its title is gone, too */
        if (!ended && st.started_ticks < first) {
            first = st.started_ticks;
        }
    }
    return first;
}

uint64_t otr_loaded_since(const otr_workers *now, const otr_loaded *before)
{
    uint64_t first = first_start(now, before);
    if (first == UINT64_MAX && before != NULL) {
        first = first_start(now, NULL);
    }
    struct timespec up;
    long hz = sysconf(_SC_CLK_TCK);
    if (first == UINT64_MAX || hz <= 0 || clock_gettime(CLOCK_BOOTTIME, &up) != 0) {
        return 0;
    }
    uint64_t since_boot =
        first / (uint64_t)hz * OTR_NS_PER_S + first % (uint64_t)hz * OTR_NS_PER_S / (uint64_t)hz;
    uint64_t up_ns = (uint64_t)up.tv_sec * OTR_NS_PER_S + (uint64_t)up.tv_nsec;
    return otr_wall_ns() - up_ns + since_boot + slack_ns;
}
