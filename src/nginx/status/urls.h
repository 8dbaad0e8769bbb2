/*
 * Where stub_status stands in a configuration, and the URLs at which it may be asked.
 *
 * Who walks a configuration puts in its servers, their `listen` and each stub_status; at the end
 * they give URLs, best first. The form of a URL is that of otr_nginx_instance.stub_status.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NGINX_STATUS_URLS_H
#define OTR_NGINX_STATUS_URLS_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "nginx/language/walk.h"

typedef struct scan_listen { /* one `listen` of a server of http */
    char *address;           /* "127.0.0.1:80", "[::1]:80", "unix:/run/x.sock": as a client
                                connects; wildcards are loopback already. "" for one a client
                                cannot use */
    size_t server;
    bool ssl, proxy_protocol, is_default;
} scan_listen;

typedef struct scan_server {
    char *name; /* first literal server_name; NULL: none */
    bool ssl;   /* `ssl on` */
    bool restricted;
    bool own_log;   /* access_log stands in it */
    bool quiet;     /* access_log off stands in it */
    bool has_stubs; /* its listens become status URLs */
} scan_server;

typedef struct scan_stub {
    char *uri; /* begins with '/' */
    size_t server;
    bool exact, restricted, quiet;
} scan_stub;

typedef struct scan_servers {
    scan_server *items;
    size_t n, cap;
    scan_listen *listens;
    size_t n_listens, cap_listens;
    scan_stub *stubs;
    size_t n_stubs, cap_stubs;
} scan_servers;

void otr_scan_servers_deinit(scan_servers *s);
/* Room for one more item of `size` bytes in a growing array. */
otr_code otr_scan_room(void *slot, size_t n, size_t *cap, size_t size, otr_err *err) OTR_MUST_CHECK;
/* A new server in `s`. */
otr_code otr_scan_server(scan_servers *s, otr_err *err) OTR_MUST_CHECK;
/* `listen ADDRESS OPTION…` in the last server of `s`. */
otr_code otr_scan_listen(scan_servers *s, const otr_directive *d, otr_err *err) OTR_MUST_CHECK;
/* `listen` by default: a server without any. */
otr_code otr_scan_listen_default(scan_servers *s, otr_err *err) OTR_MUST_CHECK;
/* A stub_status at `uri` of the last server; consumes nothing. */
otr_code otr_scan_stub(scan_servers *s, const scan_stub *stub, otr_err *err) OTR_MUST_CHECK;
/* The status URLs of all stubs, best first; the caller frees texts and array. */
otr_code otr_scan_status_urls(const scan_servers *s, const char *root, char ***ret, size_t *ret_n,
                              otr_err *err) OTR_MUST_CHECK;

#endif
