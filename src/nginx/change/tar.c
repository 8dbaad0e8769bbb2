#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "nginx/change/sources.h"
#include "nginx/change/tar_block.h"

enum { META_BYTES = 65536, PIECE_BYTES = 65536 };

typedef enum reading {
    READ_HEADER,
    READ_META, /* a long name or pax records, into `meta` */
    READ_FILE,
    READ_NOTHING, /* bytes that do not count */
    READ_END,     /* the archive is over */
    READ_FAILED,
} reading;

struct otr_tar {
    otr_changes *set;
    const otr_change_source *how;
    reading state;
    otr_tar_block block;
    size_t have;    /* bytes of `block` */
    uint64_t left;  /* of the member's data */
    size_t pad;     /* behind them */
    char meta_type; /* of the header that `meta` belongs to */
    otr_buf meta;
    otr_buf name, link; /* from headers before the member's own; empty: none */
    uint64_t size, uid, gid;
    bool has_size, has_uid, has_gid;
    size_t members;
    size_t empty; /* blocks of zeros in a row */
};

otr_code otr_tar_new(otr_changes *set, const otr_change_source *how, otr_tar **ret, otr_err *err)
{
    otr_tar *tar = otr_zalloc(sizeof(*tar));
    if (tar == NULL) {
        return otr_fail_nomem(err);
    }
    tar->set = set;
    tar->how = how;
    otr_buf_init(&tar->meta, META_BYTES);
    otr_buf_init(&tar->name, META_BYTES);
    otr_buf_init(&tar->link, META_BYTES);
    *ret = tar;
    return OTR_OK;
}

void otr_tar_free(otr_tar *tar)
{
    if (tar != NULL) {
        otr_buf_deinit(&tar->meta);
        otr_buf_deinit(&tar->name);
        otr_buf_deinit(&tar->link);
        otr_free(tar);
    }
}

/* ---- fields ---- */

/* Octal with spaces around, or GNU's base 256 (first bit set); false: neither, or too large. */
static bool take_number(const char *field, size_t n, uint64_t *ret)
{
    uint64_t v = 0;
    size_t i = 0;
    if (((unsigned char)field[0] & 0x80) != 0) {
        for (i = 0; i < n; i++) {
            uint8_t byte = (uint8_t)((uint8_t)field[i] & (i == 0 ? 0x7f : 0xff));
            if (v >> 55 != 0) {
                return false;
            }
            v = v << 8 | byte;
        }
        *ret = v;
        return true;
    }
    while (i < n && field[i] == ' ') {
        i++;
    }
    for (; i < n && field[i] >= '0' && field[i] <= '7'; i++) {
        v = v << 3 | (uint64_t)(field[i] - '0');
    }
    *ret = v;
    return i == n || field[i] == ' ' || field[i] == '\0';
}

static otr_code set_text(otr_buf *to, const char *text, size_t n, otr_err *err)
{
    otr_buf_clear(to);
    return otr_buf_add(to, (otr_bytes){ (const uint8_t *)text, strnlen(text, n) }, err);
}

/* ---- pax records ---- */

typedef struct record {
    const char *key;
    size_t key_n;
    const char *value;
    size_t value_n;
} record;

static bool is_key(const record *r, const char *key)
{
    return r->key_n == strlen(key) && memcmp(r->key, key, r->key_n) == 0;
}

static bool take_decimal(const char *text, size_t n, uint64_t *ret)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9' || v > UINT64_MAX / 16) {
            return false;
        }
        v = v * 10 + (uint64_t)(text[i] - '0');
    }
    *ret = v;
    return n > 0;
}

/* "LENGTH key=value\n" at the head of `from`. */
static bool take_record(otr_bytes *from, record *ret)
{
    const char *text = (const char *)from->p;
    const char *space = memchr(text, ' ', from->n);
    uint64_t n;
    if (space == NULL || !take_decimal(text, (size_t)(space - text), &n) || n > from->n ||
        n < (size_t)(space - text) + 3 || text[n - 1] != '\n') {
        return false;
    }
    const char *end = text + n - 1;
    const char *equals = memchr(space + 1, '=', (size_t)(end - space - 1));
    if (equals == NULL) {
        return false;
    }
    *ret =
        (record){ space + 1, (size_t)(equals - space - 1), equals + 1, (size_t)(end - equals - 1) };
    from->p += n;
    from->n -= (size_t)n;
    return true;
}

