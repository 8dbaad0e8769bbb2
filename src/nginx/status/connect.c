#include "nginx/status/connect.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "nginx/status/peer.h"

enum {
    TRIES = 48,        /* connections until the right one of several masters took it */
    ACCEPT_WAITS = 60, /* looks for who accepted, a few milliseconds apart */
    PATH_BYTES = 64,
};

typedef struct sockets {
    int fd, diag;
} sockets;

static void close_sockets(sockets *s)
{
    if (s->fd >= 0) {
        close(s->fd);
    }
    if (s->diag >= 0) {
        close(s->diag);
    }
    *s = (sockets){ -1, -1 };
}

/* In the namespace of the calling thread. */
static otr_code make_sockets(int family, sockets *ret, otr_err *err)
{
    ret->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (ret->fd < 0) {
        return otr_fail_sys(err, errno, "cannot make a socket");
    }
    if (ret->diag < 0) {
        ret->diag = otr_peer_diag();
    }
    return OTR_OK;
}

/* ---- namespaces ---- */

typedef enum net_space {
    OUR_SPACE,
    OTHER_SPACE,
    UNKNOWN_SPACE,
} net_space;

/* Each namespace has files of its own below /proc/<pid>/net, which also show to those who may not
 * look at /proc/<pid>/ns. */
static net_space space_of(pid_t pid)
{
    char path[PATH_BYTES];
    struct stat ours, theirs;
    (void)snprintf(path, sizeof(path), "/proc/%d/net/tcp", (int)pid);
    if (stat("/proc/self/net/tcp", &ours) != 0 || stat(path, &theirs) != 0) {
        return UNKNOWN_SPACE;
    }
    return ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev ? OUR_SPACE : OTHER_SPACE;
}

typedef struct visit { /* by a thread that ends afterwards: nothing has to be undone */
    int space, family;
    sockets *sockets;
    otr_code rc;
    otr_err *err;
} visit;

static void *go_there(void *arg)
{
    visit *v = arg;
    v->rc = setns(v->space, CLONE_NEWNET) == 0
                ? make_sockets(v->family, v->sockets, v->err)
                : otr_fail_sys(v->err, errno,
                               "its network namespace cannot be entered (CAP_SYS_ADMIN)");
    return NULL;
}

static otr_code sockets_there(const otr_master_id *master, int family, sockets *ret, otr_err *err)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)master->pid);
    visit v = { .space = open(path, O_RDONLY | O_CLOEXEC),
                .family = family,
                .sockets = ret,
                .rc = OTR_EIO,
                .err = err };
    if (v.space < 0) {
        return otr_fail_sys(err, errno,
                            "it is in another network namespace, which cannot be opened");
    }
    pthread_t thread;
    if (!otr_kin_lives(master)) {
        v.rc = otr_fail(err, OTR_ENOTFOUND, "the process is gone");
    } else if (pthread_create(&thread, NULL, go_there, &v) != 0) {
        v.rc = otr_fail_nomem(err);
    } else {
        (void)pthread_join(thread, NULL);
    }
    close(v.space);
    return v.rc;
}

static otr_code get_sockets(const otr_connect_spec *spec, int family, sockets *ret, otr_err *err)
{
    if (spec->master.pid == 0 || family == AF_UNIX) {
        return make_sockets(family, ret, err);
    }
    switch (space_of(spec->master.pid)) {
    case OUR_SPACE:
        return make_sockets(family, ret, err);
    case OTHER_SPACE:
        return sockets_there(&spec->master, family, ret, err);
    default:
        return otr_fail(err, OTR_EDENIED, "its network namespace cannot be told: not asked");
    }
}

/* ---- one connection ---- */

static otr_code wait_connected(int fd, uint64_t deadline_ns, otr_err *err)
{
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    int sys = ETIMEDOUT;
    for (uint64_t now = otr_now_ns(); now < deadline_ns; now = otr_now_ns()) {
        int n = poll(&p, 1, (int)((deadline_ns - now) / OTR_NS_PER_MS) + 1);
        socklen_t size = sizeof(sys);
        if (n > 0) {
            sys = getsockopt(fd, SOL_SOCKET, SO_ERROR, &sys, &size) == 0 ? sys : errno;
            break;
        }
        sys = n < 0 && errno != EINTR ? errno : ETIMEDOUT;
    }
    if (sys == ETIMEDOUT) {
        return otr_fail(err, OTR_ETIMEOUT, "no connection before the deadline");
    }
    return sys == 0 ? OTR_OK : otr_fail_sys(err, sys, "cannot connect");
}

static otr_code connect_once(const otr_connect_spec *spec, sockets *s, otr_err *err)
{
    const struct sockaddr *to = (const void *)spec->to.bytes;
    otr_code rc = get_sockets(spec, to->sa_family, s, err);
    if (rc != OTR_OK) {
        return rc;
    }
    if (to->sa_family != AF_UNIX) {
        int on = 1;
        (void)setsockopt(s->fd, SOL_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    if (connect(s->fd, to, spec->to.size) == 0) {
        return OTR_OK;
    }
    return errno == EINPROGRESS ? wait_connected(s->fd, spec->deadline_ns, err)
                                : otr_fail_sys(err, errno, "cannot connect");
}

static void pause_ms(long ms)
{
    (void)nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000L }, NULL);
}

/* Who took the connection? Until a worker accepted it, nobody has its socket. */
static otr_holds who(const otr_connect_spec *spec, const sockets *s)
{
    for (int i = 0; i < ACCEPT_WAITS && otr_now_ns() < spec->deadline_ns; i++) {
        uint64_t inode = otr_peer_inode(s->diag, s->fd);
        if (inode != 0) {
            otr_holds holds = otr_kin_holds(&spec->master, inode);
            if (holds != OTR_HOLDS_NOT || i > 1) {
                return holds;
            }
        } else if (s->diag < 0) {
            break;
        }
        pause_ms(i < 10 ? 1 : 5);
    }
    return OTR_HOLDS_UNKNOWN;
}

otr_code otr_status_connect(const otr_connect_spec *spec, otr_connection *ret, otr_err *err)
{
    sockets s = { -1, -1 };
    for (int i = 0; i < TRIES && otr_now_ns() < spec->deadline_ns; i++) {
        otr_code rc = connect_once(spec, &s, err);
        otr_holds holds = OTR_HOLDS_UNKNOWN;
        if (rc == OTR_OK && spec->master.pid != 0) {
            holds = who(spec, &s);
        }
        if (rc == OTR_OK && holds != OTR_HOLDS_NOT) {
            *ret = (otr_connection){ .fd = s.fd, .proved = holds == OTR_HOLDS };
            s.fd = -1;
            close_sockets(&s);
            return OTR_OK;
        }
        if (rc != OTR_OK) {
            close_sockets(&s);
            return rc;
        }
        close(s.fd);
        s.fd = -1;
    }
    close_sockets(&s);
    return otr_fail(err, OTR_ESTATE, "another process answers there, not this NGINX");
}
