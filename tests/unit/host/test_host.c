#include <math.h>
#include <unistd.h>

#include "base/limits.h"
#include "host/sections.h"
#include "host/text.h"
#include "unit/nginx/tree.h"

static bool near(double a, double b)
{
    return fabs(a - b) < 1e-9;
}

static void free_cpus(otr_host_cpus *cpus)
{
    otr_free(cpus->items);
}

T(processors_by_state_in_seconds)
{
    OTR_CLEANUP(free_cpus) otr_host_cpus cpus = { 0 };
    otr_err err;
    otr_bytes text = otr_bytes_of("cpu  10 20 30 40 50 60 70 80 90 100\n"
                                  "cpu0 1 2 3 4 5 6 7 8 9 10\n"
                                  "cpu12 100 0 0 300\n"
                                  "cpux 1 2 3 4\n"
                                  "intr 5 1 2\n"
                                  "processes 4711\nprocs_running 3\nprocs_blocked 1\n");
    REQUIRE_OK(otr_host_cpus_parse(text, 100, &cpus, &err), err);
    REQUIRE(cpus.n == 2);
    CHECK_INT(cpus.items[0].number, 0);
    CHECK(near(cpus.items[0].seconds[OTR_CPU_USER], 0.01));
    CHECK(near(cpus.items[0].seconds[OTR_CPU_NICE], 0.02));
    CHECK(near(cpus.items[0].seconds[OTR_CPU_SYSTEM], 0.03));
    CHECK(near(cpus.items[0].seconds[OTR_CPU_IDLE], 0.04));
    CHECK(near(cpus.items[0].seconds[OTR_CPU_WAIT], 0.05));
    CHECK(near(cpus.items[0].seconds[OTR_CPU_INTERRUPT], 0.06));
    CHECK(near(cpus.items[0].seconds[OTR_CPU_SOFTIRQ], 0.07));
    CHECK(near(cpus.items[0].seconds[OTR_CPU_STEAL], 0.08));
    CHECK_INT(cpus.items[1].number, 12);
    CHECK(near(cpus.items[1].seconds[OTR_CPU_IDLE], 3));
    CHECK(near(cpus.items[1].seconds[OTR_CPU_STEAL], 0));
    CHECK_INT(cpus.processes_created, 4711);
    CHECK_INT(cpus.running, 3);
    CHECK_INT(cpus.blocked, 1);
}

T(shares_are_of_the_time_between_two_samples)
{
    otr_host_cpu was = { .number = 1, .seconds = { [OTR_CPU_IDLE] = 10, [OTR_CPU_USER] = 5 } };
    otr_host_cpu now = {
        .number = 1, .seconds = { [OTR_CPU_IDLE] = 13, [OTR_CPU_USER] = 6, [OTR_CPU_WAIT] = 0 }
    };
    otr_host_sample before = { .cpus = { .items = &was, .n = 1 } };
    otr_host_sample after = { .cpus = { .items = &now, .n = 1 } };
    double out[OTR_CPU_STATES] = { 0 };
    REQUIRE(otr_host_cpu_shares(&before, &now, out));
    CHECK(near(out[OTR_CPU_IDLE], 0.75));
    CHECK(near(out[OTR_CPU_USER], 0.25));
    REQUIRE(otr_host_shares(&before, &after, out));
    CHECK(near(out[OTR_CPU_IDLE], 0.75));
    CHECK(!otr_host_cpu_shares(NULL, &now, out));
    CHECK(!otr_host_cpu_shares(&before, &was, out)); /* no time has passed */
    now.number = 2;                                  /* came online since */
    CHECK(!otr_host_cpu_shares(&before, &now, out));
    now.number = 1;
    now.seconds[OTR_CPU_IDLE] = 9; /* went back: counts as nothing */
    REQUIRE(otr_host_cpu_shares(&before, &now, out));
    CHECK(near(out[OTR_CPU_USER], 1));
}

