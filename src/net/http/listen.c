#include "net/http/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"

enum { BACKLOG = 511, HOST_BYTES = 64 };

typedef union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un un;
} address;

/* ---- unix ---- */

/* Has the process ended that listened behind `fd`? Then nobody answers: a child of it that has not
 * become another program yet holds the socket for a moment, and never looks at it. */
static bool is_orphaned(int fd)
{
    struct ucred who = { 0 };
    socklen_t size = sizeof(who);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 && who.pid > 0 &&
           kill(who.pid, 0) != 0 && errno == ESRCH;
}

/* Something stands at the path: take it away if it is a socket that nobody serves any more. */
static otr_code remove_stale(const char *path, const address *to, otr_err *err)
{
    struct stat st;
    if (lstat(path, &st) != 0) {
        return otr_fail_sys(err, errno, "cannot look at %s", path);
    }
    if (!S_ISSOCK(st.st_mode)) {
        return otr_fail(err, OTR_ESTATE,
                        "%s exists and is not a socket: move it away or choose another path", path);
    }
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0) {
        return otr_fail_sys(err, errno, "cannot make a socket");
    }
    int sys = connect(probe, &to->any, sizeof(to->un)) == 0 ? 0 : errno;
    sys = sys == 0 && is_orphaned(probe) ? ECONNREFUSED : sys;
    close(probe);
    if (sys == 0 || sys == EAGAIN) {
        return otr_fail(err, OTR_ESTATE,
                        "another process answers on %s: stop that agent or choose another path",
                        path);
    }
    if (sys != ECONNREFUSED && sys != ENOENT) {
        return otr_fail_sys(err, sys, "cannot tell whether %s is in use", path);
    }
    if (unlink(path) != 0 && errno != ENOENT) {
        return otr_fail_sys(err, errno, "cannot remove the stale socket %s", path);
    }
    return OTR_OK;
}

static otr_code bind_unix(int fd, const char *path, const address *to, otr_err *err)
{
    /* Linux makes the file with the mode of the socket: no moment in which others may connect,
     * and no umask() that other threads would see. */
    if (fchmod(fd, S_IRUSR | S_IWUSR) != 0) {
        return otr_fail_sys(err, errno, "cannot set the mode of a socket for %s", path);
    }
    if (bind(fd, &to->any, sizeof(to->un)) == 0) {
        return OTR_OK;
    }
    if (errno == EADDRINUSE) {
        otr_code rc = remove_stale(path, to, err);
        if (rc != OTR_OK) {
            return rc;
        }
        if (bind(fd, &to->any, sizeof(to->un)) == 0) {
            return OTR_OK;
        }
    }
    if (errno == ENOENT) {
        return otr_fail(err, OTR_ENOTFOUND,
                        "cannot listen on %s: its directory does not exist: create it", path);
    }
    return otr_fail_sys(err, errno, "cannot listen on %s", path);
}

static otr_code open_unix(const char *path, otr_http_socket *s, otr_err *err)
{
    address to = { .un = { .sun_family = AF_UNIX } };
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof(to.un.sun_path)) {
        return otr_fail(err, OTR_EINVAL, "socket path \"%s\" has %zu bytes, 1 to %zu are possible",
                        path, n, sizeof(to.un.sun_path) - 1);
    }
    memcpy(to.un.sun_path, path, n + 1);
    s->path = otr_strdup(path);
    if (s->path == NULL) {
        return otr_fail_nomem(err);
    }
    s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->fd < 0) {
        return otr_fail_sys(err, errno, "cannot make a socket for %s", path);
    }
    otr_code rc = bind_unix(s->fd, path, &to, err);
    if (rc != OTR_OK) {
        return rc;
    }
    struct stat st;
    if (lstat(path, &st) != 0 || (st.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        unlink(path);
        return otr_fail(err, OTR_EDENIED,
                        "the file system of %s cannot keep others from the socket", path);
    }
    s->dev = st.st_dev;
    s->ino = st.st_ino;
    if (listen(s->fd, BACKLOG) != 0) {
        return otr_fail_sys(err, errno, "cannot listen on %s", path);
    }
    return OTR_OK;
}

/* ---- TCP ---- */

