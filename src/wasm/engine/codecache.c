#include "wasm/engine/codecache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/little_endian.h"

/* A file is this header, then the artefact. The key is inside so that a renamed file is not taken
 * for another module's code. */
typedef struct header {
    char magic[8];
    char key[OTR_SHA256_HEX_BYTES - 1];
    char digest[OTR_SHA256_HEX_BYTES - 1]; /* of the artefact */
    uint8_t size[8];                       /* of the artefact, little-endian */
} header;

static const char magic[8] = { 'O', 'T', 'R', 'C', 'O', 'D', 'E', '2' };
static const char suffix[] = ".code";
static const char temp_prefix[] = "tmp.";

enum { NAME_BYTES = 96, MOST_FILES = 65536, TEMP_SECONDS = 3600, MOST_TRIES = 10000 };

struct otr_codecache {
    int dir;
    uint64_t max_bytes;
    atomic_uint temp; /* makes names of temporary files unique in this process */
};

static otr_code check_owner(const struct stat *st, const char *what, otr_err *err)
{
    if (st->st_uid != geteuid()) {
        return otr_fail(err, OTR_EDENIED,
                        "%s belongs to user %lu, not to %lu: nothing is kept there", what,
                        (unsigned long)st->st_uid, (unsigned long)geteuid());
    }
    if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return otr_fail(err, OTR_EDENIED, "%s can be written by others (mode %04o): use chmod go-w",
                        what, (unsigned)(st->st_mode & 07777));
    }
    return OTR_OK;
}

otr_code otr_codecache_open(const char *dir, uint64_t max_bytes, otr_codecache **ret, otr_err *err)
{
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        return otr_fail_sys(err, errno, "cannot make the folder %s", dir);
    }
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return otr_fail_sys(err, errno, "cannot open the folder %s", dir);
    }
    struct stat st;
    otr_code rc = fstat(fd, &st) == 0 ? check_owner(&st, dir, err)
                                      : otr_fail_sys(err, errno, "cannot look at %s", dir);
    otr_codecache *c = rc == OTR_OK ? otr_zalloc(sizeof(*c)) : NULL;
    if (c == NULL) {
        (void)close(fd);
        return rc != OTR_OK ? rc : otr_fail_nomem(err);
    }
    c->dir = fd;
    c->max_bytes = max_bytes != 0 ? max_bytes : OTR_LIMIT_WASM_CACHE_BYTES;
    *ret = c;
    return OTR_OK;
}

void otr_codecache_close(otr_codecache *c)
{
    if (c != NULL) {
        (void)close(c->dir);
        otr_free(c);
    }
}

/* The first "flags" (x86) or "Features" (Arm) line of the kernel's processor list, into `out`. */
static void cpu_features(char *out, size_t cap)
{
    out[0] = '\0';
    FILE *f = fopen("/proc/cpuinfo", "re");
    if (f == NULL) {
        return;
    }
    while (fgets(out, (int)cap, f) != NULL) {
        if (strncmp(out, "flags", 5) == 0 || strncmp(out, "Features", 8) == 0) {
            break;
        }
        out[0] = '\0';
    }
    (void)fclose(f);
}

