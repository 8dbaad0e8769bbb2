#include <errno.h>
#include <fcntl.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/log.h"
#include "nginx/root.h"
#include "unit/nginx/tree.h"

static void fd_closep(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
}

static const otr_root host = { .path = "" };

enum { STRANGER = 54321, GROUP = 54322 };

/* The code of opening `name`; what it says goes into `msg`. */
static otr_code try_open(const otr_root *root, tree *t, const char *name, otr_err *err)
{
    int fd = -1;
    otr_code rc = otr_root_open_file(root, tree_path(t, name), &fd, NULL, err);
    if (fd >= 0) {
        close(fd);
    }
    return rc;
}

static void check_refused(const otr_root *root, tree *t, const char *name, otr_code code,
                          const char *why)
{
    otr_err err = { 0 };
    CHECK_INT(try_open(root, t, name, &err), code);
    CHECK_HAS(err.msg, why);
}

#define TREE(name)                         \
    OTR_CLEANUP(tree_deinit) tree name;    \
    REQUIRE(tree_init(&(name)));           \
    REQUIRE(chmod((name).dir, 0755) == 0); \
    REQUIRE(tree_write(&(name), "file", "text"))

T(what_is_no_regular_file_is_never_opened)
{
    TREE(t);
    REQUIRE(mkfifo(tree_path(&t, "fifo"), 0644) == 0);
    REQUIRE(mkdir(tree_path(&t, "folder"), 0755) == 0);
    OTR_CLEANUP(fd_closep) int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    REQUIRE((size_t)snprintf(at.sun_path, sizeof(at.sun_path), "%.90s/socket", t.dir) < 108);
    REQUIRE(bind(s, (const struct sockaddr *)&at, sizeof(at)) == 0);
    REQUIRE(symlink("/dev/zero", tree_path(&t, "zero")) == 0);
    check_refused(&host, &t, "fifo", OTR_EINVAL, "/fifo is a FIFO, not a regular file");
    check_refused(&host, &t, "folder", OTR_EINVAL, "/folder is a folder");
    check_refused(&host, &t, "socket", OTR_EINVAL, "/socket is a socket");
    check_refused(&host, &t, "zero", OTR_EINVAL, "/zero is a device");
    otr_err err;
    CHECK_INT(try_open(&host, &t, "file", &err), OTR_OK);
    CHECK_INT(try_open(&host, &t, "none", &err), OTR_ENOTFOUND);
}

T(what_our_own_descriptors_lead_to_is_not_a_file_of_nginx)
{
    TREE(t);
    OTR_CLEANUP(fd_closep) int fd = open(tree_path(&t, "file"), O_RDONLY | O_CLOEXEC);
    char target[64];
    snprintf(target, sizeof(target), "/proc/self/fd/%d", fd);
    REQUIRE(symlink(target, tree_path(&t, "magic")) == 0);
    REQUIRE(symlink("/dev/stdout", tree_path(&t, "out")) == 0);
    REQUIRE(symlink("/proc/self/environ", tree_path(&t, "environ")) == 0);
    REQUIRE(symlink("circle", tree_path(&t, "circle")) == 0);
    check_refused(&host, &t, "magic", OTR_EINVAL, "leads to a stream of the process that opens it");
    check_refused(&host, &t, "out", OTR_EINVAL, "leads to a stream");
    check_refused(&host, &t, "circle", OTR_EINVAL, "in a circle");
    check_refused(&host, &t, "environ", OTR_EINVAL, "is made up by the kernel");
}

T(our_own_log_is_not_read)
{
    TREE(t);
    otr_err err;
    REQUIRE_OK(otr_log_open(tree_path(&t, "agent.log"), &err), err);
    check_refused(&host, &t, "agent.log", OTR_EINVAL, "where this agent writes its own log");
    otr_log_close();
    CHECK_INT(try_open(&host, &t, "agent.log", &err), OTR_OK);
}

T(foreign_root_keeps_every_link_inside)
{
    TREE(t);
    otr_root root = { .path = t.dir };
    REQUIRE(symlink("/file", tree_path(&t, "absolute")) == 0);
    REQUIRE(symlink("/etc/passwd", tree_path(&t, "passwd")) == 0);
    int fd = -1;
    otr_err err;
    REQUIRE_OK(otr_root_open_file(&root, "/absolute", &fd, NULL, &err), err);
    close(fd);
    CHECK_INT(otr_root_open_file(&root, "/passwd", &fd, NULL, &err), OTR_ENOTFOUND);
    CHECK_INT(otr_root_open_file(&root, "/../../../../etc/passwd", &fd, NULL, &err), OTR_ENOTFOUND);
}

/* ---- allowed folders ---- */

