/*
 * The layout of a YAML value, for the files that build and walk the tree.
 *
 * Nodes live in an arena and do not change once the reader is done. An alias is a copy of the node
 * that shares its members, with the place and the name of where it is used.
 *
 * Thread: any, once built.
 */
#ifndef OTR_CONFIG_NODE_H
#define OTR_CONFIG_NODE_H

#include "config/config.h"

typedef struct otr_member {
    const otr_node *key; /* NULL in a list */
    const otr_node *value;
} otr_member;

struct otr_node {
    otr_node_type kind;
    bool plain;       /* a scalar without quotes or !!str: its text decides on its type */
    uint8_t height;   /* 1 for a scalar */
    uint32_t line;    /* from 1 */
    uint32_t column;  /* from 1, in characters */
    uint32_t n;       /* members */
    uint32_t weight;  /* nodes in it, aliases counted with all that they stand for */
    const char *file; /* as errors name it */
    const char *name; /* of the member it is, or "" */
    const char *text; /* a scalar's; "" for others */
    const otr_member *members;
};

/* "<file>:<line>:<column>: " and then the text. Always OTR_EINVAL. */
otr_code otr_node_fail(const otr_node *at, otr_err *err, const char *format, ...) OTR_PRINTF(3, 4);
/* As "at:line:column: name: expected <what>, got …": what `node` holds is shown. */
otr_code otr_node_expected(const otr_node *node, otr_err *err, const char *what);
bool otr_node_is_null(const otr_node *node); /* nothing, "~" or null, without quotes */

#endif
