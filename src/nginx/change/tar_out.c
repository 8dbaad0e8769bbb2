#include <stdio.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "nginx/change/sources.h"
#include "nginx/change/tar_block.h"

enum { NAME = 100, PREFIX = 155, ID_MOST = 07777777, PIECE_BYTES = 65536 };

static const uint8_t zeros[OTR_TAR_BLOCK];

static void put_octal(char *field, size_t n, uint64_t value)
{
    for (size_t i = n - 1; i > 0; i--) {
        field[i - 1] = (char)('0' + (value & 7));
        value >>= 3;
    }
}

static void put_text(char *field, size_t n, const char *text, size_t len)
{
    memcpy(field, text, len < n ? len : n);
}

static otr_code write_block(const otr_tar_out *out, otr_tar_block *block, otr_err *err)
{
    memset(block->checksum, ' ', sizeof(block->checksum));
    put_octal(block->checksum, sizeof(block->checksum) - 1, otr_tar_sum(block, OTR_TAR_UNSIGNED));
    block->checksum[sizeof(block->checksum) - 2] = '\0';
    return out->write(out->arg, (otr_bytes){ (const uint8_t *)block, sizeof(*block) }, err);
}

static void fill(otr_tar_block *block, char type, unsigned mode, uint64_t size)
{
    memset(block, 0, sizeof(*block));
    put_octal(block->mode, sizeof(block->mode), mode);
    put_octal(block->uid, sizeof(block->uid), 0);
    put_octal(block->gid, sizeof(block->gid), 0);
    put_octal(block->size, sizeof(block->size), size);
    put_octal(block->mtime, sizeof(block->mtime), 0);
    block->type = type;
    memcpy(block->magic,
           "ustar\0"
           "00",
           sizeof(block->magic));
}

otr_code otr_tar_pad(const otr_tar_out *out, uint64_t size, otr_err *err)
{
    size_t over = (size_t)(size % OTR_TAR_BLOCK);
    return over == 0 ? OTR_OK
                     : out->write(out->arg, (otr_bytes){ zeros, OTR_TAR_BLOCK - over }, err);
}

otr_code otr_tar_finish(const otr_tar_out *out, otr_err *err)
{
    otr_code rc = out->write(out->arg, (otr_bytes){ zeros, sizeof(zeros) }, err);
    return rc == OTR_OK ? out->write(out->arg, (otr_bytes){ zeros, sizeof(zeros) }, err) : rc;
}

/* ---- what a plain header cannot hold goes into a pax one before it ---- */

/* "LENGTH key=value\n", whose length counts its own digits. */
static otr_code put_record(otr_buf *to, const char *key, const char *value, otr_err *err)
{
    size_t rest = strlen(key) + strlen(value) + 3, n = rest, digits = 0;
    do {
        n = rest + digits;
        digits = 1;
        for (size_t v = n; v >= 10; v /= 10) {
            digits++;
        }
    } while (n != rest + digits);
    return otr_buf_addf(to, err, "%zu %s=%s\n", n, key, value);
}

static otr_code put_number(otr_buf *to, const char *key, uint64_t value, otr_err *err)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    return put_record(to, key, text, err);
}

