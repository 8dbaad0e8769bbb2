/*
 * What has to be known of all of a configuration before any of it can be judged: servers with their
 * sockets and names, upstreams and who uses them, what variables are set to.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NGINX_CHECK_FACTS_H
#define OTR_NGINX_CHECK_FACTS_H

#include "nginx/check/look.h"

typedef enum otr_source {                      /* of a variable's value */
                          OTR_SOURCE_SET,      /* set $x value */
                          OTR_SOURCE_MAP,      /* a block `map`, `geo` or `split_clients` */
                          OTR_SOURCE_LOCATION, /* a group of a location's pattern … */
                          OTR_SOURCE_NAME,     /* … of a server_name … */
                          OTR_SOURCE_REWRITE,  /* … of a rewrite … */
                          OTR_SOURCE_IF,       /* … of an if */
} otr_source;

typedef struct otr_definition { /* of a variable */
    otr_source source;
    const otr_node *node;
    uint32_t word;   /* of a server_name: which */
    uint32_t server; /* in which it holds, by its number; 0: everywhere */
} otr_definition;

typedef struct otr_listen { /* of a server */
    const otr_node *node;
    const otr_node *server_node;
    uint32_t server;
    uint32_t socket; /* which of `sockets` */
    bool is_default, ssl, is_stream;
} otr_listen;

typedef struct otr_socket {
    otr_bytes text;       /* "*:80", "[::1]:443", "unix:/x" */
    uint32_t first;       /* which of `listens` */
    uint32_t default_one; /* + 1: of the first one that says so; 0: none does */
    uint32_t n_servers;
} otr_socket;

typedef struct otr_upstream {
    otr_bytes name;
    const otr_node *node;
    bool is_stream, used;
    bool keeps; /* has `keepalive` */
} otr_upstream;

struct otr_facts {
    otr_table sockets_by_text, listens_by_server, names; /* of `names` the keys are "socket name" */
    otr_socket *sockets;
    size_t n_sockets, cap_sockets;
    otr_listen *listens;
    size_t n_listens, cap_listens;
    otr_table upstreams_by_name;
    otr_upstream *upstreams;
    size_t n_upstreams, cap_upstreams;
    otr_table hosts; /* that are passed to without variables, as "host" or "host:port": NGINX knows
                        them from its start */
    otr_table variables;      /* by name, without "$", and the server that they hold in */
    otr_table variable_names; /* by name alone: each once */
    otr_definition *definitions;
    size_t n_definitions, cap_definitions;
    otr_table passed;                        /* variables that are passed to */
    otr_table hosts_of_values;               /* hosts that a variable may be set to */
    otr_table material_by_path, asked_names; /* of those who look at files and names */
    struct otr_material **material;
    size_t n_material, cap_material;
    bool opaque; /* code may name an upstream in ways that are not seen here */
};

void otr_facts_deinit(otr_facts *facts);
/* For otr_look_walk(): takes up what stands at `spot`. */
void otr_facts_take(otr_look *l, const otr_spot *spot);

/* Calls `fn` for what defines a variable in the server that is looked at, until it returns false.
 */
typedef bool otr_definition_fn(otr_look *l, const otr_definition *definition, void *arg);
void otr_facts_definitions(otr_look *l, otr_bytes name, otr_definition_fn *fn, void *arg);

/* NULL: there is none of this name. */
otr_upstream *otr_facts_upstream(const otr_facts *facts, otr_bytes name, bool is_stream);
bool otr_is_pass(otr_d id); /* proxy_pass and its kin */

/* Calls `fn` with each key of `names` that a server_name has on a socket: ".x" is "x" and "*.x". */
typedef void otr_name_fn(otr_look *l, otr_bytes key, void *arg);
void otr_name_keys(otr_look *l, uint32_t socket, otr_bytes name, otr_name_fn *fn, void *arg);
/* The first of the server that is looked at; NULL: none. */
const otr_table_item *otr_facts_listens(const otr_look *l);

#endif
