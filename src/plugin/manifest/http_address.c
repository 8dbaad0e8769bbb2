/* Which addresses are public: http_grant.h. */
#include <netinet/in.h>
#include <string.h>

#include "plugin/manifest/http_grant.h"

static bool public_v4(uint32_t a)
{
    static const struct range {
        uint32_t net, mask;
    } closed[] = {
        { 0x00000000, 0xff000000 }, /* this network */
        { 0x0a000000, 0xff000000 }, /* private */
        { 0x64400000, 0xffc00000 }, /* carrier's NAT */
        { 0x7f000000, 0xff000000 }, /* loopback */
        { 0xa9fe0000, 0xffff0000 }, /* link-local, metadata services */
        { 0xac100000, 0xfff00000 }, /* private */
        { 0xc0000000, 0xffffff00 }, /* protocol assignments */
        { 0xc0a80000, 0xffff0000 }, /* private */
        { 0xc6120000, 0xfffe0000 }, /* benchmarks */
        { 0xe0000000, 0xe0000000 }, /* multicast, reserved, broadcast */
    };
    for (size_t i = 0; i < OTR_COUNT(closed); i++) {
        if ((a & closed[i].mask) == closed[i].net) {
            return false;
        }
    }
    return true;
}

static uint32_t word_at(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool public_v6(const uint8_t a[16])
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
    static const uint8_t nat64[12] = { 0x00, 0x64, 0xff, 0x9b };
    if (memcmp(a, mapped, sizeof(mapped)) == 0 || memcmp(a, nat64, sizeof(nat64)) == 0) {
        return public_v4(word_at(a + 12));
    }
    if (a[0] == 0x20 && a[1] == 0x02) { /* 6to4 */
        return public_v4(word_at(a + 2));
    }
    /* Global unicast only: that leaves out ::, ::1, fc00::/7, fe80::/10, ff00::/8. */
    return (a[0] & 0xe0) == 0x20;
}

bool otr_address_public(const struct sockaddr *addr)
{
    if (addr->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, addr, sizeof(v4));
        return public_v4(ntohl(v4.sin_addr.s_addr));
    }
    if (addr->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, addr, sizeof(v6));
        return public_v6(v6.sin6_addr.s6_addr);
    }
    return false;
}
