#include "base/tar.h"

#include <stdio.h>

#include "base/buf.h"

enum {
    BLOCK = 512,
    RECORD = 20 * BLOCK,
    NAME = 100,
    PREFIX = 155,
    PAX_BYTES = 65536,
    OCTAL_7 = 07777777, /* the most that 7 digits hold */
};

#define OCTAL_11 UINT64_C(077777777777)

/* Offsets of a ustar header (POSIX.1-2017, pax). */
typedef struct ustar {
    char name[NAME], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], kind, link[NAME];
    char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[PREFIX], rest[12];
} ustar;

_Static_assert(sizeof(ustar) == BLOCK, "a header is one block");

static otr_code put(otr_tarw *tar, otr_bytes bytes, otr_err *err)
{
    otr_code rc = tar->sink(tar->arg, bytes, err);
    tar->written += rc == OTR_OK ? bytes.n : 0;
    return rc;
}

static otr_code put_zeros(otr_tarw *tar, uint64_t n, otr_err *err)
{
    static const uint8_t zeros[BLOCK];
    otr_code rc = OTR_OK;
    while (rc == OTR_OK && n > 0) {
        size_t part = n < BLOCK ? (size_t)n : BLOCK;
        rc = put(tar, (otr_bytes){ zeros, part }, err);
        n -= part;
    }
    return rc;
}

/* ---- headers ---- */

static void octal(char *field, size_t cap, uint64_t n)
{
    field[cap - 1] = '\0';
    for (size_t i = cap - 1; i-- > 0; n >>= 3) {
        field[i] = (char)('0' + (n & 7));
    }
}

/* All bytes of the header, with the field of the sum itself as spaces. */
static void sum_up(ustar *h)
{
    unsigned sum = 0;
    memset(h->checksum, ' ', sizeof(h->checksum));
    const uint8_t *p = (const uint8_t *)h;
    for (size_t i = 0; i < BLOCK; i++) {
        sum += p[i];
    }
    octal(h->checksum, 7, sum);
}

/* A name of more than 100 bytes may be cut at a '/'; false: it does not fit. */
static bool put_name(ustar *h, const char *name)
{
    size_t n = strlen(name);
    if (n <= NAME) {
        memcpy(h->name, name, n);
        return true;
    }
    for (size_t cut = n - 2 < PREFIX ? n - 2 : PREFIX; cut > 0 && n - cut - 1 <= NAME; cut--) {
        if (name[cut] == '/') {
            memcpy(h->prefix, name, cut);
            memcpy(h->name, name + cut + 1, n - cut - 1);
            return true;
        }
    }
    memcpy(h->name, name, NAME); /* for readers that know no extended header */
    return false;
}

static void fill(ustar *h, char kind, mode_t mode, uint64_t bytes, int64_t mtime_s)
{
    octal(h->mode, sizeof(h->mode), mode & 07777);
    octal(h->size, sizeof(h->size), bytes <= OCTAL_11 ? bytes : 0);
    octal(h->mtime, sizeof(h->mtime),
          mtime_s > 0 && (uint64_t)mtime_s <= OCTAL_11 ? (uint64_t)mtime_s : 0);
    h->kind = kind;
    memcpy(h->magic, "ustar", 6);
    memcpy(h->version, "00", 2);
}

/* "27 path=a/long/name\n": the length counts its own digits. */
static otr_code record(otr_buf *out, const char *key, const char *value, otr_err *err)
{
    size_t body = strlen(key) + strlen(value) + 3, digits = 1;
    char text[24];
    while ((size_t)snprintf(text, sizeof(text), "%zu", body + digits) > digits) {
        digits++;
    }
    return otr_buf_addf(out, err, "%zu %s=%s\n", body + digits, key, value);
}

static otr_code record_number(otr_buf *out, const char *key, uint64_t value, otr_err *err)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    return record(out, key, text, err);
}

