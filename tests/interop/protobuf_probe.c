/*
 * Our side of the protobuf tests: reads commands from standard input, a line each, and answers with
 * a line each.
 *
 *     write TYPE HEX    JSON → protobuf       ok HEX | error TEXT
 *     read TYPE HEX     protobuf → JSON       ok HEX | error TEXT
 *     topics            ok N, then N lines: envelope as JSON in HEX, envelope as protobuf in HEX
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/limits.h"
#include "modules/topics.h"
#include "plugin/encoding/encoding.h"
#include "plugin/encoding/protobuf.h"

enum { LINE_BYTES = 16 << 20 };

static void put_hex(otr_bytes bytes)
{
    for (size_t i = 0; i < bytes.n; i++) {
        (void)printf("%02x", bytes.p[i]);
    }
}

static int fail(const char *why)
{
    (void)fprintf(stderr, "protobuf_probe: %s\n", why);
    return 2;
}

/* ---- topics ---- */

static void show(const otr_topic *topic, void *payload)
{
    otr_msg *msg = NULL;
    otr_err err = { 0 };
    otr_bytes json, wire;
    otr_code rc = otr_msg_new(topic, payload, "probe", NULL, &msg, &err);
    rc = rc == OTR_OK ? otr_encoding_message(OTR_ENCODING_JSON, msg, &json, &err) : rc;
    rc = rc == OTR_OK ? otr_encoding_message(OTR_ENCODING_PROTOBUF, msg, &wire, &err) : rc;
    if (rc != OTR_OK) {
        exit(fail(err.msg));
    }
    put_hex(json);
    (void)putchar(' ');
    put_hex(wire);
    (void)putchar('\n');
    msg->payload = NULL; /* it lies on the stack */
    otr_msg_unref(msg);
}

static void show_instances(void)
{
    char empty[] = "", binary[] = "/usr/sbin/nginx", version[] = "1.22.1", bad[] = "/etc/\xff.conf";
    char path[] = "/var/log/a \"b\"\n.log";
    pid_t workers[] = { 11, 12, 2147483647 };
    char remark[] = "its include cannot be read";
    char *remarks[] = { remark, remark };
    static char wide[9000]; /* makes the lists be cut */
    memset(wide, 'w', sizeof(wide) - 1);
    otr_nginx_log logs[] = {
        { .path = path }, { .path = empty }, { .path = wide }, { .path = path }
    };
    otr_nginx_instance full = { .pid = 10,
                                .workers = workers,
                                .n_workers = 3,
                                .plus = true,
                                .replaced = true,
                                .binary = binary,
                                .maker = path,
                                .uid = 4294967294U,
                                .stranger = true,
                                .net_ns = 4026531840U,
                                .own_net = true,
                                .config_changed = true,
                                .remarks = remarks,
                                .n_remarks = 2,
                                .version = version,
                                .config = bad,
                                .prefix = binary,
                                .configure = empty,
                                .error_log = path,
                                .stub_status = binary,
                                .access_logs = logs,
                                .n_access_logs = 4,
                                .config_error = version };
    otr_nginx_instance none = { .binary = empty,
                                .maker = empty,
                                .version = empty,
                                .config = empty,
                                .prefix = empty,
                                .configure = empty,
                                .error_log = empty,
                                .stub_status = empty,
                                .config_error = empty };
    memcpy(full.id, "an-id", 6);
    otr_instance_event events[] = { { &full }, { &none } };
    for (size_t i = 0; i < OTR_COUNT(events); i++) {
        show(&otr_topic_instance_started, &events[i]);
        show(&otr_topic_instance_changed, &events[i]);
        show(&otr_topic_instance_stopped, &events[i]);
    }
}

static void show_health(void)
{
    char why[] = "PID: 1 is not running, \xc3\xa9";
    char empty[] = "";
    for (int status = OTR_HEALTH_HEALTHY; status <= OTR_HEALTH_UNKNOWN; status++) {
        otr_health_event event = { .id = "x",
                                   .status = (otr_health)status,
                                   .description = status == 0 ? empty : why };
        show(&otr_topic_health_changed, &event);
    }
}

