#include "nginx/check/facts.h"
#include "nginx/check/rules/rules.h"

/* Is it one that is meant for requests of any name? */
static bool is_catch_all(otr_look *l, const otr_scope *server)
{
    const otr_entry *e = otr_scope_first(l, server, OTR_D_SERVER_NAME);
    if (e == NULL) {
        return true;
    }
    for (; e != NULL; e = otr_scope_next(l, server, e)) {
        for (uint32_t i = 1; i < e->node->n_words; i++) {
            otr_bytes name = otr_arg(l, e->node, i);
            if (otr_is(name, "_") || name.n == 0) {
                return true;
            }
        }
    }
    return false;
}

static void look(otr_look *l, const otr_spot *spot)
{
    const otr_facts *f = l->facts;
    if (spot->inner == NULL || spot->inner->place != OTR_AT_SERVER || l->start != OTR_AT_MAIN ||
        is_catch_all(l, spot->inner)) {
        return;
    }
    for (const otr_table_item *i = otr_facts_listens(l); i != NULL;
         i = otr_table_next(&f->listens_by_server, i)) {
        const otr_socket *s = &f->sockets[f->listens[i->value].socket];
        if (s->first == i->value && s->n_servers > 1 && s->default_one == 0) {
            otr_find(
                l, spot->node, 0,
                "%u servers listen on %.*s and none is its default_server: this one, the first, "
                "answers for all other names as well",
                s->n_servers, OTR_S(s->text));
            return;
        }
    }
}

const otr_rule otr_rule_missing_default_server = {
    .id = "missing-default-server",
    .level = OTR_CHECK_NOTE,
    .title = "Which server answers for unknown names is left to the order of files",
    .why =
        "Requests with a name that no server has go to the first server of the socket; a new file "
        "that sorts before it changes which one that is.",
    .mend = "Give one server \"default_server\" in its listen; one that refuses (return 444;) is "
            "best.",
    .reference = "https://nginx.org/en/docs/http/request_processing.html",
    .on = { OTR_D_SERVER },
    .look = look,
};
