/*
 * The host as Linux tells of it: processors, memory, disks, file systems, network, load, pressure,
 * and the control group that the agent runs in. A sample is plain data; rates are the business of
 * who keeps two of them.
 *
 * Names and meanings are those of OpenTelemetry's host metrics, which NGINX Agent's collector
 * reports; the sources are proc(5), the kernel's Documentation/admin-guide/{iostats,cgroup-v1,
 * cgroup-v2}.rst, Documentation/accounting/psi.rst and sock_diag(7).
 *
 * What cannot be read is unknown (a section's `known`, or a list that is empty), never 0. Lists are
 * cut at OTR_LIMIT_HOST_ITEMS; `cut` says how many items are missing.
 *
 * Thread: any; otr_host_read() blocks, as a disk may be slow. File systems that another machine or
 * a user's process serves are never asked.
 */
#ifndef OTR_HOST_HOST_H
#define OTR_HOST_HOST_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"

enum { OTR_HOST_NAME_BYTES = 64, OTR_HOST_PATH_BYTES = 256 };

typedef enum otr_cpu_state { /* in the order of their names */
                             OTR_CPU_IDLE,
                             OTR_CPU_INTERRUPT,
                             OTR_CPU_NICE,
                             OTR_CPU_SOFTIRQ,
                             OTR_CPU_STEAL,
                             OTR_CPU_SYSTEM,
                             OTR_CPU_USER,
                             OTR_CPU_WAIT,
                             OTR_CPU_STATES,
} otr_cpu_state;
const char *otr_cpu_state_name(otr_cpu_state state);

typedef struct otr_host_cpu {
    unsigned number;
    double seconds[OTR_CPU_STATES]; /* since boot */
} otr_host_cpu;

typedef struct otr_host_cpus {
    otr_host_cpu *items; /* those that are online */
    size_t n, cap, cut;
    uint64_t processes_created; /* since boot */
    uint64_t running, blocked;  /* threads now */
} otr_host_cpus;

typedef struct otr_host_memory { /* bytes */
    bool known;
    uint64_t total, available, free, buffered, cached, slab_reclaimable, slab_unreclaimable, used;
    uint64_t swap_total, swap_free;
} otr_host_memory;

typedef struct otr_host_flow { /* one direction of a disk, since boot */
    uint64_t operations, merged, bytes;
    double seconds;
} otr_host_flow;

typedef struct otr_host_disk {
    char name[OTR_HOST_NAME_BYTES];
    otr_host_flow read, write;
    uint64_t pending; /* now */
    double busy_s, weighted_s;
} otr_host_disk;

typedef struct otr_host_disks {
    otr_host_disk *items;
    size_t n, cap, cut;
} otr_host_disks;

typedef struct otr_host_filesystem {
    char device[OTR_HOST_PATH_BYTES], mount[OTR_HOST_PATH_BYTES];
    char type[OTR_HOST_NAME_BYTES];
    bool read_only;
    uint64_t used, free, reserved; /* bytes */
    uint64_t inodes_used, inodes_free;
} otr_host_filesystem;

typedef struct otr_host_filesystems {
    otr_host_filesystem *items;
    size_t n, cap, cut;
} otr_host_filesystems;

typedef struct otr_host_traffic { /* one direction of an interface, since it came up */
    uint64_t bytes, packets, errors, dropped;
} otr_host_traffic;

typedef struct otr_host_interface {
    char name[OTR_HOST_NAME_BYTES];
    otr_host_traffic receive, transmit;
} otr_host_interface;

typedef struct otr_host_network {
    otr_host_interface *items;
    size_t n, cap, cut;
} otr_host_network;

