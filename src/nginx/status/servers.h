/*
 * What a configuration says about the servers of http: their names, addresses and locations, as
 * far as it decides who answers a request. Private to src/nginx/status.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NGINX_STATUS_SERVERS_H
#define OTR_NGINX_STATUS_SERVERS_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "nginx/status/regex.h"

enum { OTR_NO_INDEX = -1 };

typedef enum otr_family {
    OTR_FAMILY_UNIX,
    OTR_FAMILY_V4,
    OTR_FAMILY_V6,
} otr_family_kind;

typedef struct otr_place { /* where a client connects, or a server listens */
    otr_family_kind family;
    uint8_t ip[16]; /* network order; all zero for a listen: any */
    uint16_t port;
    const char *path; /* of a unix socket; owned by the listen */
} otr_place;

typedef struct otr_listen { /* one address of one `listen` */
    otr_place at;
    char *path; /* owned */
    int server;
    bool any;     /* a wildcard */
    bool also_v4; /* [::] with ipv6only=off */
    bool ssl, http2, proxy_protocol, is_default;
} otr_listen;

typedef struct otr_server_name {
    char *text; /* lower case; "" for a server without a name; "~..." for a regular expression */
    int server;
} otr_server_name;

typedef struct otr_server {
    bool ssl; /* `ssl on` */
    bool restricted;
    bool quiet;      /* access_log off stands in it */
    bool tests_host; /* an `if` of it looks at the name that was asked for */
    bool has_names, has_listens;
    bool stub; /* stub_status stands in it itself */
    int stubs; /* locations with stub_status */
} otr_server;

typedef enum otr_location_kind {
    OTR_LOCATION_EXACT,
    OTR_LOCATION_PREFIX,
    OTR_LOCATION_PREFIX_ONLY, /* ^~ */
    OTR_LOCATION_REGEX,
    OTR_LOCATION_NAMED,
} otr_location_kind;

typedef struct otr_location {
    otr_location_kind kind;
    char *text;         /* URI, pattern, "@name" */
    otr_regex *regex;   /* NULL: not a simple one, or no REGEX */
    int server, parent; /* OTR_NO_INDEX: the server itself */
    bool stub, restricted, quiet, internal;
} otr_location;

typedef struct otr_fallback { /* try_files or error_page leads to another location */
    char *name;               /* "@name" or a URI */
    int server, location;     /* where it stands; OTR_NO_INDEX: the server itself */
} otr_fallback;

typedef struct otr_servers {
    otr_server *items;
    size_t n, cap;
    otr_listen *listens;
    size_t n_listens, cap_listens;
    otr_server_name *names;
    size_t n_names, cap_names;
    otr_location *locations;
    size_t n_locations, cap_locations;
    otr_fallback *fallbacks;
    size_t n_fallbacks, cap_fallbacks;
} otr_servers;

void otr_servers_deinit(otr_servers *s);
/* Forgets the locations from `location` and the fallbacks from `fallback` on. */
void otr_servers_cut(otr_servers *s, size_t location, size_t fallback);

typedef enum otr_sure {
    OTR_SURE,
    OTR_UNSURE, /* a regular expression that is not understood may win */
} otr_sure;

/* The server that answers at `at` when `host` (lower case, without a port; "": no Host) is asked
 * for; OTR_NO_INDEX: nobody listens there. */
int otr_servers_choose(const otr_servers *s, const otr_place *at, otr_bytes host, otr_sure *ret);
/* Does a connection to `at` end at this listen? */
bool otr_servers_reaches(const otr_servers *s, const otr_listen *listen, const otr_place *at);
/* The location of `server` that a request for the decoded `uri` gets; OTR_NO_INDEX: none. */
int otr_servers_locate(const otr_servers *s, int server, otr_bytes uri, otr_sure *ret);

#endif