T(memory_that_is_used_is_what_nothing_else_claims)
{
    otr_host_memory m = { 0 };
    otr_host_memory_parse(otr_bytes_of("MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 700 kB\n"
                                       "Buffers: 50 kB\nCached: 400 kB\nSwapCached: 9 kB\n"
                                       "SReclaimable: 30 kB\nSUnreclaim: 20 kB\n"
                                       "SwapTotal: 64 kB\nSwapFree: 60 kB\nHugePages_Total: 0\n"),
                          &m);
    CHECK(m.known);
    CHECK_INT(m.total, 1000 * 1024);
    CHECK_INT(m.cached, 430 * 1024);
    CHECK_INT(m.used, 420 * 1024);
    CHECK_INT(m.slab_reclaimable, 30 * 1024);
    CHECK_INT(m.swap_free, 60 * 1024);
    otr_host_memory none = { 0 };
    otr_host_memory_parse(otr_bytes_of("MemFree: 100 kB\n"), &none);
    CHECK(!none.known);
}

T(load_and_files_are_known_or_not_at_all)
{
    otr_host_load load = { 0 };
    otr_host_load_parse(otr_bytes_of("0.50 1.25 2 3/400 999\n"), &load);
    CHECK(load.known && near(load.minutes[0], 0.5) && near(load.minutes[1], 1.25) &&
          near(load.minutes[2], 2));
    otr_host_load broken = { 0 };
    otr_host_load_parse(otr_bytes_of("0.50 nan 2\n"), &broken);
    CHECK(!broken.known);
    otr_host_files files = { 0 };
    otr_host_files_parse(otr_bytes_of("1504\t4\t9223372036854775807\n"), &files);
    CHECK(files.known);
    CHECK_INT(files.used, 1500);
}

static void free_disks(otr_host_disks *disks)
{
    otr_free(disks->items);
}

T(disks_with_old_and_new_columns)
{
    OTR_CLEANUP(free_disks) otr_host_disks disks = { 0 };
    otr_err err;
    REQUIRE_OK(otr_host_disks_parse(
                   otr_bytes_of(" 254 0 vda 10 2 8 1500 20 4 16 2500 3 4000 5000 0 0 0 0 7 8\n"
                                "   8 1 sda1 1 2 3 4\n"
                                " 254 1 vdb 1 0 2 0 0 0 0 0 0 0 0\n"),
                   &disks, &err),
               err);
    REQUIRE(disks.n == 2);
    CHECK_STR(disks.items[0].name, "vda");
    CHECK_INT(disks.items[0].read.operations, 10);
    CHECK_INT(disks.items[0].read.merged, 2);
    CHECK_INT(disks.items[0].read.bytes, 8 * 512);
    CHECK(near(disks.items[0].read.seconds, 1.5));
    CHECK_INT(disks.items[0].write.bytes, 16 * 512);
    CHECK_INT(disks.items[0].pending, 3);
    CHECK(near(disks.items[0].busy_s, 4) && near(disks.items[0].weighted_s, 5));
    CHECK_STR(disks.items[1].name, "vdb");
}

static void free_filesystems(otr_host_filesystems *list)
{
    otr_free(list->items);
}

static const char types[] = "nodev\tproc\nnodev\ttmpfs\nnodev\tnfs4\nnodev\tfuse\n\text4\n\txfs\n"
                            "\tfuseblk\nnodev\tzfs\n";

T(file_systems_of_disks_and_no_others)
{
    OTR_CLEANUP(free_filesystems) otr_host_filesystems list = { 0 };
    otr_err err;
    REQUIRE_OK(otr_host_filesystems_parse(
                   otr_bytes_of("22 27 0:21 / /proc rw - proc proc rw\n"
                                "27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw\n"
                                "30 27 8:1 / /mnt/a\\040b ro,relatime - xfs /dev/sda1 ro\n"
                                "31 27 0:50 / /net rw - nfs4 host:/x rw\n"
                                "32 27 0:51 / /user rw - fuseblk /dev/sdc rw\n"
                                "33 27 0:52 / /pool rw - zfs tank rw\n"
                                "34 27 8:2 / /mnt/a\\040b rw,ronly - ext4 /dev/sda2 rw\n"
                                "35 27 8:2 / /cut rw - \n36 27 8:3\n"),
                   otr_bytes_of(types), &list, &err),
               err);
    REQUIRE(list.n == 3);
    CHECK_STR(list.items[0].mount, "/");
    CHECK_STR(list.items[0].device, "/dev/vda");
    CHECK(!list.items[0].read_only);
    CHECK_STR(list.items[1].mount, "/mnt/a b"); /* the mount that lies above */
    CHECK_STR(list.items[1].type, "ext4");
    CHECK(!list.items[1].read_only);
    CHECK_STR(list.items[2].type, "zfs");
}