static otr_code bad_pax(otr_err *err)
{
    return otr_fail(err, OTR_EINVAL, "the tar archive is damaged: a pax header cannot be read");
}

static otr_code apply_text(otr_buf *to, const record *r, otr_err *err)
{
    if (r->value_n == 0 || memchr(r->value, '\0', r->value_n) != NULL) {
        return bad_pax(err);
    }
    return set_text(to, r->value, r->value_n, err);
}

static otr_code apply_number(uint64_t *to, bool *has, const record *r, otr_err *err)
{
    if (!take_decimal(r->value, r->value_n, to)) {
        return bad_pax(err);
    }
    *has = true;
    return OTR_OK;
}

static otr_code apply_record(otr_tar *tar, const record *r, otr_err *err)
{
    if (r->key_n >= 11 && memcmp(r->key, "GNU.sparse.", 11) == 0) {
        return otr_fail(err, OTR_EINVAL,
                        "the tar archive holds a sparse file: write it without "
                        "--sparse");
    }
    bool path = is_key(r, "path"), link = is_key(r, "linkpath"), size = is_key(r, "size");
    bool uid = is_key(r, "uid"), gid = is_key(r, "gid");
    if (!path && !link && !size && !uid && !gid) {
        return OTR_OK;
    }
    if (tar->meta_type == 'g') {
        return otr_fail(err, OTR_EINVAL,
                        "the tar archive names, sizes or owns all of its members at once (a global "
                        "pax header): write it anew");
    }
    if (path || link) {
        return apply_text(path ? &tar->name : &tar->link, r, err);
    }
    if (size) {
        return apply_number(&tar->size, &tar->has_size, r, err);
    }
    return uid ? apply_number(&tar->uid, &tar->has_uid, r, err)
               : apply_number(&tar->gid, &tar->has_gid, r, err);
}

static otr_code end_meta(otr_tar *tar, otr_err *err)
{
    otr_bytes left = otr_buf_bytes(&tar->meta);
    if (tar->meta_type == 'L' || tar->meta_type == 'K') {
        return set_text(tar->meta_type == 'L' ? &tar->name : &tar->link, otr_buf_text(&tar->meta),
                        left.n, err);
    }
    otr_code rc = OTR_OK;
    while (rc == OTR_OK && left.n > 0) {
        record r;
        rc = take_record(&left, &r) ? apply_record(tar, &r, err) : bad_pax(err);
    }
    return rc;
}

/* ---- members ---- */

/* The name in the header itself, unless one came before. */
static otr_code take_name(otr_tar *tar, otr_err *err)
{
    if (tar->name.n > 0) {
        return OTR_OK;
    }
    const otr_tar_block *b = &tar->block;
    otr_code rc = OTR_OK;
    if (memcmp(b->magic, "ustar\0", 6) == 0 && b->prefix[0] != '\0') {
        rc = set_text(&tar->name, b->prefix, sizeof(b->prefix), err);
        if (rc == OTR_OK) {
            rc = otr_buf_addc(&tar->name, '/', err);
        }
    }
    return rc == OTR_OK ? otr_buf_add(&tar->name,
                                      (otr_bytes){ (const uint8_t *)b->name,
                                                   strnlen(b->name, sizeof(b->name)) },
                                      err)
                        : rc;
}

/* The name without "./" before and "/" behind it; "" is the archive's own folder. */
static const char *clean(otr_tar *tar)
{
    while (tar->name.n > 0 && tar->name.p[tar->name.n - 1] == '/') {
        otr_buf_cut(&tar->name, tar->name.n - 1);
    }
    const char *name = otr_buf_text(&tar->name);
    while (name[0] == '.' && name[1] == '/') {
        name += 2 + strspn(name + 2, "/");
    }
    return strcmp(name, ".") == 0 ? "" : name;
}

