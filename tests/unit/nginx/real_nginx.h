/*
 * A private NGINX for tests: its own folder, unix sockets only, ended by pid.
 */
#ifndef OTR_TESTS_UNIT_NGINX_REAL_NGINX_H
#define OTR_TESTS_UNIT_NGINX_REAL_NGINX_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "nginx/proc.h"
#include "unit/nginx/tree.h"

static const char nginx_binary[] = "/usr/sbin/nginx";

typedef struct real_nginx {
    tree t;
    char conf[256];
    bool running;
} real_nginx;

static inline bool nginx_exists(void)
{
    return access(nginx_binary, X_OK) == 0;
}

static inline void nginx_nap(void)
{
    struct timespec ms = { .tv_nsec = 2000000 };
    nanosleep(&ms, NULL);
}

/* The pid in a file of the folder, waited for; 0: it did not come. */
static inline pid_t nginx_pid(real_nginx *n, const char *name)
{
    for (int i = 0; i < 1000; i++) {
        FILE *f = fopen(tree_path(&n->t, name), "r");
        char line[32];
        bool have = f != NULL && fgets(line, sizeof(line), f) != NULL;
        if (f != NULL) {
            fclose(f);
        }
        if (have) {
            return (pid_t)strtol(line, &(char *){ NULL }, 10);
        }
        nginx_nap();
    }
    return 0;
}

/* Runs the binary with our folder and `extra` arguments to its end: true when that is 0. */
static inline bool nginx_run(real_nginx *n, const char *binary)
{
    char prefix[160];
    snprintf(prefix, sizeof(prefix), "%s/", n->t.dir);
    char *argv[] = { (char *)(uintptr_t)binary, "-p", prefix, "-c", "nginx.conf", NULL };
    /* NGINX writes its title over both and cuts it at their end. */
    char *env[] = { "PATH=/usr/bin:/bin", "ROOM=for all of the title of a master", NULL };
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    pid_t pid;
    int status = -1;
    bool ok = posix_spawn(&pid, binary, &actions, NULL, argv, env) == 0 &&
              waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    posix_spawn_file_actions_destroy(&actions);
    return ok;
}

static inline bool nginx_configure(real_nginx *n, const char *http)
{
    char text[2048];
    const char *d = n->t.dir;
    snprintf(text, sizeof(text),
             "%sworker_processes 2; pid nginx.pid; error_log error.log;\n"
             "events { worker_connections 64; }\n"
             "http { access_log access.log;\n"
             "client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f;\n"
             "uwsgi_temp_path u; scgi_temp_path s;\n"
             "server { listen unix:%s/n.sock; location = /status { access_log off; stub_status; }\n"
             "location /ok { return 200; } location /no { return 404; } }\n%s}\n",
             geteuid() == 0 ? "user root; " : "", d, http);
    return tree_write(&n->t, "nginx.conf", text);
}

static inline bool nginx_start(real_nginx *n)
{
    memset(n, 0, sizeof(*n));
    if (!tree_init(&n->t)) {
        return false;
    }
    snprintf(n->conf, sizeof(n->conf), "%s/nginx.conf", n->t.dir);
    n->running = nginx_configure(n, "") && nginx_run(n, nginx_binary);
    return n->running;
}

/* Gone, or ended and not waited for by the one who should. */
static inline bool nginx_ended(pid_t pid)
{
    otr_proc_stat st;
    return !otr_proc_stat_read("/proc", pid, &st) || st.state == 'Z';
}

/* Ends the master as a crash would, and then the workers that it leaves behind. */
static inline void nginx_crash(pid_t pid)
{
    pid_t workers[16];
    size_t n = 0;
    (void)otr_proc_children("/proc", pid, workers, OTR_COUNT(workers), &n);
    kill(pid, SIGKILL);
    for (size_t i = 0; i < n; i++) {
        kill(workers[i], SIGKILL);
    }
}

/* Sends `sig` and waits until the process is gone. */
static inline void nginx_end(pid_t pid, int sig)
{
    if (pid > 1 && kill(pid, sig) == 0) {
        for (int i = 0; i < 2000 && !nginx_ended(pid); i++) {
            nginx_nap();
        }
    }
}

static inline void nginx_deinit(real_nginx *n)
{
    if (n->running) {
        nginx_end(nginx_pid(n, "nginx.pid"), SIGTERM);
        if (access(tree_path(&n->t, "nginx.pid.oldbin"), F_OK) == 0) { /* an upgrade that failed */
            nginx_end(nginx_pid(n, "nginx.pid.oldbin"), SIGTERM);
        }
    }
    tree_deinit(&n->t);
}

/* One request over the unix socket; the answer is not looked at. */
static inline bool nginx_request(real_nginx *n, const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    snprintf(a.sun_path, sizeof(a.sun_path), "%s/n.sock", n->t.dir);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char text[256];
    int len = snprintf(text, sizeof(text), "GET %s HTTP/1.0\r\n\r\n", path);
    bool ok = connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
              write(fd, text, (size_t)len) == len && read(fd, text, sizeof(text)) > 0;
    close(fd);
    return ok;
}

#endif
