#include "nginx/check/rules/rules.h"

typedef struct tally {
    unsigned all, down, backup;
} tally;

static void take(otr_look *l, const otr_node *server, tally *t)
{
    bool down = false, backup = false;
    for (uint32_t i = 2; i < server->n_words; i++) {
        otr_bytes word = otr_arg(l, server, i);
        down |= otr_is(word, "down");
        backup |= otr_is(word, "backup");
    }
    t->all++;
    t->down += down;
    t->backup += backup;
}

static void look(otr_look *l, const otr_spot *spot)
{
    tally t = { 0 };
    if (spot->inner == NULL || otr_scope_first(l, spot->inner, OTR_D_STATE) != NULL) {
        return;
    }
    otr_bytes name = otr_arg(l, spot->node, 1);
    for (const otr_entry *e = otr_scope_first(l, spot->inner, OTR_D_SERVER); e != NULL;
         e = otr_scope_next(l, spot->inner, e)) {
        take(l, e->node, &t);
    }
    if (t.all == 0 && otr_scope_first(l, spot->inner, OTR_D_ZONE) == NULL) {
        otr_find(l, spot->node, 0, "upstream \"%.*s\" has no server: NGINX does not start",
                 OTR_S(name));
    } else if (t.all > 0 && t.backup == t.all) {
        otr_find(l, spot->node, 0,
                 "upstream \"%.*s\" has backup servers only: NGINX does not start", OTR_S(name));
    } else if (t.all > 0 && t.down == t.all) {
        otr_find(l, spot->node, 0,
                 "all %u servers of upstream \"%.*s\" are marked down: each request "
                 "ends with 502",
                 t.all, OTR_S(name));
    }
}

const otr_rule otr_rule_upstream_down = {
    .id = "upstream-down",
    .level = OTR_CHECK_ERROR,
    .title = "An upstream without a server that can answer",
    .why =
        "Servers marked down are not asked, and an upstream needs at least one that is no backup.",
    .mend = "Take the down of one server away, or take the upstream out with what passes to it.",
    .reference = "https://nginx.org/en/docs/http/ngx_http_upstream_module.html#server",
    .on = { OTR_D_UPSTREAM },
    .look = look,
};
