/* Contents: digested, compressed in parts, kept once. */
#include <errno.h>
#include <sodium.h>
#include <unistd.h>
#include <zlib.h>

#include "base/alloc.h"
#include "nginx/history/internal.h"

enum { LEVEL = 3, WINDOW_BITS = 15, MEMORY = 8, PACKED_MOST = OTR_HISTORY_PART_BYTES + 65536 };

/* ---- zlib with our memory ---- */

static voidpf z_alloc(voidpf opaque, uInt n, uInt size)
{
    (void)opaque;
    return otr_calloc(n, size);
}

static void z_free(voidpf opaque, voidpf p)
{
    (void)opaque;
    otr_free(p);
}

/* Appends `data` packed; false: it does not get smaller, or there is no memory for that. */
static bool pack(otr_bytes data, otr_buf *out)
{
    z_stream z = { .zalloc = z_alloc, .zfree = z_free };
    uint8_t *to = NULL;
    if (data.n < 64 ||
        deflateInit2(&z, LEVEL, Z_DEFLATED, WINDOW_BITS, MEMORY, Z_DEFAULT_STRATEGY) != Z_OK) {
        return false;
    }
    bool ok = otr_buf_reserve(out, data.n, &to, NULL) == OTR_OK;
    if (ok) {
        z.next_in = (Bytef *)(uintptr_t)data.p; /* it is not written to */
        z.avail_in = (uInt)data.n;
        z.next_out = to;
        z.avail_out = (uInt)data.n - 1;
        ok = deflate(&z, Z_FINISH) == Z_STREAM_END;
    }
    if (ok) {
        otr_buf_grew(out, (size_t)z.total_out);
    }
    (void)deflateEnd(&z);
    return ok;
}

static otr_code unpack(otr_bytes data, otr_buf *out, otr_err *err)
{
    z_stream z = { .zalloc = z_alloc, .zfree = z_free };
    uint8_t *to = NULL;
    if (data.n > PACKED_MOST || inflateInit(&z) != Z_OK) {
        return data.n > PACKED_MOST ? otr_fail(err, OTR_EIO, "a part is too large")
                                    : otr_fail_nomem(err);
    }
    otr_code rc = otr_buf_reserve(out, OTR_HISTORY_PART_BYTES, &to, err);
    if (rc == OTR_OK) {
        z.next_in = (Bytef *)(uintptr_t)data.p;
        z.avail_in = (uInt)data.n;
        z.next_out = to;
        z.avail_out = OTR_HISTORY_PART_BYTES;
        int got = inflate(&z, Z_FINISH);
        if (got == Z_STREAM_END && z.avail_in == 0) {
            otr_buf_grew(out, (size_t)z.total_out);
        } else {
            rc = got == Z_MEM_ERROR ? otr_fail_nomem(err)
                                    : otr_fail(err, OTR_EIO, "a part cannot be unpacked");
        }
    }
    (void)inflateEnd(&z);
    return rc;
}

otr_code otr_history_part_open(otr_bytes data, bool packed, otr_buf *out, otr_err *err)
{
    if (packed) {
        return unpack(data, out, err);
    }
    return data.n <= OTR_HISTORY_PART_BYTES ? otr_buf_add(out, data, err)
                                            : otr_fail(err, OTR_EIO, "a part is too large");
}

/* ---- reading what is to be kept ---- */

typedef struct reader {
    const otr_history_source *from;
    uint64_t at;
    uint8_t *buffer;  /* of a file's part */
    uint8_t seam[64]; /* the end of the last part and the begin of this one */
    size_t seam_n;
    bool secret;
    crypto_hash_sha256_state sha;
} reader;

static void start(reader *r)
{
    r->at = 0;
    r->seam_n = 0;
    (void)crypto_hash_sha256_init(&r->sha);
}

/* A key may stand across two parts. */
static void look_for_key(reader *r, otr_bytes part)
{
    enum { HALF = sizeof(r->seam) / 2 };
    size_t head = part.n < HALF ? part.n : HALF;
    if (r->secret || part.n == 0) {
        return;
    }
    memcpy(r->seam + r->seam_n, part.p, head);
    r->secret =
        otr_history_has_key(part) || otr_history_has_key((otr_bytes){ r->seam, r->seam_n + head });
    if (part.n >= HALF) {
        memcpy(r->seam, part.p + part.n - HALF, HALF);
        r->seam_n = HALF;
    }
}

static ssize_t read_whole(int fd, uint8_t *to, uint64_t at)
{
    size_t n = 0;
    while (n < OTR_HISTORY_PART_BYTES) {
        ssize_t got = pread(fd, to + n, OTR_HISTORY_PART_BYTES - n, (off_t)(at + n));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got < 0 ? -1 : (ssize_t)n;
        }
        n += (size_t)got;
    }
    return (ssize_t)n;
}

