#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "support/test.h"

typedef struct tree {
    char root[64], path[256];
} tree;

static const char *in(tree *t, const char *name)
{
    (void)snprintf(t->path, sizeof(t->path), "%s/%s", t->root, name);
    return t->path;
}

static void put(tree *t, const char *name, const char *text)
{
    FILE *f = fopen(in(t, name), "we");
    if (f != NULL) {
        (void)fputs(text, f);
        (void)fclose(f);
    }
}

static void setup(tree *t)
{
    (void)snprintf(t->root, sizeof(t->root), "/tmp/otr-file-XXXXXX");
    CHECK(mkdtemp(t->root) != NULL);
    CHECK_INT(mkdir(in(t, "own"), 0700), 0);
    CHECK_INT(mkdir(in(t, "own/sub"), 0700), 0);
    put(t, "secret", "hunter2");
    put(t, "own/a", "text");
    put(t, "own/sub/b", "below");
    CHECK_INT(mkfifo(in(t, "own/fifo"), 0600), 0);
    char to[128];
    (void)snprintf(to, sizeof(to), "%s/secret", t->root);
    CHECK_INT(symlink(to, in(t, "own/absolute")), 0);
    CHECK_INT(symlink("../secret", in(t, "own/out")), 0);
    CHECK_INT(symlink("..", in(t, "own/up")), 0);
    CHECK_INT(symlink("sub/b", in(t, "own/inside")), 0);
    CHECK_INT(symlink("/proc/self/fd/0", in(t, "own/magic")), 0);
    CHECK_INT(symlink("loop", in(t, "own/loop")), 0);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s/own/socket", t->root);
    CHECK_INT(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
    (void)close(fd);
}

static void teardown(tree *t)
{
    static const char *const names[] = { "own/a",    "own/sub/b",  "own/sub",    "own/fifo",
                                         "own/out",  "own/up",     "own/inside", "own/absolute",
                                         "own/loop", "own/socket", "own/magic",  "own",
                                         "secret",   "big" };
    for (size_t i = 0; i < OTR_COUNT(names); i++) {
        (void)remove(in(t, names[i]));
    }
    (void)rmdir(t->root);
}

static otr_code beneath(tree *t, const char *path, otr_err *err)
{
    struct stat st;
    int fd = -1;
    otr_code rc = otr_file_open_beneath(in(t, "own"), path, &fd, &st, err);
    if (rc == OTR_OK) {
        CHECK(S_ISREG(st.st_mode));
        CHECK_INT(fcntl(fd, F_GETFD), FD_CLOEXEC);
        (void)close(fd);
    }
    return rc;
}

T(what_is_no_regular_file_is_not_opened_and_not_waited_for)
{
    static const struct {
        const char *name, *kind;
    } all[] = { { "own/fifo", "a pipe (FIFO)" },
                { "own/socket", "a socket" },
                { "own/sub", "a folder" } };
    OTR_CLEANUP(teardown) tree t;
    struct stat st;
    otr_err err = { 0 };
    int fd = -1;
    setup(&t);
    for (size_t i = 0; i < OTR_COUNT(all); i++) {
        CHECK_INT(otr_file_open(in(&t, all[i].name), &fd, &st, &err), OTR_EINVAL);
        CHECK_HAS(err.msg, all[i].kind);
        CHECK_HAS(err.msg, all[i].name);
    }
    CHECK_INT(otr_file_open("/dev/zero", &fd, &st, &err), OTR_EINVAL);
    CHECK_HAS(err.msg, "a device");
    CHECK_INT(otr_file_open(in(&t, "none"), &fd, &st, &err), OTR_ENOTFOUND);
    CHECK_INT(fd, -1);
}

T(a_file_is_read_also_through_links_of_whoever_names_it)
{
    OTR_CLEANUP(teardown) tree t;
    otr_err err = { 0 };
    otr_buf out;
    setup(&t);
    otr_buf_init(&out, 64);
    otr_code rc = otr_buf_read_file(&out, in(&t, "own/out"), &err);
    if (rc == OTR_OK) {
        CHECK_STR(otr_buf_text(&out), "hunter2");
    }
    otr_buf_deinit(&out);
    REQUIRE_OK(rc, err);
}

T(a_file_that_is_too_large_is_refused_before_it_is_read)
{
    OTR_CLEANUP(teardown) tree t;
    otr_err err = { 0 };
    otr_buf out;
    setup(&t);
    put(&t, "big", "x");
    CHECK_INT(truncate(in(&t, "big"), (off_t)1 << 40), 0);
    otr_buf_init(&out, 4);
    CHECK_INT(otr_buf_read_file(&out, in(&t, "big"), &err), OTR_EQUOTA);
    CHECK_HAS(err.msg, "1099511627776 bytes, more than the limit of 4");
    CHECK_INT(out.cap, 0);
    CHECK_INT(otr_buf_read_file(&out, in(&t, "own/sub/b"), &err), OTR_EQUOTA);
    otr_buf_deinit(&out);
}

T(a_path_beneath_a_folder_does_not_leave_it)
{
    OTR_CLEANUP(teardown) tree t;
    otr_err err = { 0 };
    setup(&t);
    static const char *const out[] = { "../secret",        "absolute", "out",  "up/secret",
                                       "sub/../../secret", "magic",    "loop", "/etc/passwd" };
    for (size_t i = 0; i < OTR_COUNT(out); i++) {
        CHECK_INT(beneath(&t, out[i], &err), OTR_EDENIED);
        CHECK_HAS(err.msg, "leads out");
    }
    CHECK_INT(beneath(&t, "fifo", &err), OTR_EINVAL);
    CHECK_INT(beneath(&t, "sub", &err), OTR_EINVAL);
    CHECK_INT(beneath(&t, "none", &err), OTR_ENOTFOUND);
    REQUIRE_OK(beneath(&t, "a", &err), err);
    REQUIRE_OK(beneath(&t, "sub/../inside", &err), err);
}
