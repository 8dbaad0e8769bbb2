/* Texts of /proc and /sys, as a kernel or a container's runtime may write them. */
#include <stdlib.h>

#include "base/alloc.h"
#include "host/sections.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char types[] = "nodev\tproc\n\text4\n\txfs\nnodev\tzfs\n";

static void lists(otr_bytes text)
{
    otr_host_cpus cpus = { 0 };
    otr_host_disks disks = { 0 };
    otr_host_network network = { 0 };
    otr_host_filesystems mounts = { 0 };
    if (otr_host_cpus_parse(text, 100, &cpus, NULL) != OTR_OK ||
        otr_host_disks_parse(text, &disks, NULL) != OTR_OK ||
        otr_host_network_parse(text, &network, NULL) != OTR_OK ||
        otr_host_filesystems_parse(text, otr_bytes_of(types), &mounts, NULL) != OTR_OK ||
        otr_host_filesystems_parse(otr_bytes_of("1 2 3 / /x rw - ext4 d rw\n"), text, &mounts,
                                   NULL) != OTR_OK) {
        abort();
    }
    otr_free(cpus.items);
    otr_free(disks.items);
    otr_free(network.items);
    otr_free(mounts.items);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    otr_bytes text = { data, size };
    otr_host_memory memory = { 0 };
    otr_host_files files = { 0 };
    otr_host_load load = { 0 };
    otr_pressure pressure = { 0 };
    lists(text);
    otr_host_memory_parse(text, &memory);
    otr_host_files_parse(text, &files);
    otr_host_load_parse(text, &load);
    otr_pressure_parse(text, &pressure);
    if (memory.known && memory.used > memory.total) {
        abort();
    }
    return 0;
}
