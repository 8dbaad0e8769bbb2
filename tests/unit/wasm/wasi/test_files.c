/*
 * Files of guests, on every engine: one guest, one table of answers.
 *
 * Under failing allocation each step loads the guest anew, so only tests whose calls allocate run
 * there: those that grant, fill the table, or print.
 */
#include <signal.h>
#include <sys/wait.h>

#include "base/limits.h"
#include "unit/wasm/wasi_fixture.h"

#define START(s)                 \
    FOLDERS(s);                  \
    otr_err err = { 0 };         \
    REQUIRE(folders_make(&(s))); \
    REQUIRE_OK(folders_spawn(&(s), &err), err)

/* ---- what is granted ---- */

T(the_granted_folders_are_named)
{
    START(s);
    CHECK_INT(W2(&s, "fd_prestat_get", DATA, AT_RET), OK);
    CHECK_INT(got(&s, AT_RET, 1), 0);
    CHECK_INT(got(&s, AT_RET + 4, 4), 5);
    CHECK_INT(W3(&s, "fd_prestat_dir_name", DATA, AT_BYTES, 5), OK);
    CHECK(memcmp(s.memory + AT_BYTES, "/data", 5) == 0);
    CHECK_INT(W3(&s, "fd_prestat_dir_name", STATIC, AT_BYTES, 6), NAMETOOLONG);
    CHECK_INT(W3(&s, "fd_prestat_dir_name", STATIC, AT_BYTES, 7), OK);
    CHECK_INT(W3(&s, "fd_prestat_dir_name", 1, AT_BYTES, 7), NOTDIR);
    CHECK_INT(W2(&s, "fd_prestat_get", 5, AT_RET), BADF);
    CHECK_INT(W2(&s, "fd_prestat_get", 1, AT_RET), BADF);
    CHECK_INT(W2(&s, "fd_fdstat_get", DATA, AT_RET), OK);
    CHECK_INT(got(&s, AT_RET, 1), 3);
    CHECK((got(&s, AT_RET + 16, 8) & (RIGHT_READ | RIGHT_WRITE)) == (RIGHT_READ | RIGHT_WRITE));
}

T_NO_OOM(a_file_is_written_and_read)
{
    START(s);
    int32_t fd = open_at(&s, DATA, "new", CREAT | EXCL, RIGHT_READ | RIGHT_WRITE);
    REQUIRE(fd > STATIC);
    CHECK_INT(write_text(&s, fd, "hello world"), 11);
    CHECK_INT(W2(&s, "fd_tell", fd, AT_RET), OK);
    CHECK_INT(got(&s, AT_RET, 8), 11);
    CHECK_STR(read_text(&s, fd), "");
    CHECK_INT(W4(&s, "fd_seek", fd, 6, 0, AT_RET), OK);
    CHECK_STR(read_text(&s, fd), "world");
    CHECK_INT(W4(&s, "fd_seek", fd, -5, 2, AT_RET), OK);
    CHECK_INT(got(&s, AT_RET, 8), 6);
    CHECK_INT(write_text(&s, fd, "W"), 1);
    CHECK_INT(W4(&s, "fd_seek", fd, -7, 1, AT_RET), OK);
    CHECK_STR(read_text(&s, fd), "hello World");
    CHECK_INT(W1(&s, "fd_sync", fd), OK);
    CHECK_INT(W1(&s, "fd_datasync", fd), OK);
    CHECK_INT(W4(&s, "fd_advise", fd, 0, 0, 3), OK);
    CHECK_INT(W3(&s, "fd_allocate", fd, 0, 100), NOTSUP);
    CHECK_INT(W1(&s, "fd_close", fd), OK);
    CHECK_STR(host_text(&s, "rw/new"), "hello World");
    CHECK_INT(open_at(&s, DATA, "new", CREAT | EXCL, RIGHT_READ), -EXIST);
}

T_NO_OOM(reading_at_an_offset_leaves_the_position)
{
    START(s);
    int32_t fd = open_at(&s, DATA, "file", 0, RIGHT_READ | RIGHT_WRITE);
    const uint32_t pieces[] = { AT_BYTES, 2, AT_BYTES + 2, 100 };
    REQUIRE(fd > STATIC);
    memcpy(s.memory + AT_LIST, pieces, sizeof(pieces));
    CHECK_INT(W5(&s, "fd_pread", fd, AT_LIST, 1, 3, AT_RET), OK);
    CHECK_INT(got(&s, AT_RET, 4), 2);
    CHECK(memcmp(s.memory + AT_BYTES, "rw", 2) == 0);
    memcpy(s.memory + AT_BYTES, "RW", 2);
    CHECK_INT(W5(&s, "fd_pwrite", fd, AT_LIST, 1, 3, AT_RET), OK);
    CHECK_INT(W5(&s, "fd_pread", fd, AT_LIST, 1, 1000, AT_RET), OK);
    CHECK_INT(got(&s, AT_RET, 4), 0);
    CHECK_STR(read_text(&s, fd), "in RW");
    CHECK_INT(W5(&s, "fd_pread", 0, AT_LIST, 1, 0, AT_RET), SPIPE);
    CHECK_INT(W5(&s, "fd_pwrite", DATA, AT_LIST, 1, 0, AT_RET), BADF);
    CHECK_INT(W5(&s, "fd_pread", fd, AT_LIST, 1, -1, AT_RET), INVAL);
}