const char *otr_codecache_key(const char *engine, otr_bytes wasm, char out[OTR_SHA256_HEX_BYTES])
{
    char text[6144], features[5120], digest[OTR_SHA256_HEX_BYTES];
    struct utsname machine = { 0 };
    (void)uname(&machine);
    cpu_features(features, sizeof(features));
    int n = snprintf(text, sizeof(text), "%s\n%s\n%s\n%s\n%lx %lx\n", otr_blake2b_hex(wasm, digest),
                     engine, machine.machine, features, getauxval(AT_HWCAP), getauxval(AT_HWCAP2));
    size_t used = n > 0 && (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    return otr_blake2b_hex((otr_bytes){ (const uint8_t *)text, used }, out);
}

static void file_name(const char *key, char out[NAME_BYTES])
{
    (void)snprintf(out, NAME_BYTES, "%.64s%s", key, suffix);
}

/* The artefact inside `file`, or what is wrong with it. */
static otr_code check_file(otr_bytes file, const char *key, otr_bytes *ret, otr_err *err)
{
    header h;
    if (file.n < sizeof(h)) {
        return otr_fail(err, OTR_EDENIED, "the file is cut short");
    }
    memcpy(&h, file.p, sizeof(h));
    otr_bytes code = { file.p + sizeof(h), file.n - sizeof(h) };
    uint64_t size = otr_le_load(h.size, sizeof(h.size));
    if (memcmp(h.magic, magic, sizeof(magic)) != 0 || memcmp(h.key, key, sizeof(h.key)) != 0) {
        return otr_fail(err, OTR_EDENIED, "the file is not the one of this name");
    }
    if (size != code.n) {
        return otr_fail(err, OTR_EDENIED, "the file is cut short or too long");
    }
    char digest[OTR_SHA256_HEX_BYTES];
    if (memcmp(otr_blake2b_hex(code, digest), h.digest, sizeof(h.digest)) != 0) {
        return otr_fail(err, OTR_EDENIED, "it does not have the digest it was written with");
    }
    *ret = code;
    return OTR_OK;
}

static otr_code read_checked(int fd, const char *key, otr_buf *out, otr_err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return otr_fail_sys(err, errno, "cannot look at a kept file");
    }
    otr_code rc = S_ISREG(st.st_mode) ? check_owner(&st, "the file", err)
                                      : otr_fail(err, OTR_EDENIED, "not a regular file");
    if (rc != OTR_OK) {
        return rc;
    }
    otr_buf file;
    otr_buf_init(&file, OTR_LIMIT_WASM_CODE_BYTES + sizeof(header));
    uint8_t *at;
    if (st.st_size > 0 && (uint64_t)st.st_size <= file.max_bytes) {
        rc = otr_buf_reserve(&file, (size_t)st.st_size, &at, err); /* one block, not many copies */
    }
    otr_bytes code;
    if (rc == OTR_OK) {
        rc = otr_buf_read_fd(&file, fd, err);
    }
    if (rc == OTR_OK) {
        rc = check_file(otr_buf_bytes(&file), key, &code, err);
    }
    if (rc == OTR_OK) {
        rc = otr_buf_add(out, code, err);
    }
    otr_buf_deinit(&file);
    return rc;
}

otr_code otr_codecache_get(otr_codecache *c, const char *key, otr_buf *out, otr_err *err)
{
    char name[NAME_BYTES];
    file_name(key, name);
    int fd = openat(c->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ELOOP) {
        return otr_fail(err, OTR_EDENIED, "%s is a symbolic link", name);
    }
    if (fd < 0) {
        return otr_fail_sys(err, errno, "there is no kept file %s", name);
    }
    otr_code rc = read_checked(fd, key, out, err);
    if (rc == OTR_OK) {
        (void)futimens(fd, NULL); /* the age by which trim() chooses */
    }
    (void)close(fd);
    return rc;
}

static otr_code write_all(int fd, otr_bytes data, otr_err *err)
{
    while (data.n > 0) {
        ssize_t n = write(fd, data.p, data.n);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return otr_fail_sys(err, errno, "cannot write a kept file");
        }
        data.p += n;
        data.n -= (size_t)n;
    }
    return OTR_OK;
}

static otr_code write_file(int fd, const char *key, otr_bytes code, otr_err *err)
{
    header h;
    char digest[OTR_SHA256_HEX_BYTES];
    memcpy(h.magic, magic, sizeof(magic));
    memcpy(h.key, key, sizeof(h.key));
    memcpy(h.digest, otr_blake2b_hex(code, digest), sizeof(h.digest));
    otr_le_store(h.size, sizeof(h.size), code.n);
    otr_code rc = write_all(fd, (otr_bytes){ (const uint8_t *)&h, sizeof(h) }, err);
    if (rc == OTR_OK) {
        rc = write_all(fd, code, err);
    }
    if (rc == OTR_OK && fsync(fd) != 0) {
        rc = otr_fail_sys(err, errno, "cannot write a kept file to disk");
    }
    return rc;
}

typedef struct entry {
    struct timespec used;
    uint64_t bytes;
    char name[NAME_BYTES];
} entry;

