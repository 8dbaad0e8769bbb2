/*
 * Which pairs of file and format stand for the requests of each level.
 *
 * Levels with the fewest choices choose first, those that only conditional logs cover last. A pair
 * whose lines would be a second count of some level's requests is not chosen; where two levels have
 * forced pairs that a third one has both of, the later one is dropped. The levels that then have
 * none, or only a part, are named.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "nginx/instance/config_logs.h"

enum { REMARKS_MOST = 8 }; /* of levels; the rest is counted */

/* Is $status in the format, as a variable of its own? */
static bool has_status(const char *text)
{
    static const char plain[] = "$status", braced[] = "${status}";
    for (const char *at = text; at != NULL && (at = strstr(at, plain)) != NULL;) {
        at += sizeof(plain) - 1;
        bool longer = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
                      (*at >= '0' && *at <= '9') || *at == '_';
        if (!longer) {
            return true;
        }
    }
    return text == NULL || strstr(text, braced) != NULL;
}

typedef enum worth { NOTHING, SOME_REQUESTS, SOME_READABLE, ALL_REQUESTS, ALL_READABLE } worth;

/* What a use could stand for. */
static worth worth_of(const log_scan *s, const log_use *u)
{
    const log_pair *p = &s->pairs[u->pair];
    if (u->mixed || p->dropped || p->repeats == 0 || !has_status(p->text) ||
        s->config->access_logs[u->log].refused != NULL || s->states[u->log].excluded) {
        return NOTHING;
    }
    bool readable = !s->states[u->log].unreadable;
    return u->condition == NULL ? (readable ? ALL_READABLE : ALL_REQUESTS)
                                : (readable ? SOME_READABLE : SOME_REQUESTS);
}

static bool is_full(const log_scan *s, const log_use *u)
{
    return worth_of(s, u) >= ALL_REQUESTS;
}

static void count_choices(log_scan *s)
{
    for (size_t i = 0; i < s->n_levels; i++) {
        log_level *l = &s->levels[i];
        l->used = l->used && !l->off;
        for (size_t j = 0; j < l->n_uses; j++) {
            worth w = worth_of(s, &s->uses[l->first_use + j]);
            l->n_full += w >= ALL_REQUESTS;
            l->n_part += w != NOTHING && w < ALL_REQUESTS;
        }
    }
}

static void set_chosen(log_scan *s, size_t pair, bool chosen)
{
    log_pair *p = &s->pairs[pair];
    p->chosen = chosen;
    p->dropped |= !chosen;
    for (size_t i = 0; i < p->n_uses; i++) {
        log_level *l = &s->levels[s->uses[s->by_pair[p->first_by + i]].level];
        l->hits += chosen ? 1U : 0U;
        l->hits -= chosen ? 0U : 1U;
    }
}

/* How many levels would be covered in part by this pair though they could be covered in full;
 * SIZE_MAX: requests of one would be counted twice. */
static size_t cost_of(const log_scan *s, size_t pair)
{
    const log_pair *p = &s->pairs[pair];
    size_t cost = 0;
    for (size_t i = 0; i < p->n_uses; i++) {
        const log_use *u = &s->uses[s->by_pair[p->first_by + i]];
        const log_level *l = &s->levels[u->level];
        if (l->used && l->hits > 0) {
            return SIZE_MAX;
        }
        cost += l->used && l->n_full > 0 && !is_full(s, u);
    }
    return cost;
}

typedef struct choice {
    const log_use *use;
    size_t cost;
    worth worth;
} choice;

static bool is_better(const choice *a, const choice *than)
{
    if (than->use == NULL || a->worth != than->worth) {
        return than->use == NULL || a->worth > than->worth;
    }
    if (a->cost != than->cost) {
        return a->cost < than->cost;
    }
    return than->use->buffered && !a->use->buffered;
}

static void choose_for(log_scan *s, log_level *l)
{
    choice best = { 0 };
    for (size_t i = 0; l->hits == 0 && i < l->n_uses; i++) {
        choice c = { .use = &s->uses[l->first_use + i] };
        c.worth = worth_of(s, c.use);
        c.cost = c.worth != NOTHING ? cost_of(s, c.use->pair) : SIZE_MAX;
        if (c.cost != SIZE_MAX && is_better(&c, &best)) {
            best = c;
        }
    }
    if (best.use != NULL) {
        set_chosen(s, best.use->pair, true);
    }
    for (size_t i = 0, kept = 0; l->hits > 1 && i < l->n_uses; i++) {
        size_t pair = s->uses[l->first_use + i].pair;
        if (s->pairs[pair].chosen && kept++ > 0) {
            set_chosen(s, pair, false);
        }
    }
}

static size_t rank_of(const log_level *l)
{
    return l->n_full > 0 ? l->n_full : SIZE_MAX / 2 + l->n_part;
}