static otr_code make_path(const otr_tar *tar, const char *name, otr_buf *out, otr_err *err)
{
    if (name[0] == '/' || name[0] == '\0') {
        return otr_fail(err, OTR_EINVAL,
                        "the tar archive has a member \"%s\": names have to be "
                        "relative",
                        name);
    }
    const char *prefix = strcmp(tar->how->prefix, "/") == 0 ? "" : tar->how->prefix;
    return otr_buf_addf(out, err, "%s/%s", prefix, name);
}

static otr_code attributes_of(const otr_tar *tar, const char *name, otr_change_attributes *ret,
                              otr_err *err)
{
    const otr_tar_block *b = &tar->block;
    uint64_t mode = 0, uid = tar->uid, gid = tar->gid;
    *ret = OTR_CHANGE_KEEP_ALL;
    if (!take_number(b->mode, sizeof(b->mode), &mode) ||
        (!tar->has_uid && !take_number(b->uid, sizeof(b->uid), &uid)) ||
        (!tar->has_gid && !take_number(b->gid, sizeof(b->gid), &gid)) || uid >= UINT32_MAX ||
        gid >= UINT32_MAX) {
        return otr_fail(err, OTR_EINVAL,
                        "the tar archive's member \"%s\" has no valid mode or "
                        "owner",
                        name);
    }
    if (tar->how->attributes >= OTR_CHANGE_SOURCE_MODE) {
        ret->mode = (int)(mode & 0777);
    }
    if (tar->how->attributes == OTR_CHANGE_SOURCE_OWNER) {
        ret->uid = (int64_t)uid;
        ret->gid = (int64_t)gid;
    }
    return OTR_OK;
}

static otr_code begin_file(otr_tar *tar, const char *name, otr_err *err)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf path;
    otr_buf_init(&path, 2 * META_BYTES);
    otr_change_attributes how;
    otr_code rc = make_path(tar, name, &path, err);
    if (rc == OTR_OK) {
        rc = attributes_of(tar, name, &how, err);
    }
    if (rc == OTR_OK) {
        rc = otr_changes_begin(tar->set, otr_buf_text(&path), &how, tar->left, err);
    }
    tar->state = READ_FILE;
    return rc;
}

static otr_code begin_link(otr_tar *tar, const char *name, otr_err *err)
{
    const otr_tar_block *b = &tar->block;
    OTR_CLEANUP(otr_buf_deinit) otr_buf path;
    otr_buf_init(&path, 2 * META_BYTES);
    otr_code rc = tar->link.n > 0 ? OTR_OK : set_text(&tar->link, b->link, sizeof(b->link), err);
    if (rc == OTR_OK) {
        rc = make_path(tar, name, &path, err);
    }
    if (rc == OTR_OK) {
        rc = otr_changes_link(tar->set, otr_buf_text(&path), otr_buf_text(&tar->link), err);
    }
    return rc;
}

static const char *kind_of(char type)
{
    switch (type) {
    case '1':
        return "a hard link";
    case '3':
    case '4':
        return "a device";
    case '6':
        return "a FIFO";
    case 'S':
        return "a sparse file";
    case 'M':
        return "a piece of a file of several volumes";
    default:
        return "of a kind that is not known";
    }
}

/* A member that stands for itself: its data, if it has any, are read next. */
static otr_code begin_member(otr_tar *tar, otr_err *err)
{
    otr_code rc = take_name(tar, err);
    if (rc != OTR_OK) {
        return rc;
    }
    size_t n = tar->name.n;
    char type = tar->block.type;
    bool slash = n > 0 && tar->name.p[n - 1] == '/';
    const char *name = clean(tar);
    if (slash && (type == '0' || type == '\0')) {
        type = '5';
    }
    tar->state = READ_NOTHING;
    if (type == '0' || type == '\0' || type == '7') {
        return begin_file(tar, name, err);
    }
    if (type != '5' && type != '2' && type != 'V') {
        return otr_fail(err, OTR_EINVAL,
                        "the tar archive's member \"%s\" is %s: only files, folders and symbolic "
                        "links may be in it",
                        name, kind_of(type));
    }
    if (tar->left != 0) {
        return otr_fail(err, OTR_EINVAL, "the tar archive's member \"%s\" is no file and has data",
                        name);
    }
    return type == '2' ? begin_link(tar, name, err) : OTR_OK;
}

