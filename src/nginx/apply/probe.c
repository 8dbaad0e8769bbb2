#include "nginx/apply/probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <regex.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "net/http/client.h"
#include "net/http/https.h"

enum { LEAST_OK = 200, MOST_OK = 399, SHOWN_BYTES = 200 };

struct otr_probe {
    otr_probe_spec spec;
    uint64_t timeout_ms;
    otr_http_url url;
    otr_http_client *client; /* without TLS */
    /* with TLS: its job's */
    otr_http_address addresses[OTR_HTTP_ADDRESSES];
    size_t n_addresses;
    uint64_t deadline_ns;
    otr_buf body;
    unsigned status;
    otr_err job_err;
    bool working, freed;
};

static void release(otr_probe *p)
{
    otr_http_client_free(p->client);
    otr_http_url_deinit(&p->url);
    otr_buf_deinit(&p->body);
    otr_free(p);
}

void otr_probe_free(otr_probe *probe)
{
    if (probe == NULL) {
        return;
    }
    probe->freed = true;
    if (!probe->working) {
        release(probe);
    }
}

/* ---- the answer ---- */

static otr_code check_body(const otr_apply_probe *what, otr_bytes body, otr_err *err)
{
    regex_t regex;
    if (what->body == NULL) {
        return OTR_OK;
    }
    if (regcomp(&regex, what->body, REG_EXTENDED | REG_NOSUB) != 0) {
        return otr_fail(err, OTR_EINVAL, "%s: no extended regular expression: %s", what->url,
                        what->body);
    }
    regmatch_t range = { .rm_so = 0, .rm_eo = (regoff_t)body.n };
    const char *text = body.n > 0 ? (const char *)body.p : "";
    bool found = regexec(&regex, text, 1, &range, REG_STARTEND) == 0;
    regfree(&regex);
    return found ? OTR_OK
                 : otr_fail(err, OTR_EINVAL, "%s: the answer does not have \"%s\"", what->url,
                            what->body);
}

static otr_code check_answer(const otr_apply_probe *what, unsigned status, otr_bytes body,
                             otr_err *err)
{
    if (what->status != 0 ? status != what->status : status < LEAST_OK || status > MOST_OK) {
        char wanted[24];
        (void)snprintf(wanted, sizeof(wanted), what->status != 0 ? "%u" : "200 to 399",
                       what->status);
        return otr_fail(err, OTR_EINVAL, "%s: status %u, expected %s", what->url, status, wanted);
    }
    return check_body(what, body, err);
}

static void tell(otr_probe *p, otr_code rc, unsigned status, otr_bytes body, const otr_err *why)
{
    otr_err err = { 0 };
    if (rc != OTR_OK) {
        rc =
            otr_fail(&err, rc, "%s: no answer: %s", p->spec.what->url, why != NULL ? why->msg : "");
    } else {
        rc = check_answer(p->spec.what, status, body, &err);
    }
    p->spec.done(p->spec.arg, rc, &err);
}

/* ---- without TLS, on the loop ---- */

static void on_response(void *arg, otr_code rc, const otr_http_response *response,
                        const otr_err *err)
{
    static const otr_bytes none = { 0 };
    tell(arg, rc, response != NULL ? response->status : 0, response != NULL ? response->body : none,
         err);
}

static otr_code ask_plainly(otr_loop *loop, otr_probe *p, otr_err *err)
{
    otr_http_get get = { .timeout_ms = p->timeout_ms,
                         .max_body_bytes = OTR_LIMIT_APPLY_PROBE_BYTES,
                         .done = on_response,
                         .arg = p };
    otr_code rc = otr_http_client_new(loop, &p->url, NULL, &p->client, err);
    return rc == OTR_OK ? otr_http_client_get(p->client, &get, err) : rc;
}

/* ---- with TLS, on the strand ---- */

/* An address that does not answer leaves time for the others. */
static uint64_t share_of(const otr_probe *p, size_t tried)
{
    uint64_t now = otr_now_ns();
    uint64_t left = p->deadline_ns > now ? p->deadline_ns - now : 0;
    return now + left / (p->n_addresses - tried);
}