T_NO_OOM(appending_goes_to_the_end)
{
    START(s);
    uint32_t n = put_at(&s, AT_PATH, "file");
    CHECK_INT(wasi(&s, "path_open", (long long)DATA, (long long)FOLLOW, (long long)AT_PATH,
                   (long long)n, 0LL, (long long)RIGHT_WRITE, 0LL, (long long)APPEND,
                   (long long)AT_RET),
              OK);
    int32_t fd = (int32_t)got(&s, AT_RET, 4);
    CHECK_INT(W2(&s, "fd_fdstat_get", fd, AT_RET), OK);
    CHECK_INT(got(&s, AT_RET, 1), 4);
    CHECK_INT(got(&s, AT_RET + 2, 2), APPEND);
    CHECK_INT(write_text(&s, fd, " and"), 4);
    CHECK_INT(write_text(&s, fd, " more"), 5);
    CHECK_STR(host_text(&s, "rw/file"), "in rw and more");
    CHECK_INT(W2(&s, "fd_fdstat_set_flags", fd, 0), OK);
    CHECK_INT(W4(&s, "fd_seek", fd, 0, 0, AT_RET), OK);
    CHECK_INT(write_text(&s, fd, "IN"), 2);
    CHECK_STR(host_text(&s, "rw/file"), "IN rw and more");
    CHECK_INT(W2(&s, "fd_fdstat_set_flags", fd, 2), INVAL);
    CHECK_INT(transfer_at(&s, "fd_read", fd, 8), -BADF);
}

T_NO_OOM(a_file_is_truncated)
{
    START(s);
    int32_t fd = open_at(&s, DATA, "file", 0, RIGHT_READ | RIGHT_WRITE);
    CHECK_INT(W2(&s, "fd_filestat_set_size", fd, 2), OK);
    CHECK_STR(host_text(&s, "rw/file"), "in");
    CHECK_INT(W2(&s, "fd_filestat_set_size", fd, -1), INVAL);
    CHECK_INT(W2(&s, "fd_filestat_get", fd, AT_BYTES), OK);
    CHECK_INT(got(&s, AT_BYTES + 16, 1), 4);
    CHECK_INT(got(&s, AT_BYTES + 32, 8), 2);
    fd = open_at(&s, DATA, "file", TRUNC, RIGHT_WRITE);
    CHECK(fd > STATIC);
    CHECK_STR(host_text(&s, "rw/file"), "");
    fd = open_at(&s, DATA, "sub", 0, RIGHT_READ);
    CHECK_INT(W2(&s, "fd_filestat_set_size", fd, 0), BADF);
    CHECK_INT(open_at(&s, DATA, "sub", 0, RIGHT_WRITE), -ISDIR);
    CHECK_INT(open_at(&s, DATA, "file", DIRECTORY, RIGHT_READ), -NOTDIR);
    CHECK_INT(open_at(&s, DATA, "x", DIRECTORY | CREAT, RIGHT_READ), -INVAL);
}

T_NO_OOM(times_are_set)
{
    START(s);
    uint32_t n = put_at(&s, AT_PATH, "file");
    CHECK_INT(W7(&s, "path_filestat_set_times", DATA, FOLLOW, AT_PATH, n, 0, 5000000000, 4), OK);
    CHECK_INT(stat_at(&s, DATA, "file", 0), OK);
    CHECK_INT(got(&s, AT_BYTES + 48, 8), 5000000000);
    int32_t fd = open_at(&s, DATA, "file", 0, RIGHT_READ);
    CHECK_INT(W4(&s, "fd_filestat_set_times", fd, 7000000001, 0, 1 | 8), OK);
    CHECK_INT(W2(&s, "fd_filestat_get", fd, AT_BYTES), OK);
    CHECK_INT(got(&s, AT_BYTES + 40, 8), 7000000001);
    CHECK(got(&s, AT_BYTES + 48, 8) > 1000000000000000000);
    CHECK_INT(W4(&s, "fd_filestat_set_times", fd, 1, 1, 3), INVAL);
    CHECK_INT(W4(&s, "fd_filestat_set_times", 1, 1, 1, 1), BADF);
    CHECK_INT(W4(&s, "fd_filestat_set_times", DATA, 1000000000, 0, 1), OK);
}

/* ---- names ---- */

T_NO_OOM(folders_and_files_come_and_go)
{
    START(s);
    CHECK_INT(on_path(&s, "path_create_directory", DATA, "a"), OK);
    CHECK_INT(on_path(&s, "path_create_directory", DATA, "a/b/"), OK);
    CHECK_INT(on_path(&s, "path_create_directory", DATA, "a"), EXIST);
    CHECK_INT(on_path(&s, "path_create_directory", DATA, "none/b"), NOENT);
    CHECK_INT(rename_at(&s, DATA, "file", DATA, "a/b/file"), OK);
    CHECK_STR(host_text(&s, "rw/a/b/file"), "in rw");
    CHECK_INT(on_path(&s, "path_remove_directory", DATA, "a"), NOTEMPTY);
    CHECK_INT(on_path(&s, "path_remove_directory", DATA, "a/b/file"), NOTDIR);
    CHECK_INT(on_path(&s, "path_unlink_file", DATA, "a/b"), ISDIR);
    CHECK_INT(on_path(&s, "path_unlink_file", DATA, "a/b/file/"), NOTDIR);
    CHECK_INT(on_path(&s, "path_unlink_file", DATA, "a/b/file"), OK);
    CHECK_INT(on_path(&s, "path_unlink_file", DATA, "a/b/file"), NOENT);
    CHECK_INT(rename_at(&s, DATA, "a/", DATA, "c/"), OK);
    CHECK_INT(on_path(&s, "path_remove_directory", DATA, "c/b"), OK);
    CHECK_INT(on_path(&s, "path_remove_directory", DATA, "c/"), OK);
    CHECK_INT(stat_at(&s, DATA, "c", 0), NOENT);
    CHECK_INT(stat_at(&s, DATA, "", 0), NOENT);
    CHECK_INT(stat_at(&s, DATA, ".", 0), OK);
    CHECK_INT(got(&s, AT_BYTES + 16, 1), 3);
}