static void show_metrics(void)
{
    otr_metrics_event none = { .id = "" };
    otr_histogram times = { 0 };
    otr_histogram_add(&times, 250);
    otr_metrics_event full = { .id = "x",
                               .interval_ns = UINT64_MAX,
                               .status_ok = true,
                               .status_error = "http://127.0.0.1/status: refused, \xc3\xa9",
                               .logs_ok = true,
                               .log_unparsed = 3,
                               .active = UINT64_MAX,
                               .reading = 1,
                               .writing = 2,
                               .waiting = 3,
                               .accepted = (uint64_t)INT64_MAX + 1,
                               .handled = INT64_MAX,
                               .requests = 127,
                               .requests_delta = 128,
                               .requests_per_second = 0.1,
                               .responses = { 0, 1, UINT64_MAX, 16384, 5 },
                               .log_lines = UINT64_MAX };
    show(&otr_topic_metrics_sampled, &none);
    show(&otr_topic_metrics_sampled, &full);
    full.requests_per_second = 1e300;
    show(&otr_topic_metrics_sampled, &full);
    full.requests_per_second = 250;
    full.times = &times;
    otr_log_errors errors = { .levels = { [OTR_LEVEL_ERROR] = 3 }, .causes = { [0] = UINT64_MAX } };
    full.errors = &errors;
    show(&otr_topic_metrics_sampled, &full);
}

static void show_host(void)
{
    otr_host_cpu cpus[2] = { { .number = 0 }, { .number = 1 } };
    otr_host_disk disks[] = { { .name = "vda", .read = { .bytes = UINT64_MAX }, .busy_s = 0.25 } };
    otr_host_filesystem fs[] = { { .mount = "/\xc3\xa9", .type = "ext4", .read_only = true } };
    otr_host_interface net[] = { { .name = "lo", .receive = { .bytes = 128 } } };
    otr_host_sample none = { 0 };
    otr_host_sample full = {
        .in_container = true,
        .cpus = { .items = cpus, .n = 2 },
        .memory = { .known = true, .total = UINT64_MAX, .used = 1 },
        .disks = { .items = disks, .n = 1 },
        .filesystems = { .items = fs, .n = 1 },
        .network = { .items = net, .n = 1 },
        .sockets = { .known = true, .count = { [OTR_TCP_LISTEN] = 7 } },
        .load = { .known = true, .minutes = { 0.1, 250, 1e300 } },
        .files = { .known = true, .used = 1, .most = UINT64_MAX },
        .pressure = { { .some = { .known = true, .share = { 0.5 } } } },
        .cgroup = { .version = 2, .cpu_most = 1.5, .memory = UINT64_MAX },
    };
    otr_host_event events[] = { { .sample = &none },
                                { .sample = &full,
                                  .interval_ns = UINT64_MAX,
                                  .shares_known = true,
                                  .shares = { 0.75, 0.25 } } };
    show(&otr_topic_host_metrics, &events[0]);
    show(&otr_topic_host_metrics, &events[1]);
}

static void show_apply(void)
{
    char path[] = "/etc/nginx/\xc3\xa9.conf", text[] = "directive \"x\"", empty[] = "";
    char *remarks[] = { text, NULL };
    otr_finding found[] = { { .level = "emerg", .file = path, .line = 7, .text = text } };
    otr_apply_file files[] = { { .path = path } };
    otr_apply_result none = { .id = "", .message = empty, .reason = empty };
    otr_apply_result full = {
        .id = "20260102T030405-1a2b3c4d",
        .who = { .uid = 1000, .pid = 4711, .name = "alice" },
        .message = text,
        .of = text,
        .outcome = OTR_APPLY_INVALID,
        .touched = true,
        .reason = text,
        .findings = { .items = found, .n = 1, .missing = 3 },
        .remarks = remarks,
        .files = files,
        .n_files = 1,
        .more_files = UINT32_MAX,
        .version_after = text,
        .number = UINT64_MAX,
        .ns = 1234567,
    };
    otr_apply_event events[] = { { &none }, { &full } };
    for (size_t i = 0; i < OTR_COUNT(events); i++) {
        show(&otr_topic_apply_started, &events[i]);
        show(&otr_topic_apply_finished, &events[i]);
    }
}