static void forget(otr_tar *tar)
{
    otr_buf_clear(&tar->name);
    otr_buf_clear(&tar->link);
    tar->has_size = tar->has_uid = tar->has_gid = false;
    tar->uid = tar->gid = tar->size = 0;
}

static bool is_meta(char type)
{
    return type == 'x' || type == 'g' || type == 'L' || type == 'K';
}

/* ---- blocks ---- */

static bool is_empty(const otr_tar_block *block)
{
    static const otr_tar_block zero;
    return memcmp(block, &zero, sizeof(zero)) == 0;
}

static otr_code no_tar(const otr_tar *tar, otr_err *err)
{
    static const struct {
        const char *magic;
        size_t n;
        const char *name;
    } packers[] = { { "\x1f\x8b", 2, "gzip" },
                    { "BZh", 3, "bzip2" },
                    { "\xfd"
                      "7zXZ",
                      5, "xz" },
                    { "\x28\xb5\x2f\xfd", 4, "zstd" } };
    for (size_t i = 0; tar->members == 0 && i < OTR_COUNT(packers); i++) {
        if (memcmp(&tar->block, packers[i].magic, packers[i].n) == 0) {
            return otr_fail(err, OTR_EINVAL,
                            "this tar archive is compressed by %s: unpack it first",
                            packers[i].name);
        }
    }
    return otr_fail(err, OTR_EINVAL,
                    tar->members == 0 ? "this is no tar archive"
                                      : "the tar archive is damaged: a header has another "
                                        "checksum than it says");
}

static bool sum_is_right(const otr_tar_block *b)
{
    uint64_t said;
    return take_number(b->checksum, sizeof(b->checksum), &said) &&
           (said == otr_tar_sum(b, OTR_TAR_UNSIGNED) || said == otr_tar_sum(b, OTR_TAR_SIGNED));
}

static otr_code take_header(otr_tar *tar, otr_err *err)
{
    const otr_tar_block *b = &tar->block;
    tar->have = 0;
    if (is_empty(b)) {
        if (++tar->empty >= 2) {
            tar->state = READ_END;
        }
        return OTR_OK;
    }
    if (tar->empty > 0 || !sum_is_right(b)) {
        return no_tar(tar, err);
    }
    if (++tar->members > OTR_LIMIT_CHANGE_TAR_MEMBERS) {
        return otr_fail(err, OTR_EQUOTA, "the tar archive has more than %d members",
                        OTR_LIMIT_CHANGE_TAR_MEMBERS);
    }
    bool meta = is_meta(b->type);
    tar->left = tar->size;
    if ((meta || !tar->has_size) && !take_number(b->size, sizeof(b->size), &tar->left)) {
        return otr_fail(err, OTR_EINVAL, "the tar archive is damaged: a member has no valid size");
    }
    tar->pad = (size_t)((OTR_TAR_BLOCK - tar->left % OTR_TAR_BLOCK) % OTR_TAR_BLOCK);
    if (!meta) {
        return begin_member(tar, err);
    }
    if (tar->left > META_BYTES) {
        return otr_fail(err, OTR_EQUOTA, "the tar archive has a name or header of %llu bytes",
                        (unsigned long long)tar->left);
    }
    tar->state = READ_META;
    tar->meta_type = b->type;
    otr_buf_clear(&tar->meta);
    return OTR_OK;
}

