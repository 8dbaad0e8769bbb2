#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nginx/log/folders.h"
#include "support/test.h"

enum { ROUNDS = 20, PATH_BYTES = 64 };

typedef struct fixture {
    char folder[32];
    size_t made; /* folders "0", "1", … in it */
    otr_loop *loop;
    otr_log_folders *folders;
    otr_log_folder *told; /* the last folder of which a name was told, with the name */
    char name[32];
    unsigned names, missed;
} fixture;

static void on_name(void *arg, otr_log_folder *folder, const char *name)
{
    fixture *f = arg;
    if (name == NULL) {
        f->missed++;
    } else if (folder != NULL) {
        f->told = folder;
        f->names++;
        (void)snprintf(f->name, sizeof(f->name), "%s", name);
    }
}

static const char *path_of(const fixture *f, size_t i, const char *name, char out[PATH_BYTES])
{
    (void)snprintf(out, PATH_BYTES, "%s/%zu%s%s", f->folder, i, name[0] != '\0' ? "/" : "", name);
    return out;
}

static bool touch(const fixture *f, size_t i, const char *name)
{
    char path[PATH_BYTES];
    FILE *file = fopen(path_of(f, i, name, path), "w");
    return file != NULL && fclose(file) == 0;
}

static bool make_folder(fixture *f)
{
    char path[PATH_BYTES];
    return mkdir(path_of(f, f->made++, "", path), 0700) == 0;
}

static otr_log_folder *join(fixture *f, size_t i)
{
    char path[PATH_BYTES];
    return otr_log_folders_join(f->folders, "", path_of(f, i, "a.log", path));
}

static void steps(fixture *f)
{
    for (int i = 0; i < ROUNDS; i++) {
        otr_loop_step(f->loop, 0);
    }
}

/* Is a new file in folder `i` told of as one in `folder`? Nobody's: NULL. */
static bool tells(fixture *f, size_t i, const otr_log_folder *folder)
{
    char path[PATH_BYTES];
    steps(f);
    f->told = NULL;
    f->names = 0;
    bool made = touch(f, i, "b.log");
    steps(f);
    bool right = made && f->told == folder && f->names == (folder != NULL) &&
                 (folder == NULL || strcmp(f->name, "b.log") == 0);
    unlink(path_of(f, i, "b.log", path));
    steps(f);
    return right;
}

static void teardown(fixture *f)
{
    char path[PATH_BYTES];
    otr_log_folders_free(f->folders);
    otr_loop_free(f->loop);
    for (size_t i = 0; i < f->made; i++) {
        unlink(path_of(f, i, "b.log", path));
        rmdir(path_of(f, i, "", path));
    }
    rmdir(f->folder);
}

static otr_code setup(fixture *f, size_t n, otr_err *err)
{
    (void)snprintf(f->folder, sizeof(f->folder), "/tmp/otr-folders-XXXXXX");
    bool made = mkdtemp(f->folder) != NULL;
    for (size_t i = 0; made && i < n; i++) {
        made = make_folder(f);
    }
    otr_code rc = made ? otr_loop_new(&f->loop, err) : otr_fail(err, OTR_EIO, "no folders");
    return rc == OTR_OK ? otr_log_folders_new(f->loop, on_name, f, &f->folders, err) : rc;
}

/* Inotify's own memory and the time of its events make a failing allocation meaningless. */
#define SETUP(n)                             \
    OTR_CLEANUP(teardown) fixture f = { 0 }; \
    otr_err err = { 0 };                     \
    REQUIRE_OK(setup(&f, n, &err), err)

T_NO_OOM(logs_of_a_folder_share_it_until_the_last_leaves)
{
    SETUP(2);
    otr_log_folder *one = join(&f, 0), *again = join(&f, 0), *other = join(&f, 1);
    CHECK(one != NULL && one == again && other != NULL && other != one);
    CHECK(tells(&f, 0, one));
    otr_log_folders_leave(f.folders, one);
    CHECK(tells(&f, 0, one));
    CHECK(tells(&f, 1, other));
    otr_log_folders_leave(f.folders, again);
    CHECK(tells(&f, 0, NULL));
    CHECK(tells(&f, 1, other));
    otr_log_folders_leave(f.folders, other);
    otr_log_folders_leave(f.folders, NULL);
    CHECK_INT(f.missed, 0);
}

/* More than there are chains, so that some share theirs. */
T_NO_OOM(many_folders_are_told_apart_in_whatever_order_they_leave)
{
    enum { MANY = 1500 };
    static otr_log_folder *all[MANY];
    SETUP(MANY);
    for (size_t i = 0; i < MANY; i++) {
        all[i] = join(&f, i);
        REQUIRE(all[i] != NULL);
    }
    for (size_t i = 0; i < MANY; i += 3) {
        REQUIRE(join(&f, i) == all[i]);
        otr_log_folders_leave(f.folders, all[i]);
        REQUIRE(tells(&f, i, all[i]));
    }
    for (size_t i = 0; i < MANY; i++) { /* 7 and MANY have no factor in common */
        size_t gone = i * 7 % MANY;
        otr_log_folders_leave(f.folders, all[gone]);
        all[gone] = NULL;
        size_t left = (i + 1) * 7 % MANY;
        REQUIRE(i % 50 != 0 || (tells(&f, gone, NULL) && tells(&f, left, all[left])));
    }
    CHECK_INT(f.missed, 0);
}

T_NO_OOM(a_folder_that_is_replaced_is_watched_again_when_it_is_there)
{
    SETUP(2);
    char path[PATH_BYTES];
    otr_log_folder *one = join(&f, 0), *other = join(&f, 1);
    REQUIRE(one != NULL && other != NULL);
    REQUIRE(rmdir(path_of(&f, 0, "", path)) == 0);
    steps(&f);
    CHECK(f.missed > 0);
    otr_log_folders_renew(f.folders); /* not there yet */
    CHECK(tells(&f, 1, other));
    REQUIRE(mkdir(path_of(&f, 0, "", path), 0700) == 0);
    CHECK(tells(&f, 0, NULL));
    otr_log_folders_renew(f.folders);
    CHECK(tells(&f, 0, one));
    otr_log_folders_leave(f.folders, one);
    otr_log_folders_leave(f.folders, other);
}

T_NO_OOM(a_folder_that_comes_later_is_watched_from_then_on)
{
    SETUP(0);
    otr_log_folder *late = join(&f, 0);
    REQUIRE(late != NULL);
    REQUIRE(make_folder(&f));
    otr_log_folders_renew(f.folders);
    CHECK(tells(&f, 0, late));
    otr_log_folders_leave(f.folders, late);
}
