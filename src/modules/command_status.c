#include "base/clock.h"
#include "modules/command.h"

static void write_time(otr_jw *w, const char *key, uint64_t mono_ns)
{
    char text[OTR_TIME_BYTES];
    if (mono_ns == 0) {
        otr_jw_null(w, key);
    } else {
        otr_jw_str(w, key, otr_time_text(otr_wall_of(mono_ns), text));
    }
}

static void write_heard(otr_jw *w, const otr_mpi_heard *heard)
{
    otr_jw_obj(w, NULL);
    otr_jw_str(w, "type", heard->type);
    otr_jw_str(w, "correlation_id", heard->correlation);
    otr_jw_str(w, "instance", heard->instance);
    write_time(w, "heard", heard->heard_ns);
    write_time(w, "answered", heard->answered_ns);
    otr_jw_str(w, "status", heard->status);
    otr_jw_str(w, "message", heard->message);
    otr_jw_obj_end(w);
}

void otr_command_write(otr_jw *w, const otr_command *c)
{
    if (c == NULL || !c->wanted) {
        otr_jw_null(w, "management_plane");
        return;
    }
    otr_jw_obj(w, "management_plane");
    otr_jw_str(w, "server", c->target);
    if (c->link == NULL) {
        otr_jw_str(w, "state", "off");
        otr_jw_str(w, "last_error", c->refused);
    } else {
        otr_mpi_link_info info;
        otr_mpi_link_read(c->link, &info);
        otr_jw_str(w, "state", otr_mpi_state_name(info.state));
        write_time(w, "since", info.since_ns);
        otr_jw_str(w, "last_error", info.last_error);
        write_time(w, "last_error_at", info.error_ns);
        otr_jw_u64(w, "connects", info.connects);
        otr_jw_u64(w, "requests", info.requests);
        otr_jw_u64(w, "answers_waiting", info.waiting);
        otr_jw_bool(w, "tls", info.channel.secure);
        otr_jw_arr(w, "last");
        for (size_t i = 0; i < info.n_last; i++) {
            write_heard(w, &info.last[i]);
        }
        otr_jw_arr_end(w);
    }
    otr_jw_obj_end(w);
}
