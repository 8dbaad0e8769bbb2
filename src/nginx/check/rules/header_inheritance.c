#include <stdio.h>

#include "nginx/check/rules/rules.h"

enum { NAMED_MOST = 6, LIST_BYTES = 300 };

static const char *const of_security[] = {
    "Strict-Transport-Security",
    "Content-Security-Policy",
    "X-Frame-Options",
    "X-Content-Type-Options",
    "Referrer-Policy",
    "Permissions-Policy",
    "X-XSS-Protection",
    "Cross-Origin-Opener-Policy",
    "Cross-Origin-Embedder-Policy",
    "Cross-Origin-Resource-Policy",
};

static bool is_of_security(otr_bytes name)
{
    for (size_t i = 0; i < OTR_COUNT(of_security); i++) {
        if (otr_is_any_case(name, of_security[i])) {
            return true;
        }
    }
    return false;
}

static bool has(otr_look *l, const otr_scope *scope, otr_d id, otr_bytes name)
{
    for (const otr_entry *e = otr_scope_first(l, scope, id); e != NULL;
         e = otr_scope_next(l, scope, e)) {
        if (otr_same_any_case(otr_arg(l, e->node, 1), name)) {
            return true;
        }
    }
    return false;
}

/* add_header_inherit of 1.29.3 and later: "merge" keeps them, "off" drops them on purpose. */
static bool is_settled(otr_look *l, const otr_spot *spot)
{
    otr_d by = spot->id == OTR_D_ADD_HEADER    ? OTR_D_ADD_HEADER_INHERIT
               : spot->id == OTR_D_ADD_TRAILER ? OTR_D_ADD_TRAILER_INHERIT
                                               : OTR_D_OTHER;
    const otr_entry *e = by != OTR_D_OTHER ? otr_scope_nearest(l, spot->scope, by, NULL) : NULL;
    return e != NULL &&
           (otr_is(otr_arg(l, e->node, 1), "merge") || otr_is(otr_arg(l, e->node, 1), "off"));
}

typedef struct lost {
    char names[LIST_BYTES];
    size_t n, n_bytes;
    bool serious;
} lost;

static void lose(lost *to, otr_bytes name)
{
    if (to->n++ < NAMED_MOST) {
        int n = snprintf(to->names + to->n_bytes, LIST_BYTES - to->n_bytes, "%s%.*s",
                         to->n > 1 ? ", " : "", OTR_S(name));
        to->n_bytes += n > 0 && (size_t)n < LIST_BYTES - to->n_bytes ? (size_t)n : 0;
    } else if (to->n == NAMED_MOST + 1) {
        (void)snprintf(to->names + to->n_bytes, LIST_BYTES - to->n_bytes, ", ...");
    }
    to->serious |= is_of_security(name);
}

static void look(otr_look *l, const otr_spot *spot)
{
    const otr_scope *outer = NULL;
    const otr_entry *first = otr_scope_first(l, spot->scope, spot->id);
    if (first == NULL || first->node != spot->node || spot->scope->outer == NULL ||
        is_settled(l, spot)) {
        return;
    }
    const otr_entry *e = otr_scope_nearest(l, spot->scope->outer, spot->id, &outer);
    lost all = { 0 };
    const otr_node *at = e != NULL ? e->node : NULL;
    for (; e != NULL; e = otr_scope_next(l, outer, e)) {
        otr_bytes name = otr_arg(l, e->node, 1);
        if (!has(l, spot->scope, spot->id, name)) {
            lose(&all, name);
        }
    }
    if (all.n == 0) {
        return;
    }
    if (spot->id == OTR_D_ADD_HEADER || spot->id == OTR_D_ADD_TRAILER) {
        l->level = all.serious ? OTR_CHECK_WARNING : OTR_CHECK_NOTE;
    }
    otr_bytes name = { spot->node->words[0].p, spot->node->words[0].n };
    otr_find(l, spot->node, 0,
             "%.*s here takes away what the outer block sets at %s:%u: %s %s not set here",
             OTR_S(name), l->conf->files[at->file].path, at->line, all.names,
             all.n > 1 ? "are" : "is");
}

const otr_rule otr_rule_header_inheritance = {
    .id = "header-inheritance",
    .level = OTR_CHECK_WARNING,
    .title = "One header in a block drops all those of the block around it",
    .why = "add_header, proxy_set_header and their kin are inherited only by blocks that have none "
           "of their own: one of them in a location, and the others of the server are gone.",
    .mend = "Repeat the others in this block (an included file keeps them in one place), or set "
            "add_header_inherit merge; (NGINX 1.29.3).",
    .reference = "https://nginx.org/en/docs/http/ngx_http_headers_module.html#add_header",
    .on = { OTR_D_ADD_HEADER, OTR_D_ADD_TRAILER, OTR_D_PROXY_SET_HEADER, OTR_D_GRPC_SET_HEADER,
            OTR_D_FASTCGI_PARAM, OTR_D_UWSGI_PARAM, OTR_D_SCGI_PARAM },
    .look = look,
};
