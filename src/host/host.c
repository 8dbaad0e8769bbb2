#include "host/host.h"

#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "host/sections.h"
#include "host/text.h"

otr_code otr_host_push(void *slot, size_t *n, size_t *cap, size_t *cut, const void *item,
                       size_t size, otr_err *err)
{
    if (*n >= OTR_LIMIT_HOST_ITEMS) {
        (*cut)++;
        return OTR_OK;
    }
    otr_code rc = otr_grow(slot, *n, cap, size, err);
    if (rc == OTR_OK) {
        uint8_t *items;
        memcpy(&items, slot, sizeof(items));
        memcpy(items + *n * size, item, size);
        (*n)++;
    }
    return rc;
}

typedef struct reading {
    const char *root;
    otr_buf text;
    otr_host_sample *sample;
    otr_err *err;
} reading;

static otr_code read_text(reading *r, const char *path, otr_bytes *ret)
{
    otr_code rc = otr_host_text(r->root, path, &r->text, r->err);
    *ret = otr_buf_bytes(&r->text);
    return rc;
}

static otr_code read_cpus(reading *r)
{
    otr_bytes text;
    otr_code rc = read_text(r, "/proc/stat", &text);
    return rc != OTR_OK ? rc
                        : otr_host_cpus_parse(text, sysconf(_SC_CLK_TCK), &r->sample->cpus, r->err);
}

static otr_code read_memory(reading *r)
{
    otr_bytes text;
    otr_code rc = read_text(r, "/proc/meminfo", &text);
    if (rc == OTR_OK) {
        otr_host_memory_parse(text, &r->sample->memory);
        rc = read_text(r, "/proc/sys/fs/file-nr", &text);
    }
    if (rc == OTR_OK) {
        otr_host_files_parse(text, &r->sample->files);
        rc = read_text(r, "/proc/loadavg", &text);
    }
    if (rc == OTR_OK) {
        otr_host_load_parse(text, &r->sample->load);
    }
    return rc;
}

static otr_code read_disks(reading *r)
{
    otr_bytes text;
    otr_code rc = read_text(r, "/proc/diskstats", &text);
    return rc != OTR_OK ? rc : otr_host_disks_parse(text, &r->sample->disks, r->err);
}

static otr_code read_filesystems(reading *r)
{
    otr_buf types;
    otr_bytes text;
    otr_buf_init(&types, OTR_LIMIT_HOST_TEXT_BYTES);
    otr_host_filesystems *list = &r->sample->filesystems;
    otr_code rc = otr_host_text(r->root, "/proc/filesystems", &types, r->err);
    rc = rc != OTR_OK ? rc : read_text(r, "/proc/self/mountinfo", &text);
    rc = rc != OTR_OK ? rc : otr_host_filesystems_parse(text, otr_buf_bytes(&types), list, r->err);
    otr_buf_deinit(&types);
    otr_host_filesystems_fill(r->root, list);
    return rc;
}

static otr_code read_network(reading *r)
{
    otr_bytes text;
    otr_code rc = read_text(r, "/proc/net/dev", &text);
    otr_host_sockets_read(&r->sample->sockets);
    return rc != OTR_OK ? rc : otr_host_network_parse(text, &r->sample->network, r->err);
}

static otr_code read_groups(reading *r)
{
    static const char *const pressure[OTR_PRESSURE_KINDS] = { "/proc/pressure/cpu",
                                                              "/proc/pressure/memory",
                                                              "/proc/pressure/io" };
    otr_code rc = otr_host_pressure_read(r->root, pressure, r->sample->pressure, r->err);
    rc = rc != OTR_OK ? rc : otr_cgroup_read(r->root, &r->sample->cgroup, r->err);
    return rc != OTR_OK ? rc : otr_host_in_container(r->root, &r->sample->in_container, r->err);
}

otr_code otr_host_read(const otr_host_places *places, otr_host_sample **ret, otr_err *err)
{
    static otr_code (*const sections[])(reading *) = {
        read_cpus, read_memory, read_disks, read_filesystems, read_network, read_groups
    };
    otr_host_sample *sample = otr_zalloc(sizeof(*sample));
    if (sample == NULL) {
        return otr_fail_nomem(err);
    }
    reading r = { .root = places->root, .sample = sample, .err = err };
    otr_buf_init(&r.text, OTR_LIMIT_HOST_TEXT_BYTES);
    otr_code rc = OTR_OK;
    for (size_t i = 0; i < OTR_COUNT(sections) && rc == OTR_OK; i++) {
        rc = sections[i](&r);
    }
    sample->at_ns = otr_now_ns();
    otr_buf_deinit(&r.text);
    if (rc != OTR_OK) {
        otr_host_sample_free(sample);
        return rc;
    }
    *ret = sample;
    return OTR_OK;
}

otr_code otr_host_sample_brief(const otr_host_sample *from, otr_host_sample **ret, otr_err *err)
{
    otr_host_sample *copy = otr_zalloc(sizeof(*copy));
    otr_host_cpu *items = otr_calloc(from->cpus.n > 0 ? from->cpus.n : 1, sizeof(*items));
    if (copy == NULL || items == NULL) {
        otr_free(copy);
        otr_free(items);
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; i < from->cpus.n; i++) {
        items[i] = from->cpus.items[i];
    }
    copy->at_ns = from->at_ns;
    copy->cgroup = from->cgroup;
    copy->cpus = (otr_host_cpus){ .items = items, .n = from->cpus.n, .cap = from->cpus.n };
    *ret = copy;
    return OTR_OK;
}

void otr_host_sample_free(otr_host_sample *sample)
{
    if (sample == NULL) {
        return;
    }
    otr_free(sample->cpus.items);
    otr_free(sample->disks.items);
    otr_free(sample->filesystems.items);
    otr_free(sample->network.items);
    otr_free(sample);
}
