#include "plugin/source/source.h"

#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/frame.h"
#include "base/limits.h"
#include "base/log.h"
#include "plugin/manifest/url.h"
#include "plugin/source/fetch.h"
#include "plugin/source/trust.h"
#include "wasm/engine/codecache.h"

typedef struct remote { /* one otr_source_read() of an https source */
    const otr_source *source;
    const otr_manifest *m;
    otr_codecache *folder; /* NULL: nothing is kept */
    char key[OTR_SHA256_HEX_BYTES];
    char label[OTR_URL_LABEL_BYTES];
    otr_buf kept;       /* what the folder has, packed */
    otr_download have;  /* of it; file.n 0: nothing usable */
    otr_buf file, sign; /* what was fetched */
    bool unreached;
} remote;

otr_source otr_source_of(const otr_manifest *m)
{
    return (otr_source){ .manifest = m,
                         .location = m->source,
                         .sha256 = m->sha256,
                         .signature = m->signed_needed ? m->signature : NULL };
}

/* ---- what is kept ---- */

otr_code otr_download_pack(const otr_download *d, otr_buf *out, otr_err *err)
{
    otr_code rc = otr_frame_put(d->etag, out, err);
    rc = rc == OTR_OK ? otr_frame_put(d->signature, out, err) : rc;
    return rc == OTR_OK ? otr_buf_add(out, d->file, err) : rc;
}

bool otr_download_unpack(otr_bytes text, otr_download *ret)
{
    otr_download d;
    if (!otr_frame_take(&text, &d.etag) || !otr_frame_take(&text, &d.signature) ||
        d.etag.n >= OTR_ETAG_BYTES || d.signature.n > OTR_LIMIT_PLUGIN_SIG_BYTES) {
        return false;
    }
    d.file = text;
    *ret = d;
    return true;
}

/* The folder is a help, not a need: without it a start needs the network. */
static void open_folder(remote *r)
{
    otr_err err = { 0 };
    if (r->m->downloads != NULL &&
        otr_codecache_open(r->m->downloads, OTR_LIMIT_PLUGIN_DOWNLOADS_BYTES, &r->folder, &err) !=
            OTR_OK) {
        otr_log_warn("downloaded plugins are not kept", "plugin", r->m->name, "err", err.msg);
    }
    /* Of the place, not of the content: which content is good is decided at each use. */
    (void)otr_sha256_hex(otr_bytes_of(r->source->location), r->key);
}

static void look(remote *r)
{
    otr_err err = { 0 };
    if (r->folder == NULL) {
        return;
    }
    otr_code rc = otr_codecache_get(r->folder, r->key, &r->kept, &err);
    if (rc == OTR_OK && !otr_download_unpack(otr_buf_bytes(&r->kept), &r->have)) {
        rc = otr_fail(&err, OTR_EDENIED, "the file is not a download");
    }
    if (rc != OTR_OK) {
        r->have = (otr_download){ .file = { NULL, 0 } };
        if (rc != OTR_ENOTFOUND) {
            otr_log_warn("kept download is not used", "plugin", r->m->name, "err", err.msg);
        }
    }
}

static void keep(const remote *r, const otr_fetched *got)
{
    otr_err err = { 0 };
    otr_buf all;
    if (r->folder == NULL) {
        return;
    }
    otr_download d = { otr_bytes_of(got->etag), otr_buf_bytes(&r->sign), otr_buf_bytes(&r->file) };
    otr_buf_init(&all, OTR_LIMIT_PLUGIN_FILE_BYTES + OTR_LIMIT_PLUGIN_SIG_BYTES + 4096);
    otr_code rc = otr_download_pack(&d, &all, &err);
    rc = rc == OTR_OK ? otr_codecache_put(r->folder, r->key, otr_buf_bytes(&all), &err) : rc;
    if (rc != OTR_OK) {
        otr_log_warn("downloaded plugin is not kept", "plugin", r->m->name, "err", err.msg);
    }
    otr_buf_deinit(&all);
}

/* ---- https ---- */

/* All that is demanded of these bytes. */
static otr_code vouch(const remote *r, otr_bytes file, otr_bytes signature, otr_err *err)
{
    const otr_source *s = r->source;
    char label[OTR_URL_LABEL_BYTES];
    otr_code rc = otr_trust_digest(r->m, r->label, s->sha256, file, err);
    return rc == OTR_OK && s->signature != NULL
               ? otr_trust_signature(r->m, otr_url_label(s->signature, label), signature, file, err)
               : rc;
}

static otr_code fetch(remote *r, const char *url, const char *etag, otr_buf *out, otr_fetched *got,
                      otr_err *err)
{
    otr_fetch_spec spec = { .url = url,
                            .ca = r->m->ca,
                            .etag = etag,
                            .limit_ns = r->m->fetch_ns,
                            .ended = r->source->ended };
    otr_code rc = otr_fetch(&spec, out, got, err);
    r->unreached = rc == OTR_EIO || rc == OTR_ETIMEOUT;
    return rc;
}

static otr_code fetch_signature(remote *r, otr_err *err)
{
    const char *at = r->source->signature;
    otr_fetched got;
    if (at == NULL) {
        return OTR_OK;
    }
    return otr_url_is(at) ? fetch(r, at, NULL, &r->sign, &got, err)
                          : otr_buf_read_file(&r->sign, at, err);
}