static void show_drift(void)
{
    char path[] = "/etc/nginx/nginx.conf";
    otr_drift_file files[] = { { .path = path,
                                 .kind = OTR_DRIFT_ATTRIBUTES,
                                 .old_digest = "00ff",
                                 .seen_ns = OTR_NS_PER_S,
                                 .uid = 0,
                                 .owner = "root" } };
    otr_drift_report none = { .id = "x" };
    otr_drift_report full = { .id = "x",
                              .version = "abc",
                              .files = files,
                              .n = 1,
                              .more = 3,
                              .since_ns = OTR_NS_PER_S,
                              .known = true,
                              .remark = "no watch" };
    otr_drift_event events[] = { { &none }, { &full } };
    show(&otr_topic_config_drifted, &events[0]);
    show(&otr_topic_config_drifted, &events[1]);
}

static void show_agent(void)
{
    char file[] = "/etc/nginx-agent/nginx-agent.conf";
    char empty[] = "";
    otr_reload_event reload = { file, UINT64_MAX };
    show(&otr_topic_config_reloaded, &reload);
    reload = (otr_reload_event){ empty, 0 };
    show(&otr_topic_config_reloaded, &reload);
    otr_plugin_event plugin = { file, "disabled", file };
    show(&otr_topic_plugin_changed, &plugin);
    plugin = (otr_plugin_event){ empty, "running", empty };
    show(&otr_topic_plugin_changed, &plugin);
}

/* ---- one message ---- */

static int nibble(char c)
{
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= '0' && c <= '9' ? c - '0' : -1;
}

static otr_code take_hex(const char *hex, otr_buf *out)
{
    otr_code rc = OTR_OK;
    for (; rc == OTR_OK && nibble(hex[0]) >= 0 && nibble(hex[1]) >= 0; hex += 2) {
        rc = otr_buf_addc(out, (char)(nibble(hex[0]) << 4 | nibble(hex[1])), NULL);
    }
    return rc;
}

static void convert(const char *verb, const char *name, const char *hex)
{
    otr_buf in, out;
    otr_err err = { 0 };
    const otr_pb_type *type = otr_pb_find(name);
    otr_buf_init(&in, LINE_BYTES);
    otr_buf_init(&out, 2 * LINE_BYTES);
    otr_code rc = type != NULL ? take_hex(hex, &in) : OTR_ENOTFOUND;
    if (rc == OTR_OK && strcmp(verb, "write") == 0) {
        rc = otr_pb_write(type, otr_buf_bytes(&in), &out, &err);
    } else if (rc == OTR_OK) {
        rc = otr_pb_read(type, otr_buf_bytes(&in), OTR_PB_ABSENT_ALL, &out, &err);
    }
    (void)printf(rc == OTR_OK ? "ok " : "error %s", err.msg);
    put_hex(otr_buf_bytes(&out));
    (void)putchar('\n');
    otr_buf_deinit(&in);
    otr_buf_deinit(&out);
}

int main(void)
{
    char *line = malloc(LINE_BYTES);
    char verb[16], name[64];
    int at = 0;
    while (line != NULL && fgets(line, LINE_BYTES, stdin) != NULL) {
        if (strcmp(line, "topics\n") == 0) {
            (void)puts("ok 26");
            show_instances();
            show_health();
            show_metrics();
            show_host();
            show_apply();
            show_drift();
            show_agent();
        } else if (sscanf(line, "%15s %63s %n", verb, name, &at) == 2) {
            convert(verb, name, line + at);
        } else {
            free(line);
            return fail("no such command");
        }
        (void)fflush(stdout);
    }
    free(line);
    return 0;
}
