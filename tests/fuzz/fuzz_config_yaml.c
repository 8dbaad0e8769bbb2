/*
 * YAML text into a tree, every typed read of every node, and the tree as JSON, which must be JSON.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/limits.h"
#include "config/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int ok)
{
    if (!ok) {
        abort();
    }
}

static void code_or_text(otr_code rc, const otr_err *err)
{
    must(rc == OTR_OK || (rc == OTR_EINVAL && err->msg[0] != '\0'));
}

static void read_all(const otr_node *node, unsigned depth)
{
    static const char *const known[] = { "load", "name", "limits", NULL };
    otr_err err = { 0 };
    int64_t whole;
    uint64_t size;
    bool yes;
    char where[64];
    must(depth <= OTR_LIMIT_CONFIG_DEPTH);
    code_or_text(otr_node_as_int(node, INT64_MIN, INT64_MAX, &whole, &err), &err);
    code_or_text(otr_node_as_bool(node, &yes, &err), &err);
    code_or_text(otr_node_as_duration_ns(node, &size, &err), &err);
    code_or_text(otr_node_as_bytes(node, &size, &err), &err);
    code_or_text(otr_node_only(node, known, &err), &err);
    must(otr_node_where(node, where, sizeof(where))[0] == 'f');
    must(otr_utf8_ok(otr_bytes_of(otr_node_text(node))));
    (void)otr_label_type_of(otr_node_text(node));
    for (size_t i = 0; i < otr_node_size(node); i++) {
        const char *key = otr_node_key_at(node, i);
        must(otr_node_kind(node) != OTR_NODE_MAP ||
             otr_node_get(node, key) == otr_node_at(node, i));
        read_all(otr_node_at(node, i), depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    otr_arena arena = { 0 };
    otr_err err = { 0 };
    const otr_node *root = NULL;
    otr_code rc = otr_yaml_parse((otr_bytes){ data, size }, "f.conf", &arena, &root, &err);
    if (rc == OTR_OK) {
        must(otr_node_kind(root) == OTR_NODE_MAP);
        read_all(root, 1);
        otr_buf out;
        otr_buf_init(&out, SIZE_MAX);
        must(otr_node_json(root, &out, &err) == OTR_OK);
        must(otr_json_valid(otr_buf_bytes(&out)));
        otr_buf_deinit(&out);
    } else {
        must(strncmp(err.msg, "f.conf:", 7) == 0 && root == NULL);
    }
    otr_arena_deinit(&arena);
    return 0;
}
