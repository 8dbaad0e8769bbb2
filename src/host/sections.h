/*
 * What a sample is put together from, a file each. Private to src/host.
 *
 * Each parser takes a text as the kernel writes it, and leaves out what it does not understand;
 * each reader fails only when memory is out.
 *
 * Thread: any; readers block.
 */
#ifndef OTR_HOST_SECTIONS_H
#define OTR_HOST_SECTIONS_H

#include "host/host.h"

/* One more item at the end of a list: what otr_host_push() gives and takes. */
#define OTR_HOST_PUSH(list, item, err)                                                           \
    otr_host_push(&(list)->items, &(list)->n, &(list)->cap, &(list)->cut, &(item), sizeof(item), \
                  err)
otr_code otr_host_push(void *slot, size_t *n, size_t *cap, size_t *cut, const void *item,
                       size_t size, otr_err *err) OTR_MUST_CHECK;

/* cpu.c: /proc/stat */
otr_code otr_host_cpus_parse(otr_bytes stat, long ticks_per_s, otr_host_cpus *ret, otr_err *err)
    OTR_MUST_CHECK;

/* memory.c: /proc/meminfo, /proc/sys/fs/file-nr, /proc/loadavg */
void otr_host_memory_parse(otr_bytes meminfo, otr_host_memory *ret);
void otr_host_files_parse(otr_bytes file_nr, otr_host_files *ret);
void otr_host_load_parse(otr_bytes loadavg, otr_host_load *ret);

/* disk.c: /proc/diskstats */
otr_code otr_host_disks_parse(otr_bytes diskstats, otr_host_disks *ret, otr_err *err)
    OTR_MUST_CHECK;

/* filesystem.c: /proc/self/mountinfo, with what /proc/filesystems says of the types. The figures
 * are asked of the kernel: otr_host_filesystems_fill(). */
otr_code otr_host_filesystems_parse(otr_bytes mountinfo, otr_bytes types, otr_host_filesystems *ret,
                                    otr_err *err) OTR_MUST_CHECK;
/* Asks; what does not answer is taken out. */
void otr_host_filesystems_fill(const char *root, otr_host_filesystems *list);

/* network.c: /proc/net/dev, and the kernel's list of TCP sockets */
otr_code otr_host_network_parse(otr_bytes dev, otr_host_network *ret, otr_err *err) OTR_MUST_CHECK;
void otr_host_sockets_read(otr_host_sockets *ret);

/* pressure.c: /proc/pressure and the files of control groups */
void otr_pressure_parse(otr_bytes text, otr_pressure *ret);
otr_code otr_host_pressure_read(const char *root, const char *const paths[OTR_PRESSURE_KINDS],
                                otr_pressure ret[OTR_PRESSURE_KINDS], otr_err *err) OTR_MUST_CHECK;

/* cgroup.c */
otr_code otr_cgroup_read(const char *root, otr_cgroup *ret, otr_err *err) OTR_MUST_CHECK;

#endif
