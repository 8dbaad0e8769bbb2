#include "nginx/check/facts.h"
#include "nginx/check/rules/rules.h"

typedef struct name_at {
    const otr_node *node;
    uint32_t word, socket;
    otr_bytes name;
} name_at;

static void look_up(otr_look *l, otr_bytes key, void *arg)
{
    const name_at *at = arg;
    const otr_facts *f = l->facts;
    const otr_table_item *first = otr_table_get(&f->names, key);
    if (first == NULL || first->value >= l->servers) {
        return;
    }
    otr_bytes server = { (const uint8_t *)&first->value, sizeof(first->value) };
    const otr_table_item *listen = otr_table_get(&f->listens_by_server, server);
    const otr_node *other = f->listens[listen->value].server_node;
    otr_find(
        l, at->node, at->word,
        "server_name \"%.*s\" is that of the server at %s:%u already, on %.*s: this one is not "
        "asked by it",
        OTR_S(at->name), l->conf->files[other->file].path, other->line,
        OTR_S(f->sockets[at->socket].text));
}

static void look_at_socket(otr_look *l, const otr_spot *spot, uint32_t socket)
{
    const otr_entry *e = otr_scope_first(l, spot->inner, OTR_D_SERVER_NAME);
    name_at at = { .node = spot->node, .socket = socket };
    if (e == NULL) {
        otr_name_keys(l, socket, at.name, look_up, &at);
    }
    for (; e != NULL; e = otr_scope_next(l, spot->inner, e)) {
        for (at.word = 1; at.word < e->node->n_words; at.word++) {
            at.node = e->node;
            at.name = otr_arg(l, e->node, at.word);
            if (!otr_begins(at.name, "~")) {
                otr_name_keys(l, socket, at.name, look_up, &at);
            }
        }
    }
}

static void look(otr_look *l, const otr_spot *spot)
{
    const otr_facts *f = l->facts;
    if (spot->inner == NULL || spot->inner->place != OTR_AT_SERVER) {
        return;
    }
    for (const otr_table_item *i = otr_facts_listens(l); i != NULL;
         i = otr_table_next(&f->listens_by_server, i)) {
        look_at_socket(l, spot, f->listens[i->value].socket);
    }
}

const otr_rule otr_rule_duplicate_server_name = {
    .id = "duplicate-server-name",
    .level = OTR_CHECK_WARNING,
    .title = "Two servers of one socket have the same name",
    .why = "NGINX takes the first one and ignores the name in the others (\"conflicting server "
           "name\"): what they say about this site has no effect.",
    .mend = "Merge the two servers, or give them other names or other addresses in listen.",
    .reference = "https://nginx.org/en/docs/http/server_names.html",
    .on = { OTR_D_SERVER },
    .look = look,
};
