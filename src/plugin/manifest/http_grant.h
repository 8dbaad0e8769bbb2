/*
 * `grants.http`: which requests a plugin may make.
 *
 *     http:
 *       - https://api.example.com/v1*             # any method
 *       - methods: [GET]
 *         schemes: [https]                        # the default
 *         hosts: [example.org, "*.example.org"]   # "*": any host
 *         ports: [8443]                           # without it: 443 for https, 80 for http
 *         paths: [/status, /items*]               # without it: any path
 *
 * A '*' at the end of a path stands for all that is left, elsewhere for a part without '/'.
 *
 * Each entry stands alone. When several cover a request, the one that names its host most closely
 * (a name, a longer domain, a shorter one, "*") decides, among those the one with the closest path
 * (the longest part before a '*'): its `methods`, its `ca`, and whether an address that is not
 * public will do, which takes the host by name.
 *
 * Thread: any; what was read is read-only.
 */
#ifndef OTR_PLUGIN_MANIFEST_HTTP_GRANT_H
#define OTR_PLUGIN_MANIFEST_HTTP_GRANT_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/base.h"
#include "base/err.h"
#include "config/config.h"

enum { OTR_HTTP_GRANT_PORTS = 16 };

typedef struct otr_http_grant {
    char **methods; /* NULL: any */
    char **hosts;   /* lower case */
    char **paths;   /* NULL: any */
    uint16_t ports[OTR_HTTP_GRANT_PORTS];
    size_t n_ports; /* 0: the scheme's own */
    bool http, https;
    char *ca; /* absolute path of PEM roots in place of the system's, or NULL */
} otr_http_grant;

typedef struct otr_http_grants {
    otr_http_grant *items;
    size_t n;
} otr_http_grants;

typedef struct otr_http_target { /* where a request goes; the path has no query */
    const char *method, *scheme, *host, *path;
    uint16_t port;
} otr_http_target;

/* Reads the list; errors name place and key. `ret` may be half-filled after one: deinit it. */
otr_code otr_http_grants_read(const otr_node *list, otr_http_grants *ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_http_grants_deinit(otr_http_grants *grants);

typedef struct otr_http_answer {
    bool named;      /* the entry names this very host: an address that is not public will do */
    const char *why; /* "", or what else there is to say when it is not granted */
} otr_http_answer;

/* The entry that decides, or NULL: it is not granted. Of the entries that cover scheme, host, port
 * and path the one that names them most closely decides about all the rest, alone. */
const otr_http_grant *otr_http_granted(const otr_http_grants *grants, const otr_http_target *target,
                                       otr_http_answer *ret);
/* Neither loopback, private, link-local, multicast nor reserved, also when written as another
 * kind of address. */
bool otr_address_public(const struct sockaddr *addr);

#endif
