#include "nginx/language/rules.h"

#include <assert.h>
#include <strings.h>

#include "base/alloc.h"

enum { /* of arguments; TAKE0 to TAKE7 are bits 0 to 7 */
       FLAG = 1 << 8,
       ANY_COUNT = 1 << 9,
       MORE_THAN_0 = 1 << 10,
       MORE_THAN_1 = 1 << 11,
       OPENS = 1 << 12,
       COUNTED = 0xff,
};

typedef struct rule {
    const char *name;
    otr_where where;
    uint16_t args;
    uint8_t n; /* of the name */
} rule;

/* The words that the tables are written in. */
#define MAIN                 OTR_WHERE_MAIN
#define EVENTS               OTR_WHERE_EVENTS
#define MAIL                 OTR_WHERE_MAIL
#define MAIL_SRV             OTR_WHERE_MAIL_SRV
#define STREAM               OTR_WHERE_STREAM
#define STREAM_SRV           OTR_WHERE_STREAM_SRV
#define STREAM_UPS           OTR_WHERE_STREAM_UPS
#define HTTP                 OTR_WHERE_HTTP
#define HTTP_SRV             OTR_WHERE_HTTP_SRV
#define HTTP_LOC             OTR_WHERE_HTTP_LOC
#define HTTP_UPS             OTR_WHERE_HTTP_UPS
#define HTTP_SIF             OTR_WHERE_HTTP_SIF
#define HTTP_LIF             OTR_WHERE_HTTP_LIF
#define HTTP_LMT             OTR_WHERE_HTTP_LMT
#define MGMT                 OTR_WHERE_MGMT
#define HTTP_OIDC            OTR_WHERE_HTTP_OIDC
#define ANYWHERE             OTR_WHERE_PLACES
#define NONE                 0x01
#define TAKE1                0x02
#define TAKE2                0x04
#define TAKE3                0x08
#define TAKE12               0x06
#define TAKE13               0x0a
#define TAKE23               0x0c
#define TAKE34               0x18
#define TAKE123              0x0e
#define TAKE1234             0x1e
#define ANY                  ANY_COUNT
#define ONE_MORE             MORE_THAN_0
#define TWO_MORE             MORE_THAN_1
#define BLOCK                OPENS
#define D(name, where, args) { name, (where), (args), sizeof(name) - 1 },

static const rule all[] = {
#include "nginx/language/directives/app_protect.def"
#include "nginx/language/directives/brotli.def"
#include "nginx/language/directives/geoip2.def"
#include "nginx/language/directives/headers_more.def"
#include "nginx/language/directives/lua.def"
#include "nginx/language/directives/nginx_core.def"
#include "nginx/language/directives/nginx_http.def"
#include "nginx/language/directives/nginx_mail.def"
#include "nginx/language/directives/nginx_stream.def"
#include "nginx/language/directives/njs.def"
#include "nginx/language/directives/otel.def"
#include "nginx/language/directives/plus.def"
#include "nginx/language/directives/vts.def"
};

#undef NONE

enum { N_SLOTS = 2048 };
static_assert(OTR_COUNT(all) < N_SLOTS, "the index grows with the tables");

struct otr_rules {
    uint16_t slots[N_SLOTS]; /* 0: empty, else the first rule's number + 1 */
    uint16_t next[OTR_COUNT(all)];
};

/* Of its length, its first and its last bytes: names are many, and this is asked for each. */
static uint32_t hash_of(const uint8_t *p, size_t n)
{
    uint64_t first = 0, last = 0;
    size_t part = n < sizeof(first) ? n : sizeof(first);
    memcpy(&first, p, part);
    memcpy(&last, p + n - part, part);
    uint64_t hash = (first * 0x9e3779b97f4a7c15U ^ last ^ n) * 0xff51afd7ed558ccdU;
    return (uint32_t)(hash >> 32) % N_SLOTS;
}

otr_code otr_rules_new(otr_rules **ret, otr_err *err)
{
    otr_rules *rules = otr_zalloc(sizeof(*rules));
    if (rules == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = OTR_COUNT(all); i-- > 0;) {
        uint16_t *slot = &rules->slots[hash_of((const uint8_t *)all[i].name, all[i].n)];
        rules->next[i] = *slot;
        *slot = (uint16_t)(i + 1);
    }
    *ret = rules;
    return OTR_OK;
}

void otr_rules_free(otr_rules *rules)
{
    otr_free(rules);
}

/* The next rule of that name from number `i` - 1 on; NULL: no more. */
static const rule *find(const otr_rules *rules, otr_bytes name, uint16_t *i)
{
    while (*i != 0) {
        const rule *r = &all[*i - 1];
        *i = rules->next[*i - 1];
        if (r->n == name.n && memcmp(r->name, name.p, name.n) == 0) {
            return r;
        }
    }
    return NULL;
}

static bool is(otr_bytes name, const char *word)
{
    return name.n == strlen(word) && memcmp(name.p, word, name.n) == 0;
}

static otr_where in_main(otr_bytes name)
{
    return is(name, "http")     ? OTR_WHERE_HTTP | OTR_WHERE_IN_HTTP
           : is(name, "events") ? OTR_WHERE_EVENTS
           : is(name, "stream") ? OTR_WHERE_STREAM
           : is(name, "mail")   ? OTR_WHERE_MAIL
           : is(name, "mgmt")   ? OTR_WHERE_MGMT
                                : 0;
}