T_NO_OOM(a_folder_that_was_opened_is_the_root_of_its_paths)
{
    START(s);
    int32_t sub = open_at(&s, DATA, "sub", DIRECTORY, RIGHT_READ);
    REQUIRE(sub > STATIC);
    int32_t fd = open_at(&s, sub, "inner", CREAT, RIGHT_WRITE);
    CHECK(fd > sub);
    CHECK_INT(write_text(&s, fd, "deep"), 4);
    CHECK_STR(host_text(&s, "rw/sub/inner"), "deep");
    CHECK_INT(open_at(&s, sub, "../file", 0, RIGHT_READ), -PERM);
    CHECK_INT(open_at(&s, fd, "x", 0, RIGHT_READ), -NOTDIR);
    CHECK_INT(open_at(&s, 1, "x", 0, RIGHT_READ), -BADF);
    CHECK(open_at(&s, DATA, "sub/../file", 0, RIGHT_READ) > sub);
}

T_NO_OOM(links_inside_a_folder_work)
{
    START(s);
    CHECK_INT(symlink_at(&s, "file", DATA, "soft"), OK);
    CHECK_INT(symlink_at(&s, "../file", DATA, "sub/up"), OK);
    CHECK_STR(read_text(&s, open_at(&s, DATA, "soft", 0, RIGHT_READ)), "in rw");
    CHECK_STR(read_text(&s, open_at(&s, DATA, "sub/up", 0, RIGHT_READ)), "in rw");
    CHECK_INT(stat_at(&s, DATA, "soft", 0), OK);
    CHECK_INT(got(&s, AT_BYTES + 16, 1), 7);
    CHECK_INT(stat_at(&s, DATA, "soft", FOLLOW), OK);
    CHECK_INT(got(&s, AT_BYTES + 16, 1), 4);
    uint32_t n = put_at(&s, AT_PATH, "sub/up");
    CHECK_INT(W6(&s, "path_readlink", DATA, AT_PATH, n, AT_BYTES, 100, AT_RET), OK);
    CHECK_INT(got(&s, AT_RET, 4), 7);
    CHECK(memcmp(s.memory + AT_BYTES, "../file", 7) == 0);
    CHECK_INT(W6(&s, "path_readlink", DATA, AT_PATH, n, AT_BYTES, 3, AT_RET), OK);
    CHECK_INT(got(&s, AT_RET, 4), 3);
    n = put_at(&s, AT_PATH, "file");
    CHECK_INT(W6(&s, "path_readlink", DATA, AT_PATH, n, AT_BYTES, 3, AT_RET), INVAL);
    CHECK_INT(link_at(&s, DATA, "file", DATA, "hard"), OK);
    CHECK_STR(read_text(&s, open_at(&s, DATA, "hard", 0, RIGHT_READ)), "in rw");
    CHECK_INT(link_at(&s, DATA, "file", DATA, "hard"), EXIST);
    CHECK_INT(symlink_at(&s, "x", DATA, "soft"), EXIST);
    CHECK_INT(symlink_at(&s, "loop", DATA, "loop"), OK);
    CHECK_INT(open_at(&s, DATA, "loop", 0, RIGHT_READ), -LOOP);
    n = put_at(&s, AT_PATH, "soft");
    CHECK_INT(wasi(&s, "path_open", (long long)DATA, 0LL, (long long)AT_PATH, (long long)n, 0LL,
                   (long long)RIGHT_READ, 0LL, 0LL, (long long)AT_RET),
              LOOP);
    CHECK_INT(on_path(&s, "path_unlink_file", DATA, "soft"), OK);
    CHECK_STR(host_text(&s, "rw/file"), "in rw");
}

/* ---- listing ---- */

enum { MANY = 300, SEEN_BYTES = MANY + 8 };

/* Lists `fd` with buffers of `room` bytes and marks "f<number>"; the count of entries or -errno. */
static int list_all(folders *s, int fd, uint32_t room, uint8_t seen[SEEN_BYTES])
{
    uint64_t cookie = 0;
    int n = 0;
    memset(seen, 0, SEEN_BYTES);
    for (int rounds = 0; rounds < 100 * MANY; rounds++) {
        int32_t error = W5(s, "fd_readdir", fd, AT_BYTES, room, cookie, AT_RET);
        uint32_t used = (uint32_t)got(s, AT_RET, 4);
        if (error != OK) {
            return -error;
        }
        for (uint32_t at = 0; at + 24 <= used;) {
            uint32_t len = (uint32_t)got(s, AT_BYTES + at + 16, 4);
            if (at + 24 + len > used) {
                break;
            }
            char name[32] = "";
            (void)snprintf(name, sizeof(name), "%.*s", (int)len,
                           (const char *)s->memory + AT_BYTES + at + 24);
            if (name[0] == 'f' && name[1] != 'i') {
                seen[strtoul(name + 1, NULL, 10) % SEEN_BYTES]++;
            }
            cookie = got(s, AT_BYTES + at, 8);
            at += 24 + len;
            n++;
        }
        if (used < room) {
            return n;
        }
    }
    return -1;
}