static int by_rank(const void *a, const void *b)
{
    const log_level *x = *(log_level *const *)a, *y = *(log_level *const *)b;
    if (rank_of(x) != rank_of(y)) {
        return rank_of(x) < rank_of(y) ? -1 : 1;
    }
    return x < y ? -1 : x > y;
}

static otr_code choose_all(log_scan *s, otr_err *err)
{
    log_level **order = otr_calloc(s->n_levels + 1, sizeof(log_level *));
    if (order == NULL) {
        return otr_fail_nomem(err);
    }
    size_t n = 0;
    for (size_t i = 0; i < s->n_levels; i++) {
        if (s->levels[i].used) {
            order[n++] = &s->levels[i];
        }
    }
    qsort(order, n, sizeof(log_level *), by_rank);
    for (size_t i = 0; i < 2 * n; i++) { /* again for those that lost theirs */
        choose_for(s, order[i % n]);
    }
    otr_free(order);
    return OTR_OK;
}

/* ---- what that leaves out ---- */

static const char *path_of(const log_scan *s, const log_use *u)
{
    return s->config->access_logs[u->log].path;
}

/* A use that does not stand for its level, in the order in which a reason says most. */
static otr_code say_why_not(const log_scan *s, const log_level *l, const log_use *u, otr_err *err)
{
    otr_remarks *to = &s->config->remarks;
    const log_pair *p = &s->pairs[u->pair];
    const char *path = path_of(s, u), *refused = s->config->access_logs[u->log].refused;
    if (refused != NULL) {
        return otr_remark(to, err, "%s: responses are not counted: %s", l->where, refused);
    }
    if (p->text != NULL && p->text[0] == '\0') {
        return otr_remark(to, err,
                          "%s: responses are not counted: the log_format of %s is not in what "
                          "could be read",
                          l->where, path);
    }
    if (!has_status(p->text)) {
        return otr_remark(to, err,
                          "%s: responses are not counted: the log_format of %s has no $status",
                          l->where, path);
    }
    if (u->mixed || p->repeats == 0) {
        return otr_remark(to, err,
                          "%s: responses are not counted: how many lines of %s a request makes "
                          "is not the same for all",
                          l->where, path);
    }
    return otr_remark(to, err,
                      "%s: responses are not counted: %s holds requests that other logs count "
                      "already",
                      l->where, path);
}

static otr_code say_missing(const log_scan *s, const log_level *l, otr_err *err)
{
    for (size_t i = 0; i < l->n_uses; i++) {
        const log_use *u = &s->uses[l->first_use + i];
        if (!s->states[u->log].excluded) {
            return say_why_not(s, l, u, err);
        }
    }
    if (l->n_uses > 0) {
        return OTR_OK; /* all of them are excluded: that is as it was wanted */
    }
    return l->elsewhere == NULL
               ? OTR_OK /* to nowhere, as `off` */
               : otr_remark(&s->config->remarks, err,
                            "%s: responses are not counted: they are logged to %s only, which "
                            "cannot be followed",
                            l->where, l->elsewhere);
}

/* Its one chosen pair covers a part of its requests. */
static otr_code say_part(log_scan *s, const log_level *l, const log_use *u, otr_err *err)
{
    s->config->access_logs[u->log].conditional = true;
    return otr_remark(&s->config->remarks, err,
                      "%s: not all responses are counted: %s has those for which if=%s holds",
                      l->where, path_of(s, u), u->condition);
}

static bool says_something(const log_scan *s, const log_level *l, const log_use **ret_part)
{
    *ret_part = NULL;
    if (!l->used) {
        return false;
    }
    for (size_t i = 0; i < l->n_uses; i++) {
        const log_use *u = &s->uses[l->first_use + i];
        if (s->pairs[u->pair].chosen && u->condition != NULL) {
            *ret_part = u;
        }
    }
    return *ret_part != NULL || (l->hits == 0 && (l->n_uses > 0 || l->elsewhere != NULL));
}

otr_code otr_log_scan_choose(log_scan *s, otr_err *err)
{
    count_choices(s);
    otr_code rc = choose_all(s, err);
    size_t n = 0;
    for (size_t i = 0; rc == OTR_OK && i < s->n_levels; i++) {
        const log_level *l = &s->levels[i];
        const log_use *part;
        if (!says_something(s, l, &part) || n++ >= REMARKS_MOST) {
            continue;
        }
        rc = part != NULL ? say_part(s, l, part, err) : say_missing(s, l, err);
    }
    if (rc == OTR_OK && n > REMARKS_MOST) {
        rc = otr_remark(&s->config->remarks, err,
                        "%zu more levels have access logs that do not tell of all their responses",
                        n - REMARKS_MOST);
    }
    return rc;
}
