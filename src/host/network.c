#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/sections.h"
#include "host/text.h"

enum { COLUMNS = 16, ANSWER_BYTES = 32768, ANSWER_MS = 2000, TCP = 6 };

/* ---- interfaces ---- */

static bool parse_line(otr_bytes line, otr_host_interface *ret)
{
    uint64_t v[COLUMNS];
    const uint8_t *colon = line.n > 0 ? memrchr(line.p, ':', line.n) : NULL;
    otr_bytes name, before;
    if (colon == NULL) {
        return false; /* one of the two heads */
    }
    before = (otr_bytes){ line.p, (size_t)(colon - line.p) };
    line = (otr_bytes){ colon + 1, line.n - before.n - 1 };
    if (!otr_host_word(&before, &name)) {
        return false;
    }
    for (size_t i = 0; i < COLUMNS; i++) {
        if (!otr_host_next_u64(&line, &v[i])) {
            return false;
        }
    }
    otr_host_copy(name, ret->name, sizeof(ret->name));
    ret->receive = (otr_host_traffic){ v[0], v[1], v[2], v[3] };
    ret->transmit = (otr_host_traffic){ v[8], v[9], v[10], v[11] };
    return true;
}

otr_code otr_host_network_parse(otr_bytes dev, otr_host_network *ret, otr_err *err)
{
    otr_bytes line;
    while (otr_host_line(&dev, &line)) {
        otr_host_interface now = { 0 };
        otr_code rc = parse_line(line, &now) ? OTR_HOST_PUSH(ret, now, err) : OTR_OK;
        if (rc != OTR_OK) {
            return rc;
        }
    }
    return OTR_OK;
}

/* ---- TCP sockets, by sock_diag(7): a line of text for each would cost ten times as much ---- */

const char *otr_tcp_state_name(otr_tcp_state state)
{
    static const char *const names[OTR_TCP_STATES] = {
        "",          "ESTABLISHED", "SYN_SENT",   "SYN_RECV", "FIN_WAIT_1", "FIN_WAIT_2",
        "TIME_WAIT", "CLOSE",       "CLOSE_WAIT", "LAST_ACK", "LISTEN",     "CLOSING",
    };
    return names[state];
}

static bool ask(int fd, uint8_t family)
{
    struct {
        struct nlmsghdr head;
        struct inet_diag_req_v2 body;
    } question = {
        .head = { .nlmsg_len = sizeof(question),
                  .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
        .body = { .sdiag_family = family, .sdiag_protocol = TCP, .idiag_states = ~0U },
    };
    return send(fd, &question, sizeof(question), 0) == (ssize_t)sizeof(question);
}

typedef enum answer_state { MORE, ENDED, BROKEN } answer_state;

static answer_state count(const uint8_t *answer, size_t n, otr_host_sockets *ret)
{
    size_t at = 0;
    while (n - at >= sizeof(struct nlmsghdr)) {
        struct nlmsghdr head;
        memcpy(&head, answer + at, sizeof(head));
        if (head.nlmsg_len < sizeof(head) || head.nlmsg_len > n - at) {
            return BROKEN;
        }
        if (head.nlmsg_type == NLMSG_DONE) {
            return ENDED;
        }
        if (head.nlmsg_type == NLMSG_ERROR ||
            head.nlmsg_len < sizeof(head) + sizeof(struct inet_diag_msg)) {
            return BROKEN;
        }
        struct inet_diag_msg one;
        memcpy(&one, answer + at + NLMSG_HDRLEN, sizeof(one));
        if (one.idiag_state > 0 && one.idiag_state < OTR_TCP_STATES) {
            ret->count[one.idiag_state]++;
        } else if (one.idiag_state == OTR_TCP_STATES) { /* TCP_NEW_SYN_RECV */
            ret->count[OTR_TCP_SYN_RECV]++;
        }
        size_t step = NLMSG_ALIGN(head.nlmsg_len);
        at = step < n - at ? at + step : n;
    }
    return MORE;
}

static bool count_family(int fd, uint8_t family, otr_host_sockets *ret)
{
    uint8_t answer[ANSWER_BYTES];
    answer_state state = ask(fd, family) ? MORE : BROKEN;
    while (state == MORE) {
        ssize_t n = recv(fd, answer, sizeof(answer), MSG_TRUNC);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        state = n > 0 && (size_t)n <= sizeof(answer) ? count(answer, (size_t)n, ret) : BROKEN;
    }
    return state == ENDED;
}

void otr_host_sockets_read(otr_host_sockets *ret)
{
    otr_host_sockets now = { 0 };
    const struct timeval wait = { .tv_sec = ANSWER_MS / 1000 };
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (fd < 0) {
        return;
    }
    bool timed = setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) == 0;
    now.known = timed && count_family(fd, AF_INET, &now) && count_family(fd, AF_INET6, &now);
    close(fd);
    if (now.known) {
        *ret = now;
    }
}