/* An empty part is the end. */
static otr_code next_part(reader *r, otr_bytes *ret, otr_err *err)
{
    const otr_history_source *from = r->from;
    if (from->fd >= 0) {
        ssize_t n = read_whole(from->fd, r->buffer, r->at);
        if (n < 0) {
            return otr_fail_sys(err, errno, "read");
        }
        *ret = (otr_bytes){ r->buffer, (size_t)n };
    } else {
        size_t left = from->bytes.n - (size_t)r->at;
        *ret = (otr_bytes){ from->bytes.p + (left > 0 ? r->at : 0),
                            left < OTR_HISTORY_PART_BYTES ? left : OTR_HISTORY_PART_BYTES };
    }
    r->at += ret->n;
    if (r->at > OTR_LIMIT_HISTORY_DIGEST_BYTES) {
        return otr_fail(err, OTR_EQUOTA, "it has more than %llu bytes",
                        (unsigned long long)OTR_LIMIT_HISTORY_DIGEST_BYTES);
    }
    if (ret->n > 0) {
        (void)crypto_hash_sha256_update(&r->sha, ret->p, ret->n);
        look_for_key(r, *ret);
    }
    return OTR_OK;
}

static void end(reader *r, otr_history_kept *ret)
{
    unsigned char sum[crypto_hash_sha256_BYTES];
    (void)crypto_hash_sha256_final(&r->sha, sum);
    (void)sodium_bin2hex(ret->digest, sizeof(ret->digest), sum, sizeof(sum));
    ret->bytes = r->at;
    ret->secret = r->secret;
}

static otr_code digest(reader *r, otr_history_kept *ret, otr_err *err)
{
    otr_bytes part = { NULL, 0 };
    otr_code rc;
    start(r);
    do {
        rc = next_part(r, &part, err);
    } while (rc == OTR_OK && part.n > 0);
    end(r, ret);
    return rc;
}

/* ---- keeping ---- */

static bool find(otr_history *h, otr_history_kept *ret)
{
    sqlite3_stmt *st = otr_history_st_of(h, OTR_HST_BLOB_FIND);
    bool found = otr_history_bind_digest(st, 1, ret->digest) && sqlite3_step(st) == SQLITE_ROW;
    if (found) {
        ret->blob = sqlite3_column_int64(st, 0);
        ret->kept = sqlite3_column_int(st, 1) != 0;
    }
    sqlite3_reset(st);
    return found;
}

static otr_code add_row(otr_history *h, otr_history_kept *kept, otr_err *err)
{
    sqlite3_stmt *st = otr_history_st_of(h, OTR_HST_BLOB_ADD);
    (void)otr_history_bind_digest(st, 1, kept->digest);
    sqlite3_bind_int64(st, 2, (int64_t)kept->bytes);
    sqlite3_bind_int(st, 3, kept->kept);
    otr_code rc = otr_history_run(h, st, "add a content", err);
    kept->blob = sqlite3_last_insert_rowid(h->db);
    return rc;
}

static otr_code add_part(otr_history *h, int64_t blob, int n, otr_bytes part, otr_err *err)
{
    otr_buf packed;
    otr_buf_init(&packed, PACKED_MOST);
    bool smaller = pack(part, &packed);
    sqlite3_stmt *st = otr_history_st_of(h, OTR_HST_PART_ADD);
    sqlite3_bind_int64(st, 1, blob);
    sqlite3_bind_int(st, 2, n);
    sqlite3_bind_int(st, 3, smaller);
    sqlite3_bind_blob64(st, 4, smaller ? packed.p : part.p, smaller ? packed.n : part.n,
                        SQLITE_STATIC);
    otr_code rc = otr_history_run(h, st, "add a content", err);
    otr_buf_deinit(&packed);
    return rc;
}

static otr_code add_parts(otr_history *h, reader *r, otr_history_kept *kept, otr_err *err)
{
    otr_bytes part = { NULL, 0 };
    otr_code rc = OTR_OK;
    start(r);
    for (int n = 0; rc == OTR_OK; n++) {
        rc = next_part(r, &part, err);
        if (rc != OTR_OK || part.n == 0) {
            break;
        }
        rc = r->at <= OTR_LIMIT_HISTORY_FILE_BYTES ? add_part(h, kept->blob, n, part, err)
                                                   : otr_fail(err, OTR_EQUOTA, "it grew meanwhile");
    }
    end(r, kept);
    return rc;
}

static otr_code drop(otr_history *h, int64_t blob, otr_err *err)
{
    sqlite3_stmt *st = otr_history_st_of(h, OTR_HST_BLOB_PARTS_DROP);
    sqlite3_bind_int64(st, 1, blob);
    otr_code rc = otr_history_run(h, st, "drop a content", err);
    st = otr_history_st_of(h, OTR_HST_BLOB_DROP);
    sqlite3_bind_int64(st, 1, blob);
    return rc == OTR_OK ? otr_history_run(h, st, "drop a content", err) : rc;
}