static otr_code use_kept(const remote *r, otr_buf *out, otr_err *err)
{
    return otr_buf_add(out, r->have.file, err);
}

/* The server cannot be asked: what it gave before still holds. */
static otr_code fall_back(remote *r, otr_code rc, otr_buf *out, otr_err *err)
{
    if (!r->unreached || r->have.file.n == 0) {
        return rc;
    }
    otr_log_warn("source of plugin cannot be reached, using the kept download", "plugin",
                 r->m->name, "err", err != NULL ? err->msg : "");
    return use_kept(r, out, err);
}

static otr_code obtain(remote *r, otr_buf *out, otr_err *err)
{
    otr_err why = { 0 };
    bool fine = r->have.file.n > 0 && vouch(r, r->have.file, r->have.signature, &why) == OTR_OK;
    if (fine && r->source->sha256 != NULL) {
        return use_kept(r, out, err); /* the same bytes for ever */
    }
    char etag[OTR_ETAG_BYTES] = "";
    if (fine && r->have.etag.n > 0) {
        memcpy(etag, r->have.etag.p, r->have.etag.n);
        etag[r->have.etag.n] = '\0';
    } else if (!fine) {
        r->have = (otr_download){ .file = { NULL, 0 } };
    }
    otr_fetched got;
    otr_code rc = fetch(r, r->source->location, etag, &r->file, &got, err);
    if (rc == OTR_OK && got.unchanged) {
        return use_kept(r, out, err);
    }
    rc = rc == OTR_OK ? fetch_signature(r, err) : rc;
    if (rc != OTR_OK) {
        return fall_back(r, rc, out, err);
    }
    rc = vouch(r, otr_buf_bytes(&r->file), otr_buf_bytes(&r->sign), err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_log_info("plugin downloaded", "plugin", r->m->name, "source", r->label, "bytes",
                 OTR_U64(r->file.n));
    keep(r, &got);
    return otr_buf_add(out, otr_buf_bytes(&r->file), err);
}

static otr_code read_remote(const otr_source *s, otr_buf *out, bool *ret_unreached, otr_err *err)
{
    remote r = { .source = s, .m = s->manifest };
    (void)otr_url_label(s->location, r.label);
    if (s->sha256 == NULL && s->signature == NULL) {
        return otr_fail(err, OTR_EDENIED, "%s has neither a digest nor a signature to check (%s)",
                        r.label, s->manifest->where);
    }
    otr_buf_init(&r.kept, OTR_LIMIT_PLUGIN_FILE_BYTES + OTR_LIMIT_PLUGIN_SIG_BYTES + 4096);
    otr_buf_init(&r.file, OTR_LIMIT_PLUGIN_FILE_BYTES);
    otr_buf_init(&r.sign, OTR_LIMIT_PLUGIN_SIG_BYTES);
    open_folder(&r);
    look(&r);
    otr_code rc = obtain(&r, out, err);
    *ret_unreached = rc != OTR_OK && r.unreached;
    otr_codecache_close(r.folder);
    otr_buf_deinit(&r.kept);
    otr_buf_deinit(&r.file);
    otr_buf_deinit(&r.sign);
    return rc;
}

/* ---- files ---- */

static otr_code read_file(const otr_source *s, otr_buf *out, struct stat *ret, otr_err *err)
{
    const char *path = s->location;
    int fd = -1;
    otr_code rc = otr_file_open(path, &fd, ret, err);
    if (rc != OTR_OK) {
        return otr_wrap(err, rc, "source of the plugin at %s", s->manifest->where);
    }
    rc = otr_buf_read_fd(out, fd, err);
    rc = rc == OTR_OK ? OTR_OK : otr_wrap(err, rc, "%s", path);
    close(fd);
    return rc;
}

static otr_code check_file(const otr_source *s, otr_bytes file, bool *ret_unreached, otr_err *err)
{
    remote r = { .source = s, .m = s->manifest };
    (void)otr_url_label(s->location, r.label);
    otr_buf_init(&r.sign, OTR_LIMIT_PLUGIN_SIG_BYTES);
    otr_code rc = fetch_signature(&r, err);
    if (rc != OTR_OK) {
        rc = otr_wrap(err, rc, "the plugin at %s must be signed", r.m->where);
    }
    rc = rc == OTR_OK ? vouch(&r, file, otr_buf_bytes(&r.sign), err) : rc;
    *ret_unreached = rc != OTR_OK && r.unreached;
    otr_buf_deinit(&r.sign);
    return rc;
}

otr_code otr_source_read(const otr_source *source, otr_buf *out, otr_source_info *ret, otr_err *err)
{
    size_t before = out->n;
    *ret = (otr_source_info){ .unreached = false };
    if (otr_url_is(source->location)) {
        return read_remote(source, out, &ret->unreached, err);
    }
    otr_code rc = read_file(source, out, &ret->file, err);
    if (rc == OTR_OK) {
        otr_bytes file = { before > 0 ? out->p + before : out->p, out->n - before };
        rc = check_file(source, file, &ret->unreached, err);
    }
    if (rc != OTR_OK) {
        otr_buf_cut(out, before);
    }
    return rc;
}