T(outside_of_the_allowed_folders_nothing_is_opened)
{
    TREE(t);
    REQUIRE(tree_write(&t, "in/a", "a") && tree_write(&t, "in/deep/b", "b") &&
            tree_write(&t, "inner/c", "c"));
    char folder[256];
    snprintf(folder, sizeof(folder), "%s/in", t.dir);
    const char *const allowed[] = { "/nonexistent", folder, NULL };
    otr_root root = { .path = "", .allowed = allowed };
    otr_err err;
    CHECK_INT(try_open(&root, &t, "in/a", &err), OTR_OK);
    CHECK_INT(try_open(&root, &t, "in/deep/../a", &err), OTR_OK);
    CHECK_INT(try_open(&root, &t, "in/deep/b", &err), OTR_OK);
    CHECK_INT(try_open(&root, &t, "in/none", &err), OTR_ENOTFOUND);
    check_refused(&root, &t, "file", OTR_EDENIED, "/file is outside of allowed_directories");
    check_refused(&root, &t, "inner/c", OTR_EDENIED, "outside of allowed_directories");
    check_refused(&root, &t, "in/../file", OTR_EDENIED, "outside of allowed_directories");
    int fd;
    CHECK_INT(otr_root_open(&root, t.dir, O_RDONLY | O_DIRECTORY, &fd, &err), OTR_EDENIED);
    REQUIRE_OK(otr_root_open(&root, folder, O_RDONLY | O_DIRECTORY, &fd, &err), err);
    close(fd);
}

/* The texts of what is opened: a right code with another file behind it is no help. */
T(what_is_opened_is_the_file_that_the_path_leads_to)
{
    TREE(t);
    REQUIRE(tree_write(&t, "in/a", "a") && tree_write(&t, "in/.n/a", "hidden") &&
            tree_write(&t, "in/..n/a", "dots") && tree_write(&t, "in/deep/a", "deep"));
    REQUIRE(symlink("../.n/./a", tree_path(&t, "in/deep/link")) == 0);
    static const char *const rows[][2] = { { "in/a", "a" },
                                           { "in/./a", "a" },
                                           { "in//deep/../a", "a" },
                                           { "in/.n/a", "hidden" },
                                           { "in/..n/a", "dots" },
                                           { "in/deep/a", "deep" },
                                           { "in/deep/link", "hidden" } };
    char folder[256];
    snprintf(folder, sizeof(folder), "%s/in", t.dir);
    const char *const allowed[] = { folder, NULL };
    const otr_root beneath = { .path = "", .allowed = allowed };
    for (size_t i = 0; i < 2 * OTR_COUNT(rows); i++) {
        otr_err err = { 0 };
        OTR_CLEANUP(fd_closep) int fd = -1;
        struct stat st;
        char text[16] = "";
        REQUIRE_OK(otr_root_open_file(i % 2 == 0 ? &host : &beneath, tree_path(&t, rows[i / 2][0]),
                                      &fd, &st, &err),
                   err);
        CHECK(read(fd, text, sizeof(text) - 1) > 0);
        CHECK_STR(text, rows[i / 2][1]);
        CHECK_INT(st.st_size, strlen(text));
    }
}

T(links_count_by_where_they_end)
{
    TREE(t);
    REQUIRE(tree_write(&t, "in/a", "a") && tree_write(&t, "also/b", "b"));
    char in[256], also[256], by_link[256];
    snprintf(in, sizeof(in), "%s/in", t.dir);
    snprintf(also, sizeof(also), "%s/also", t.dir);
    snprintf(by_link, sizeof(by_link), "%s/named", t.dir);
    REQUIRE(symlink("in", by_link) == 0);
    REQUIRE(symlink("../file", tree_path(&t, "in/out")) == 0);
    REQUIRE(symlink("../also/b", tree_path(&t, "in/relative")) == 0);
    char absolute[300];
    snprintf(absolute, sizeof(absolute), "%s/b", also);
    REQUIRE(symlink(absolute, tree_path(&t, "in/absolute")) == 0);
    REQUIRE(symlink("in/a", tree_path(&t, "leads_in")) == 0);
    REQUIRE(symlink("loop", tree_path(&t, "in/loop")) == 0);
    REQUIRE(symlink("/proc/self/fd/0", tree_path(&t, "in/magic")) == 0);
    const char *const allowed[] = { in, also, NULL };
    otr_root root = { .path = "", .allowed = allowed };
    otr_err err;
    CHECK_INT(try_open(&root, &t, "in/relative", &err), OTR_OK);
    CHECK_INT(try_open(&root, &t, "in/absolute", &err), OTR_OK);
    CHECK_INT(try_open(&root, &t, "leads_in", &err), OTR_OK);
    CHECK_INT(try_open(&root, &t, "named/a", &err), OTR_OK);
    check_refused(&root, &t, "in/out", OTR_EDENIED, "outside of allowed_directories");
    check_refused(&root, &t, "in/loop", OTR_EINVAL, "in a circle");
    check_refused(&root, &t, "in/magic", OTR_EINVAL, "leads to a stream");
    const char *const linked[] = { by_link, NULL };
    root.allowed = linked; /* the folder itself may be named by a link, as /var/run is */
    CHECK_INT(try_open(&root, &t, "in/a", &err), OTR_OK);
    CHECK_INT(try_open(&root, &t, "named/a", &err), OTR_OK);
    CHECK_INT(try_open(&root, &t, "also/b", &err), OTR_EDENIED);
}

