/*
 * Who is reached without a proxy.
 */
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "net/rpc/proxy.h"

enum { TEN = 10, BYTE_BITS = 8, SIX_BYTES = 16, FOUR_BYTES = 4, ITEM_BYTES = 300 };

typedef struct address {
    size_t n; /* 4 or 16; 0: none */
    uint8_t bytes[SIX_BYTES];
} address;

static address address_of(const char *text)
{
    address a = { 0 };
    if (inet_pton(AF_INET, text, a.bytes) == 1) {
        a.n = FOUR_BYTES;
    } else if (inet_pton(AF_INET6, text, a.bytes) == 1) {
        a.n = SIX_BYTES;
    }
    return a;
}

static bool same_bits(const address *a, const address *b, unsigned bits)
{
    size_t whole = bits / BYTE_BITS;
    unsigned rest = bits % BYTE_BITS;
    if (memcmp(a->bytes, b->bytes, whole) != 0) {
        return false;
    }
    return rest == 0 ||
           (a->bytes[whole] >> (BYTE_BITS - rest)) == (b->bytes[whole] >> (BYTE_BITS - rest));
}

static bool parse_number(const char *text, unsigned most, unsigned *ret)
{
    unsigned value = 0;
    for (const char *p = text; *p != '\0'; p++) {
        if (*p < '0' || *p > '9') {
            return false;
        }
        value = value * TEN + (unsigned)(*p - '0');
        if (value > most) {
            return false;
        }
    }
    *ret = value;
    return text[0] != '\0';
}

static bool matches_network(char *item, const address *at)
{
    char *slash = strchr(item, '/');
    unsigned bits = 0;
    *slash = '\0';
    address network = address_of(item);
    return network.n > 0 && network.n == at->n &&
           parse_number(slash + 1, (unsigned)(network.n * BYTE_BITS), &bits) &&
           same_bits(&network, at, bits);
}

static bool matches_name(const char *item, const char *host)
{
    bool below_only = item[0] == '.' || strncmp(item, "*.", 2) == 0;
    const char *name = item[0] == '*' ? item + 1 : item; /* "*.x" is ".x" */
    size_t n = strlen(name), host_n = strlen(host);
    while (host_n > 0 && host[host_n - 1] == '.') {
        host_n--;
    }
    if (!below_only && n == host_n && strncasecmp(name, host, n) == 0) {
        return n > 0;
    }
    if (host_n <= n || strncasecmp(host + host_n - n, name, n) != 0) {
        return false;
    }
    return n > 0 && (below_only || host[host_n - n - 1] == '.');
}

/* Takes ":port" off; false: it is another one than the target's, or none. */
static bool port_fits(char *item, uint16_t port)
{
    enum { MOST_PORT = 65535 };
    char *colon = strrchr(item, ':');
    unsigned value = 0;
    if (colon == NULL || (item[0] != '[' && strchr(item, ':') != colon)) {
        return true; /* none, or an IPv6 address without brackets */
    }
    if (item[0] == '[' && colon[-1] != ']') {
        return true;
    }
    *colon = '\0';
    return parse_number(colon + 1, MOST_PORT, &value) && value == port;
}

static bool matches(char *item, const otr_rpc_target *target, const address *at)
{
    if (strcmp(item, "*") == 0) {
        return true;
    }
    if (strchr(item, '/') != NULL) {
        return matches_network(item, at);
    }
    if (!port_fits(item, target->port)) {
        return false;
    }
    size_t n = strlen(item);
    if (n > 2 && item[0] == '[' && item[n - 1] == ']') {
        item[n - 1] = '\0';
        item++;
    }
    address one = address_of(item);
    if (one.n > 0) {
        return one.n == at->n && memcmp(one.bytes, at->bytes, one.n) == 0;
    }
    return at->n == 0 && matches_name(item, target->host);
}

bool otr_rpc_no_proxy(const char *list, const otr_rpc_target *target)
{
    char item[ITEM_BYTES];
    if (otr_rpc_target_is_loopback(target)) {
        return true;
    }
    const address at = address_of(target->host);
    while (*list != '\0') {
        list += strspn(list, ", \t");
        size_t n = strcspn(list, ", \t");
        if (n > 0 && n < sizeof(item)) {
            memcpy(item, list, n);
            item[n] = '\0';
            if (matches(item, target, &at)) {
                return true;
            }
        }
        list += n;
    }
    return false;
}
