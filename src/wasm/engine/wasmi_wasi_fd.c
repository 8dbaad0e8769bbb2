/* WASI's descriptors for a guest without folders: stdin is empty, stdout and stderr become log
 * lines, there are no others. */
#include "wasm/engine/wasmi.h"

#ifdef OTR_HAVE_WASMI

enum { MOST_PIECES = 1024, MOST_BYTES = 65536, CHARACTER_DEVICE = 2 };
enum { RIGHT_READ = 2, RIGHT_WRITE = 64 };

static void give_line(wi_instance *i, int fd)
{
    wi_line *l = &i->lines[fd - 1];
    i->line(i->base.user, fd, (otr_bytes){ (uint8_t *)l->text, l->n });
    l->n = 0;
}

void otr_wasmi_take_text(otr_instance *inst, int fd, const uint8_t *p, size_t n)
{
    wi_instance *i = (wi_instance *)inst;
    wi_line *l = &i->lines[fd - 1];
    if (i->line == NULL) {
        return;
    }
    if (l->text == NULL) {
        l->text = otr_alloc(OTR_LIMIT_PLUGIN_LOG_BYTES);
    }
    if (l->text == NULL) {
        return; /* a lost log line is better than a guest that fails because it prints */
    }
    for (size_t at = 0; at < n; at++) {
        if (p[at] == '\n') {
            give_line(i, fd);
        } else {
            l->text[l->n++] = (char)p[at];
            if (l->n == OTR_LIMIT_PLUGIN_LOG_BYTES) {
                give_line(i, fd);
            }
        }
    }
}

void otr_wasmi_flush_lines(wi_instance *i)
{
    for (int fd = 1; fd <= 2; fd++) {
        if (i->line != NULL && i->lines[fd - 1].n > 0) {
            give_line(i, fd);
        }
    }
}

/* (fd, pieces, n, ret_written): up to a ceiling that keeps the call short, so it may be partial. */
otr_code otr_wasmi_fd_write(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)user;
    (void)err;
    int32_t fd = vals[0].i32;
    uint32_t n = (uint32_t)vals[2].i32, sum = 0;
    if (fd != 1 && fd != 2) {
        return wi_answer(vals, WASI_BADF);
    }
    if (n > MOST_PIECES) {
        return wi_answer(vals, WASI_INVAL);
    }
    const uint8_t *pieces = wi_at(inst, vals[1].i32, (uint64_t)n * 8);
    uint8_t *ret = wi_at(inst, vals[3].i32, 4);
    if (pieces == NULL || ret == NULL) {
        return wi_answer(vals, WASI_FAULT);
    }
    for (uint32_t k = 0; k < n; k++) {
        uint32_t len = (uint32_t)otr_le_load(pieces + (size_t)k * 8 + 4, 4);
        const uint8_t *p = wi_at(inst, (int32_t)otr_le_load(pieces + (size_t)k * 8, 4), len);
        if (p == NULL) {
            return wi_answer(vals, WASI_FAULT);
        }
        len = len < MOST_BYTES - sum ? len : MOST_BYTES - sum;
        otr_wasmi_take_text(inst, fd, p, len);
        sum += len;
    }
    otr_le_store(ret, 4, sum);
    return wi_answer(vals, WASI_OK);
}

/* (fd, pieces, n, ret_read): stdin is at its end. */
otr_code otr_wasmi_fd_read(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)user;
    (void)err;
    uint8_t *ret = wi_at(inst, vals[3].i32, 4);
    if (vals[0].i32 != 0) {
        return wi_answer(vals, WASI_BADF);
    }
    if (ret == NULL) {
        return wi_answer(vals, WASI_FAULT);
    }
    otr_le_store(ret, 4, 0);
    return wi_answer(vals, WASI_OK);
}

static bool standard(int32_t fd)
{
    return fd >= 0 && fd <= 2;
}

/* Closing, syncing and setting flags of a standard descriptor changes nothing. */
otr_code otr_wasmi_fd_close(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)user;
    (void)inst;
    (void)err;
    return wi_answer(vals, standard(vals[0].i32) ? WASI_OK : WASI_BADF);
}

/* What needs a position: the standard descriptors have none. */
otr_code otr_wasmi_fd_seek(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)user;
    (void)inst;
    (void)err;
    return wi_answer(vals, standard(vals[0].i32) ? WASI_SPIPE : WASI_BADF);
}

/* (fd, ret: type u8, flags u16 at 2, rights u64 at 8, rights to pass on u64 at 16) */
otr_code otr_wasmi_fd_fdstat_get(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)user;
    (void)err;
    uint8_t *ret = wi_at(inst, vals[1].i32, 24);
    if (!standard(vals[0].i32)) {
        return wi_answer(vals, WASI_BADF);
    }
    if (ret == NULL) {
        return wi_answer(vals, WASI_FAULT);
    }
    memset(ret, 0, 24);
    ret[0] = CHARACTER_DEVICE;
    otr_le_store(ret + 8, 8, vals[0].i32 == 0 ? RIGHT_READ : RIGHT_WRITE);
    return wi_answer(vals, WASI_OK);
}

/* (fd, ret: 64 bytes with the type at 16) */
otr_code otr_wasmi_fd_filestat_get(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)user;
    (void)err;
    uint8_t *ret = wi_at(inst, vals[1].i32, 64);
    if (!standard(vals[0].i32)) {
        return wi_answer(vals, WASI_BADF);
    }
    if (ret == NULL) {
        return wi_answer(vals, WASI_FAULT);
    }
    memset(ret, 0, 64);
    ret[16] = CHARACTER_DEVICE;
    return wi_answer(vals, WASI_OK);
}

otr_code otr_wasmi_bad_fd(void *user, otr_instance *inst, otr_val *vals, otr_err *err)
{
    (void)user;
    (void)inst;
    (void)err;
    return wi_answer(vals, WASI_BADF);
}

#endif
