#include "modules/host_families.h"

static const char *const labels_cpu_state[] = { "cpu", "state", NULL };
static const char *const labels_state[] = { "state", NULL };
static const char *const labels_device_direction[] = { "device", "direction", NULL };
static const char *const labels_device[] = { "device", NULL };
static const char *const labels_device_mode_mountpoint_type_state[] = { "device",     "mode",
                                                                        "mountpoint", "type",
                                                                        "state",      NULL };
static const char *const labels_protocol_state[] = { "protocol", "state", NULL };
static const char *const labels_status[] = { "status", NULL };
static const char *const labels_resource_kind[] = { "resource", "kind", NULL };
static const char *const labels_resource_kind_window[] = { "resource", "kind", "window", NULL };

const otr_family otr_host_cpu_time = {
    .name = "system.cpu.time",
    .unit = "s",
    .help = "Time of each processor in each state.",
    .kind = OTR_METRIC_COUNTER,
    .labels = labels_cpu_state,
};
const otr_family otr_host_cpu_utilization = {
    .name = "system.cpu.utilization",
    .unit = "1",
    .help = "Share of time of each processor in each state since the last sample.",
    .kind = OTR_METRIC_GAUGE,
    .labels = labels_cpu_state,
};
const otr_family otr_host_cpu_count = {
    .name = "system.cpu.logical.count",
    .unit = "{cpu}",
    .help = "Processors that are online.",
    .kind = OTR_METRIC_GAUGE,
    .flags = OTR_FAMILY_UP_DOWN,
};
const otr_family otr_host_memory_usage = {
    .name = "system.memory.usage",
    .unit = "By",
    .help = "Memory by what it is used for.",
    .kind = OTR_METRIC_GAUGE,
    .labels = labels_state,
    .flags = OTR_FAMILY_UP_DOWN,
};
const otr_family otr_host_memory_limit = {
    .name = "system.memory.limit",
    .unit = "By",
    .help = "Memory in all.",
    .kind = OTR_METRIC_GAUGE,
    .flags = OTR_FAMILY_UP_DOWN,
};
const otr_family otr_host_memory_available = {
    .name = "system.linux.memory.available",
    .unit = "By",
    .help = "Memory that programs can get without swapping.",
    .kind = OTR_METRIC_GAUGE,
};
const otr_family otr_host_paging_usage = {
    .name = "system.paging.usage",
    .unit = "By",
    .help = "Swap space.",
    .kind = OTR_METRIC_GAUGE,
    .labels = labels_state,
    .flags = OTR_FAMILY_UP_DOWN,
};
const otr_family otr_host_disk_io = {
    .name = "system.disk.io",
    .unit = "By",
    .help = "Bytes read from and written to a disk.",
    .kind = OTR_METRIC_COUNTER,
    .labels = labels_device_direction,
};
const otr_family otr_host_disk_operations = {
    .name = "system.disk.operations",
    .unit = "{operations}",
    .help = "Operations of a disk.",
    .kind = OTR_METRIC_COUNTER,
    .labels = labels_device_direction,
};
const otr_family otr_host_disk_merged = {
    .name = "system.disk.merged",
    .unit = "{operations}",
    .help = "Operations that were merged into others.",
    .kind = OTR_METRIC_COUNTER,
    .labels = labels_device_direction,
};
const otr_family otr_host_disk_operation_time = {
    .name = "system.disk.operation_time",
    .unit = "s",
    .help = "Time spent in operations of a disk.",
    .kind = OTR_METRIC_COUNTER,
    .labels = labels_device_direction,
};
const otr_family otr_host_disk_io_time = {
    .name = "system.disk.io_time",
    .unit = "s",
    .help = "Time in which a disk was busy.",
    .kind = OTR_METRIC_COUNTER,
    .labels = labels_device,
};
const otr_family otr_host_disk_weighted_time = {
    .name = "system.disk.weighted_io_time",
    .unit = "s",
    .help = "The same, times the operations that waited.",
    .kind = OTR_METRIC_COUNTER,
    .labels = labels_device,
};
const otr_family otr_host_disk_pending = {
    .name = "system.disk.pending_operations",
    .unit = "{operations}",
    .help = "Operations that wait now.",
    .kind = OTR_METRIC_GAUGE,
    .labels = labels_device,
    .flags = OTR_FAMILY_UP_DOWN,
};
const otr_family otr_host_fs_usage = {
    .name = "system.filesystem.usage",
    .unit = "By",
    .help = "Space of a file system.",
    .kind = OTR_METRIC_GAUGE,
    .labels = labels_device_mode_mountpoint_type_state,
    .flags = OTR_FAMILY_UP_DOWN,
};
const otr_family otr_host_fs_inodes = {
    .name = "system.filesystem.inodes.usage",
    .unit = "{inodes}",
    .help = "Inodes of a file system.",
    .kind = OTR_METRIC_GAUGE,
    .labels = labels_device_mode_mountpoint_type_state,
    .flags = OTR_FAMILY_UP_DOWN,
};
const otr_family otr_host_net_io = {
    .name = "system.network.io",
    .unit = "By",
    .help = "Bytes of an interface.",
    .kind = OTR_METRIC_COUNTER,
    .labels = labels_device_direction,
};
const otr_family otr_host_net_packets = {
    .name = "system.network.packets",
    .unit = "{packets}",
    .help = "Packets of an interface.",
    .kind = OTR_METRIC_COUNTER,
    .labels = labels_device_direction,
};
const otr_family otr_host_net_errors = {
    .name = "system.network.errors",
    .unit = "{errors}",
    .help = "Errors of an interface.",
    .kind = OTR_METRIC_COUNTER,
    .labels = labels_device_direction,
};
const otr_family otr_host_net_dropped = {
    .name = "system.network.dropped",
    .unit = "{packets}",
    .help = "Packets that an interface dropped.",
    .kind = OTR_METRIC_COUNTER,
    .labels = labels_device_direction,
};
const otr_family otr_host_net_connections = {
    .name = "system.network.connections",
    .unit = "{connections}",
    .help = "TCP sockets by state.",
    .kind = OTR_METRIC_GAUGE,
    .labels = labels_protocol_state,
    .flags = OTR_FAMILY_UP_DOWN,
};
const otr_family otr_host_load_1m = {
    .name = "system.cpu.load_average.1m",
    .unit = "{thread}",
    .help = "Load over a minute.",
    .kind = OTR_METRIC_GAUGE,
    .flags = OTR_FAMILY_FRACTION,
};
const otr_family otr_host_load_5m = {
    .name = "system.cpu.load_average.5m",
    .unit = "{thread}",
    .help = "Load over five minutes.",
    .kind = OTR_METRIC_GAUGE,
    .flags = OTR_FAMILY_FRACTION,
};
const otr_family otr_host_load_15m = {
    .name = "system.cpu.load_average.15m",
    .unit = "{thread}",
    .help = "Load over fifteen minutes.",
    .kind = OTR_METRIC_GAUGE,
    .flags = OTR_FAMILY_FRACTION,
};
const otr_family otr_host_files_count = {
    .name = "system.file_descriptors.open",
    .unit = "{file}",
    .help = "Open files of the host.",
    .kind = OTR_METRIC_GAUGE,
};
const otr_family otr_host_files_limit = {
    .name = "system.file_descriptors.limit",
    .unit = "{file}",
    .help = "How many there may be.",
    .kind = OTR_METRIC_GAUGE,
};
const otr_family otr_host_processes_created = {
    .name = "system.processes.created",
    .unit = "{process}",
    .help = "Processes and threads begun since boot.",
    .kind = OTR_METRIC_COUNTER,
};
const otr_family otr_host_processes_count = {
    .name = "system.processes.active",
    .unit = "{process}",
    .help = "Threads that run, and that wait for a disk.",
    .kind = OTR_METRIC_GAUGE,
    .labels = labels_status,
};
const otr_family otr_host_pressure_time = {
    .name = "system.pressure.time",
    .unit = "s",
    .help = "Time in which some or all tasks waited for a resource.",
    .kind = OTR_METRIC_COUNTER,
    .labels = labels_resource_kind,
};
const otr_family otr_host_pressure_share = {
    .name = "system.pressure.share",
    .unit = "1",
    .help = "Share of the last 10, 60 and 300 s in which they did.",
    .kind = OTR_METRIC_GAUGE,
    .labels = labels_resource_kind_window,
};
const otr_family otr_host_container_utilization = {
    .name = "system.cpu.utilization",
    .unit = "1",
    .help = "Processors that the container used since the last sample.",
    .kind = OTR_METRIC_GAUGE,
    .labels = labels_state,
};
const otr_family otr_host_container_cache = {
    .name = "container.memory.cache",
    .unit = "By",
    .help = "Files in the container's memory, which can be given back.",
    .kind = OTR_METRIC_GAUGE,
};
const otr_family otr_host_container_memory_limit = {
    .name = "container.memory.limit",
    .unit = "By",
    .help = "Memory that the container may have.",
    .kind = OTR_METRIC_GAUGE,
};
const otr_family otr_host_container_cpu_limit = {
    .name = "container.cpu.limit",
    .unit = "{cpu}",
    .help = "Processors that the container may use.",
    .kind = OTR_METRIC_GAUGE,
    .flags = OTR_FAMILY_FRACTION,
};
const otr_family otr_host_container_periods = {
    .name = "container.cpu.periods",
    .unit = "{period}",
    .help = "Periods of that quota.",
    .kind = OTR_METRIC_COUNTER,
};
const otr_family otr_host_container_throttled = {
    .name = "container.cpu.throttled",
    .unit = "{period}",
    .help = "Periods in which the container was stopped, as it had used its quota up.",
    .kind = OTR_METRIC_COUNTER,
};
const otr_family otr_host_container_pids = {
    .name = "container.pids.current",
    .unit = "{process}",
    .help = "Processes and threads of the container.",
    .kind = OTR_METRIC_GAUGE,
};
const otr_family otr_host_container_pids_limit = {
    .name = "container.pids.limit",
    .unit = "{process}",
    .help = "How many it may have.",
    .kind = OTR_METRIC_GAUGE,
};