T_NO_OOM(a_folder_of_many_is_listed_in_small_pieces)
{
    START(s);
    static uint8_t seen[SEEN_BYTES];
    int32_t dir = open_at(&s, DATA, "sub", DIRECTORY, RIGHT_READ);
    REQUIRE(dir > STATIC);
    for (int i = 0; i < MANY; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "rw/sub/f%d", i);
        int fd = open(folders_path(&s, name), O_CREAT | O_CLOEXEC | O_WRONLY, 0600);
        REQUIRE(fd >= 0);
        (void)close(fd);
    }
    static const uint32_t rooms[] = { 60, 333, 4096, ROOM };
    for (size_t r = 0; r < OTR_COUNT(rooms); r++) {
        CHECK_INT(list_all(&s, dir, rooms[r], seen), MANY + 2);
        for (int i = 0; i < MANY; i++) {
            REQUIRE(seen[i] == 1);
        }
    }
    CHECK_INT(list_all(&s, DATA, 100, seen), 4);
    CHECK_INT(list_all(&s, STATIC, 100, seen), 4);
    CHECK_INT(list_all(&s, open_at(&s, DATA, "file", 0, RIGHT_READ), 100, seen), -BADF);
    CHECK_INT(list_all(&s, 1, 100, seen), -BADF);
}

/* ---- the way out ---- */

static void expect_closed(folders *s, const char *path, int32_t error)
{
    char moved[600];
    (void)snprintf(moved, sizeof(moved), "%.500s-2", path);
    CHECK_INT(open_at(s, DATA, path, 0, RIGHT_READ), -error);
    CHECK_INT(open_at(s, DATA, path, CREAT, RIGHT_WRITE), -error);
    CHECK_INT(stat_at(s, DATA, path, FOLLOW), error);
    CHECK_INT(on_path(s, "path_create_directory", DATA, moved), error);
    CHECK_INT(on_path(s, "path_remove_directory", DATA, path), error);
    CHECK_INT(on_path(s, "path_unlink_file", DATA, path), error);
    CHECK_INT(rename_at(s, DATA, path, DATA, "taken"), error);
    CHECK_INT(rename_at(s, DATA, "file", DATA, path), error);
    CHECK_INT(link_at(s, DATA, path, DATA, "taken"), error);
    CHECK_INT(link_at(s, DATA, "file", DATA, moved), error);
    CHECK_INT(symlink_at(s, "x", DATA, moved), error);
    uint32_t n = put_at(s, AT_PATH, path);
    CHECK_INT(W7(s, "path_filestat_set_times", DATA, FOLLOW, AT_PATH, n, 0, 0, 8), error);
    CHECK_INT(W6(s, "path_readlink", DATA, AT_PATH, n, AT_BYTES, 100, AT_RET), error);
}

T_NO_OOM(no_path_leads_out)
{
    START(s);
    REQUIRE(symlink("../out", folders_path(&s, "rw/away")) == 0);
    REQUIRE(symlink("/etc", folders_path(&s, "rw/etc")) == 0);
    expect_closed(&s, "../out/file", PERM);
    expect_closed(&s, "sub/../../out/file", PERM);
    expect_closed(&s, "/etc/passwd", PERM);
    expect_closed(&s, folders_path(&s, "rw/file"), PERM);
    expect_closed(&s, "away/file", PERM);
    expect_closed(&s, "etc/passwd", PERM);
    CHECK_STR(host_text(&s, "out/file"), "in out");
    CHECK_STR(host_text(&s, "rw/file"), "in rw");
}

T_NO_OOM(a_link_that_leads_out_is_not_followed)
{
    START(s);
    REQUIRE(symlink("../out/file", folders_path(&s, "rw/away")) == 0);
    REQUIRE(symlink("/etc/passwd", folders_path(&s, "rw/abs")) == 0);
    CHECK_INT(open_at(&s, DATA, "away", 0, RIGHT_READ), -PERM);
    CHECK_INT(open_at(&s, DATA, "away", CREAT | TRUNC, RIGHT_WRITE), -PERM);
    CHECK_INT(stat_at(&s, DATA, "away", FOLLOW), PERM);
    CHECK_INT(stat_at(&s, DATA, "away", 0), OK);
    CHECK_INT(got(&s, AT_BYTES + 16, 1), 7);
    CHECK_INT(open_at(&s, DATA, "abs", 0, RIGHT_READ), -PERM);
    uint32_t n = put_at(&s, AT_PATH, "abs");
    CHECK_INT(W6(&s, "path_readlink", DATA, AT_PATH, n, AT_BYTES, 100, AT_RET), PERM);
    n = put_at(&s, AT_PATH, "away");
    CHECK_INT(W7(&s, "path_filestat_set_times", DATA, FOLLOW, AT_PATH, n, 0, 0, 8), PERM);
    CHECK_INT(symlink_at(&s, "/etc/passwd", DATA, "mine"), PERM);
    CHECK_INT(symlink_at(&s, "../out/file", DATA, "mine"), OK);
    CHECK_INT(open_at(&s, DATA, "mine", 0, RIGHT_READ), -PERM);
    CHECK_INT(on_path(&s, "path_unlink_file", DATA, "mine"), OK);
    CHECK_INT(on_path(&s, "path_unlink_file", DATA, "away"), OK);
    CHECK_STR(host_text(&s, "out/file"), "in out");
}

