/*
 * Names, units and labels of the host's series: facts of OpenTelemetry's host metrics, and ours
 * where it has none. Private to host_series.c.
 *
 * Thread: constant.
 */
#ifndef OTR_MODULES_HOST_FAMILIES_H
#define OTR_MODULES_HOST_FAMILIES_H

#include "telemetry/registry.h"

extern const otr_family otr_host_cpu_time;
extern const otr_family otr_host_cpu_utilization;
extern const otr_family otr_host_cpu_count;
extern const otr_family otr_host_memory_usage;
extern const otr_family otr_host_memory_limit;
extern const otr_family otr_host_memory_available;
extern const otr_family otr_host_paging_usage;
extern const otr_family otr_host_disk_io;
extern const otr_family otr_host_disk_operations;
extern const otr_family otr_host_disk_merged;
extern const otr_family otr_host_disk_operation_time;
extern const otr_family otr_host_disk_io_time;
extern const otr_family otr_host_disk_weighted_time;
extern const otr_family otr_host_disk_pending;
extern const otr_family otr_host_fs_usage;
extern const otr_family otr_host_fs_inodes;
extern const otr_family otr_host_net_io;
extern const otr_family otr_host_net_packets;
extern const otr_family otr_host_net_errors;
extern const otr_family otr_host_net_dropped;
extern const otr_family otr_host_net_connections;
extern const otr_family otr_host_load_1m;
extern const otr_family otr_host_load_5m;
extern const otr_family otr_host_load_15m;
extern const otr_family otr_host_files_count;
extern const otr_family otr_host_files_limit;
extern const otr_family otr_host_processes_created;
extern const otr_family otr_host_processes_count;
extern const otr_family otr_host_pressure_time;
extern const otr_family otr_host_pressure_share;
extern const otr_family otr_host_container_utilization;
extern const otr_family otr_host_container_cache;
extern const otr_family otr_host_container_memory_limit;
extern const otr_family otr_host_container_cpu_limit;
extern const otr_family otr_host_container_periods;
extern const otr_family otr_host_container_throttled;
extern const otr_family otr_host_container_pids;
extern const otr_family otr_host_container_pids_limit;

#endif
