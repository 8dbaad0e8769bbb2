#include "nginx/log/values.h"

#include <strings.h>

static const char digits[] = "0-9-";
static const char numbers[] = "0-9.-";
static const char addresses[] = "0-9a-fA-F:.%unix-"; /* "unix:" stands for a local socket */
static const char lists[] = "0-9.,: -";              /* "0.010, 0.020 : 0.030", "502, 200", "-" */
static const char words[] = "A-Za-z0-9_./:+-";

/* Sorted by name. */
static const otr_log_value table[] = {
    { "args", OTR_LOG_TEXT, NULL },
    { "body_bytes_sent", OTR_LOG_SET_SOME, "0-9" },
    { "bytes_sent", OTR_LOG_SET_SOME, "0-9" },
    { "connection", OTR_LOG_SET, digits },
    { "connection_requests", OTR_LOG_SET, digits },
    { "connection_time", OTR_LOG_SET, numbers },
    { "content_length", OTR_LOG_TEXT, NULL },
    { "content_type", OTR_LOG_TEXT, NULL },
    { "gzip_ratio", OTR_LOG_SET, numbers },
    { "host", OTR_LOG_TEXT, NULL },
    { "hostname", OTR_LOG_TEXT, NULL },
    { "http2", OTR_LOG_SET, words },
    { "http3", OTR_LOG_SET, words },
    { "https", OTR_LOG_SET, words },
    { "is_args", OTR_LOG_SET, "?-" },
    { "limit_conn_status", OTR_LOG_SET, words },
    { "limit_req_status", OTR_LOG_SET, words },
    { "msec", OTR_LOG_SECONDS, NULL },
    { "nginx_version", OTR_LOG_SET, words },
    { "pid", OTR_LOG_SET, digits },
    { "pipe", OTR_LOG_SET_SOME, "p." },
    { "proxy_protocol_addr", OTR_LOG_SET, addresses },
    { "proxy_protocol_port", OTR_LOG_SET, digits },
    { "proxy_protocol_server_addr", OTR_LOG_SET, addresses },
    { "proxy_protocol_server_port", OTR_LOG_SET, digits },
    { "query_string", OTR_LOG_TEXT, NULL },
    { "realip_remote_addr", OTR_LOG_SET, addresses },
    { "realip_remote_port", OTR_LOG_SET, digits },
    { "remote_addr", OTR_LOG_SET, addresses },
    { "remote_port", OTR_LOG_SET, digits },
    { "request", OTR_LOG_REQUEST, NULL },
    { "request_completion", OTR_LOG_SET, words },
    { "request_id", OTR_LOG_SET, words },
    { "request_length", OTR_LOG_SET_SOME, "0-9" },
    { "request_method", OTR_LOG_TEXT, NULL }, /* HTTP/2: also what is no method */
    { "request_time", OTR_LOG_SECONDS, NULL },
    { "request_uri", OTR_LOG_TEXT, NULL },
    { "scheme", OTR_LOG_SET, words },
    { "server_name", OTR_LOG_TEXT, NULL },
    { "server_port", OTR_LOG_SET, digits },
    { "server_protocol", OTR_LOG_SET, words },
    { "ssl_cipher", OTR_LOG_SET, words },
    { "ssl_early_data", OTR_LOG_SET, words },
    { "ssl_protocol", OTR_LOG_SET, words },
    { "ssl_server_name", OTR_LOG_TEXT, NULL },
    { "ssl_session_id", OTR_LOG_SET, words },
    { "ssl_session_reused", OTR_LOG_SET, words },
    { "status", OTR_LOG_STATUS, NULL },
    { "tcpinfo_rcv_space", OTR_LOG_SET, digits },
    { "tcpinfo_rtt", OTR_LOG_SET, digits },
    { "tcpinfo_rttvar", OTR_LOG_SET, digits },
    { "tcpinfo_snd_cwnd", OTR_LOG_SET, digits },
    { "time_iso8601", OTR_LOG_TEMPLATE, "0000-00-00T00:00:00+00:00" },
    { "time_local", OTR_LOG_TEMPLATE, "00/AAA/0000:00:00:00 +0000" },
    { "upstream_addr", OTR_LOG_TEXT, NULL },
    { "upstream_bytes_received", OTR_LOG_SET, lists },
    { "upstream_bytes_sent", OTR_LOG_SET, lists },
    { "upstream_cache_status", OTR_LOG_SET, words },
    { "upstream_connect_time", OTR_LOG_SET, lists },
    { "upstream_first_byte_time", OTR_LOG_SET, lists },
    { "upstream_header_time", OTR_LOG_SET, lists },
    { "upstream_queue_time", OTR_LOG_SET, lists },
    { "upstream_response_length", OTR_LOG_SET, lists },
    { "upstream_response_time", OTR_LOG_SET, lists },
    { "upstream_session_time", OTR_LOG_SET, lists },
    { "upstream_status", OTR_LOG_SET, lists },
};

/* Families: raw, but a line feed ended what they came in. */
static const otr_log_value families[] = {
    { "http_", OTR_LOG_HEADER, NULL },
    { "arg_", OTR_LOG_TEXT, NULL },
    { "cookie_", OTR_LOG_TEXT, NULL },
    { "upstream_http_", OTR_LOG_TEXT, NULL },
};

static const otr_log_value anything = { "", OTR_LOG_ANYTHING, NULL };

const otr_log_value *otr_log_value_of(otr_bytes name)
{
    for (size_t i = 0; i < OTR_COUNT(table); i++) {
        if (strlen(table[i].name) == name.n &&
            strncasecmp(table[i].name, (const char *)name.p, name.n) == 0) {
            return &table[i];
        }
    }
    for (size_t i = 0; i < OTR_COUNT(families); i++) {
        size_t n = strlen(families[i].name);
        if (name.n > n && strncasecmp(families[i].name, (const char *)name.p, n) == 0) {
            return &families[i];
        }
    }
    return &anything;
}

bool otr_log_set_has(const char *set, uint8_t byte)
{
    for (const char *p = set; *p != '\0'; p++) {
        if (p[1] == '-' && p[2] != '\0') {
            if (byte >= (uint8_t)p[0] && byte <= (uint8_t)p[2]) {
                return true;
            }
            p += 2;
        } else if (byte == (uint8_t)*p) {
            return true;
        }
    }
    return false;
}
