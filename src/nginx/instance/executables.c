#include "nginx/instance/executables.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "nginx/files.h"

enum { FIRST_RETRY_S = 5, LAST_RETRY_S = 600 };

static void deinit(executable *e)
{
    otr_free(e->path);
    otr_free(e->file);
    otr_binary_deinit(&e->binary);
}

void otr_executables_deinit(executables *list)
{
    for (size_t i = 0; i < list->n; i++) {
        deinit(&list->items[i]);
    }
    otr_free(list->items);
    *list = (executables){ 0 };
}

static bool same_key(const otr_file_key *a, const otr_file_key *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->mtime_ns == b->mtime_ns && a->size == b->size;
}

executable *otr_executables_find(executables *list, const otr_file_key *key)
{
    for (size_t i = 0; i < list->n; i++) {
        if (same_key(&list->items[i].key, key)) {
            return &list->items[i];
        }
    }
    return NULL;
}

static otr_code make(const char *proc_root, const otr_master *m, executable *e, otr_err *err)
{
    char exe[OTR_NGINX_PATH_BYTES];
    (void)snprintf(exe, sizeof(exe), "%s/%d/exe", proc_root, (int)m->pid);
    e->key = m->file;
    e->path = otr_strdup(m->binary);
    e->file = otr_strdup(m->replaced ? exe : m->binary);
    if (e->path == NULL || e->file == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = otr_binary_read(proc_root, m, &e->binary, err);
    e->state = EXECUTABLE_READY;
    if (rc == OTR_OK || rc == OTR_ENOMEM) {
        return rc;
    }
    rc = otr_binary_unknown(&e->binary, err);
    /* What lies in a container is not run: it is not ours, and may not run here. */
    e->state = m->root[0] == '\0' ? EXECUTABLE_ASK : EXECUTABLE_READY;
    return rc;
}

otr_code otr_executables_get(executables *list, const char *proc_root, const otr_master *m,
                             executable **ret, otr_err *err)
{
    executable *e = otr_executables_find(list, &m->file);
    if (e == NULL) {
        if (list->n == list->cap) {
            size_t cap = list->cap > 0 ? 2 * list->cap : 4;
            executable *items = otr_realloc(list->items, cap * sizeof(*items));
            if (items == NULL) {
                return otr_fail_nomem(err);
            }
            list->items = items;
            list->cap = cap;
        }
        executable made = { 0 };
        otr_code rc = make(proc_root, m, &made, err);
        if (rc != OTR_OK) {
            deinit(&made);
            return rc;
        }
        list->items[list->n] = made;
        e = &list->items[list->n++];
    }
    e->used = true;
    *ret = e;
    return OTR_OK;
}

otr_code otr_executables_answer(executable *e, const otr_bytes *output, otr_err *err)
{
    otr_binary binary;
    otr_code rc = output != NULL ? otr_binary_parse(*output, &binary, err) : OTR_EINVAL;
    if (rc == OTR_OK) {
        otr_binary_deinit(&e->binary);
        e->binary = binary;
        e->state = EXECUTABLE_READY;
        return OTR_OK;
    }
    uint64_t pause = FIRST_RETRY_S;
    for (unsigned i = 0; i < e->failures && pause < LAST_RETRY_S; i++) {
        pause *= 2;
    }
    e->failures++;
    e->retry_ns = otr_now_ns() + (pause < LAST_RETRY_S ? pause : LAST_RETRY_S) * OTR_NS_PER_S;
    e->state = EXECUTABLE_FAILED;
    return rc == OTR_ENOMEM ? rc : OTR_OK;
}

void otr_executables_sweep(executables *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->n; i++) {
        executable *e = &list->items[i];
        if (!e->used && e->state != EXECUTABLE_ASKED) {
            deinit(e);
            continue;
        }
        e->used = false;
        list->items[kept++] = *e;
    }
    list->n = kept;
}
