#include "nginx/instance/executables.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "nginx/files.h"

enum {
    SCAN_BYTES = 16 << 20,
    KEEP_SCANS = 64, /* a process is looked at far more often */
};

static void deinit(executable *e)
{
    if (e->binary != NULL) {
        otr_binary_deinit(e->binary);
        otr_free(e->binary);
    }
}

void otr_executables_deinit(executables *list)
{
    for (size_t i = 0; i < list->n; i++) {
        deinit(&list->items[i]);
    }
    otr_free(list->items);
    *list = (executables){ 0 };
}

void otr_executables_begin(executables *list)
{
    list->scan++;
    list->bytes_left = SCAN_BYTES;
}

void otr_executables_end(executables *list)
{
    bool full = list->n >= OTR_LIMIT_NGINX_EXECUTABLES;
    size_t kept = 0;
    for (size_t i = 0; i < list->n; i++) {
        executable *e = &list->items[i];
        uint64_t keep = full && e->program != OTR_PROGRAM_NGINX ? 0 : KEEP_SCANS;
        if (e->used + keep < list->scan) {
            deinit(e);
        } else {
            list->items[kept++] = *e;
        }
    }
    list->n = kept;
}

static executable *find(const executables *list, const otr_file_key *key)
{
    for (size_t i = 0; i < list->n; i++) {
        if (otr_file_key_eq(&list->items[i].key, key)) {
            return &list->items[i];
        }
    }
    return NULL;
}

void otr_executables_use(executables *list, const otr_file_key *key)
{
    executable *e = find(list, key);
    if (e != NULL) {
        e->used = list->scan;
    }
}

const otr_binary *otr_executables_binary(const executables *list, const otr_file_key *key)
{
    const executable *e = find(list, key);
    return e != NULL ? e->binary : NULL;
}

/* The number behind "mnt_id:" of an open descriptor; 0: unknown. */
static unsigned long mount_of(int fd)
{
    char path[64], line[256];
    unsigned long id = 0;
    (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    FILE *f = fopen(path, "re");
    while (f != NULL && id == 0 && fgets(line, sizeof(line), f) != NULL) {
        id = strncmp(line, "mnt_id:", 7) == 0 ? strtoul(line + 7, &(char *){ NULL }, 10) : 0;
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    return id;
}

/* Is the executable on a file system that a user serves (FUSE)? A read of it may never end. `exe`
 * is
 * "<proc>/<pid>/exe": the mounts are those of the process. */
static bool may_hang(const char *exe, int fd)
{
    char path[OTR_NGINX_PATH_BYTES], line[OTR_NGINX_PATH_BYTES];
    unsigned long id = mount_of(fd);
    const char *slash = strrchr(exe, '/');
    bool fuse = false;
    (void)snprintf(path, sizeof(path), "%.*smountinfo", (int)(slash + 1 - exe), exe);
    FILE *f = id != 0 ? fopen(path, "re") : NULL;
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        const char *type = strtoul(line, &(char *){ NULL }, 10) == id ? strstr(line, " - ") : NULL;
        fuse |= type != NULL && strncmp(type + 3, "fuse", 4) == 0;
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    return fuse;
}

/* Opens what is a regular file and the expected one; -1: it is not, or may not be read. */
static int open_file(const char *path, const otr_file_key *key, otr_look how)
{
    char again[64];
    otr_file_key is;
    bool regular;
    int place = open(path, O_PATH | O_CLOEXEC);
    if (place < 0) {
        return -1;
    }
    int fd = -1;
    if (otr_file_key_of(place, &is, &regular) && regular && otr_file_key_eq(&is, key) &&
        (how == OTR_LOOK_NOW || !may_hang(path, place))) {
        (void)snprintf(again, sizeof(again), "/proc/self/fd/%d", place);
        fd = open(again, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    }
    close(place);
    return fd;
}

static otr_code look_into(executable *e, const char *path, otr_look how, otr_err *err)
{
    e->program = OTR_PROGRAM_UNKNOWN;
    int fd = open_file(path, &e->key, how);
    if (fd < 0) {
        return OTR_OK;
    }
    bool is_nginx = false;
    otr_binary binary = { 0 };
    otr_code rc = otr_binary_read(fd, e->key.size, &is_nginx, &binary, err);
    close(fd);
    if (rc == OTR_OK && is_nginx) {
        e->binary = otr_alloc(sizeof(*e->binary));
        if (e->binary == NULL) {
            otr_binary_deinit(&binary);
            return otr_fail_nomem(err);
        }
        *e->binary = binary;
    }
    if (rc == OTR_OK) {
        e->program = is_nginx ? OTR_PROGRAM_NGINX : OTR_PROGRAM_OTHER;
    }
    return rc == OTR_ENOMEM ? rc : OTR_OK;
}

static otr_code add(executables *list, const executable *e, otr_err *err)
{
    if (list->items == NULL || list->n == list->cap) {
        size_t cap = list->cap > 0 ? 2 * list->cap : 16;
        executable *items = otr_realloc(list->items, cap * sizeof(*items));
        if (items == NULL) {
            return otr_fail_nomem(err);
        }
        list->items = items;
        list->cap = cap;
    }
    list->items[list->n++] = *e;
    return OTR_OK;
}

otr_code otr_executables_look(executables *list, const char *path, const otr_file_key *key,
                              otr_look how, otr_program *ret, otr_err *err)
{
    executable *known = find(list, key);
    if (known != NULL) {
        known->used = list->scan;
        *ret = known->program;
        return OTR_OK;
    }
    bool full = list->n >= OTR_LIMIT_NGINX_EXECUTABLES;
    if (how == OTR_LOOK_BUDGET && (list->bytes_left == 0 || full)) {
        *ret = OTR_PROGRAM_LATER;
        return OTR_OK;
    }
    executable fresh = { .key = *key, .used = list->scan };
    otr_code rc = look_into(&fresh, path, how, err);
    if (rc == OTR_OK && fresh.program != OTR_PROGRAM_UNKNOWN) {
        rc = add(list, &fresh, err);
    }
    if (rc != OTR_OK) {
        deinit(&fresh);
        return rc;
    }
    list->bytes_left -= key->size < list->bytes_left ? key->size : list->bytes_left;
    *ret = fresh.program;
    return OTR_OK;
}
