#include "nginx/check/facts.h"
#include "nginx/check/rules/rules.h"

/* The `listens` of this server stand side by side. */
static void look(otr_look *l, const otr_spot *spot)
{
    const otr_facts *f = l->facts;
    if (spot->inner == NULL || spot->inner->place == OTR_AT_MAIL_SERVER) {
        return;
    }
    for (const otr_table_item *i = otr_facts_listens(l); i != NULL;
         i = otr_table_next(&f->listens_by_server, i)) {
        const otr_listen *one = &f->listens[i->value];
        const otr_socket *s = &f->sockets[one->socket];
        const otr_table_item *j = otr_facts_listens(l);
        while (j != i && f->listens[j->value].socket != one->socket) {
            j = otr_table_next(&f->listens_by_server, j);
        }
        if (j != i) {
            otr_find(l, one->node, 1, "this server listens on %.*s twice: NGINX does not start",
                     OTR_S(s->text));
        } else if (one->is_default && s->default_one != i->value + 1) {
            const otr_node *other = f->listens[s->default_one - 1].node;
            otr_find(l, one->node, 1,
                     "%.*s has a default_server at %s:%u already: NGINX does not start",
                     OTR_S(s->text), l->conf->files[other->file].path, other->line);
        } else if (one->is_stream && s->n_servers > 1 && s->first != i->value &&
                   l->options->nginx_version < 1025005 && l->options->nginx_version != 0) {
            otr_find(l, one->node, 1,
                     "another server of stream listens on %.*s: NGINX does not start",
                     OTR_S(s->text));
        }
    }
}

const otr_rule otr_rule_duplicate_listen = {
    .id = "duplicate-listen",
    .level = OTR_CHECK_ERROR,
    .title = "A socket is listened on, or has its default server, twice",
    .why =
        "A server may name a socket once, and of all servers of a socket one may be its default: "
        "NGINX does not start.",
    .mend = "Take one of the two out.",
    .reference = "https://nginx.org/en/docs/http/ngx_http_core_module.html#listen",
    .on = { OTR_D_SERVER },
    .look = look,
};