T_NO_OOM(what_changes_the_folder_itself_is_refused)
{
    START(s);
    static const char *const ups[] = { "..", "../", "sub/../..", "/", "//" };
    for (size_t i = 0; i < OTR_COUNT(ups); i++) {
        CHECK_INT(open_at(&s, DATA, ups[i], 0, RIGHT_READ), -PERM);
        CHECK_INT(stat_at(&s, DATA, ups[i], FOLLOW), PERM);
        CHECK(on_path(&s, "path_remove_directory", DATA, ups[i]) > OK);
        CHECK(on_path(&s, "path_unlink_file", DATA, ups[i]) > OK);
        CHECK(on_path(&s, "path_create_directory", DATA, ups[i]) > OK);
        CHECK(rename_at(&s, DATA, ups[i], DATA, "x") > OK);
        CHECK(rename_at(&s, DATA, "sub", DATA, ups[i]) > OK);
        CHECK(link_at(&s, DATA, ups[i], DATA, "x") > OK);
    }
    CHECK(on_path(&s, "path_remove_directory", DATA, ".") > OK);
    CHECK(rename_at(&s, DATA, ".", DATA, "x") > OK);
    CHECK_INT(open_at(&s, DATA, "sub/../../rw/file", 0, RIGHT_READ), -PERM);
}

T_NO_OOM(bad_paths_are_refused)
{
    START(s);
    static char lengthy[6000];
    memset(lengthy, 'a', sizeof(lengthy) - 1);
    memcpy(s.memory + AT_PATH, "fi\0le", 5);
    CHECK_INT(W3(&s, "path_unlink_file", DATA, AT_PATH, 5), INVAL);
    CHECK_INT(W5(&s, "path_filestat_get", DATA, 0, AT_PATH, 5, AT_BYTES), INVAL);
    CHECK_INT(on_path(&s, "path_create_directory", DATA, "bad\xff"), ILSEQ);
    CHECK_INT(open_at(&s, DATA, "\xc3", CREAT, RIGHT_WRITE), -ILSEQ);
    CHECK_INT(open_at(&s, DATA, lengthy, CREAT, RIGHT_WRITE), -NAMETOOLONG);
    CHECK_INT(on_path(&s, "path_create_directory", DATA, lengthy), NAMETOOLONG);
    lengthy[300] = '\0';
    CHECK_INT(on_path(&s, "path_create_directory", DATA, lengthy), NAMETOOLONG);
    CHECK(open_at(&s, DATA, "caf\xc3\xa9", CREAT, RIGHT_WRITE) > STATIC);
}

T_NO_OOM(magic_links_of_proc_are_not_followed)
{
    FOLDERS(s);
    otr_err err = { 0 };
    REQUIRE(folders_make(&s));
    REQUIRE(rmdir(folders_path(&s, "ro/sub")) == 0 && unlink(folders_path(&s, "ro/file")) == 0 &&
            rmdir(folders_path(&s, "ro")) == 0);
    char ro[96];
    (void)snprintf(ro, sizeof(ro), "%s/ro", s.root);
    REQUIRE(symlink("/proc/self", ro) == 0);
    REQUIRE_OK(folders_spawn(&s, &err), err);
    CHECK(open_at(&s, STATIC, "stat", 0, RIGHT_READ) > STATIC);
    CHECK(open_at(&s, STATIC, "root/etc/passwd", 0, RIGHT_READ) < 0);
    CHECK(open_at(&s, STATIC, "cwd", 0, RIGHT_READ) < 0);
    CHECK(open_at(&s, STATIC, "exe", 0, RIGHT_READ) < 0);
    CHECK(open_at(&s, STATIC, "fd/1", 0, RIGHT_READ) < 0);
    CHECK(stat_at(&s, STATIC, "root", FOLLOW) > OK);
}

