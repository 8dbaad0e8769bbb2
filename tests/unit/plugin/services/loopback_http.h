/*
 * An HTTP server of fixed answers on loopback: GET /bytes has every byte value, GET /text a word,
 * GET /drip never ends and gives a byte now and then, GET /away redirects to a host that nobody
 * granted, anything else with a body has that body.
 *
 * Thread: one of its own; start and stop from the test's.
 */
#ifndef OTR_TESTS_UNIT_PLUGIN_SERVICES_LOOPBACK_HTTP_H
#define OTR_TESTS_UNIT_PLUGIN_SERVICES_LOOPBACK_HTTP_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOOPBACK_REQUEST_BYTES = 8192 };

typedef struct loopback_http {
    int fd;
    uint16_t port; /* 0: not running */
    pthread_t thread;
    atomic_bool stop;
    atomic_uint dripped; /* bytes */
} loopback_http;

/* Head and body into `to`; returns the body, `*ret_n` bytes of it. */
static inline const char *loopback_read(int fd, char *to, size_t *ret_n)
{
    size_t n = 0;
    *ret_n = 0;
    to[0] = '\0';
    while (n < LOOPBACK_REQUEST_BYTES - 1) {
        const char *end = strstr(to, "\r\n\r\n");
        const char *length = strstr(to, "Content-Length: ");
        size_t want = length != NULL ? (size_t)strtoul(length + 16, NULL, 10) : 0;
        if (end != NULL && n - (size_t)(end + 4 - to) >= want) {
            *ret_n = want;
            return end + 4;
        }
        ssize_t got = recv(fd, to + n, LOOPBACK_REQUEST_BYTES - 1 - n, 0);
        if (got <= 0) {
            break;
        }
        n += (size_t)got;
        to[n] = '\0';
    }
    return to;
}

/* Until the client has had enough. */
static inline void loopback_drip(loopback_http *s, int fd)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
    ssize_t sent = send(fd, head, sizeof head - 1, MSG_NOSIGNAL);
    while (sent > 0 && !atomic_load(&s->stop)) {
        sent = send(fd, ".", 1, MSG_NOSIGNAL);
        atomic_fetch_add(&s->dripped, 1);
        (void)usleep(20000);
    }
}

static inline void loopback_answer(loopback_http *s, int fd)
{
    static const char away[] = "HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\n"
                               "Content-Length: 0\r\nConnection: close\r\n\r\n";
    char request[LOOPBACK_REQUEST_BYTES], head[128], bytes[256];
    size_t n;
    const char *body = loopback_read(fd, request, &n);
    if (strncmp(request, "GET /drip", 9) == 0) {
        loopback_drip(s, fd);
        return;
    }
    if (strncmp(request, "GET /away", 9) == 0) {
        (void)send(fd, away, sizeof away - 1, MSG_NOSIGNAL);
        return;
    }
    if (strncmp(request, "GET /bytes", 10) == 0) {
        for (size_t i = 0; i < sizeof bytes; i++) {
            bytes[i] = (char)i;
        }
        body = bytes;
        n = sizeof bytes;
    } else if (strncmp(request, "GET /text", 9) == 0) {
        body = "hello";
        n = 5;
    }
    int head_n = snprintf(head, sizeof head,
                          "HTTP/1.1 200 OK\r\nX-Server: loopback\r\nContent-Length: %zu\r\n"
                          "Connection: close\r\n\r\n",
                          n);
    (void)send(fd, head, (size_t)head_n, MSG_NOSIGNAL);
    (void)send(fd, body, n, MSG_NOSIGNAL);
}

static inline void *loopback_serve(void *arg)
{
    loopback_http *s = arg;
    for (int fd; (fd = accept(s->fd, NULL, NULL)) >= 0;) {
        loopback_answer(s, fd);
        close(fd);
    }
    return NULL;
}

static inline bool loopback_start(loopback_http *s)
{
    struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof addr;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&addr, n) != 0 || listen(s->fd, 8) != 0 ||
        getsockname(s->fd, (struct sockaddr *)&addr, &n) != 0 ||
        pthread_create(&s->thread, NULL, loopback_serve, s) != 0) {
        return false;
    }
    s->port = ntohs(addr.sin_port);
    return true;
}

static inline void loopback_stop(loopback_http *s)
{
    if (s->port != 0) {
        atomic_store(&s->stop, true);
        (void)shutdown(s->fd, SHUT_RDWR);
        pthread_join(s->thread, NULL);
        close(s->fd);
        s->port = 0;
    }
}

#endif
