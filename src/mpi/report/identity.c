#include "mpi/report/identity.h"

#include <ctype.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "host/host.h"
#include "nginx/instance/id.h"

enum { PATH_BYTES = 4096, FILE_BYTES = 1 << 20, HEX_BYTES = 64 };

/* What the file holds, without white space around it; false: nothing that can be read. */
static bool read_file(const char *root, const char *path, otr_buf *out)
{
    char full[PATH_BYTES];
    otr_err err;
    int n = snprintf(full, sizeof(full), "%s%s", root, path);
    otr_buf_clear(out);
    if (n < 0 || (size_t)n >= sizeof(full) || otr_buf_read_file(out, full, &err) != OTR_OK) {
        return false;
    }
    while (out->n > 0 && isspace(out->p[out->n - 1])) {
        otr_buf_cut(out, out->n - 1);
    }
    return out->n > 0;
}

/* Version 3 UUID of a name in a name space. */
static void uuid_of(const uint8_t space[16], otr_bytes name, char out[OTR_NGINX_ID_BYTES])
{
    uint8_t data[16 + 256], sum[OTR_MD5_BYTES];
    size_t n = name.n < 256 ? name.n : 256;
    memcpy(data, space, 16);
    memcpy(data + 16, name.p, n);
    otr_nginx_md5((otr_bytes){ data, 16 + n }, sum);
    sum[6] = (uint8_t)((sum[6] & 0x0f) | 0x30);
    sum[8] = (uint8_t)((sum[8] & 0x3f) | 0x80);
    (void)snprintf(out, OTR_NGINX_ID_BYTES,
                   "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", sum[0],
                   sum[1], sum[2], sum[3], sum[4], sum[5], sum[6], sum[7], sum[8], sum[9], sum[10],
                   sum[11], sum[12], sum[13], sum[14], sum[15]);
}

static bool is_uuid(otr_bytes text)
{
    for (size_t i = 0; i < text.n; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text.p[i] != '-' : !isxdigit(text.p[i])) {
            return false;
        }
    }
    return text.n == 36;
}

/* The id that the machine has: as its firmware, its installation or this start of it says. */
static bool machine_id(const char *root, otr_buf *text, char out[40])
{
    if (read_file(root, "/sys/class/dmi/id/product_uuid", text) && is_uuid(otr_buf_bytes(text))) {
        (void)snprintf(out, 40, "%s", otr_buf_text(text));
    } else if (read_file(root, "/etc/machine-id", text) && text->n == 32) {
        const char *t = otr_buf_text(text);
        (void)snprintf(out, 40, "%.8s-%.4s-%.4s-%.4s-%.12s", t, t + 8, t + 12, t + 16, t + 20);
    } else if (read_file(root, "/proc/sys/kernel/random/boot_id", text)) {
        (void)snprintf(out, 40, "%s", otr_buf_text(text));
    } else {
        return false;
    }
    for (char *c = out; *c != '\0'; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    return true;
}

/* 64 hex digits that end a word of mountinfo, or follow "containers/" or "sandboxes/". */
static bool container_hex(otr_bytes text, otr_bytes *ret)
{
    size_t run = 0;
    for (size_t i = 0; i <= text.n; i++) {
        unsigned char c = i < text.n ? text.p[i] : ' ';
        bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        if (hex) {
            run++;
            continue;
        }
        const uint8_t *start = text.p + i - run;
        bool after = run < i && (start[-1] == '/' || start[-1] == ':' || start[-1] == '-');
        if (run == HEX_BYTES && after && (isspace(c) || c == '/' || c == '.')) {
            *ret = (otr_bytes){ start, HEX_BYTES };
            return true;
        }
        run = 0;
    }
    return false;
}

/* KEY=value or KEY="value" of os-release. */
static void release_value(otr_bytes text, const char *key, char out[OTR_IDENTITY_TEXT_BYTES])
{
    size_t key_n = strlen(key), n = 0;
    const char *p = (const char *)text.p, *end = p + text.n;
    out[0] = '\0';
    while (p < end) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        stop = stop != NULL ? stop : end;
        if ((size_t)(stop - p) > key_n && memcmp(p, key, key_n) == 0 && p[key_n] == '=') {
            for (p += key_n + 1; p < stop && n + 1 < OTR_IDENTITY_TEXT_BYTES; p++) {
                if (*p != '"' && *p != '\'') {
                    out[n++] = *p;
                }
            }
            out[n] = '\0';
            return;
        }
        p = stop < end ? stop + 1 : end;
    }
}

static void read_release(const char *root, otr_buf *text, otr_identity *ret)
{
    if (!read_file(root, "/etc/os-release", text) &&
        !read_file(root, "/usr/lib/os-release", text)) {
        return;
    }
    otr_bytes bytes = otr_buf_bytes(text);
    release_value(bytes, "VERSION_CODENAME", ret->codename);
    release_value(bytes, "ID", ret->release_id);
    release_value(bytes, "NAME", ret->name);
    release_value(bytes, "VERSION_ID", ret->version_id);
    release_value(bytes, "VERSION", ret->version);
}

otr_code otr_identity_read(const char *root, otr_identity *ret, otr_err *err)
{
    static const uint8_t nil[16] = { 0 };
    static const uint8_t dns[16] = { 0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1,
                                     0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8 };
    OTR_CLEANUP(otr_buf_deinit) otr_buf text;
    otr_identity made = { 0 };
    otr_bytes hex;
    char id[40];
    otr_buf_init(&text, FILE_BYTES);
    otr_code rc = otr_host_in_container(root, &made.container, err);
    if (rc != OTR_OK) {
        return rc;
    }
    if (made.container && read_file(root, "/proc/self/mountinfo", &text) &&
        container_hex(otr_buf_bytes(&text), &hex)) {
        uuid_of(dns, hex, made.id);
    } else if (machine_id(root, &text, id)) {
        uuid_of(nil, otr_bytes_of(id), made.id);
    } else {
        return otr_fail(err, OTR_ENOTFOUND,
                        "the machine has no id: neither /sys/class/dmi/id/product_uuid nor "
                        "/etc/machine-id nor /proc/sys/kernel/random/boot_id can be read");
    }
    if (gethostname(made.hostname, sizeof(made.hostname) - 1) != 0) {
        made.hostname[0] = '\0';
    }
    read_release(root, &text, &made);
    *ret = made;
    return OTR_OK;
}

/* NGINX Agent formats the executable's path as if it were a format, with one argument too many:
 * these are the words that this gives. */
otr_code otr_identity_agent(const char *binary, const char *config, char out[OTR_NGINX_ID_BYTES],
                            otr_err *err)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf name;
    otr_buf_init(&name, 3 * PATH_BYTES);
    otr_code rc = otr_buf_addf(&name, err, "%s%%!(EXTRA string=%s)", binary, config);
    if (rc == OTR_OK) {
        (void)otr_nginx_uuid(otr_buf_bytes(&name), out);
    }
    return rc;
}