T(allowed_folders_are_those_of_the_foreign_root)
{
    TREE(t);
    REQUIRE(tree_write(&t, "etc/x", "x"));
    REQUIRE(symlink("/etc/x", tree_path(&t, "link")) == 0);
    const char *const allowed[] = { "/etc", NULL };
    otr_root root = { .path = t.dir, .allowed = allowed };
    int fd;
    otr_err err;
    REQUIRE_OK(otr_root_open_file(&root, "/etc/x", &fd, NULL, &err), err);
    close(fd);
    REQUIRE_OK(otr_root_open_file(&root, "/link", &fd, NULL, &err), err);
    close(fd);
    CHECK_INT(otr_root_open_file(&root, "/etc/passwd", &fd, NULL, &err), OTR_ENOTFOUND);
    CHECK_INT(otr_root_open_file(&root, "/file", &fd, NULL, &err), OTR_EDENIED);
}

/* ---- rights ---- */

typedef struct guarded { /* paths of a tree and who may read them */
    const char *name;
    uid_t uid;
    gid_t gid;
    mode_t mode;
    bool readable;
} guarded;

static const guarded files[] = {
    { "open", 0, 0, 0644, true },
    { "root_only", 0, 0, 0600, false },
    { "own", STRANGER, 0, 0400, true },
    { "own_closed", STRANGER, 0, 0044, false },
    { "group", 0, GROUP, 0640, true },
    { "other_group", 0, 7, 0640, false },
    { "closed/open", 0, 0, 0644, false },
    { "supplementary", 0, GROUP + 1, 0040, true },
    { "group_closed", 0, GROUP, 0604, false },
};

static bool make_guarded(tree *t)
{
    for (size_t i = 0; i < OTR_COUNT(files); i++) {
        const guarded *f = &files[i];
        if (!tree_write(t, f->name, "text") || chown(tree_path(t, f->name), f->uid, f->gid) != 0 ||
            chmod(t->path, f->mode) != 0) {
            return false;
        }
    }
    return chmod(tree_path(t, "closed"), 0700) == 0;
}

T(files_are_read_with_the_rights_of_the_masters_user)
{
    if (geteuid() != 0) {
        otr_test_skip("only root can take the rights of others");
        return;
    }
    TREE(t);
    REQUIRE(make_guarded(&t));
    gid_t groups[] = { GROUP + 1 };
    otr_root root = { .path = "", .uid = STRANGER, .gid = GROUP, .groups = groups, .n_groups = 1 };
    for (size_t i = 0; i < OTR_COUNT(files); i++) {
        otr_err err = { 0 };
        otr_code rc = try_open(&root, &t, files[i].name, &err);
        CHECK_INT(rc, files[i].readable ? OTR_OK : OTR_EDENIED);
        CHECK_INT(try_open(&host, &t, files[i].name, &err), OTR_OK); /* ours are back */
    }
    CHECK_INT(setfsuid((uid_t)-1), 0);
    CHECK_INT(setfsgid((gid_t)-1), getegid());
}

/* With another identity than root's: rights cannot be taken, and have to be judged. */
static void judge(tree *t)
{
    gid_t groups[] = { GROUP + 1 };
    otr_root root = { .path = "", .uid = STRANGER, .gid = GROUP, .groups = groups, .n_groups = 1 };
    for (size_t i = 0; i < OTR_COUNT(files); i++) {
        otr_err err = { 0 };
        bool ok = try_open(&root, t, files[i].name, &err) == OTR_OK;
        bool ours = (files[i].mode & 0004) != 0; /* what we may read ourselves */
        CHECK(!ok || files[i].readable);
        CHECK(ok || !files[i].readable || !ours);
    }
}

T(who_cannot_take_rights_judges_by_mode)
{
    if (geteuid() != 0) {
        otr_test_skip("needs files of other users");
        return;
    }
    TREE(t);
    REQUIRE(make_guarded(&t));
    REQUIRE(seteuid(12345) == 0);
    judge(&t);
    REQUIRE(seteuid(0) == 0);
}

static void root_freep(otr_root **slot)
{
    otr_root_free(*slot);
}

T(copy_holds_all_of_it)
{
    gid_t groups[] = { 1, 2 };
    const char *const allowed[] = { "/a", "/b/c", NULL };
    otr_root root = { .path = "/proc/1/root",
                      .uid = 3,
                      .gid = 4,
                      .groups = groups,
                      .n_groups = 2,
                      .allowed = allowed };
    OTR_CLEANUP(root_freep) otr_root *copy = NULL;
    otr_err err;
    REQUIRE_OK(otr_root_copy(&root, &copy, &err), err);
    CHECK(otr_root_eq(&root, copy));
    root.allowed = allowed + 1;
    CHECK(!otr_root_eq(&root, copy));
    root.allowed = NULL;
    CHECK(!otr_root_eq(&root, copy));
}