static otr_code end_data(otr_tar *tar, otr_err *err)
{
    reading was = tar->state;
    tar->state = READ_HEADER;
    if (was == READ_META) {
        return end_meta(tar, err);
    }
    forget(tar);
    return was == READ_FILE ? otr_changes_end(tar->set, err) : OTR_OK;
}

/* Takes the next bytes of a member, or what lies behind them. */
static otr_code take_data(otr_tar *tar, otr_bytes *piece, otr_err *err)
{
    size_t n = tar->left < piece->n ? (size_t)tar->left : piece->n;
    otr_bytes data = { piece->p, n };
    otr_code rc = OTR_OK;
    if (n > 0 && tar->state == READ_FILE) {
        rc = otr_changes_write(tar->set, data, err);
    } else if (n > 0 && tar->state == READ_META) {
        rc = otr_buf_add(&tar->meta, data, err);
    }
    tar->left -= n;
    size_t skip = piece->n - n < tar->pad && tar->left == 0 ? piece->n - n : tar->pad;
    skip = tar->left == 0 ? skip : 0;
    tar->pad -= skip;
    piece->p += n + skip;
    piece->n -= n + skip;
    if (rc == OTR_OK && tar->left == 0 && tar->pad == 0) {
        rc = end_data(tar, err);
    }
    return rc;
}

static otr_code step(otr_tar *tar, otr_bytes *piece, otr_err *err)
{
    if (tar->state != READ_HEADER) {
        return take_data(tar, piece, err);
    }
    size_t want = OTR_TAR_BLOCK - tar->have, n = piece->n < want ? piece->n : want;
    memcpy((uint8_t *)&tar->block + tar->have, piece->p, n);
    tar->have += n;
    piece->p += n;
    piece->n -= n;
    otr_code rc = tar->have == OTR_TAR_BLOCK ? take_header(tar, err) : OTR_OK;
    bool data = tar->state == READ_FILE || tar->state == READ_META || tar->state == READ_NOTHING;
    if (rc == OTR_OK && data && tar->left == 0 && tar->pad == 0) {
        rc = end_data(tar, err);
    }
    return rc;
}

otr_code otr_tar_feed(otr_tar *tar, otr_bytes piece, otr_err *err)
{
    if (tar->state == READ_FAILED) {
        return otr_fail(err, OTR_ESTATE, "the tar archive could not be read");
    }
    otr_code rc = OTR_OK;
    while (rc == OTR_OK && piece.n > 0 && tar->state != READ_END) {
        rc = step(tar, &piece, err);
    }
    if (rc != OTR_OK) {
        tar->state = READ_FAILED;
    }
    return rc;
}

otr_code otr_tar_end(otr_tar *tar, otr_err *err)
{
    if (tar->state == READ_FAILED) {
        return otr_fail(err, OTR_ESTATE, "the tar archive could not be read");
    }
    bool ended =
        tar->state == READ_END || (tar->state == READ_HEADER && tar->empty > 0 && tar->have == 0);
    tar->state = READ_END;
    if (ended) {
        return OTR_OK;
    }
    return tar->members == 0 ? otr_fail(err, OTR_EINVAL, "this is no tar archive")
                             : otr_fail(err, OTR_EINVAL, "the tar archive is cut short");
}

otr_code otr_changes_add_tar(otr_changes *set, const otr_change_source *how, int fd, otr_err *err)
{
    otr_tar *tar = NULL;
    OTR_CLEANUP(otr_freep) uint8_t *piece = otr_alloc(PIECE_BYTES);
    if (piece == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = otr_tar_new(set, how, &tar, err);
    while (rc == OTR_OK && tar->state != READ_END) {
        ssize_t n = read(fd, piece, PIECE_BYTES);
        if (n == 0) {
            break;
        }
        if (n > 0) {
            rc = otr_tar_feed(tar, (otr_bytes){ piece, (size_t)n }, err);
        } else if (errno != EINTR) {
            rc = otr_fail_sys(err, errno, "cannot read the tar archive");
        }
    }
    if (rc == OTR_OK) {
        rc = otr_tar_end(tar, err);
    }
    otr_tar_free(tar);
    return rc;
}
