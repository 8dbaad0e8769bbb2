#include "nginx/status/secure.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "net/http/https.h"
#include "nginx/status/connect.h"

/* Lives until both its owner let go and no job runs. */
struct otr_secure {
    otr_strand *strand;
    otr_https *https;
    otr_connect_spec connect;
    otr_http_address addresses[OTR_HTTP_ADDRESSES];
    size_t n_addresses;
    bool proved;
    bool running, freed;
    otr_http_get get;
    otr_buf body;
    unsigned status;
    otr_err err;
};

static otr_code connect_any(void *arg, int *ret_fd, otr_err *err)
{
    otr_secure *s = arg;
    otr_code rc = OTR_ESTATE;
    for (size_t i = 0; i < s->n_addresses; i++) {
        otr_connection made;
        s->connect.to = s->addresses[i];
        rc = otr_status_connect(&s->connect, &made, err);
        if (rc == OTR_OK) {
            s->proved = made.proved;
            *ret_fd = made.fd;
            break;
        }
    }
    return rc;
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

/* An address that the configuration names is this host's own too, but one given by hand (no
 * master) may be anywhere. */
static otr_https_trust trust_of(const otr_secure *s)
{
    return s->connect.master.pid != 0 || is_near(&s->addresses[0]) ? OTR_HTTPS_ANY
                                                                   : OTR_HTTPS_CHECKED;
}

static void destroy(otr_secure *s)
{
    otr_https_free(s->https);
    otr_buf_deinit(&s->body);
    otr_free(s);
}

otr_code otr_secure_new(const otr_secure_spec *spec, otr_secure **ret, otr_err *err)
{
    enum { JOBS = 1 };
    otr_secure *s = otr_zalloc(sizeof(*s));
    if (s == NULL) {
        return otr_fail_nomem(err);
    }
    s->connect.master = spec->master;
    otr_code rc = otr_http_url_resolve(spec->url, s->addresses, &s->n_addresses, err);
    if (rc == OTR_OK) {
        otr_https_spec https = {
            .url = spec->url, .trust = trust_of(s), .ca = spec->ca, .connect = connect_any, .arg = s
        };
        rc = otr_https_new(&https, &s->https, err);
    }
    rc = rc == OTR_OK ? otr_strand_new(spec->pool, JOBS, &s->strand, err) : rc;
    if (rc != OTR_OK) {
        destroy(s);
        return rc;
    }
    *ret = s;
    return OTR_OK;
}

static otr_code run(otr_strand *strand, void *arg)
{
    (void)strand;
    otr_secure *s = arg;
    s->err = (otr_err){ 0 };
    s->connect.deadline_ns = otr_now_ns() + s->get.timeout_ms * OTR_NS_PER_MS;
    return otr_https_get(s->https, s->get.timeout_ms, &s->body, &s->status, &s->err);
}

static void on_done(void *arg, otr_code rc)
{
    otr_secure *s = arg;
    s->running = false;
    if (s->freed) {
        destroy(s);
        return;
    }
    otr_err err = s->err;
    if (rc != OTR_OK && err.code == OTR_OK) {
        otr_fail(&err, rc, "it was not asked");
    }
    otr_buf body = s->body; /* `s` may be freed in there */
    otr_buf_init(&s->body, 0);
    otr_http_response response = { .status = s->status, .body = otr_buf_bytes(&body) };
    s->get.done(s->get.arg, rc, rc == OTR_OK ? &response : NULL, &err);
    otr_buf_deinit(&body);
}

otr_code otr_secure_get(otr_secure *s, const otr_http_get *get, otr_err *err)
{
    if (s->running) {
        return otr_fail(err, OTR_ESTATE, "a request is under way");
    }
    s->get = *get;
    otr_buf_deinit(&s->body);
    otr_buf_init(&s->body, get->max_body_bytes);
    otr_code rc = otr_worker_submit(s->strand, run, on_done, s, err);
    s->running = rc == OTR_OK;
    return rc;
}

bool otr_secure_proved(const otr_secure *secure)
{
    return secure->proved;
}

void otr_secure_free(otr_secure *secure)
{
    if (secure == NULL) {
        return;
    }
    secure->freed = true;
    bool running = secure->running;
    otr_strand_free(secure->strand); /* its job is told of, if there is one, later */
    if (!running) {
        destroy(secure);
    }
}
