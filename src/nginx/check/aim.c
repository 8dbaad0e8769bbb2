#include "nginx/check/aim.h"

#include "nginx/check/target.h"

enum { DEPTH_MOST = 4, TAIL_BYTES = 3 };

typedef struct aimer {
    otr_look *l;
    const otr_scope *scope;
    const otr_node *rewrite;
    const otr_setting *setting; /* whose text is looked at; NULL: of none */
    otr_bytes by;
    otr_aim worst;
    unsigned depth;
} aimer;

static bool begins_path(const otr_shape *s)
{
    otr_set path = { 0 };
    otr_set_add(&path, '/');
    otr_set_add(&path, '?');
    return !otr_set_is_empty(s->first) &&
           otr_set_is_empty(otr_set_and(s->first, otr_set_not(path)));
}

static otr_value value_of(const aimer *a, otr_bytes name)
{
    if (a->setting != NULL) {
        return otr_value_in_text(a->l, a->scope, a->setting, name);
    }
    return a->rewrite != NULL ? otr_value_in_rewrite(a->l, a->scope, a->rewrite, name)
                              : otr_value_of_variable(a->l, a->scope, name);
}

/* Is there fixed text behind it that ends a host name? */
static bool is_tail(otr_bytes text)
{
    size_t n = 0;
    while (n < text.n && text.p[n] != ':' && text.p[n] != '$') {
        n++;
    }
    return n >= TAIL_BYTES && (text.p[0] == '.' || text.p[0] == '-') &&
           memchr(text.p, '.', n) != NULL;
}

/* Does the host end before this, so that what comes is part of the port? */
static bool has_port(otr_bytes before)
{
    size_t from = 0;
    if (before.n > 0 && before.p[0] == '[') {
        const uint8_t *close = memchr(before.p, ']', before.n);
        from = close != NULL ? (size_t)(close - before.p) : before.n;
    }
    return before.n > from && memchr(before.p + from, ':', before.n - from) != NULL;
}

static otr_aim aim_of_value(const otr_value *v, otr_bytes before, otr_bytes after)
{
    const otr_shape *s = &v->shape;
    if (!v->client) {
        return v->host && !is_tail(after) ? OTR_AIM_HOST : OTR_AIM_FIXED;
    }
    if (s->texts < OTR_PATTERN_MANY || begins_path(s)) {
        return OTR_AIM_FIXED;
    }
    if (has_port(before)) {
        return OTR_AIM_PORT;
    }
    bool leaves = otr_set_has_any(&s->chars, "/?#");
    if ((is_tail(after) || (s->tail >= TAIL_BYTES && s->to_end)) && !leaves) {
        return OTR_AIM_FIXED;
    }
    return before.n > 0 && !leaves && !otr_set_has_any(&s->chars, ".:[]") ? OTR_AIM_FIXED
                                                                          : OTR_AIM_OPEN;
}

static void aim_text(aimer *a, otr_bytes text);

static void aim_each(otr_look *l, const otr_setting *setting, void *arg)
{
    (void)l;
    aimer *a = arg;
    const otr_setting *before = a->setting;
    if (otr_has_variable(setting->text)) {
        a->setting = setting;
        aim_text(a, setting->text);
        a->setting = before;
    }
}

static void note(aimer *a, otr_aim aim, otr_bytes name)
{
    if (aim > a->worst) {
        a->worst = aim;
        if (a->depth <= 1) {
            a->by = name;
        }
    }
}

/* The variable that is all of a place: each of its values is a place of its own. True: done. */
static bool aim_whole(aimer *a, otr_bytes name, const otr_value *v)
{
    otr_aim before = a->worst;
    if (a->depth >= DEPTH_MOST || (name.n == 1 && name.p[0] <= '9')) {
        return false;
    }
    a->worst = OTR_AIM_FIXED;
    bool all = otr_value_each(a->l, a->scope, name, aim_each, a);
    otr_aim found = a->worst;
    a->worst = before;
    if (!all) {
        return false;
    }
    note(a, v->client || v->host ? found : OTR_AIM_FIXED, name);
    return true;
}

static void aim_text(aimer *a, otr_bytes text)
{
    otr_bytes place = otr_target_of(text).place, rest = place;
    otr_bytes only = otr_only_variable(place);
    otr_part part;
    a->depth++;
    while (otr_part_next(&rest, &part)) {
        if (!part.is_variable) {
            continue;
        }
        otr_value v = value_of(a, part.text);
        if (begins_path(&v.shape) && part.text.p > place.p) {
            break;
        }
        if (only.n > 0 && aim_whole(a, only, &v)) {
            break;
        }
        otr_bytes before = { place.p, (size_t)(part.text.p - place.p) - 1 };
        if (before.n > 0 && before.p[before.n - 1] == '$') { /* "${name}" */
            before.n--;
        }
        note(a, aim_of_value(&v, before, rest), part.text);
    }
    a->depth--;
}

otr_aim otr_aim_of(otr_look *l, const otr_scope *scope, const otr_node *rewrite, otr_bytes text,
                   otr_bytes *ret_by)
{
    aimer a = { .l = l, .scope = scope, .rewrite = rewrite };
    aim_text(&a, text);
    *ret_by = a.by;
    return a.worst;
}

otr_bytes otr_place_text(otr_look *l, const otr_scope *scope, otr_bytes text)
{
    otr_bytes place = otr_target_of(text).place, rest = place;
    otr_part part;
    while (otr_part_next(&rest, &part)) {
        if (part.is_variable && part.text.p > place.p + 2) {
            otr_value v = otr_value_of_variable(l, scope, part.text);
            if (begins_path(&v.shape)) {
                size_t n = (size_t)(part.text.p - place.p) - 1;
                return (otr_bytes){ place.p, n > 0 && place.p[n - 1] == '$' ? n - 1 : n };
            }
        }
    }
    return place;
}
