#include "host/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, PIECE_BYTES = 4096, NUMBER_BYTES = 32 };

static otr_code read_all(int fd, otr_buf *out, otr_err *err)
{
    for (;;) {
        uint8_t *to;
        otr_code rc = otr_buf_reserve(out, PIECE_BYTES, &to, err);
        if (rc == OTR_EQUOTA) {
            otr_buf_clear(out); /* half of it would be wrong */
            return OTR_OK;
        }
        if (rc != OTR_OK) {
            return rc;
        }
        ssize_t n = read(fd, to, PIECE_BYTES);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            otr_buf_clear(out);
        }
        if (n <= 0) {
            return OTR_OK;
        }
        otr_buf_grew(out, (size_t)n);
    }
}

otr_code otr_host_text(const char *root, const char *path, otr_buf *out, otr_err *err)
{
    char full[PATH_BYTES];
    otr_buf_clear(out);
    int len = snprintf(full, sizeof(full), "%s%s", root, path);
    if (len < 0 || (size_t)len >= sizeof(full)) {
        return OTR_OK;
    }
    int fd = open(full, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        return OTR_OK;
    }
    otr_code rc = read_all(fd, out, err);
    close(fd);
    return rc;
}

bool otr_host_line(otr_bytes *rest, otr_bytes *ret)
{
    if (rest->n == 0) {
        return false;
    }
    const uint8_t *end = memchr(rest->p, '\n', rest->n);
    size_t n = end != NULL ? (size_t)(end - rest->p) : rest->n;
    *ret = (otr_bytes){ rest->p, n };
    n += end != NULL ? 1 : 0;
    *rest = (otr_bytes){ rest->p + n, rest->n - n };
    return true;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

bool otr_host_word(otr_bytes *rest, otr_bytes *ret)
{
    size_t from = 0;
    while (from < rest->n && is_blank(rest->p[from])) {
        from++;
    }
    size_t to = from;
    while (to < rest->n && !is_blank(rest->p[to])) {
        to++;
    }
    if (to == from) {
        return false;
    }
    *ret = (otr_bytes){ rest->p + from, to - from };
    *rest = (otr_bytes){ rest->p + to, rest->n - to };
    return true;
}

bool otr_host_is(otr_bytes word, const char *text)
{
    return word.n == strlen(text) && memcmp(word.p, text, word.n) == 0;
}

bool otr_host_u64(otr_bytes word, uint64_t *ret)
{
    uint64_t value = 0;
    for (size_t i = 0; i < word.n; i++) {
        unsigned digit = (unsigned)word.p[i] - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = 10 * value + digit;
    }
    if (word.n > 0) {
        *ret = value;
    }
    return word.n > 0;
}

bool otr_host_f64(otr_bytes word, double *ret)
{
    char text[NUMBER_BYTES];
    if (word.n == 0 || word.n >= sizeof(text)) {
        return false;
    }
    memcpy(text, word.p, word.n);
    text[word.n] = '\0';
    if (strspn(text, "0123456789.") != word.n) {
        return false;
    }
    char *end;
    double value = strtod(text, &end);
    if (*end != '\0') {
        return false;
    }
    *ret = value;
    return true;
}

bool otr_host_next_u64(otr_bytes *rest, uint64_t *ret)
{
    otr_bytes word;
    return otr_host_word(rest, &word) && otr_host_u64(word, ret);
}

bool otr_host_find(otr_bytes text, const char *key, uint64_t *ret)
{
    otr_bytes line, word;
    while (otr_host_line(&text, &line)) {
        if (otr_host_word(&line, &word) && otr_host_is(word, key)) {
            return otr_host_next_u64(&line, ret);
        }
    }
    return false;
}

void otr_host_copy(otr_bytes word, char *out, size_t cap)
{
    size_t n = word.n < cap ? word.n : cap - 1;
    memcpy(out, word.p, n);
    out[n] = '\0';
}
