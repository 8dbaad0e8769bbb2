/*
 * From the servers of a configuration to the URLs at which stub_status may be asked. Private to
 * src/nginx/status.
 *
 * For each location with stub_status a URI is looked for that leads there, for each address of its
 * server a place to connect to and a name that reach this server and no other. What can be told is
 * tried before what cannot.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NGINX_STATUS_URLS_H
#define OTR_NGINX_STATUS_URLS_H

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "nginx/status/servers.h"

/* The status URLs, best first; the caller frees texts and array. `root` as in files.h. */
otr_code otr_status_urls(const otr_servers *s, const char *root, char ***ret, size_t *ret_n,
                         otr_err *err) OTR_MUST_CHECK;

enum { OTR_URI_BYTES = 1024, OTR_URIS_MOST = 4, OTR_HOST_BYTES = 256, OTR_HOSTS_MOST = 3 };

typedef struct otr_uri_list { /* decoded URIs that lead to a location, best first */
    struct {
        char text[OTR_URI_BYTES];
        otr_sure sure;
    } items[OTR_URIS_MOST];
    size_t n;
} otr_uri_list;

/* `location` of the server, or OTR_NO_INDEX for the server itself. Never empty for what a client
 * could name at all. */
void otr_status_uris(const otr_servers *s, int server, int location, otr_uri_list *ret);

typedef struct otr_host_list { /* what Host may say */
    struct {
        char text[OTR_HOST_BYTES]; /* "": no Host at all */
        bool plain;                /* the address itself: nothing to be said */
        otr_sure sure;
    } items[OTR_HOSTS_MOST];
    size_t n;
} otr_host_list;

/* The names under which a client that connects to `at` reaches `server`. */
void otr_status_hosts(const otr_servers *s, int server, const otr_place *at, otr_host_list *ret);

#endif
