#include "nginx/check/rules/rules.h"

/* What a part of a cipher string ("RC4", "ECDHE-RSA-RC4-SHA", "kRSA+3DES") brings in. */
typedef enum kind {
    SAFE,
    ANON,
    NO_CIPHER,
    EXPORT,
    RC4,
    DES,
    TRIPLE_DES,
    MD5,
    RC2,
    LOW,
    N_KINDS
} kind;

static const struct {
    const char *name;
    kind kind;
} names[] = { { "aNULL", ANON },      { "ADH", ANON },        { "AECDH", ANON },
              { "DH_anon", ANON },    { "eNULL", NO_CIPHER }, { "NULL", NO_CIPHER },
              { "EXP", EXPORT },      { "EXPORT", EXPORT },   { "EXPORT40", EXPORT },
              { "EXPORT56", EXPORT }, { "RC4", RC4 },         { "DES", DES },
              { "3DES", TRIPLE_DES }, { "CBC3", TRIPLE_DES }, { "MD5", MD5 },
              { "RC2", RC2 },         { "LOW", LOW } };

static const char *const what[N_KINDS] = {
    [ANON] = "no authentication of the server",
    [NO_CIPHER] = "no encryption",
    [EXPORT] = "export ciphers",
    [RC4] = "RC4",
    [DES] = "DES",
    [TRIPLE_DES] = "3DES",
    [MD5] = "MD5",
    [RC2] = "RC2",
    [LOW] = "ciphers of 56 or 64 bits",
};

static kind kind_of_word(otr_bytes word)
{
    for (size_t i = 0; i < OTR_COUNT(names); i++) {
        if (otr_is_any_case(word, names[i].name)) {
            return names[i].kind;
        }
    }
    return SAFE;
}

/* "DES-CBC3-SHA" is 3DES, "DES-CBC-SHA" DES. */
static kind kind_of(otr_bytes token)
{
    kind found = SAFE;
    while (token.n > 0) {
        size_t n = 0;
        while (n < token.n && token.p[n] != '-' && token.p[n] != '+') {
            n++;
        }
        kind one = kind_of_word((otr_bytes){ token.p, n });
        found = found == SAFE || one == TRIPLE_DES ? (one != SAFE ? one : found) : found;
        n += n < token.n;
        token = (otr_bytes){ token.p + n, token.n - n };
    }
    return found;
}

typedef struct string {
    bool in[N_KINDS], out[N_KINDS]; /* out: by "!" for good */
    otr_bytes by[N_KINDS];
    bool no_level;
} string;

/* "!X" for good, "-X" until it comes again; of a cipher of its own name nothing else goes. */
static void take_out(string *s, otr_bytes bare, bool for_good)
{
    kind k = kind_of_word(bare);
    if (k != SAFE) {
        s->out[k] |= for_good;
        s->in[k] = false;
    }
}

static void take(string *s, otr_bytes token)
{
    uint8_t sign = token.n > 0 ? token.p[0] : 0;
    bool is_sign = sign == '!' || sign == '-' || sign == '+';
    otr_bytes bare = is_sign ? (otr_bytes){ token.p + 1, token.n - 1 } : token;
    kind k = otr_is(bare, "ALL") || otr_is(bare, "COMPLEMENTOFDEFAULT") ? ANON
             : otr_is(bare, "COMPLEMENTOFALL")                          ? NO_CIPHER
                                                                        : kind_of(bare);
    s->no_level |= otr_is_any_case(bare, "@SECLEVEL=0");
    if (sign == '!' || sign == '-') {
        take_out(s, bare, sign == '!');
    } else if (sign != '+' && k != SAFE && !s->in[k]) { /* "+X" only moves what is there */
        s->in[k] = true;
        s->by[k] = token;
    }
}

static void look(otr_look *l, const otr_spot *spot)
{
    otr_bytes text = otr_arg(l, spot->node, 1);
    string s = { 0 };
    while (text.n > 0) {
        size_t n = 0;
        while (n < text.n && text.p[n] != ':' && text.p[n] != ',' && text.p[n] != ' ') {
            n++;
        }
        take(&s, (otr_bytes){ text.p, n });
        n += n < text.n;
        text = (otr_bytes){ text.p + n, text.n - n };
    }
    for (unsigned k = SAFE + 1; k < N_KINDS; k++) {
        if (s.in[k] && !s.out[k]) {
            l->level = k == MD5 || k == TRIPLE_DES ? OTR_CHECK_WARNING : OTR_CHECK_ERROR;
            otr_find(l, spot->node, 1, "\"%.*s\" in %.*s lets in %s", OTR_S(s.by[k]),
                     (int)spot->node->words[0].n, (const char *)spot->node->words[0].p, what[k]);
            return;
        }
    }
    if (s.no_level) {
        l->level = OTR_CHECK_WARNING;
        otr_find(l, spot->node, 1,
                 "@SECLEVEL=0 takes away OpenSSL's own limits on keys and ciphers");
    }
}

const otr_rule otr_rule_tls_ciphers = {
    .id = "tls-ciphers",
    .level = OTR_CHECK_ERROR,
    .title = "Ciphers that protect nothing",
    .why =
        "Ciphers without authentication or encryption, of export strength, RC4, DES and 3DES can "
        "be broken, and a client or somebody between may choose them.",
    .mend = "List ciphers that are safe (ECDHE with AES-GCM or CHACHA20), or keep NGINX's default, "
            "HIGH:!aNULL:!MD5.",
    .reference = "https://nginx.org/en/docs/http/ngx_http_ssl_module.html#ssl_ciphers",
    .on = { OTR_D_SSL_CIPHERS, OTR_D_PROXY_SSL_CIPHERS },
    .look = look,
};
