/*
 * YAML values as JSON.
 *
 * Thread: any.
 */
#ifndef OTR_CONFIG_NODE_JSON_H
#define OTR_CONFIG_NODE_JSON_H

#include "base/json.h"
#include "config/node.h"

/* For people: values whose member name speaks of a token, password, secret or the like are "***".
 */
void otr_node_show(const otr_node *node, otr_jw *w, const char *key);

#endif
