/* Locations of a server, and those inside of them. */
#include "base/alloc.h"
#include "nginx/impact/labels.h"
#include "nginx/impact/match.h"
#include "nginx/impact/radius.h"

typedef struct location {
    otr_kid kid;
    const char *name;
} location;

typedef struct locations {
    location *items;
    otr_match_item *match;
    size_t n;
} locations;

static bool is_location(const otr_node *node)
{
    return otr_node_is(node, "location") && node->has_block;
}

static bool is_own(const otr_node *node)
{
    return !is_location(node);
}

static void locations_deinit(locations *l)
{
    otr_free(l->items);
    otr_free(l->match);
}

static otr_code find_locations(otr_radius *r, const otr_kids *kids, locations *ret, otr_err *err)
{
    otr_code rc = OTR_OK;
    ret->items = otr_calloc(kids->n + 1, sizeof(*ret->items));
    ret->match = otr_calloc(kids->n + 1, sizeof(*ret->match));
    if (ret->items == NULL || ret->match == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; rc == OTR_OK && i < kids->n; i++) {
        if (is_location(kids->items[i].node)) {
            location *l = &ret->items[ret->n];
            l->kid = kids->items[i];
            rc = otr_label_words(&r->arena, l->kid, 1, &l->name, err);
            ret->match[ret->n++] = (otr_match_item){ l->name, OTR_NO_MATE };
        }
    }
    return rc;
}

static otr_code tell(otr_radius *r, const otr_scene *scene, const location *l, otr_effect_way way,
                     const char *why, otr_err *err)
{
    otr_effect effect = { .kind = OTR_EFFECT_LOCATION,
                          .way = way,
                          .block = scene->block,
                          .name = l->name,
                          .server = scene->server,
                          .why = why };
    otr_when when = way == OTR_EFFECT_REMOVED ? OTR_BEFORE : OTR_AFTER;
    otr_code rc = otr_radius_add(r, &effect, l->kid, err);
    return rc == OTR_OK && when == OTR_AFTER
               ? otr_radius_know(r, scene->node, l->kid.node, NULL, err)
               : rc;
}

static otr_code compare_pair(otr_radius *r, const otr_scene *scene, const location *a,
                             const location *b, size_t *ret_n, otr_err *err)
{
    bool same;
    otr_code rc = otr_kid_same(r->graph, a->kid, b->kid, &same, err);
    if (rc != OTR_OK || same) {
        return rc;
    }
    otr_kids old = { 0 }, new = { 0 };
    otr_names names = { 0 };
    size_t inner = 0;
    const char *why = NULL;
    rc = otr_kid_expand(r->graph, OTR_BEFORE, a->kid, OTR_EXPAND_ALL, &old, err);
    rc = rc == OTR_OK ? otr_kid_expand(r->graph, OTR_AFTER, b->kid, OTR_EXPAND_ALL, &new, err) : rc;
    rc = rc == OTR_OK ? otr_groups_compare(r->graph, &old, &new, is_own, &r->arena, &names, err)
                      : rc;
    rc = rc == OTR_OK ? otr_radius_locations(r, scene, &old, &new, &inner, err) : rc;
    if (rc == OTR_OK && names.n > 0) {
        rc = otr_names_text(&names, &r->arena, &why, err);
        rc = rc == OTR_OK ? tell(r, scene, b, OTR_EFFECT_CHANGED, why, err) : rc;
    }
    *ret_n += inner + (names.n > 0);
    otr_names_deinit(&names);
    otr_kids_deinit(&old);
    otr_kids_deinit(&new);
    return rc;
}

/* Of regular expressions the first that matches counts. */
static otr_code tell_order(otr_radius *r, const otr_scene *scene, const locations *new,
                           size_t *ret_n, otr_err *err)
{
    otr_code rc = OTR_OK;
    uint32_t last = 0;
    for (size_t i = 0; rc == OTR_OK && i < new->n; i++) {
        uint32_t mate = new->match[i].mate;
        if (mate == OTR_NO_MATE || new->items[i].name[0] != '~') {
            continue;
        }
        if (mate < last) {
            rc = tell(r, scene, &new->items[i], OTR_EFFECT_TOUCHED, "order of locations", err);
            (*ret_n)++;
        }
        last = mate > last ? mate : last;
    }
    return rc;
}

static otr_code compare(otr_radius *r, const otr_scene *scene, const locations *old,
                        const locations *new, size_t *ret_n, otr_err *err)
{
    otr_code rc = otr_match(&(otr_match_list){ old->match, old->n },
                            &(otr_match_list){ new->match, new->n }, err);
    for (size_t i = 0; rc == OTR_OK && i < new->n; i++) {
        if (new->match[i].mate == OTR_NO_MATE) {
            rc = tell(r, scene, &new->items[i], OTR_EFFECT_ADDED, NULL, err);
            (*ret_n)++;
        } else {
            rc =
                compare_pair(r, scene, &old->items[new->match[i].mate], &new->items[i], ret_n, err);
        }
    }
    for (size_t i = 0; rc == OTR_OK && i < old->n; i++) {
        if (old->match[i].mate == OTR_NO_MATE) {
            rc = tell(r, scene, &old->items[i], OTR_EFFECT_REMOVED, NULL, err);
            (*ret_n)++;
        }
    }
    return rc == OTR_OK ? tell_order(r, scene, new, ret_n, err) : rc;
}

otr_code otr_radius_locations(otr_radius *r, const otr_scene *scene, const otr_kids *old,
                              const otr_kids *new, size_t *ret_n, otr_err *err)
{
    locations a = { 0 }, b = { 0 };
    otr_code rc = find_locations(r, old, &a, err);
    rc = rc == OTR_OK ? find_locations(r, new, &b, err) : rc;
    rc = rc == OTR_OK ? compare(r, scene, &a, &b, ret_n, err) : rc;
    locations_deinit(&a);
    locations_deinit(&b);
    return rc;
}