/* The file was written to between the two readings: it goes by what was kept. */
static otr_code rename_blob(otr_history *h, otr_history_kept *kept, otr_err *err)
{
    otr_history_kept other = *kept;
    if (find(h, &other)) {
        otr_code rc = drop(h, kept->blob, err);
        *kept = other;
        return rc;
    }
    sqlite3_stmt *st = otr_history_st_of(h, OTR_HST_BLOB_NAME);
    sqlite3_bind_int64(st, 1, kept->blob);
    (void)otr_history_bind_digest(st, 2, kept->digest);
    sqlite3_bind_int64(st, 3, (int64_t)kept->bytes);
    sqlite3_bind_int(st, 4, kept->kept);
    return otr_history_run(h, st, "name a content", err);
}

static otr_code store(otr_history *h, reader *r, otr_history_kept *ret, otr_err *err)
{
    otr_code rc = digest(r, ret, err);
    if (rc != OTR_OK || find(h, ret)) {
        return rc;
    }
    char first[OTR_HISTORY_ID_BYTES];
    memcpy(first, ret->digest, sizeof(first));
    ret->kept = ret->bytes <= OTR_LIMIT_HISTORY_FILE_BYTES;
    rc = add_row(h, ret, err);
    if (rc == OTR_OK && ret->kept) {
        rc = add_parts(h, r, ret, err);
        if (rc == OTR_OK && strcmp(first, ret->digest) != 0) {
            rc = rename_blob(h, ret, err);
        }
    }
    return rc;
}

otr_code otr_history_blob_add(otr_history *h, const otr_history_source *from, otr_history_kept *ret,
                              otr_err *err)
{
    reader r = { .from = from };
    if (from->fd >= 0 && (r.buffer = otr_alloc(OTR_HISTORY_PART_BYTES)) == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = store(h, &r, ret, err);
    otr_free(r.buffer);
    return rc;
}

/* ---- reading back ---- */

typedef struct check {
    crypto_hash_sha256_state sha;
    uint64_t want, got;
} check;

static otr_code hand_out(otr_history *h, sqlite3_stmt *st, check *c, otr_buf *part,
                         otr_history_part_fn *fn, void *arg, otr_err *err)
{
    otr_bytes data = { sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1) };
    c->want = otr_history_u64_at(st, 2);
    if (data.p == NULL) {
        return OTR_OK; /* an empty content has no parts */
    }
    otr_buf_clear(part);
    otr_code rc = otr_history_part_open(data, sqlite3_column_int(st, 0) != 0, part, err);
    if (rc != OTR_OK) {
        return otr_wrap(err, rc, "history %s", h->path);
    }
    c->got += part->n;
    (void)crypto_hash_sha256_update(&c->sha, part->p, part->n);
    return c->got <= c->want ? fn(arg, otr_buf_bytes(part), err)
                             : otr_fail(err, OTR_EIO, "history %s: a content is too long", h->path);
}

static otr_code verify(const otr_history *h, check *c, const char *digest, otr_err *err)
{
    unsigned char sum[crypto_hash_sha256_BYTES];
    char hex[OTR_HISTORY_ID_BYTES];
    (void)crypto_hash_sha256_final(&c->sha, sum);
    (void)sodium_bin2hex(hex, sizeof(hex), sum, sizeof(sum));
    return c->got == c->want && strcmp(hex, digest) == 0
               ? OTR_OK
               : otr_fail(err, OTR_EIO, "history %s: the content %.12s… is damaged", h->path,
                          digest);
}

otr_code otr_history_blob(otr_history *h, const char *digest, otr_history_part_fn *fn, void *arg,
                          otr_err *err)
{
    sqlite3_stmt *st = otr_history_st_of(h, OTR_HST_PARTS);
    if (!otr_history_bind_digest(st, 1, digest)) {
        return otr_fail(err, OTR_EINVAL, "\"%.80s\" is no digest", digest);
    }
    check c = { .got = 0 };
    (void)crypto_hash_sha256_init(&c.sha);
    otr_buf part;
    otr_buf_init(&part, OTR_HISTORY_PART_BYTES);
    otr_code rc = OTR_OK;
    int got, rows = 0;
    while (rc == OTR_OK && (got = sqlite3_step(st)) == SQLITE_ROW) {
        rc = hand_out(h, st, &c, &part, fn, arg, err);
        rows++;
    }
    if (rc == OTR_OK && got != SQLITE_DONE) {
        rc = otr_history_fail(h, "read a content", err);
    } else if (rc == OTR_OK && rows == 0) {
        rc = otr_fail(err, OTR_ENOTFOUND, "history %s does not have the content %.12s…", h->path,
                      digest);
    }
    sqlite3_reset(st);
    otr_buf_deinit(&part);
    return rc == OTR_OK ? verify(h, &c, digest, err) : rc;
}

static otr_code add_to(void *arg, otr_bytes part, otr_err *err)
{
    return otr_buf_add(arg, part, err);
}

otr_code otr_history_blob_read(otr_history *h, const char *digest, otr_buf *out, otr_err *err)
{
    size_t before = out->n;
    otr_code rc = otr_history_blob(h, digest, add_to, out, err);
    if (rc != OTR_OK) {
        otr_buf_cut(out, before);
    }
    return rc;
}