static bool parse_address(const char *host, uint16_t port, address *ret, socklen_t *ret_len)
{
    *ret = (address){ .any = { .sa_family = AF_UNSPEC } };
    if (strcasecmp(host, "localhost") == 0) {
        host = "127.0.0.1"; /* by RFC 6761 nothing else, whatever a resolver says */
    }
    if (inet_pton(AF_INET, host, &ret->v4.sin_addr) == 1) {
        ret->v4.sin_family = AF_INET;
        ret->v4.sin_port = htons(port);
        *ret_len = sizeof(ret->v4);
        return true;
    }
    if (inet_pton(AF_INET6, host, &ret->v6.sin6_addr) == 1) {
        ret->v6.sin6_family = AF_INET6;
        ret->v6.sin6_port = htons(port);
        *ret_len = sizeof(ret->v6);
        return true;
    }
    return false;
}

static bool is_loopback(const address *at)
{
    return at->any.sa_family == AF_INET ? ntohl(at->v4.sin_addr.s_addr) >> 24 == 127
                                        : IN6_IS_ADDR_LOOPBACK(&at->v6.sin6_addr) != 0;
}

static otr_code fail_bind(otr_err *err, int sys, const otr_http_listen *l)
{
    switch (sys) {
    case EADDRINUSE:
        return otr_fail(err, OTR_ESTATE,
                        "cannot listen on address %s port %u: another process has it: stop that "
                        "process or choose another port",
                        l->host, l->port);
    case EADDRNOTAVAIL:
        return otr_fail(err, OTR_EINVAL,
                        "cannot listen on address %s port %u: no interface has this address",
                        l->host, l->port);
    case EACCES:
        return otr_fail(err, OTR_EDENIED,
                        "cannot listen on address %s port %u: not permitted: choose a port above "
                        "1023",
                        l->host, l->port);
    default:
        return otr_fail_sys(err, sys, "cannot listen on address %s port %u", l->host, l->port);
    }
}

static otr_code open_tcp(const otr_http_listen *l, otr_http_socket *s, otr_err *err)
{
    address at;
    socklen_t len = 0;
    if (l->host == NULL || !parse_address(l->host, l->port, &at, &len)) {
        return otr_fail(
            err, OTR_EINVAL,
            "\"%s\" is neither localhost nor an IP address to listen on, as 127.0.0.1 is",
            l->host != NULL ? l->host : "");
    }
    if (!l->public && !is_loopback(&at)) {
        return otr_fail(
            err, OTR_EDENIED,
            "refusing to listen on %s: it is not a loopback address, others could reach "
            "it",
            l->host);
    }
    s->fd = socket(at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->fd < 0) {
        return otr_fail_sys(err, errno, "cannot make a socket for %s", l->host);
    }
    int on = 1;
    bool set = setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0;
    if (at.any.sa_family == AF_INET6) {
        set = set && setsockopt(s->fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0;
    }
    if (!set || bind(s->fd, &at.any, len) != 0 || listen(s->fd, BACKLOG) != 0 ||
        getsockname(s->fd, &at.any, &len) != 0) {
        return fail_bind(err, errno, l);
    }
    s->port = ntohs(at.any.sa_family == AF_INET ? at.v4.sin_port : at.v6.sin6_port);
    return OTR_OK;
}

otr_code otr_http_socket_open(const otr_http_listen *listen, otr_http_socket *ret, otr_err *err)
{
    otr_http_socket s = { .fd = -1 };
    otr_code rc = listen->unix_path != NULL ? open_unix(listen->unix_path, &s, err)
                                            : open_tcp(listen, &s, err);
    if (rc != OTR_OK) {
        otr_http_socket_close(&s);
        return rc;
    }
    *ret = s;
    return OTR_OK;
}

void otr_http_socket_close(otr_http_socket *s)
{
    if (s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
    }
    struct stat st;
    if (s->path != NULL && s->ino != 0 && lstat(s->path, &st) == 0 && st.st_dev == s->dev &&
        st.st_ino == s->ino) {
        unlink(s->path);
    }
    otr_free(s->path);
    s->path = NULL;
}

/* ---- Host header ---- */

static bool is_port(const char *text)
{
    if (text[0] == '\0') {
        return true;
    }
    size_t digits = strspn(text + 1, "0123456789");
    return text[0] == ':' && digits > 0 && digits <= 5 && text[1 + digits] == '\0';
}

bool otr_http_host_is_loopback(const char *host)
{
    if (host[0] == '[') {
        return strncmp(host, "[::1]", 5) == 0 && is_port(host + 5);
    }
    size_t n = strcspn(host, ":");
    char name[HOST_BYTES];
    if (n == 0 || n >= sizeof(name) || !is_port(host + n)) {
        return false;
    }
    memcpy(name, host, n);
    name[n] = '\0';
    struct in_addr v4;
    return strcasecmp(name, "localhost") == 0 ||
           (inet_pton(AF_INET, name, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127);
}
