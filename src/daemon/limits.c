#include "daemon/limits.h"

#include <inttypes.h>

#include "base/clock.h"

enum { LOOK_MS = 5000 };

static const uint64_t stuck_ns = 2 * OTR_NS_PER_S;

static const otr_family lost_family = { .name = "outrider.log.lost",
                                        .unit = "lines",
                                        .help = "Log lines that found no reader or no room",
                                        .kind = OTR_METRIC_COUNTER };
static const otr_family refused_family = {
    .name = "outrider.http.refused",
    .unit = "connections",
    .help = "Connections to the agent that found no file descriptor",
    .kind = OTR_METRIC_COUNTER
};

static void look_at_output(const otr_limits *l, const char *what, const otr_log_health *before,
                           const otr_log_health *now)
{
    otr_problems *problems = l->services->problems;
    if (now->sys != 0) {
        otr_err why = { 0 };
        (void)otr_fail_sys(&why, now->sys, "cannot write to the %s", what);
        otr_problem_set(problems, "", what, "log lines are lost, %" PRIu64 " so far: %s", now->lost,
                        why.msg);
    } else if (now->stuck_ns > stuck_ns || now->lost > before->lost) {
        otr_problem_set(problems, "", what,
                        "log lines are lost, %" PRIu64
                        " so far: nobody reads the %s, or its disk does not answer",
                        now->lost, what);
    } else {
        otr_problem_clear(problems, "", what);
    }
}

static void look_at_log(otr_limits *l)
{
    otr_log_health screen, file;
    otr_log_health_read(&screen, &file);
    look_at_output(l, "log on standard error", &l->screen, &screen);
    look_at_output(l, "log file", &l->file, &file);
    l->screen = screen;
    l->file = file;
}

static void look_at_descriptors(otr_limits *l)
{
    otr_problems *problems = l->services->problems;
    otr_fds_room room;
    otr_fds_room_read(&room);
    if (room.used >= room.many || l->fds->refused > l->refused_before) {
        otr_problem_set(problems, "", "descriptors",
                        "out of descriptors: %" PRIu64 " of %" PRIu64
                        " are open and the rest is kept back; what needs more is not read: raise "
                        "the limit (LimitNOFILE= of the service, ulimit -Hn), or have fewer access "
                        "logs read (data_plane_config.nginx.exclude_logs)",
                        room.used, room.limit);
    } else {
        otr_problem_clear(problems, "", "descriptors");
    }
    l->refused_before = l->fds->refused;
}

static void look(void *arg)
{
    look_at_log(arg);
    look_at_descriptors(arg);
}

static void collect(void *arg)
{
    otr_limits *l = arg;
    otr_log_health screen, file;
    otr_log_health_read(&screen, &file);
    otr_series_set(l->lost, (double)(screen.lost + file.lost));
    otr_series_set(l->refused, (double)l->fds->refused);
}

otr_code otr_limits_init(otr_limits *l, otr_loop *loop, const otr_services *services,
                         const otr_fds *fds, otr_err *err)
{
    *l = (otr_limits){ .services = services, .fds = fds };
    otr_registry *metrics = services->metrics;
    static const char *const none[] = { NULL };
    otr_code rc = otr_timer_new(loop, look, l, &l->timer, err);
    rc = rc != OTR_OK ? rc : otr_registry_series(metrics, &lost_family, none, &l->lost, err);
    rc = rc != OTR_OK ? rc : otr_registry_series(metrics, &refused_family, none, &l->refused, err);
    rc = rc != OTR_OK ? rc : otr_registry_on_collect(metrics, collect, l, err);
    if (rc == OTR_OK) {
        otr_timer_start(l->timer, LOOK_MS, LOOK_MS);
    }
    return rc;
}

void otr_limits_deinit(otr_limits *l)
{
    otr_timer_free(l->timer);
    if (l->services != NULL && l->services->metrics != NULL) {
        otr_registry_off_collect(l->services->metrics, l);
        otr_series_drop(l->lost);
        otr_series_drop(l->refused);
    }
    *l = (otr_limits){ .services = NULL };
}