static void free_network(otr_host_network *network)
{
    otr_free(network->items);
}

T(interfaces_in_both_directions)
{
    OTR_CLEANUP(free_network) otr_host_network network = { 0 };
    otr_err err;
    REQUIRE_OK(
        otr_host_network_parse(
            otr_bytes_of("Inter-|   Receive                |  Transmit\n"
                         " face |bytes    packets errs drop fifo frame compressed multicast|x\n"
                         "    lo: 100 2 3 4 0 0 0 0 500 6 7 8 0 0 0 0\n"
                         "eth0:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n"
                         "eth0:1: 1 1 1 1 1 1 1 1 2 2 2 2 2 2 2 2\n"
                         "bad: 1 2 3\n"),
            &network, &err),
        err);
    REQUIRE(network.n == 3);
    CHECK_STR(network.items[0].name, "lo");
    CHECK_INT(network.items[0].receive.bytes, 100);
    CHECK_INT(network.items[0].receive.dropped, 4);
    CHECK_INT(network.items[0].transmit.bytes, 500);
    CHECK_INT(network.items[1].transmit.errors, 11);
    CHECK_STR(network.items[2].name, "eth0:1"); /* an alias */
}

T(pressure_some_and_full)
{
    otr_pressure p = { 0 };
    otr_pressure_parse(otr_bytes_of("some avg10=90.47 avg60=0.50 avg300=0.00 total=1500000\n"
                                    "full avg10=x avg60=0.00 avg300=0.00 total=0\n"),
                       &p);
    CHECK(p.some.known && near(p.some.share[0], 0.9047) && near(p.some.share[1], 0.005));
    CHECK(near(p.some.seconds, 1.5));
    CHECK(!p.full.known);
}

T(a_list_is_cut_and_says_so)
{
    OTR_CLEANUP(free_disks) otr_host_disks disks = { 0 };
    otr_err err;
    otr_host_disk disk = { .name = "d" };
    for (int i = 0; i < OTR_LIMIT_HOST_ITEMS + 3; i++) {
        REQUIRE_OK(OTR_HOST_PUSH(&disks, disk, &err), err);
    }
    CHECK_INT(disks.n, OTR_LIMIT_HOST_ITEMS);
    CHECK_INT(disks.cut, 3);
}

T(control_group_of_version_2_with_its_own_path)
{
    OTR_CLEANUP(tree_deinit) tree t;
    REQUIRE(tree_init(&t));
    otr_err err;
    otr_cgroup g = { 0 };
    REQUIRE(tree_write(&t, "proc/self/cgroup", "0::/system.slice/o.service\n") &&
            tree_write(&t, "sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n") &&
            tree_write(&t, "sys/fs/cgroup/system.slice/o.service/cpu.stat",
                       "usage_usec 30\nuser_usec 2000000\nsystem_usec 500000\nnr_periods 7\n"
                       "nr_throttled 2\n") &&
            tree_write(&t, "sys/fs/cgroup/system.slice/o.service/cpu.max", "150000 100000\n") &&
            tree_write(&t, "sys/fs/cgroup/system.slice/o.service/memory.current", "1000\n") &&
            tree_write(&t, "sys/fs/cgroup/system.slice/o.service/memory.max", "max\n") &&
            tree_write(&t, "sys/fs/cgroup/system.slice/o.service/memory.stat",
                       "anon 1\nfile 300\nfile_mapped 9\n") &&
            tree_write(&t, "sys/fs/cgroup/system.slice/o.service/pids.current", "12\n") &&
            tree_write(&t, "sys/fs/cgroup/system.slice/o.service/pids.max", "99\n") &&
            tree_write(&t, "sys/fs/cgroup/system.slice/o.service/memory.pressure",
                       "some avg10=1.00 avg60=0.00 avg300=0.00 total=1\n"));
    REQUIRE_OK(otr_cgroup_read(t.dir, &g, &err), err);
    CHECK_INT(g.version, 2);
    CHECK(g.cpu_known && near(g.user_s, 2) && near(g.system_s, 0.5) && near(g.cpu_most, 1.5));
    CHECK_INT(g.throttled, 2);
    CHECK(g.memory_known && g.memory == 1000 && g.cache == 300 && g.memory_most == 0);
    CHECK(g.pids_known && g.pids == 12 && g.pids_most == 99);
    CHECK(g.pressure[OTR_PRESSURE_MEMORY].some.known && !g.pressure[OTR_PRESSURE_CPU].some.known);
}

