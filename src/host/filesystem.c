#include <stdio.h>
#include <sys/statvfs.h>

#include "host/sections.h"
#include "host/text.h"

enum { FULL_BYTES = 4096 };

/* A type that stands for a device, by /proc/filesystems ("nodev<TAB>proc", "<TAB>ext4"). What is
 * served over a network or by a process is marked "nodev" there, so that statvfs() never waits for
 * somebody; ZFS is marked, too, and is local. */
static bool is_local(otr_bytes types, otr_bytes type)
{
    otr_bytes line, word;
    if (otr_host_is(type, "zfs")) {
        return true;
    }
    if (type.n >= 4 && memcmp(type.p, "fuse", 4) == 0) {
        return false; /* fuseblk has a device, and a process that answers for it */
    }
    while (otr_host_line(&types, &line)) {
        if (otr_host_word(&line, &word) && otr_host_is(word, "nodev")) {
            continue;
        }
        if (word.n == type.n && memcmp(word.p, type.p, type.n) == 0) {
            return true;
        }
    }
    return false;
}

static bool octal(const uint8_t *p, size_t n, char *ret)
{
    if (n < 4 || p[0] != '\\') {
        return false;
    }
    unsigned value = 0;
    for (size_t i = 1; i < 4; i++) {
        if (p[i] < '0' || p[i] > '7') {
            return false;
        }
        value = 8 * value + (p[i] - '0');
    }
    *ret = (char)value;
    return value <= 255 && value > 0;
}

/* False when it does not fit: a cut path would be another one. */
static bool unescape(otr_bytes word, char *out, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < word.n; i++) {
        char c = (char)word.p[i];
        if (octal(word.p + i, word.n - i, &c)) {
            i += 3;
        }
        if (n + 1 >= cap) {
            return false;
        }
        out[n++] = c;
    }
    out[n] = '\0';
    return n > 0;
}

static bool has_option(otr_bytes options, const char *want)
{
    size_t n = strlen(want), from = 0;
    for (size_t i = 0; i <= options.n; i++) {
        if (i == options.n || options.p[i] == ',') {
            if (i - from == n && memcmp(options.p + from, want, n) == 0) {
                return true;
            }
            from = i + 1;
        }
    }
    return false;
}

/* "27 1 254:0 / /mount rw,relatime [tags…] - ext4 /dev/vda rw": see proc_pid_mountinfo(5). */
static bool parse_line(otr_bytes line, otr_bytes types, otr_host_filesystem *ret)
{
    otr_bytes word, mount = { 0 }, options = { 0 }, type, device;
    for (size_t i = 0; i < 6; i++) {
        if (!otr_host_word(&line, &word)) {
            return false;
        }
        mount = i == 4 ? word : mount;
        options = word;
    }
    do {
        if (!otr_host_word(&line, &word)) {
            return false;
        }
    } while (!otr_host_is(word, "-"));
    if (!otr_host_word(&line, &type) || !otr_host_word(&line, &device) || !is_local(types, type)) {
        return false;
    }
    ret->read_only = has_option(options, "ro");
    otr_host_copy(type, ret->type, sizeof(ret->type));
    return unescape(mount, ret->mount, sizeof(ret->mount)) &&
           unescape(device, ret->device, sizeof(ret->device));
}

/* A mount over another hides it: the last one counts. */
static bool replace(otr_host_filesystems *list, const otr_host_filesystem *now)
{
    for (size_t i = 0; i < list->n; i++) {
        if (strcmp(list->items[i].mount, now->mount) == 0) {
            list->items[i] = *now;
            return true;
        }
    }
    return false;
}

otr_code otr_host_filesystems_parse(otr_bytes mountinfo, otr_bytes types, otr_host_filesystems *ret,
                                    otr_err *err)
{
    otr_bytes line;
    while (otr_host_line(&mountinfo, &line)) {
        otr_host_filesystem now = { 0 };
        if (!parse_line(line, types, &now) || replace(ret, &now)) {
            continue;
        }
        otr_code rc = OTR_HOST_PUSH(ret, now, err);
        if (rc != OTR_OK) {
            return rc;
        }
    }
    return OTR_OK;
}

static bool ask(const char *root, otr_host_filesystem *fs)
{
    char path[FULL_BYTES];
    struct statvfs st;
    int len = snprintf(path, sizeof(path), "%s%s", root, fs->mount);
    if (len < 0 || (size_t)len >= sizeof(path) || statvfs(path, &st) != 0 || st.f_blocks == 0) {
        return false;
    }
    uint64_t unit = st.f_frsize > 0 ? st.f_frsize : st.f_bsize;
    fs->free = st.f_bavail * unit;
    fs->used = (st.f_blocks - st.f_bfree) * unit;
    fs->reserved = st.f_bfree > st.f_bavail ? (st.f_bfree - st.f_bavail) * unit : 0;
    fs->inodes_free = st.f_ffree;
    fs->inodes_used = st.f_files > st.f_ffree ? st.f_files - st.f_ffree : 0;
    return true;
}

void otr_host_filesystems_fill(const char *root, otr_host_filesystems *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->n; i++) {
        if (ask(root, &list->items[i])) {
            list->items[kept++] = list->items[i];
        }
    }
    list->n = kept;
}
