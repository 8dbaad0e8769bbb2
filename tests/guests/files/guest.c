/* Uses the folders /data (to change) and /static (to read) by the C library, as a plugin would. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "outrider_extism.h"
OG_INFO("files-extism", "1.0.0")

OG_SUBSCRIBE("test.ping")

OG_OPERATION(process)
{
    return OG_OK;
}

#define MUST(cond)                                                    \
    do {                                                              \
        if (!(cond)) {                                                \
            snprintf(why, sizeof why, "%s (errno %d)", #cond, errno); \
            return why;                                               \
        }                                                             \
    } while (0)

static char why[256];

static int put(const char *path, const char *mode, const char *text)
{
    FILE *f = fopen(path, mode);
    if (f == NULL) {
        return -1;
    }
    int rc = fputs(text, f);
    return fclose(f) == 0 && rc >= 0 ? 0 : -1;
}

static const char *get(const char *path)
{
    static char text[512];
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        return "";
    }
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    return text;
}

static const char *streams(void)
{
    struct stat st;
    MUST(put("/data/notes", "w", "one\n") == 0);
    MUST(put("/data/notes", "a", "two\n") == 0);
    MUST(strcmp(get("/data/notes"), "one\ntwo\n") == 0);
    FILE *f = fopen("/data/notes", "r+");
    MUST(f != NULL);
    MUST(fseek(f, -4, SEEK_END) == 0 && ftell(f) == 4);
    MUST(fputs("TWO", f) >= 0 && fflush(f) == 0);
    rewind(f);
    MUST(fgetc(f) == 'o');
    MUST(ftruncate(fileno(f), 7) == 0);
    MUST(fclose(f) == 0);
    MUST(strcmp(get("/data/notes"), "one\nTWO") == 0);
    MUST(stat("/data/notes", &st) == 0 && st.st_size == 7 && S_ISREG(st.st_mode));
    MUST(put("/data/notes", "wx", "") != 0 && errno == EEXIST);
    return NULL;
}

static const char *names(void)
{
    char target[32] = "";
    struct stat st;
    MUST(rename("/data/notes", "/data/kept") == 0);
    MUST(access("/data/notes", F_OK) != 0 && errno == ENOENT);
    MUST(symlink("kept", "/data/soft") == 0);
    MUST(readlink("/data/soft", target, sizeof target - 1) == 4 && strcmp(target, "kept") == 0);
    MUST(lstat("/data/soft", &st) == 0 && S_ISLNK(st.st_mode));
    MUST(link("/data/kept", "/data/hard") == 0);
    MUST(strcmp(get("/data/soft"), get("/data/hard")) == 0);
    MUST(unlink("/data/soft") == 0 && unlink("/data/hard") == 0 && remove("/data/kept") == 0);
    return NULL;
}

static const char *folders(void)
{
    char path[64];
    int n = 0;
    MUST(mkdir("/data/many", 0755) == 0);
    for (int i = 0; i < 200; i++) {
        snprintf(path, sizeof path, "/data/many/a-file-with-a-longer-name-%d", i);
        MUST(put(path, "w", "x") == 0);
    }
    DIR *dir = opendir("/data/many");
    MUST(dir != NULL);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        n += e->d_type == DT_REG && strncmp(e->d_name, "a-file", 6) == 0;
        if (e->d_name[0] != '.') {
            MUST(unlinkat(dirfd(dir), e->d_name, 0) == 0);
        }
    }
    MUST(closedir(dir) == 0 && n == 200);
    MUST(rmdir("/data/many") == 0);
    return NULL;
}

static const char *refusals(void)
{
    MUST(strcmp(get("/static/file"), "in ro") == 0);
    MUST(put("/static/file", "w", "x") != 0 && errno == EPERM);
    MUST(put("/static/new", "a", "x") != 0 && errno == EPERM);
    MUST(mkdir("/static/new", 0755) != 0 && errno == EPERM);
    MUST(unlink("/static/file") != 0 && errno == EPERM);
    MUST(rename("/static/file", "/data/stolen") != 0 && errno == EPERM);
    MUST(open("/data/../out/file", O_RDONLY) < 0 && errno == EPERM);
    MUST(open("/data/away/file", O_RDONLY) < 0 && errno == EPERM);
    MUST(open("/etc/passwd", O_RDONLY) < 0);
    return NULL;
}

static int work_in_folders(void)
{
    const char *(*const parts[])(void) = { streams, names, folders, refusals };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const char *failed = parts[i]();
        if (failed != NULL) {
            return og_fail(failed);
        }
    }
    const char *value = getenv("GRANTED");
    printf("done with %s\n", value != NULL ? value : "nothing");
    fflush(stdout);
    return og_output((og_str){ "done", 4 });
}

OG_OPERATION(work)
{
    return work_in_folders();
}

OG_OPERATION(init)
{
    return work_in_folders();
}