T(control_group_of_version_1_seen_at_the_top)
{
    OTR_CLEANUP(tree_deinit) tree t;
    REQUIRE(tree_init(&t));
    otr_err err;
    otr_cgroup g = { 0 };
    REQUIRE(tree_write(&t, "proc/self/cgroup",
                       "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n") &&
            tree_write(&t, "sys/fs/cgroup/cpuacct/cpuacct.stat", "user 200\nsystem 50\n") &&
            tree_write(&t, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n") &&
            tree_write(&t, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n") &&
            tree_write(&t, "sys/fs/cgroup/memory/memory.usage_in_bytes", "5000\n") &&
            tree_write(&t, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n") &&
            tree_write(&t, "sys/fs/cgroup/memory/memory.stat", "cache 700\nrss 1\n"));
    REQUIRE_OK(otr_cgroup_read(t.dir, &g, &err), err);
    CHECK_INT(g.version, 1);
    CHECK(g.cpu_known && g.user_s > g.system_s && g.system_s > 0 && near(g.cpu_most, 0));
    CHECK(g.memory == 5000 && g.cache == 700 && g.memory_most == 0);
    CHECK(!g.pids_known);
}

T(the_group_of_cpusets_is_not_that_of_processor_time)
{
    OTR_CLEANUP(tree_deinit) tree t;
    REQUIRE(tree_init(&t));
    otr_err err;
    otr_cgroup g = { 0 };
    REQUIRE(tree_write(&t, "proc/self/cgroup", "9:cpuset:/other\n2:cpu,cpuacct:/own\n") &&
            tree_write(&t, "sys/fs/cgroup/cpu/other/cpu.cfs_quota_us", "900000\n") &&
            tree_write(&t, "sys/fs/cgroup/cpu/other/cpu.cfs_period_us", "100000\n") &&
            tree_write(&t, "sys/fs/cgroup/cpu/own/cpu.cfs_quota_us", "200000\n") &&
            tree_write(&t, "sys/fs/cgroup/cpu/own/cpu.cfs_period_us", "100000\n") &&
            tree_write(&t, "sys/fs/cgroup/cpuacct/own/cpuacct.stat", "user 200\nsystem 50\n"));
    REQUIRE_OK(otr_cgroup_read(t.dir, &g, &err), err);
    CHECK(near(g.cpu_most, 2));
    CHECK(g.cpu_known);
}

T(a_host_without_anything_is_unknown_and_no_error)
{
    OTR_CLEANUP(tree_deinit) tree t;
    REQUIRE(tree_init(&t));
    otr_err err;
    otr_host_sample *s = NULL;
    const otr_host_places places = { .root = t.dir };
    REQUIRE_OK(otr_host_read(&places, &s, &err), err);
    CHECK(s->cpus.n == 0 && !s->memory.known && s->disks.n == 0 && s->filesystems.n == 0);
    CHECK(!s->load.known && !s->files.known && s->cgroup.version == 0);
    otr_host_sample_free(s);
}

T(a_text_beyond_the_limit_is_no_text)
{
    OTR_CLEANUP(tree_deinit) tree t;
    OTR_CLEANUP(otr_buf_deinit) otr_buf text;
    otr_buf_init(&text, 10000);
    REQUIRE(tree_init(&t));
    otr_err err;
    char big[12001];
    memset(big, 'x', sizeof(big));
    REQUIRE(tree_bytes(&t, "proc/stat", big, sizeof(big), "wb"));
    REQUIRE_OK(otr_host_text(t.dir, "/proc/stat", &text, &err), err);
    CHECK_INT(text.n, 0);
}

T(this_host)
{
    otr_err err;
    otr_host_sample *s = NULL, *brief = NULL;
    const otr_host_places places = { .root = "" };
    REQUIRE_OK(otr_host_read(&places, &s, &err), err);
    otr_code rc = otr_host_sample_brief(s, &brief, &err);
    CHECK_INT(s->cpus.n, sysconf(_SC_NPROCESSORS_ONLN));
    CHECK(s->memory.known && s->memory.used < s->memory.total && s->load.known);
    CHECK(rc != OTR_OK || brief->cpus.n == s->cpus.n);
    otr_host_sample_free(brief);
    otr_host_sample_free(s);
}