static int by_age(const void *a, const void *b)
{
    const struct timespec *x = &((const entry *)a)->used, *y = &((const entry *)b)->used;
    if (x->tv_sec != y->tv_sec) {
        return x->tv_sec < y->tv_sec ? -1 : 1;
    }
    return x->tv_nsec < y->tv_nsec ? -1 : x->tv_nsec > y->tv_nsec;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

/* Collects our files into `list` and removes what a killed writer left behind. */
static size_t list_files(otr_codecache *c, DIR *d, entry *list, size_t cap)
{
    size_t n = 0;
    time_t now = time(NULL);
    for (const struct dirent *e; n < cap && (e = readdir(d)) != NULL;) {
        struct stat st;
        size_t len = strlen(e->d_name);
        bool temp = strncmp(e->d_name, temp_prefix, strlen(temp_prefix)) == 0;
        if (len >= NAME_BYTES || (!temp && !ends_with(e->d_name, suffix)) ||
            fstatat(c->dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            continue;
        }
        if (temp) {
            if (now - st.st_mtime > TEMP_SECONDS) {
                (void)unlinkat(c->dir, e->d_name, 0);
            }
            continue;
        }
        list[n].used = st.st_mtim;
        list[n].bytes = (uint64_t)st.st_size;
        memcpy(list[n].name, e->d_name, len + 1);
        n++;
    }
    return n;
}

/* Another process may do the same at the same time: then a file is gone already, which is fine. */
static otr_code trim(otr_codecache *c, const char *keep, otr_err *err)
{
    int fd = openat(c->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (d == NULL) {
        int sys = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        return otr_fail_sys(err, sys, "cannot list the kept files");
    }
    size_t cap = 0;
    while (cap < MOST_FILES && readdir(d) != NULL) {
        cap++;
    }
    rewinddir(d);
    entry *list = otr_calloc(cap + 1, sizeof(*list));
    if (list == NULL) {
        (void)closedir(d);
        return otr_fail_nomem(err);
    }
    size_t n = list_files(c, d, list, cap);
    (void)closedir(d);
    qsort(list, n, sizeof(*list), by_age);
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += list[i].bytes;
    }
    for (size_t i = 0; i < n && sum > c->max_bytes; i++) {
        if (strcmp(list[i].name, keep) != 0) {
            (void)unlinkat(c->dir, list[i].name, 0);
            sum -= list[i].bytes;
        }
    }
    otr_free(list);
    return OTR_OK;
}

/* A new file; its name must not be one that a killed process of our number left, or that another
 * cache of this process is writing. */
static int make_temp(otr_codecache *c, char name[NAME_BYTES])
{
    int fd = -1;
    errno = EEXIST;
    for (int tries = 0; fd < 0 && errno == EEXIST && tries < MOST_TRIES; tries++) {
        (void)snprintf(name, NAME_BYTES, "%s%ld.%u", temp_prefix, (long)getpid(),
                       atomic_fetch_add(&c->temp, 1));
        fd = openat(c->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    }
    return fd;
}

otr_code otr_codecache_put(otr_codecache *c, const char *key, otr_bytes code, otr_err *err)
{
    char name[NAME_BYTES], temp[NAME_BYTES];
    if (code.n > c->max_bytes || code.n > OTR_LIMIT_WASM_CODE_BYTES) {
        return otr_fail(err, OTR_EQUOTA, "%zu bytes are more than the folder may hold", code.n);
    }
    file_name(key, name);
    int fd = make_temp(c, temp);
    if (fd < 0) {
        return otr_fail_sys(err, errno, "cannot make a file to keep");
    }
    otr_code rc = write_file(fd, key, code, err);
    if (close(fd) != 0 && rc == OTR_OK) {
        rc = otr_fail_sys(err, errno, "cannot write a kept file");
    }
    if (rc == OTR_OK && renameat(c->dir, temp, c->dir, name) != 0) {
        rc = otr_fail_sys(err, errno, "cannot rename a kept file");
    }
    if (rc != OTR_OK) {
        (void)unlinkat(c->dir, temp, 0);
        return rc;
    }
    return trim(c, name, err);
}
