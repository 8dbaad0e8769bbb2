/*
 * The directives that rules look at, as numbers.
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_CHECK_WORDS_H
#define OTR_NGINX_CHECK_WORDS_H

#include "base/base.h"

#define OTR_CHECK_WORDS(X)                                          \
    X(ADD_HEADER, "add_header")                                     \
    X(ADD_HEADER_INHERIT, "add_header_inherit")                     \
    X(ADD_TRAILER, "add_trailer")                                   \
    X(ADD_TRAILER_INHERIT, "add_trailer_inherit")                   \
    X(ALIAS, "alias")                                               \
    X(ALLOW, "allow")                                               \
    X(API, "api")                                                   \
    X(AUTH_BASIC, "auth_basic")                                     \
    X(AUTH_JWT, "auth_jwt")                                         \
    X(AUTH_OIDC, "auth_oidc")                                       \
    X(AUTH_REQUEST, "auth_request")                                 \
    X(AUTOINDEX, "autoindex")                                       \
    X(BREAK, "break")                                               \
    X(DASHBOARD, "dashboard")                                       \
    X(DENY, "deny")                                                 \
    X(EMPTY_GIF, "empty_gif")                                       \
    X(ERROR_LOG, "error_log")                                       \
    X(ERROR_PAGE, "error_page")                                     \
    X(EVENTS, "events")                                             \
    X(FASTCGI_KEEP_CONN, "fastcgi_keep_conn")                       \
    X(FASTCGI_PARAM, "fastcgi_param")                               \
    X(FASTCGI_PASS, "fastcgi_pass")                                 \
    X(GEO, "geo")                                                   \
    X(GRPC_PASS, "grpc_pass")                                       \
    X(GRPC_SET_HEADER, "grpc_set_header")                           \
    X(GRPC_SSL_CERTIFICATE_KEY, "grpc_ssl_certificate_key")         \
    X(GRPC_SSL_VERIFY, "grpc_ssl_verify")                           \
    X(HTTP, "http")                                                 \
    X(IF, "if")                                                     \
    X(INCLUDE, "include")                                           \
    X(INTERNAL, "internal")                                         \
    X(KEEPALIVE, "keepalive")                                       \
    X(LIMIT_EXCEPT, "limit_except")                                 \
    X(LISTEN, "listen")                                             \
    X(LOCATION, "location")                                         \
    X(MAIL, "mail")                                                 \
    X(MAP, "map")                                                   \
    X(MEMCACHED_PASS, "memcached_pass")                             \
    X(MERGE_SLASHES, "merge_slashes")                               \
    X(MORE_SET_HEADERS, "more_set_headers")                         \
    X(PROXY_HTTP_VERSION, "proxy_http_version")                     \
    X(PROXY_PASS, "proxy_pass")                                     \
    X(PROXY_SET_HEADER, "proxy_set_header")                         \
    X(PROXY_SSL, "proxy_ssl")                                       \
    X(PROXY_SSL_CERTIFICATE_KEY, "proxy_ssl_certificate_key")       \
    X(PROXY_SSL_CIPHERS, "proxy_ssl_ciphers")                       \
    X(PROXY_SSL_PROTOCOLS, "proxy_ssl_protocols")                   \
    X(PROXY_SSL_VERIFY, "proxy_ssl_verify")                         \
    X(RESOLVER, "resolver")                                         \
    X(RETURN, "return")                                             \
    X(REWRITE, "rewrite")                                           \
    X(ROOT, "root")                                                 \
    X(SATISFY, "satisfy")                                           \
    X(SCGI_PARAM, "scgi_param")                                     \
    X(SCGI_PASS, "scgi_pass")                                       \
    X(SERVER, "server")                                             \
    X(SERVER_NAME, "server_name")                                   \
    X(SERVER_TOKENS, "server_tokens")                               \
    X(SET, "set")                                                   \
    X(SPLIT_CLIENTS, "split_clients")                               \
    X(SSL, "ssl")                                                   \
    X(SSL_CERTIFICATE, "ssl_certificate")                           \
    X(SSL_CERTIFICATE_KEY, "ssl_certificate_key")                   \
    X(SSL_CIPHERS, "ssl_ciphers")                                   \
    X(SSL_PROTOCOLS, "ssl_protocols")                               \
    X(SSL_REJECT_HANDSHAKE, "ssl_reject_handshake")                 \
    X(STATE, "state")                                               \
    X(STATUS, "status")                                             \
    X(STREAM, "stream")                                             \
    X(STUB_STATUS, "stub_status")                                   \
    X(TRY_FILES, "try_files")                                       \
    X(UNDERSCORES_IN_HEADERS, "underscores_in_headers")             \
    X(UPSTREAM, "upstream")                                         \
    X(UWSGI_PARAM, "uwsgi_param")                                   \
    X(UWSGI_PASS, "uwsgi_pass")                                     \
    X(UWSGI_SSL_CERTIFICATE_KEY, "uwsgi_ssl_certificate_key")       \
    X(VALID_REFERERS, "valid_referers")                             \
    X(VHOST_TRAFFIC_STATUS_DISPLAY, "vhost_traffic_status_display") \
    X(WORKER_CONNECTIONS, "worker_connections")                     \
    X(WORKER_RLIMIT_NOFILE, "worker_rlimit_nofile")                 \
    X(ZONE, "zone")

#define OTR_CHECK_ENUM(id, name) OTR_D_##id,
typedef enum otr_d { OTR_D_OTHER, OTR_CHECK_WORDS(OTR_CHECK_ENUM) OTR_D_COUNT } otr_d;
#undef OTR_CHECK_ENUM

/* OTR_D_OTHER: none that a rule looks at. */
otr_d otr_d_of(otr_bytes name);

#endif
