#include "net/rpc/target.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

enum { TEN = 10, MOST_PORT = 65535, LOOPBACK = 127, ADDRESS_BITS_TOP = 24 };

static bool parse_port(const char *text, uint16_t *ret)
{
    unsigned value = 0;
    for (const char *p = text; *p != '\0'; p++) {
        if (*p < '0' || *p > '9' || value > MOST_PORT) {
            return false;
        }
        value = value * TEN + (unsigned)(*p - '0');
    }
    *ret = (uint16_t)value;
    return text[0] != '\0' && value > 0 && value <= MOST_PORT;
}

static otr_code parse_local(const char *text, otr_rpc_target *ret, otr_err *err)
{
    const char *path = text;
    if (strncmp(path, "///", 3) == 0) {
        path += 2;
    }
    if (path[0] == '\0' || strlen(path) >= OTR_RPC_PATH_BYTES) {
        return otr_fail(err, OTR_EINVAL, "\"unix:%s\": the path of a socket has 1 to %d bytes",
                        text, OTR_RPC_PATH_BYTES - 1);
    }
    *ret = (otr_rpc_target){ .local = true };
    (void)snprintf(ret->path, sizeof(ret->path), "%s", path);
    return OTR_OK;
}

static bool host_is_clean(const char *host)
{
    for (const char *p = host; *p != '\0'; p++) {
        if (*p <= ' ' || *p == '/' || *p == '@' || *p == '\\' || *p == '[' || *p == ']' ||
            *p == 0x7f) {
            return false;
        }
    }
    return host[0] != '\0';
}

/* Where the host ends and what follows it; NULL: nothing does. */
static const char *split(const char *text, size_t *ret_n)
{
    const char *end;
    if (text[0] == '[') {
        end = strchr(text, ']');
        *ret_n = end != NULL ? (size_t)(end - text) - 1 : 0;
        return end != NULL && end[1] != '\0' ? end + 1 : NULL;
    }
    end = strrchr(text, ':');
    if (end != NULL && strchr(text, ':') != end) { /* a bare IPv6 address */
        end = NULL;
    }
    *ret_n = end != NULL ? (size_t)(end - text) : strlen(text);
    return end;
}

otr_code otr_rpc_target_parse(const char *text, uint16_t default_port, otr_rpc_target *ret,
                              otr_err *err)
{
    static const char scheme[] = "unix:";
    if (strncmp(text, scheme, sizeof(scheme) - 1) == 0) {
        return parse_local(text + sizeof(scheme) - 1, ret, err);
    }
    size_t n = 0;
    const char *rest = split(text, &n);
    *ret = (otr_rpc_target){ .port = default_port };
    bool ok = n < sizeof(ret->host) &&
              (rest == NULL || (rest[0] == ':' && parse_port(rest + 1, &ret->port)));
    if (ok) {
        memcpy(ret->host, text[0] == '[' ? text + 1 : text, n);
        ok = host_is_clean(ret->host) && ret->port != 0;
    }
    return ok ? OTR_OK
              : otr_fail(err, OTR_EINVAL, "\"%s\" is no address: host:port or unix:/path", text);
}

const char *otr_rpc_target_authority(const otr_rpc_target *target,
                                     char out[OTR_RPC_AUTHORITY_BYTES])
{
    bool six = strchr(target->host, ':') != NULL;
    if (target->local) {
        (void)snprintf(out, OTR_RPC_AUTHORITY_BYTES, "localhost");
    } else {
        (void)snprintf(out, OTR_RPC_AUTHORITY_BYTES, "%s%s%s:%u", six ? "[" : "", target->host,
                       six ? "]" : "", target->port);
    }
    return out;
}

bool otr_rpc_target_is_loopback(const otr_rpc_target *target)
{
    otr_rpc_address a;
    if (target->local || strcasecmp(target->host, "localhost") == 0) {
        return true;
    }
    if (!otr_rpc_address_parse(otr_bytes_of(target->host), target->port, &a)) {
        return false;
    }
    if (a.at.ss_family == AF_INET) {
        struct sockaddr_in four;
        memcpy(&four, &a.at, sizeof(four));
        return ntohl(four.sin_addr.s_addr) >> ADDRESS_BITS_TOP == LOOPBACK;
    }
    struct sockaddr_in6 six;
    memcpy(&six, &a.at, sizeof(six));
    return memcmp(&six.sin6_addr, &in6addr_loopback, sizeof(six.sin6_addr)) == 0;
}

bool otr_rpc_address_parse(otr_bytes text, uint16_t port, otr_rpc_address *ret)
{
    char host[INET6_ADDRSTRLEN];
    struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(port) };
    struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    if (text.n >= 2 && text.p[0] == '[' && text.p[text.n - 1] == ']') {
        text = (otr_bytes){ text.p + 1, text.n - 2 };
    }
    if (text.n == 0 || text.n >= sizeof(host)) {
        return false;
    }
    memcpy(host, text.p, text.n);
    host[text.n] = '\0';
    *ret = (otr_rpc_address){ 0 };
    if (inet_pton(AF_INET, host, &four.sin_addr) == 1) {
        memcpy(&ret->at, &four, sizeof(four));
        ret->size = sizeof(four);
    } else if (inet_pton(AF_INET6, host, &six.sin6_addr) == 1) {
        memcpy(&ret->at, &six, sizeof(six));
        ret->size = sizeof(six);
    }
    return ret->size > 0;
}

otr_code otr_rpc_address_of_path(const char *path, otr_rpc_address *ret, otr_err *err)
{
    struct sockaddr_un local = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof(local.sun_path)) {
        return otr_fail(err, OTR_EINVAL, "the path of a socket is too long: %s", path);
    }
    memcpy(local.sun_path, path, strlen(path));
    *ret = (otr_rpc_address){ .size = sizeof(local) };
    memcpy(&ret->at, &local, sizeof(local));
    return OTR_OK;
}

const char *otr_rpc_address_text(const otr_rpc_address *address, char *out, size_t cap)
{
    char host[INET6_ADDRSTRLEN] = "";
    if (address->at.ss_family == AF_INET) {
        struct sockaddr_in four;
        memcpy(&four, &address->at, sizeof(four));
        (void)inet_ntop(AF_INET, &four.sin_addr, host, sizeof(host));
        (void)snprintf(out, cap, "%s:%u", host, ntohs(four.sin_port));
    } else if (address->at.ss_family == AF_INET6) {
        struct sockaddr_in6 six;
        memcpy(&six, &address->at, sizeof(six));
        (void)inet_ntop(AF_INET6, &six.sin6_addr, host, sizeof(host));
        (void)snprintf(out, cap, "[%s]:%u", host, ntohs(six.sin6_port));
    } else {
        struct sockaddr_un local;
        memcpy(&local, &address->at, sizeof(local));
        (void)snprintf(out, cap, "unix:%.*s", (int)sizeof(local.sun_path), local.sun_path);
    }
    return out;
}