typedef enum otr_tcp_state { /* as the kernel numbers them, from 1 */
                             OTR_TCP_ESTABLISHED = 1,
                             OTR_TCP_SYN_SENT,
                             OTR_TCP_SYN_RECV,
                             OTR_TCP_FIN_WAIT_1,
                             OTR_TCP_FIN_WAIT_2,
                             OTR_TCP_TIME_WAIT,
                             OTR_TCP_CLOSE,
                             OTR_TCP_CLOSE_WAIT,
                             OTR_TCP_LAST_ACK,
                             OTR_TCP_LISTEN,
                             OTR_TCP_CLOSING,
                             OTR_TCP_STATES,
} otr_tcp_state;
const char *otr_tcp_state_name(otr_tcp_state state); /* "ESTABLISHED" … */

typedef struct otr_host_sockets { /* TCP, both versions of IP, this network namespace */
    bool known;
    uint64_t count[OTR_TCP_STATES]; /* [0] is unused */
} otr_host_sockets;

typedef struct otr_host_load {
    bool known;
    double minutes[3]; /* over 1, 5 and 15 */
} otr_host_load;

typedef enum otr_pressure_kind {
    OTR_PRESSURE_CPU,
    OTR_PRESSURE_MEMORY,
    OTR_PRESSURE_IO,
    OTR_PRESSURE_KINDS,
} otr_pressure_kind;
const char *otr_pressure_name(otr_pressure_kind kind); /* "cpu" … */

typedef struct otr_pressure_line { /* some: one task waits; full: all do */
    bool known;
    double share[3]; /* of the last 10, 60 and 300 s, 0 to 1 */
    double seconds;  /* in all */
} otr_pressure_line;

typedef struct otr_pressure {
    otr_pressure_line some, full;
} otr_pressure;

typedef struct otr_host_files { /* open files of the whole host */
    bool known;
    uint64_t used, most;
} otr_host_files;

/* The control group of the agent: in a container, the container. */
typedef struct otr_cgroup {
    unsigned version; /* 1 or 2; 0: there is none that can be read */
    bool cpu_known, memory_known, pids_known;
    double user_s, system_s;     /* since it was made */
    double cpu_most;             /* quota in processors; 0: none */
    uint64_t periods, throttled; /* of the quota: how many, and how many were cut short */
    uint64_t memory, cache;      /* bytes; cache can be given back */
    uint64_t memory_most;        /* bytes; 0: none */
    uint64_t pids, pids_most;    /* most 0: none */
    otr_pressure pressure[OTR_PRESSURE_KINDS];
} otr_cgroup;

typedef struct otr_host_sample {
    uint64_t at_ns;    /* monotonic */
    bool in_container; /* the agent's own process is */
    otr_host_cpus cpus;
    otr_host_memory memory;
    otr_host_disks disks;
    otr_host_filesystems filesystems;
    otr_host_network network;
    otr_host_sockets sockets;
    otr_host_load load;
    otr_host_files files;
    otr_pressure pressure[OTR_PRESSURE_KINDS];
    otr_cgroup cgroup;
} otr_host_sample;

typedef struct otr_host_places { /* "" of each: the system's own root. For tests and containers that
                                    have the host's mounted elsewhere */
    const char *root;            /* before /proc, /sys and / of what is looked at */
} otr_host_places;

/* Fails only when memory is out. */
otr_code otr_host_read(const otr_host_places *places, otr_host_sample **ret, otr_err *err)
    OTR_MUST_CHECK;
/* A sample with nothing but what shares are made of: processors and the control group's time. */
otr_code otr_host_sample_brief(const otr_host_sample *from, otr_host_sample **ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_host_sample_free(otr_host_sample *sample); /* NULL is fine */

/* The share of time that a processor spent in each state between two samples, 0 to 1; false when
 * `before` (may be NULL) does not have it, or no time has passed. */
/* The same of all processors together. */
bool otr_host_shares(const otr_host_sample *before, const otr_host_sample *now,
                     double out[OTR_CPU_STATES]);
bool otr_host_cpu_shares(const otr_host_sample *before, const otr_host_cpu *now,
                         double out[OTR_CPU_STATES]);

/* Whether this process is in a container, by the files and names that runtimes leave. Blocks. */
otr_code otr_host_in_container(const char *root, bool *ret, otr_err *err) OTR_MUST_CHECK;

#endif