/* Name into the two fields it has; false when it does not fit. */
static bool put_name(otr_tar_block *block, const char *name)
{
    size_t n = strlen(name);
    if (n <= NAME) {
        put_text(block->name, NAME, name, n);
        return true;
    }
    for (const char *slash = strchr(name, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        size_t head = (size_t)(slash - name), tail = n - head - 1;
        if (head <= PREFIX && head > 0 && tail <= NAME && tail > 0) {
            put_text(block->prefix, PREFIX, name, head);
            put_text(block->name, NAME, slash + 1, tail);
            return true;
        }
    }
    put_text(block->name, NAME, name, n); /* cut: the pax header has all of it */
    return false;
}

static otr_code write_pax(const otr_tar_out *out, const otr_buf *records, otr_err *err)
{
    otr_tar_block block;
    fill(&block, 'x', 0644, records->n);
    put_text(block.name, NAME, "pax", 3);
    otr_code rc = write_block(out, &block, err);
    if (rc == OTR_OK) {
        rc = out->write(out->arg, otr_buf_bytes(records), err);
    }
    return rc == OTR_OK ? otr_tar_pad(out, records->n, err) : rc;
}

otr_code otr_tar_begin(const otr_tar_out *out, const otr_tar_member *member, otr_err *err)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf pax;
    otr_buf_init(&pax, 4 * (OTR_LIMIT_CHANGE_PATH_BYTES + 1));
    otr_tar_block block;
    fill(&block, member->link != NULL ? '2' : '0', member->mode & 0777, member->size);
    otr_code rc = OTR_OK;
    if (!put_name(&block, member->name)) {
        rc = put_record(&pax, "path", member->name, err);
    }
    if (rc == OTR_OK && member->link != NULL) {
        put_text(block.link, NAME, member->link, strlen(member->link));
        if (strlen(member->link) > NAME) {
            rc = put_record(&pax, "linkpath", member->link, err);
        }
    }
    put_octal(block.uid, sizeof(block.uid), member->uid <= ID_MOST ? member->uid : 0);
    put_octal(block.gid, sizeof(block.gid), member->gid <= ID_MOST ? member->gid : 0);
    if (rc == OTR_OK && member->uid > ID_MOST) {
        rc = put_number(&pax, "uid", member->uid, err);
    }
    if (rc == OTR_OK && member->gid > ID_MOST) {
        rc = put_number(&pax, "gid", member->gid, err);
    }
    if (rc == OTR_OK && pax.n > 0) {
        rc = write_pax(out, &pax, err);
    }
    return rc == OTR_OK ? write_block(out, &block, err) : rc;
}

/* ---- a whole set ---- */

static otr_code write_content(const otr_changes *set, const otr_change_file *file,
                              const otr_tar_out *out, otr_err *err)
{
    OTR_CLEANUP(otr_freep) uint8_t *piece = otr_alloc(PIECE_BYTES);
    if (piece == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = OTR_OK;
    for (uint64_t at = 0; rc == OTR_OK && at < file->size;) {
        size_t n = 0;
        rc = otr_changes_pread(set, file, at, piece, PIECE_BYTES, &n, err);
        if (rc == OTR_OK) {
            rc = out->write(out->arg, (otr_bytes){ piece, n }, err);
        }
        at += n;
    }
    return rc == OTR_OK ? otr_tar_pad(out, file->size, err) : rc;
}

otr_code otr_tar_of_changes(const otr_changes *set, const char *prefix, const otr_tar_out *out,
                            otr_err *err)
{
    size_t skip = strlen(prefix);
    skip -= skip > 0 && prefix[skip - 1] == '/' ? 1 : 0;
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < otr_changes_count(set); i++) {
        const otr_change_file *file = otr_changes_at(set, i);
        if (file->kind == OTR_CHANGE_DELETE || strncmp(file->path, prefix, skip) != 0 ||
            file->path[skip] != '/') {
            continue;
        }
        const otr_change_attributes *how = &file->attributes;
        const otr_tar_member member = {
            .name = file->path + skip + 1,
            .mode = how->mode != OTR_CHANGE_KEEP ? (mode_t)how->mode : 0644,
            .uid = how->uid != OTR_CHANGE_KEEP ? (uid_t)how->uid : 0,
            .gid = how->gid != OTR_CHANGE_KEEP ? (gid_t)how->gid : 0,
            .size = file->size,
            .link = file->link,
        };
        rc = otr_tar_begin(out, &member, err);
        if (rc == OTR_OK && file->kind == OTR_CHANGE_PUT) {
            rc = write_content(set, file, out, err);
        }
    }
    return rc == OTR_OK ? otr_tar_finish(out, err) : rc;
}
