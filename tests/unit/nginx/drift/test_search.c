#include <fcntl.h>
#include <unistd.h>

#include "nginx/drift/search.h"
#include "unit/nginx/tree.h"

/* A process that is not ours, with one file open in this way; it ends with its standard input. */
static pid_t holder(const char *path, const char *how, int *ret_end)
{
    int pipe_ends[2], ready[2];
    if (pipe(pipe_ends) != 0 || pipe(ready) != 0) {
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        char byte = 'r';
        FILE *f = fopen(path, how);
        close(pipe_ends[1]);
        bool told = write(ready[1], &byte, 1) == 1;
        _exit(f == NULL || !told || read(pipe_ends[0], &byte, 1) != 0);
    }
    char byte;
    close(pipe_ends[0]);
    close(ready[1]);
    bool up = pid > 0 && read(ready[0], &byte, 1) == 1;
    close(ready[0]);
    *ret_end = pipe_ends[1];
    return up ? pid : -1;
}

static pid_t found(const char *path, const char *open_path, const char *how)
{
    int end = -1;
    const char *const paths[] = { path };
    otr_drift_writer writer = { 0 };
    pid_t pid = holder(open_path, how, &end);
    otr_drift_search("/proc", paths, 1, &writer);
    close(end);
    CHECK(pid > 0);
    return writer.pid == pid ? pid : writer.pid == 0 ? 0 : -1;
}

T_NO_OOM(who_writes_a_file_is_found_and_who_reads_it_is_not) /* forks */
{
    OTR_CLEANUP(tree_deinit) tree t;
    char path[512], swap[512];
    REQUIRE(tree_init(&t));
    CHECK(tree_write(&t, "a.conf", "# a\n"));
    snprintf(path, sizeof(path), "%s/a.conf", t.dir);
    snprintf(swap, sizeof(swap), "%s/.a.conf.swp", t.dir);
    CHECK(found(path, path, "r+") > 0);
    CHECK(found(path, path, "a") > 0);
    CHECK_INT(found(path, path, "r"), 0);
    CHECK(found(path, swap, "w") > 0); /* an editor that has it open */
    snprintf(swap, sizeof(swap), "%s/.b.conf.swp", t.dir);
    CHECK_INT(found(path, swap, "w"), 0);
}
