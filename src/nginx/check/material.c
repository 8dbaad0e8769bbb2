#include "nginx/check/material.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "nginx/check/facts.h" /* NOLINT(misc-include-cleaner): its members are used */
#include "nginx/check/target.h"
#include "nginx/files.h"

static void look_at(otr_look *l, const char *path, otr_material *m)
{
    int fd = -1;
    struct stat st;
    m->seen = otr_root_open(l->options->root, path, O_PATH, &fd, &m->why_unseen);
    if (m->seen != OTR_OK) {
        return;
    }
    if (fstat(fd, &st) != 0) {
        m->seen = otr_fail(&m->why_unseen, OTR_EIO, "its rights cannot be seen");
    } else {
        m->mode = st.st_mode;
        m->uid = st.st_uid;
    }
    (void)close(fd);
}

static void read_both(otr_look *l, const char *path, otr_material *m)
{
    otr_buf text;
    otr_buf_init(&text, OTR_LIMIT_NGINX_CERT_BYTES);
    otr_err err = { 0 };
    otr_code rc = otr_root_read(l->options->root, path, &text, NULL, &err);
    if (rc != OTR_OK) {
        m->certs_rc = m->key_rc = rc;
        m->why_no_certs = m->why_no_key = err;
    } else {
        m->certs_rc = otr_certs_read(otr_buf_bytes(&text), &m->certs, &m->why_no_certs);
        m->key_rc = otr_key_read(otr_buf_bytes(&text), &m->key, &m->why_no_key);
    }
    if (text.p != NULL) {
        explicit_bzero(text.p, text.n);
    }
    otr_buf_deinit(&text);
    if (m->certs_rc == OTR_ENOMEM || m->key_rc == OTR_ENOMEM) {
        otr_look_fail(l, otr_fail_nomem(l->err));
    }
}

static otr_material *make(otr_look *l, otr_bytes name, otr_bytes *ret_key)
{
    otr_buf path;
    otr_buf_init(&path, 2 * OTR_NGINX_PATH_BYTES);
    *ret_key = otr_keep(l, name);
    otr_material *m = otr_arena_alloc(&l->keep, 1, sizeof(*m));
    otr_code rc = m != NULL
                      ? otr_path_join(l->options->folder, (const char *)ret_key->p, &path, l->err)
                      : otr_fail_nomem(l->err);
    if (rc == OTR_OK && l->rc == OTR_OK) {
        look_at(l, otr_buf_text(&path), m);
        read_both(l, otr_buf_text(&path), m);
    } else if (rc == OTR_ENOMEM) {
        otr_look_fail(l, rc);
    } else if (m != NULL) { /* a path that is too long */
        m->seen = m->certs_rc = m->key_rc = rc;
    }
    otr_buf_deinit(&path);
    return m;
}

const otr_material *otr_material_of(otr_look *l, otr_bytes path)
{
    otr_facts *f = l->facts;
    if (path.n == 0 || otr_begins(path, "data:") || otr_begins(path, "engine:") ||
        otr_begins(path, "store:") || otr_begins(path, "object:") || otr_has_variable(path)) {
        return NULL;
    }
    const otr_table_item *known = otr_table_get(&f->material_by_path, path);
    if (known != NULL) {
        return f->material[known->value];
    }
    otr_bytes key;
    otr_material *m = make(l, path, &key);
    if (l->rc != OTR_OK) {
        return NULL;
    }
    otr_code rc =
        otr_grow(&f->material, f->n_material, &f->cap_material, sizeof(*f->material), l->err);
    if (rc == OTR_OK) {
        rc = otr_table_add(&f->material_by_path, key, (uint32_t)f->n_material, l->err);
    }
    if (rc != OTR_OK) {
        otr_look_fail(l, rc);
        return NULL;
    }
    f->material[f->n_material++] = m;
    return m;
}