static otr_code wait_connected(int fd, uint64_t deadline_ns)
{
    struct pollfd one = { .fd = fd, .events = POLLOUT };
    uint64_t now = otr_now_ns();
    int ms = deadline_ns > now ? (int)((deadline_ns - now) / OTR_NS_PER_MS) + 1 : 0;
    int sys = 0;
    socklen_t size = sizeof(sys);
    int n = poll(&one, 1, ms);
    if (n == 0) {
        errno = ETIMEDOUT;
        return OTR_EIO;
    }
    if (n < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &sys, &size) != 0 || sys != 0) {
        errno = sys != 0 ? sys : errno;
        return OTR_EIO;
    }
    return OTR_OK;
}

static otr_code connect_any(void *arg, int *ret_fd, otr_err *err)
{
    otr_probe *p = arg;
    int sys = EADDRNOTAVAIL;
    for (size_t i = 0; i < p->n_addresses; i++) {
        const struct sockaddr *to = (const void *)p->addresses[i].bytes;
        int fd = socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 && errno == EAFNOSUPPORT) { /* IPv6 is off here; another address may do */
            sys = errno;
            continue;
        }
        if (fd < 0) {
            return otr_fail_sys(err, errno, "no socket");
        }
        if (connect(fd, to, p->addresses[i].size) == 0 ||
            (errno == EINPROGRESS && wait_connected(fd, share_of(p, i)) == OTR_OK)) {
            *ret_fd = fd;
            return OTR_OK;
        }
        sys = errno;
        (void)close(fd);
    }
    return otr_fail_sys(err, sys, "cannot connect");
}

static bool is_near(const otr_http_address *address)
{
    const struct sockaddr *any = (const void *)address->bytes;
    const struct sockaddr_in *v4 = (const void *)address->bytes;
    const struct sockaddr_in6 *v6 = (const void *)address->bytes;
    if (any->sa_family == AF_INET) {
        return ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    return any->sa_family == AF_UNIX || IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

/* A name may lead to several addresses, and any of them may answer: who vouches for itself alone is
 * believed on this machine only. */
static bool are_near(const otr_probe *p)
{
    for (size_t i = 0; i < p->n_addresses; i++) {
        if (!is_near(&p->addresses[i])) {
            return false;
        }
    }
    return p->n_addresses > 0;
}

static otr_code ask_securely(otr_strand *strand, void *arg)
{
    otr_probe *p = arg;
    otr_https *https = NULL;
    (void)strand;
    p->deadline_ns = otr_now_ns() + p->timeout_ms * OTR_NS_PER_MS;
    otr_code rc = otr_http_url_resolve(&p->url, p->addresses, &p->n_addresses, &p->job_err);
    if (rc == OTR_OK) {
        otr_https_spec spec = { .url = &p->url,
                                .trust = are_near(p) ? OTR_HTTPS_ANY : OTR_HTTPS_CHECKED,
                                .ca = "",
                                .connect = connect_any,
                                .arg = p };
        rc = otr_https_new(&spec, &https, &p->job_err);
    }
    if (rc == OTR_OK) {
        rc = otr_https_get(https, p->timeout_ms, &p->body, &p->status, &p->job_err);
    }
    otr_https_free(https);
    return rc;
}

static void on_asked(void *arg, otr_code rc)
{
    otr_probe *p = arg;
    p->working = false;
    if (p->freed) {
        release(p);
        return;
    }
    tell(p, rc, p->status, otr_buf_bytes(&p->body), &p->job_err);
}

otr_code otr_probe_start(otr_loop *loop, const otr_probe_spec *spec, otr_probe **ret, otr_err *err)
{
    otr_probe *p = otr_zalloc(sizeof(*p));
    if (p == NULL) {
        return otr_fail_nomem(err);
    }
    p->spec = *spec;
    p->timeout_ms = spec->what->timeout_ms > 0 ? spec->what->timeout_ms : OTR_LIMIT_APPLY_PROBE_MS;
    otr_buf_init(&p->body, OTR_LIMIT_APPLY_PROBE_BYTES);
    otr_code rc = otr_http_url_parse(spec->what->url, &p->url, err);
    if (rc == OTR_OK && !p->url.tls && !p->url.http2) {
        rc = ask_plainly(loop, p, err);
    } else if (rc == OTR_OK) {
        rc = otr_worker_submit(spec->strand, ask_securely, on_asked, p, err);
        p->working = rc == OTR_OK;
    }
    if (rc != OTR_OK) {
        release(p);
        return rc;
    }
    *ret = p;
    return OTR_OK;
}