static otr_code put_extended(otr_tarw *tar, const otr_buf *records, otr_err *err)
{
    ustar h = { .kind = 0 };
    memcpy(h.name, "PaxHeaders/member", 18);
    octal(h.uid, sizeof(h.uid), 0);
    octal(h.gid, sizeof(h.gid), 0);
    fill(&h, 'x', 0644, records->n, 0);
    sum_up(&h);
    otr_code rc = put(tar, (otr_bytes){ (const uint8_t *)&h, sizeof(h) }, err);
    rc = rc == OTR_OK ? put(tar, otr_buf_bytes(records), err) : rc;
    return rc == OTR_OK ? put_zeros(tar, (BLOCK - records->n % BLOCK) % BLOCK, err) : rc;
}

/* The header of a member; `records` gets what does not fit into it. */
static otr_code make(const otr_tarw_entry *m, ustar *h, otr_buf *records, otr_err *err)
{
    otr_code rc = OTR_OK;
    uint64_t uid = m->uid, gid = m->gid;
    if (!put_name(h, m->name)) {
        rc = record(records, "path", m->name, err);
    }
    size_t link = m->link != NULL ? strlen(m->link) : 0;
    memcpy(h->link, m->link != NULL ? m->link : "", link < NAME ? link : NAME);
    if (rc == OTR_OK && link > NAME) {
        rc = record(records, "linkpath", m->link, err);
    }
    if (rc == OTR_OK && m->bytes > OCTAL_11) {
        rc = record_number(records, "size", m->bytes, err);
    }
    if (rc == OTR_OK && uid > OCTAL_7) {
        rc = record_number(records, "uid", uid, err);
    }
    if (rc == OTR_OK && gid > OCTAL_7) {
        rc = record_number(records, "gid", gid, err);
    }
    octal(h->uid, sizeof(h->uid), uid <= OCTAL_7 ? uid : 0);
    octal(h->gid, sizeof(h->gid), gid <= OCTAL_7 ? gid : 0);
    fill(h, m->kind, m->mode, m->bytes, m->mtime_s);
    sum_up(h);
    return rc;
}

otr_code otr_tarw_add(otr_tarw *tar, const otr_tarw_entry *m, otr_err *err)
{
    ustar h = { .kind = 0 };
    otr_buf records;
    if (tar->owed > 0) {
        return otr_fail(err, OTR_ESTATE, "%llu bytes of a member are missing",
                        (unsigned long long)tar->owed);
    }
    if (m->name[0] == '\0') {
        return otr_fail(err, OTR_EINVAL, "a member of an archive has a name");
    }
    otr_buf_init(&records, PAX_BYTES);
    otr_code rc = make(m, &h, &records, err);
    if (rc == OTR_OK && records.n > 0) {
        rc = put_extended(tar, &records, err);
    }
    otr_buf_deinit(&records);
    rc = rc == OTR_OK ? put(tar, (otr_bytes){ (const uint8_t *)&h, sizeof(h) }, err) : rc;
    if (rc == OTR_OK) {
        tar->owed = m->bytes;
        tar->padding = (BLOCK - m->bytes % BLOCK) % BLOCK;
    }
    return rc;
}

otr_code otr_tarw_content(otr_tarw *tar, otr_bytes bytes, otr_err *err)
{
    if (bytes.n > tar->owed) {
        return otr_fail(err, OTR_ESTATE, "a member has more bytes than were announced");
    }
    otr_code rc = put(tar, bytes, err);
    if (rc != OTR_OK) {
        return rc;
    }
    tar->owed -= bytes.n;
    return tar->owed == 0 && bytes.n > 0 ? put_zeros(tar, tar->padding, err) : OTR_OK;
}

otr_code otr_tarw_end(otr_tarw *tar, otr_err *err)
{
    if (tar->owed > 0) {
        return otr_fail(err, OTR_ESTATE, "%llu bytes of a member are missing",
                        (unsigned long long)tar->owed);
    }
    otr_code rc = put_zeros(tar, (uint64_t)2 * BLOCK, err);
    return rc == OTR_OK ? put_zeros(tar, (RECORD - tar->written % RECORD) % RECORD, err) : rc;
}
