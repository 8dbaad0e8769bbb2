/*
 * YAML text into a tree of nodes, by libyaml's events.
 *
 * One document with a map at the top (or nothing at all: an empty map). Anchors, aliases and merge
 * keys ("<<") are resolved. Everything has a ceiling: bytes, depth, anchors, and nodes with aliases
 * counted as often as they are used. A key that stands twice in a map is an error.
 *
 * Thread: any; one tree at a time.
 */
#ifndef OTR_CONFIG_YAML_H
#define OTR_CONFIG_YAML_H

#include "base/arena.h"
#include "config/config.h"

/* `file` is what errors name; it must outlive the nodes, which live in `arena`. */
otr_code otr_yaml_parse(otr_bytes text, const char *file, otr_arena *arena, const otr_node **ret,
                        otr_err *err) OTR_MUST_CHECK;

#endif
