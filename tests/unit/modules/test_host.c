#include "base/json.h"
#include "modules/host_series.h"
#include "modules/topics.h"
#include "support/test.h"

static void free_registry(otr_registry **reg)
{
    otr_registry_free(*reg);
}

static bool shows(otr_registry *reg, const char *line)
{
    otr_buf out;
    otr_buf_init(&out, 1 << 20);
    bool found = otr_registry_prometheus(reg, &out, NULL) == OTR_OK &&
                 strstr(otr_buf_text(&out), line) != NULL;
    otr_buf_deinit(&out);
    return found;
}

T(what_is_gone_takes_its_series_with_it)
{
    OTR_CLEANUP(free_registry) otr_registry *reg = NULL;
    otr_err err;
    REQUIRE_OK(otr_registry_new(&reg, &err), err);
    otr_host_disk disks[] = { { .name = "vda", .read = { .bytes = 4096 } }, { .name = "vdb" } };
    otr_host_sample sample = { .disks = { .items = disks, .n = 2 } };
    otr_host_series series = { 0 };
    otr_code rc = otr_host_series_set(&series, reg, NULL, &sample, &err);
    CHECK(rc == OTR_OK);
    if (rc == OTR_OK) {
        CHECK(shows(reg, "system_disk_io_bytes_total{device=\"vda\",direction=\"read\"} 4096"));
        CHECK(shows(reg, "device=\"vdb\""));
        sample.disks.n = 1;
        rc = otr_host_series_set(&series, reg, NULL, &sample, &err);
        CHECK(rc == OTR_OK && shows(reg, "device=\"vda\"") && !shows(reg, "device=\"vdb\""));
        CHECK(!shows(reg, "system_memory")); /* unknown is no series */
    }
    otr_host_series_drop(&series);
    CHECK(!shows(reg, "system_disk"));
}

T(a_container_has_the_figures_of_its_control_group)
{
    OTR_CLEANUP(free_registry) otr_registry *reg = NULL;
    otr_err err;
    REQUIRE_OK(otr_registry_new(&reg, &err), err);
    otr_host_cpu was[] = { { .seconds = { [OTR_CPU_IDLE] = 10 } } };
    otr_host_cpu now[] = { { .seconds = { [OTR_CPU_IDLE] = 12 } } };
    otr_host_sample before = { .cpus = { .items = was, .n = 1 },
                               .cgroup = { .version = 2, .cpu_known = true, .user_s = 1 } };
    otr_host_sample after = {
        .in_container = true,
        .cpus = { .items = now, .n = 1 },
        .memory = { .known = true, .total = 1000 },
        .cgroup = { .version = 2,
                    .cpu_known = true,
                    .user_s = 2,
                    .memory_known = true,
                    .memory = 300,
                    .cache = 100,
                    .memory_most = 500,
                    .cpu_most = 0.5 },
    };
    otr_host_series series = { 0 };
    otr_code rc = otr_host_series_set(&series, reg, &before, &after, &err);
    CHECK(rc == OTR_OK);
    if (rc == OTR_OK) {
        CHECK(shows(reg, "system_cpu_utilization_ratio{state=\"user\"} 0.5\n"));
        CHECK(shows(reg, "system_memory_usage_bytes{state=\"used\"} 200\n"));
        CHECK(shows(reg, "system_memory_usage_bytes{state=\"free\"} 300\n"));
        CHECK(shows(reg, "container_cpu_limit 0.5\n"));
        CHECK(!shows(reg, "system_memory_limit")); /* the machine's */
    }
    otr_host_series_drop(&series);
}

T(a_sample_as_plugins_see_it)
{
    otr_host_filesystem fs[] = {
        { .mount = "/", .device = "/dev/vda", .type = "ext4", .used = 1 }
    };
    otr_host_interface net[] = { { .name = "lo", .receive = { .bytes = 5, .dropped = 6 } } };
    otr_host_sample sample = {
        .filesystems = { .items = fs, .n = 1 },
        .network = { .items = net, .n = 1 },
        .load = { .known = true, .minutes = { 0.5, 1, 2 } },
        .sockets = { .known = true, .count = { [OTR_TCP_LISTEN] = 3 } },
        .pressure = { [OTR_PRESSURE_IO] = { .some = { .known = true, .share = { 0.25, 0, 0 } } } },
    };
    const otr_host_event event = { .sample = &sample, .interval_ns = 2000000 };
    OTR_CLEANUP(otr_buf_deinit) otr_buf out;
    otr_buf_init(&out, 65536);
    otr_err err;
    REQUIRE_OK(otr_topic_host_metrics.encode(&event, &out, &err), err);
    CHECK_STR(
        otr_buf_text(&out),
        "{\"interval_ms\":2,\"container\":false,\"cpu\":{\"count\":0,\"shares\":{}},\"load\":[0.5,"
        "1,2],"
        "\"disks\":[],\"filesystems\":[{\"mount\":\"/\",\"device\":\"/dev/vda\",\"type\":"
        "\"ext4\",\"read_only\":false,\"used\":1,\"free\":0,\"reserved\":0,\"inodes_used\":0,"
        "\"inodes_free\":0}],\"interfaces\":[{\"name\":\"lo\",\"received_bytes\":5,"
        "\"sent_bytes\":0,\"receive_errors\":0,\"send_errors\":0,\"receive_dropped\":6,"
        "\"send_dropped\":0}],\"connections\":{\"ESTABLISHED\":0,\"SYN_SENT\":0,\"SYN_RECV\":0,"
        "\"FIN_WAIT_1\":0,\"FIN_WAIT_2\":0,\"TIME_WAIT\":0,\"CLOSE\":0,\"CLOSE_WAIT\":0,"
        "\"LAST_ACK\":0,\"LISTEN\":3,\"CLOSING\":0},\"pressure\":{\"io\":{\"some\":0.25,"
        "\"full\":0}}}");
}
