#include "nginx/status/peer.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { ANSWER_BYTES = 8192, WAIT_MS = 200 };

int otr_peer_diag(void)
{
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    struct timeval wait = { .tv_usec = 1000L * WAIT_MS };
    if (fd >= 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    }
    return fd;
}

typedef union answer {
    struct nlmsghdr header;
    char bytes[ANSWER_BYTES];
} answer;

/* Sends a request; the bytes behind the header of its answer, 0: none. */
static size_t ask(int diag, void *request, size_t size, answer *ret)
{
    struct nlmsghdr *header = request;
    header->nlmsg_len = (uint32_t)size;
    header->nlmsg_type = SOCK_DIAG_BY_FAMILY;
    header->nlmsg_flags = NLM_F_REQUEST;
    if (send(diag, request, size, 0) < 0) {
        return 0;
    }
    ssize_t n = recv(diag, ret->bytes, sizeof(ret->bytes), 0);
    return n >= (ssize_t)NLMSG_HDRLEN && ret->header.nlmsg_type == SOCK_DIAG_BY_FAMILY &&
                   ret->header.nlmsg_len <= (size_t)n
               ? ret->header.nlmsg_len - NLMSG_HDRLEN
               : 0;
}

typedef union name {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage all;
} name;

static void put(const name *from, __be32 ip[4], __be16 *port)
{
    if (from->any.sa_family == AF_INET) {
        memcpy(ip, &from->v4.sin_addr, sizeof(from->v4.sin_addr));
        *port = from->v4.sin_port;
    } else {
        memcpy(ip, &from->v6.sin6_addr, sizeof(from->v6.sin6_addr));
        *port = from->v6.sin6_port;
    }
}

static uint64_t tcp_inode(int diag, const name *here, const name *there)
{
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 ask;
    } request = { .ask = { .sdiag_family = (uint8_t)here->any.sa_family,
                           .sdiag_protocol = IPPROTO_TCP,
                           .idiag_states = ~0U } };
    struct inet_diag_sockid *id = &request.ask.id;
    put(there, id->idiag_src, &id->idiag_sport); /* the other end's own view */
    put(here, id->idiag_dst, &id->idiag_dport);
    id->idiag_cookie[0] = id->idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    answer got;
    struct inet_diag_msg socket;
    if (ask(diag, &request, sizeof(request), &got) < sizeof(socket)) {
        return 0;
    }
    memcpy(&socket, got.bytes + NLMSG_HDRLEN, sizeof(socket));
    return socket.idiag_inode;
}

static uint64_t unix_inode(int diag, int fd)
{
    struct stat own;
    if (fstat(fd, &own) != 0) {
        return 0;
    }
    struct {
        struct nlmsghdr header;
        struct unix_diag_req ask;
    } request = { .ask = { .sdiag_family = AF_UNIX,
                           .udiag_states = ~0U,
                           .udiag_ino = (uint32_t)own.st_ino,
                           .udiag_show = UDIAG_SHOW_PEER,
                           .udiag_cookie = { ~0U, ~0U } } };
    answer got;
    size_t n = ask(diag, &request, sizeof(request), &got);
    size_t at = NLMSG_ALIGN(sizeof(struct unix_diag_msg));
    struct rtattr attribute;
    while (at + sizeof(attribute) <= n) {
        memcpy(&attribute, got.bytes + NLMSG_HDRLEN + at, sizeof(attribute));
        uint32_t peer;
        if (attribute.rta_len < sizeof(attribute) || at + attribute.rta_len > n) {
            break;
        }
        if (attribute.rta_type == UNIX_DIAG_PEER &&
            attribute.rta_len >= sizeof(attribute) + sizeof(peer)) {
            memcpy(&peer, got.bytes + NLMSG_HDRLEN + at + sizeof(attribute), sizeof(peer));
            return peer;
        }
        at += NLMSG_ALIGN(attribute.rta_len);
    }
    return 0;
}

uint64_t otr_peer_inode(int diag, int fd)
{
    name here = { 0 }, there = { 0 };
    socklen_t size = sizeof(here), other = sizeof(there);
    if (diag < 0 || getsockname(fd, &here.any, &size) != 0) {
        return 0;
    }
    if (here.any.sa_family == AF_UNIX) {
        return unix_inode(diag, fd);
    }
    return getpeername(fd, &there.any, &other) == 0 ? tcp_inode(diag, &here, &there) : 0;
}
