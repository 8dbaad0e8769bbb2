/* What is written, read back by the tar of the machine and by Python's. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/tar.h"
#include "support/test.h"

static otr_code to_buf(void *arg, otr_bytes bytes, otr_err *err)
{
    return otr_buf_add(arg, bytes, err);
}

#define TAR(out)                             \
    OTR_CLEANUP(otr_buf_deinit) otr_buf out; \
    otr_err err = { 0 };                     \
    otr_buf_init(&(out), 1 << 20);           \
    otr_tarw tar = { .sink = to_buf, .arg = &(out) }

static otr_code add(otr_tarw *tar, const char *name, const char *content, otr_err *err)
{
    otr_tarw_entry m = { .name = name, .kind = '0', .mode = 0640, .bytes = strlen(content) };
    otr_code rc = otr_tarw_add(tar, &m, err);
    return rc == OTR_OK ? otr_tarw_content(tar, otr_bytes_of(content), err) : rc;
}

T(a_member_whose_content_is_not_complete_is_noticed)
{
    TAR(out);
    otr_tarw_entry m = { .name = "a", .kind = '0', .bytes = 3 };
    REQUIRE_OK(otr_tarw_add(&tar, &m, &err), err);
    CHECK_INT(otr_tarw_content(&tar, otr_bytes_of("four"), &err), OTR_ESTATE);
    REQUIRE_OK(otr_tarw_content(&tar, otr_bytes_of("ab"), &err), err);
    CHECK_INT(otr_tarw_add(&tar, &m, &err), OTR_ESTATE);
    CHECK_INT(otr_tarw_end(&tar, &err), OTR_ESTATE);
    REQUIRE_OK(otr_tarw_content(&tar, otr_bytes_of("c"), &err), err);
    REQUIRE_OK(otr_tarw_end(&tar, &err), err);
    CHECK_INT(out.n, 10240);
}

T(a_member_without_a_name_is_refused)
{
    TAR(out);
    CHECK_INT(add(&tar, "", "x", &err), OTR_EINVAL);
    CHECK_INT(out.n, 0);
}

T(the_same_members_are_the_same_bytes)
{
    TAR(a);
    OTR_CLEANUP(otr_buf_deinit) otr_buf b;
    otr_buf_init(&b, 1 << 20);
    otr_tarw second = { .sink = to_buf, .arg = &b };
    REQUIRE_OK(add(&tar, "x/y", "content", &err), err);
    REQUIRE_OK(otr_tarw_end(&tar, &err), err);
    REQUIRE_OK(add(&second, "x/y", "content", &err), err);
    REQUIRE_OK(otr_tarw_end(&second, &err), err);
    CHECK(a.n == b.n && memcmp(a.p, b.p, a.n) == 0);
}

/* ---- other readers ---- */

static const char script[] =
    "import sys, tarfile\n"
    "t = tarfile.open(sys.argv[1])\n"
    "for m in t:\n"
    "    data = t.extractfile(m).read() if m.isfile() else b''\n"
    "    kind = 'f' if m.isfile() else 'd' if m.isdir() else 'l'\n"
    "    print(kind, m.name[:3] + m.name[-4:], len(m.name), oct(m.mode), m.uid, m.gid, m.mtime,"
    " len(m.linkname), m.linkname[-3:], len(data), data[:3].decode('latin-1'), sep='|')\n";

/* What a program prints about the archive; "" when it could not be run or failed. */
static const char *run(const char *const argv[], char *out, size_t cap)
{
    int ends[2], status = 0;
    size_t n = 0;
    out[0] = '\0';
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return out;
    }
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(ends[1]);
    for (ssize_t got; n + 1 < cap && (got = read(ends[0], out + n, cap - n - 1)) > 0;) {
        n += (size_t)got;
    }
    close(ends[0]);
    out[n] = '\0';
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        (void)snprintf(out, cap, "status %d", status);
    }
    return out;
}

static otr_code make_archive(otr_tarw *tar, const char *deep, const char *long_name, otr_err *err)
{
    char big[1537];
    memset(big, 'b', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    const otr_tarw_entry folder = { .name = "d/", .kind = '5', .mode = 0755, .mtime_s = 7 };
    const otr_tarw_entry link = { .name = "d/link", .kind = '2', .link = long_name, .mode = 0777 };
    const otr_tarw_entry owned = {
        .name = "d/owned", .kind = '0', .mode = 04755, .uid = 3000000, .gid = 2097151, .mtime_s = 99
    };
    otr_code rc = otr_tarw_add(tar, &folder, err);
    rc = rc == OTR_OK ? add(tar, "d/empty", "", err) : rc;
    rc = rc == OTR_OK ? add(tar, "d/big", big, err) : rc;
    rc = rc == OTR_OK ? add(tar, deep, "deep", err) : rc;
    rc = rc == OTR_OK ? add(tar, long_name, "long", err) : rc;
    rc = rc == OTR_OK ? otr_tarw_add(tar, &link, err) : rc;
    rc = rc == OTR_OK ? otr_tarw_add(tar, &owned, err) : rc;
    return rc == OTR_OK ? otr_tarw_end(tar, err) : rc;
}

T_NO_OOM(python_and_the_systems_tar_read_what_was_written) /* programs of their own */
{
    TAR(out);
    char deep[202], long_name[301], path[] = "/tmp/otr-tar-XXXXXX", said[4096];
    memset(deep, 'p', sizeof(deep) - 1);
    deep[120] = '/'; /* fits when it is cut there */
    memcpy(deep + 197, "deep", 5);
    memset(long_name, 'n', sizeof(long_name) - 1);
    memcpy(long_name + 296, "name", 5);
    REQUIRE_OK(make_archive(&tar, deep, long_name, &err), err);
    int fd = mkstemp(path);
    REQUIRE(fd >= 0 && write(fd, out.p, out.n) == (ssize_t)out.n);
    close(fd);
    const char *const python[] = { "python3", "-c", script, path, NULL };
    CHECK_STR(run(python, said, sizeof(said)), "d|dd|1|0o755|0|0|7|0||0|\n"
                                               "f|d/empty|7|0o640|0|0|0|0||0|\n"
                                               "f|d/b/big|5|0o640|0|0|0|0||1536|bbb\n"
                                               "f|pppdeep|201|0o640|0|0|0|0||4|dee\n"
                                               "f|nnnname|300|0o640|0|0|0|0||4|lon\n"
                                               "l|d/llink|6|0o777|0|0|0|300|ame|0|\n"
                                               "f|d/owned|7|0o4755|3000000|2097151|99|0||0|\n");
    const char *const list[] = { "tar", "--numeric-owner", "-tvf", path, NULL };
    (void)run(list, said, sizeof(said));
    CHECK_HAS(said, "-rwsr-xr-x 3000000/2097151");
    CHECK_HAS(said, deep);
    CHECK_HAS(said, long_name);
    (void)unlink(path);
}

T(names_around_the_lengths_of_the_fields_stay_whole)
{
    for (size_t n = 98; n <= 104; n++) {
        TAR(out);
        char name[300];
        memset(name, 'x', n);
        name[n] = '\0';
        REQUIRE_OK(add(&tar, name, "", &err), err);
        size_t blocks = out.n / 512;
        CHECK_INT(blocks, n <= 100 ? 1 : 3);
    }
}