static otr_where in_http(otr_where place, otr_bytes name)
{
    switch (place) {
    case OTR_WHERE_HTTP:
        return is(name, "server")          ? OTR_WHERE_HTTP_SRV
               : is(name, "upstream")      ? OTR_WHERE_HTTP_UPS
               : is(name, "oidc_provider") ? OTR_WHERE_HTTP_OIDC
                                           : 0;
    case OTR_WHERE_HTTP_SRV:
        return is(name, "if") ? OTR_WHERE_HTTP_SIF : 0;
    case OTR_WHERE_HTTP_LOC:
        return is(name, "if")             ? OTR_WHERE_HTTP_LIF
               : is(name, "limit_except") ? OTR_WHERE_HTTP_LMT
                                          : 0;
    default:
        return 0;
    }
}

otr_where otr_where_in(otr_where outer, otr_bytes name)
{
    if ((outer & OTR_WHERE_IN_HTTP) != 0) { /* a location is one however deep it stands */
        otr_where place =
            is(name, "location") ? OTR_WHERE_HTTP_LOC : in_http(outer & OTR_WHERE_PLACES, name);
        return place | OTR_WHERE_IN_HTTP;
    }
    switch (outer) {
    case OTR_WHERE_MAIN:
        return in_main(name);
    case OTR_WHERE_MAIL:
        return is(name, "server") ? OTR_WHERE_MAIL_SRV : 0;
    case OTR_WHERE_STREAM:
        return is(name, "server")     ? OTR_WHERE_STREAM_SRV
               : is(name, "upstream") ? OTR_WHERE_STREAM_UPS
                                      : 0;
    default:
        return 0;
    }
}

static bool is_flag(otr_bytes word)
{
    return (word.n == 2 && strncasecmp((const char *)word.p, "on", 2) == 0) ||
           (word.n == 3 && strncasecmp((const char *)word.p, "off", 3) == 0);
}

static otr_use_verdict fits(const rule *r, const otr_use *use)
{
    if ((r->args & OPENS) != 0 && use->end != OTR_USE_BLOCK) {
        return OTR_USE_NOT_OPENED;
    }
    if ((r->args & OPENS) == 0 && use->end != OTR_USE_SEMICOLON) {
        return OTR_USE_NOT_TERMINATED;
    }
    size_t n = use->n_args;
    if ((n <= 7 && ((r->args & COUNTED) >> n & 1U) != 0) || (r->args & ANY_COUNT) != 0 ||
        ((r->args & MORE_THAN_0) != 0 && n > 0) || ((r->args & MORE_THAN_1) != 0 && n > 1)) {
        return OTR_USE_FITS;
    }
    if ((r->args & FLAG) != 0 && n == 1) {
        return is_flag(use->first) ? OTR_USE_FITS : OTR_USE_BAD_FLAG;
    }
    return OTR_USE_BAD_COUNT;
}

otr_use_verdict otr_rules_check(const otr_rules *rules, const otr_use *use)
{
    otr_where place = use->where & OTR_WHERE_PLACES;
    if (place == 0) {
        return OTR_USE_FITS;
    }
    otr_use_verdict verdict = OTR_USE_UNKNOWN;
    uint16_t i = rules->slots[hash_of(use->name.p, use->name.n)];
    for (const rule *r; (r = find(rules, use->name, &i)) != NULL;) {
        if (!use->any_place && (r->where & place) == 0) {
            verdict = verdict == OTR_USE_UNKNOWN ? OTR_USE_NOT_HERE : verdict;
            continue;
        }
        otr_use_verdict now = use->any_args ? OTR_USE_FITS : fits(r, use);
        if (now == OTR_USE_FITS) {
            return now;
        }
        verdict = verdict == OTR_USE_UNKNOWN || verdict == OTR_USE_NOT_HERE ? now : verdict;
    }
    return verdict;
}

otr_code otr_use_say(const otr_use *use, otr_use_verdict verdict, otr_buf *out, otr_err *err)
{
    int n = (int)(use->name.n < 256 ? use->name.n : 256);
    const char *name = (const char *)use->name.p;
    switch (verdict) {
    case OTR_USE_UNKNOWN:
        return otr_buf_addf(out, err, "unknown directive \"%.*s\"", n, name);
    case OTR_USE_NOT_HERE:
        return otr_buf_addf(out, err, "\"%.*s\" directive is not allowed here", n, name);
    case OTR_USE_NOT_OPENED:
        return otr_buf_addf(out, err, "directive \"%.*s\" has no opening \"{\"", n, name);
    case OTR_USE_NOT_TERMINATED:
        return otr_buf_addf(out, err, "directive \"%.*s\" is not terminated by \";\"", n, name);
    case OTR_USE_BAD_COUNT:
        return otr_buf_addf(out, err, "invalid number of arguments in \"%.*s\" directive", n, name);
    case OTR_USE_BAD_FLAG:
        return otr_buf_addf(out, err,
                            "invalid value \"%.*s\" in \"%.*s\" directive, it must be \"on\" or "
                            "\"off\"",
                            (int)(use->first.n < 256 ? use->first.n : 256),
                            (const char *)use->first.p, n, name);
    default:
        return OTR_OK;
    }
}