T_NO_OOM(a_folder_that_becomes_a_link_meanwhile_leads_nowhere) /* a second process, one race */
{
    START(s);
    char a[96], b[96], link_path[96];
    (void)snprintf(a, sizeof(a), "%s/rw/swap", s.root);
    (void)snprintf(b, sizeof(b), "%s/rw/kept", s.root);
    (void)snprintf(link_path, sizeof(link_path), "%s/rw/link", s.root);
    REQUIRE(mkdir(a, 0700) == 0 && symlink("../out", link_path) == 0);
    int fd = open(folders_path(&s, "rw/swap/file"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    REQUIRE(fd >= 0 && write(fd, "in rw", 5) == 5 && close(fd) == 0);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        for (;;) {
            (void)rename(a, b);
            (void)rename(link_path, a);
            (void)rename(a, link_path);
            (void)rename(b, a);
        }
    }
    int opened = 0, refused = 0;
    for (int i = 0; i < 20000 && (opened < 50 || refused < 50 || i < 2000); i++) {
        int32_t file = open_at(&s, DATA, "swap/file", 0, RIGHT_READ);
        if (file > STATIC) {
            opened++;
            CHECK_STR(read_text(&s, file), "in rw");
            CHECK_INT(W1(&s, "fd_close", file), OK);
        } else {
            refused += file == -PERM;
        }
        (void)on_path(&s, "path_create_directory", DATA, "swap/made");
        (void)on_path(&s, "path_unlink_file", DATA, "swap/none");
    }
    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    CHECK(opened > 0 && refused > 0);
    CHECK_STR(host_text(&s, "out/file"), "in out");
    CHECK(access(folders_path(&s, "out/made"), F_OK) != 0);
}

/* ---- reading only ---- */

T_NO_OOM(a_folder_to_read_refuses_each_change)
{
    START(s);
    CHECK_STR(read_text(&s, open_at(&s, STATIC, "file", 0, RIGHT_READ)), "in ro");
    CHECK_INT(open_at(&s, STATIC, "file", 0, RIGHT_WRITE), -PERM);
    CHECK_INT(open_at(&s, STATIC, "file", TRUNC, RIGHT_READ), -PERM);
    CHECK_INT(open_at(&s, STATIC, "new", CREAT, RIGHT_READ), -PERM);
    CHECK_INT(open_at(&s, STATIC, "new", CREAT | EXCL, RIGHT_READ | RIGHT_WRITE), -PERM);
    CHECK_INT(on_path(&s, "path_create_directory", STATIC, "new"), PERM);
    CHECK_INT(on_path(&s, "path_remove_directory", STATIC, "sub"), PERM);
    CHECK_INT(on_path(&s, "path_unlink_file", STATIC, "file"), PERM);
    CHECK_INT(rename_at(&s, STATIC, "file", STATIC, "new"), PERM);
    CHECK_INT(rename_at(&s, STATIC, "file", DATA, "new"), PERM);
    CHECK_INT(rename_at(&s, DATA, "file", STATIC, "new"), PERM);
    CHECK_INT(link_at(&s, STATIC, "file", STATIC, "new"), PERM);
    CHECK_INT(link_at(&s, STATIC, "file", DATA, "new"), PERM);
    CHECK_INT(link_at(&s, DATA, "file", STATIC, "new"), PERM);
    CHECK_INT(symlink_at(&s, "file", STATIC, "new"), PERM);
    uint32_t n = put_at(&s, AT_PATH, "file");
    CHECK_INT(W7(&s, "path_filestat_set_times", STATIC, 0, AT_PATH, n, 0, 0, 8), PERM);
    CHECK_INT(W4(&s, "fd_filestat_set_times", STATIC, 0, 0, 8), PERM);
    int32_t fd = open_at(&s, STATIC, "file", 0, RIGHT_READ);
    CHECK_INT(W2(&s, "fd_filestat_set_size", fd, 0), PERM);
    CHECK_INT(W4(&s, "fd_filestat_set_times", fd, 0, 0, 8), PERM);
    CHECK_INT(write_text(&s, fd, "x"), -BADF);
    int32_t sub = open_at(&s, STATIC, "sub", 0, RIGHT_READ);
    REQUIRE(sub > STATIC);
    CHECK_INT(open_at(&s, sub, "new", CREAT, RIGHT_WRITE), -PERM);
    CHECK_INT(on_path(&s, "path_create_directory", sub, "new"), PERM);
    CHECK_STR(host_text(&s, "ro/file"), "in ro");
}

/* ---- what is no file ---- */

T_NO_OOM(a_fifo_a_socket_or_a_device_is_not_opened)
{
    START(s);
    REQUIRE(mkfifo(folders_path(&s, "rw/fifo"), 0600) == 0);
    CHECK_INT(open_at(&s, DATA, "fifo", 0, RIGHT_READ), -PERM);
    CHECK_INT(open_at(&s, DATA, "fifo", 0, RIGHT_WRITE), -PERM);
    CHECK_INT(open_at(&s, DATA, "fifo", CREAT, RIGHT_READ | RIGHT_WRITE), -PERM);
    CHECK_INT(stat_at(&s, DATA, "fifo", 0), OK);
    CHECK_INT(got(&s, AT_BYTES + 16, 1), 0);
    CHECK_INT(on_path(&s, "path_unlink_file", DATA, "fifo"), OK);
    if (mknod(folders_path(&s, "rw/null"), S_IFCHR | 0600, 1 << 8 | 3) == 0) { /* as root */
        CHECK_INT(open_at(&s, DATA, "null", 0, RIGHT_READ), -PERM);
    }
    if (mknod(folders_path(&s, "rw/socket"), S_IFSOCK | 0600, 0) == 0) {
        CHECK_INT(open_at(&s, DATA, "socket", 0, RIGHT_READ), -PERM);
    }
}

/* ---- descriptors ---- */

T_NO_OOM(descriptors_close_once)
{
    START(s);
    int32_t fd = open_at(&s, DATA, "file", 0, RIGHT_READ);
    CHECK_INT(W1(&s, "fd_close", fd), OK);
    CHECK_INT(W1(&s, "fd_close", fd), BADF);
    CHECK_INT(transfer_at(&s, "fd_read", fd, 8), -BADF);
    CHECK_INT(W2(&s, "fd_filestat_get", fd, AT_BYTES), BADF);
    CHECK_INT(W1(&s, "fd_close", -1), BADF);
    CHECK_INT(W1(&s, "fd_close", 1 << 30), BADF);
    CHECK_INT(open_at(&s, DATA, "file", 0, RIGHT_READ), fd);
    CHECK_INT(W1(&s, "fd_close", DATA), OK);
    CHECK_INT(open_at(&s, DATA, "file", 0, RIGHT_READ), -BADF);
}

T_NO_OOM(a_descriptor_takes_the_place_of_another)
{
    START(s);
    int32_t a = open_at(&s, DATA, "file", 0, RIGHT_READ);
    int32_t b = open_at(&s, STATIC, "file", 0, RIGHT_READ);
    REQUIRE(a > STATIC && b > a);
    CHECK_INT(W2(&s, "fd_renumber", b, a), OK);
    CHECK_STR(read_text(&s, a), "in ro");
    CHECK_INT(W1(&s, "fd_close", b), BADF);
    CHECK_INT(W2(&s, "fd_renumber", a, a), OK);
    CHECK_INT(W2(&s, "fd_renumber", a, 77), BADF);
    CHECK_INT(W2(&s, "fd_renumber", 77, a), BADF);
    b = open_at(&s, DATA, "log", CREAT, RIGHT_WRITE);
    CHECK_INT(W2(&s, "fd_renumber", b, 1), OK);
    CHECK_INT(write_text(&s, 1, "to the file\n"), 12);
    CHECK_STR(host_text(&s, "rw/log"), "to the file\n");
    CHECK_STR(s.printed, "");
}

T(the_table_of_descriptors_is_bounded)
{
    START(s);
    int32_t fd = 0;
    int n = 0;
    while (n < 100000 && (fd = open_at(&s, DATA, "file", 0, RIGHT_READ)) > 0) {
        n++;
    }
    CHECK_INT(fd, -MFILE);
    CHECK_INT(n, OTR_LIMIT_WASI_FDS - 5);
    CHECK_INT(W1(&s, "fd_close", 20), OK);
    CHECK_INT(open_at(&s, DATA, "file", 0, RIGHT_READ), 20);
    CHECK_STR(read_text(&s, 20), "in rw");
}

T(standard_streams_are_there_beside_the_folders)
{
    START(s);
    CHECK_STR(read_text(&s, 0), "");
    CHECK_INT(write_text(&s, 1, "one\ntw"), 6);
    CHECK_INT(write_text(&s, 2, "err\n"), 4);
    CHECK_STR(s.printed, "1:one|1:tw|2:err|"); /* what has no line break ends with the call */
    CHECK_INT(write_text(&s, 0, "x"), -BADF);
    CHECK_INT(transfer_at(&s, "fd_read", 1, 8), -BADF);
    CHECK_INT(W4(&s, "fd_seek", 1, 0, 0, AT_RET), SPIPE);
    CHECK_INT(W2(&s, "fd_tell", 0, AT_RET), SPIPE);
    CHECK_INT(W2(&s, "fd_filestat_get", 1, AT_BYTES), OK);
    CHECK_INT(W2(&s, "fd_fdstat_get", 2, AT_BYTES), OK);
    CHECK_INT(got(&s, AT_BYTES + 8, 8), RIGHT_WRITE);
    CHECK_INT(W2(&s, "fd_fdstat_set_flags", 1, 0), BADF);
    CHECK_INT(W3(&s, "fd_fdstat_set_rights", 1, 0, 0), BADF);
    CHECK_INT(W3(&s, "fd_fdstat_set_rights", DATA, 0, 0), NOTSUP);
    CHECK_INT(W1(&s, "fd_close", 1), OK);
    CHECK_INT(write_text(&s, 1, "x"), -BADF);
}

T_NO_OOM(positions_stay_in_range)
{
    START(s);
    int32_t fd = open_at(&s, DATA, "file", 0, RIGHT_READ | RIGHT_WRITE);
    CHECK_INT(W4(&s, "fd_seek", fd, -1, 0, AT_RET), INVAL);
    CHECK_INT(W4(&s, "fd_seek", fd, -6, 2, AT_RET), INVAL);
    CHECK_INT(W4(&s, "fd_seek", fd, 0, 3, AT_RET), INVAL);
    CHECK_INT(W4(&s, "fd_seek", fd, INT64_MAX, 0, AT_RET), OK);
    CHECK_INT(W4(&s, "fd_seek", fd, 1, 1, AT_RET), INVAL);
    CHECK(write_text(&s, fd, "x") < 0);
    CHECK_INT(W4(&s, "fd_seek", DATA, 0, 0, AT_RET), BADF);
    CHECK_INT(W2(&s, "fd_tell", DATA, AT_RET), BADF);
    CHECK_INT(W4(&s, "fd_advise", fd, -1, 0, 0), INVAL);
    CHECK_INT(W4(&s, "fd_advise", fd, 0, 0, 9), INVAL);
    CHECK_INT(W4(&s, "fd_advise", DATA, 0, 0, 0), BADF);
    CHECK_INT(W1(&s, "fd_sync", DATA), BADF);
}

/* ---- pointers ---- */

T_NO_OOM(pointers_outside_memory_are_refused)
{
    START(s);
    enum { END = MEMORY_BYTES };
    int32_t fd = open_at(&s, DATA, "file", 0, RIGHT_READ | RIGHT_WRITE);
    const uint32_t wild[] = { END - 4, 8 };
    uint32_t n = put_at(&s, AT_PATH, "file");
    REQUIRE(fd > STATIC);
    memcpy(s.memory + AT_LIST, wild, sizeof(wild));
    for (int read = 0; read < 2; read++) {
        CHECK_INT(W4(&s, read ? "fd_read" : "fd_write", fd, AT_LIST, 1, AT_RET), FAULT);
        CHECK_INT(W4(&s, read ? "fd_read" : "fd_write", fd, END - 4, 1, AT_RET), FAULT);
        CHECK_INT(W4(&s, read ? "fd_read" : "fd_write", fd, -8, 1, AT_RET), FAULT);
        CHECK_INT(W4(&s, read ? "fd_read" : "fd_write", fd, AT_LIST, 0, END - 3), FAULT);
        CHECK_INT(W4(&s, read ? "fd_read" : "fd_write", fd, AT_LIST, -1, AT_RET), INVAL);
        CHECK_INT(W5(&s, read ? "fd_pread" : "fd_pwrite", fd, AT_LIST, 1, 0, AT_RET), FAULT);
        CHECK_INT(W5(&s, read ? "fd_pread" : "fd_pwrite", fd, AT_LIST, 0, 0, -1), FAULT);
    }
    CHECK_INT(W2(&s, "fd_fdstat_get", fd, END - 23), FAULT);
    CHECK_INT(W2(&s, "fd_filestat_get", fd, END - 63), FAULT);
    CHECK_INT(W2(&s, "fd_prestat_get", DATA, END - 7), FAULT);
    CHECK_INT(W3(&s, "fd_prestat_dir_name", DATA, END - 4, 5), FAULT);
    CHECK_INT(W5(&s, "fd_readdir", DATA, END - 4, 8, 0, AT_RET), FAULT);
    CHECK_INT(W5(&s, "fd_readdir", DATA, AT_BYTES, 64, 0, END - 3), FAULT);
    CHECK_INT(W5(&s, "fd_readdir", DATA, AT_BYTES, -1, 0, AT_RET), FAULT);
    CHECK_INT(W4(&s, "fd_seek", fd, 0, 0, END - 7), FAULT);
    CHECK_INT(W2(&s, "fd_tell", fd, -1), FAULT);
    CHECK_INT(W3(&s, "path_create_directory", DATA, END, 1), FAULT);
    CHECK_INT(W3(&s, "path_remove_directory", DATA, -1, 2), FAULT);
    CHECK_INT(W3(&s, "path_unlink_file", DATA, AT_PATH, -1), FAULT);
    CHECK_INT(W5(&s, "path_filestat_get", DATA, 0, END, 1, AT_BYTES), FAULT);
    CHECK_INT(W5(&s, "path_filestat_get", DATA, 0, AT_PATH, n, END - 63), FAULT);
    CHECK_INT(W7(&s, "path_filestat_set_times", DATA, 0, -1, n, 0, 0, 8), FAULT);
    CHECK_INT(W7(&s, "path_link", DATA, 0, -1, n, DATA, AT_PATH, n), FAULT);
    CHECK_INT(W7(&s, "path_link", DATA, 0, AT_PATH, n, DATA, -1, n), FAULT);
    CHECK_INT(W6(&s, "path_readlink", DATA, -1, n, AT_BYTES, 8, AT_RET), FAULT);
    CHECK_INT(W6(&s, "path_readlink", DATA, AT_PATH, n, AT_BYTES, -1, AT_RET), FAULT);
    CHECK_INT(W6(&s, "path_readlink", DATA, AT_PATH, n, AT_BYTES, 8, END - 3), FAULT);
    CHECK_INT(W6(&s, "path_rename", DATA, -1, n, DATA, AT_PATH, n), FAULT);
    CHECK_INT(W6(&s, "path_rename", DATA, AT_PATH, n, DATA, -1, n), FAULT);
    CHECK_INT(W5(&s, "path_symlink", -1, n, DATA, AT_PATH, n), FAULT);
    CHECK_INT(W5(&s, "path_symlink", AT_PATH, n, DATA, -1, n), FAULT);
    CHECK_INT(wasi(&s, "path_open", (long long)DATA, 0LL, -1LL, (long long)n, 0LL, 2LL, 2LL, 0LL,
                   (long long)AT_RET),
              FAULT);
    CHECK_INT(wasi(&s, "path_open", (long long)DATA, 0LL, (long long)AT_PATH, (long long)n, 0LL,
                   2LL, 2LL, 0LL, (long long)END - 3),
              FAULT);
    CHECK_STR(host_text(&s, "rw/file"), "in rw");
}

T_NO_OOM(one_call_moves_a_bounded_amount)
{
    START(s);
    int32_t fd = open_at(&s, DATA, "big", CREAT, RIGHT_READ | RIGHT_WRITE);
    REQUIRE(fd > STATIC);
    uint32_t pieces[40];
    for (size_t i = 0; i < OTR_COUNT(pieces); i += 2) {
        pieces[i] = AT_BYTES;
        pieces[i + 1] = ROOM;
    }
    memcpy(s.memory + AT_LIST + 64, pieces, sizeof(pieces));
    CHECK_INT(W4(&s, "fd_write", fd, AT_LIST + 64, OTR_COUNT(pieces) / 2, AT_RET), OK);
    CHECK(got(&s, AT_RET, 4) >= ROOM && got(&s, AT_RET, 4) <= OTR_LIMIT_WASI_IO_BYTES);
    uint64_t written = got(&s, AT_RET, 4);
    CHECK_INT(W2(&s, "fd_filestat_get", fd, AT_BYTES), OK);
    CHECK_INT(got(&s, AT_BYTES + 32, 8), written);
}
