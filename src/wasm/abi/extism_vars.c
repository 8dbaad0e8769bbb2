/* Variables of one Extism guest: a sorted array is enough for what a quota of a megabyte holds. */
#include "base/alloc.h"
#include "wasm/abi/extism.h"

static int compare(const otr_extism_var *v, otr_bytes key)
{
    size_t n = v->key_n < key.n ? v->key_n : key.n;
    int order = n > 0 ? memcmp(v->bytes, key.p, n) : 0;
    return order != 0 ? order : (v->key_n > key.n) - (v->key_n < key.n);
}

/* Where `key` is or belongs. */
static size_t place(const otr_extism_vars *vars, otr_bytes key, bool *ret_found)
{
    size_t low = 0, high = vars->n;
    *ret_found = false;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = compare(&vars->items[mid], key);
        if (order == 0) {
            *ret_found = true;
            return mid;
        }
        if (order < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static uint64_t cost(size_t key_n, size_t value_n)
{
    return (uint64_t)key_n + value_n + OTR_EXTISM_VAR_OVERHEAD;
}

bool otr_extism_vars_get(const otr_extism_vars *vars, otr_bytes key, otr_bytes *ret)
{
    bool found;
    size_t at = place(vars, key, &found);
    if (found) {
        const otr_extism_var *v = &vars->items[at];
        *ret = (otr_bytes){ (const uint8_t *)v->bytes + v->key_n, v->value_n };
    }
    return found;
}

static otr_code insert(otr_extism_vars *vars, size_t at, otr_err *err)
{
    otr_code rc = otr_grow(&vars->items, vars->n, &vars->cap, sizeof(*vars->items), err);
    if (rc != OTR_OK) {
        return rc;
    }
    memmove(&vars->items[at + 1], &vars->items[at], (vars->n - at) * sizeof(*vars->items));
    vars->items[at] = (otr_extism_var){ 0 };
    vars->n++;
    return OTR_OK;
}

otr_code otr_extism_vars_set(otr_extism_vars *vars, otr_bytes key, otr_bytes value,
                             uint64_t max_bytes, otr_err *err)
{
    bool found;
    size_t at = place(vars, key, &found);
    uint64_t old = found ? cost(key.n, vars->items[at].value_n) : 0;
    uint64_t bytes = vars->bytes - old + cost(key.n, value.n);
    if (bytes > max_bytes) {
        return otr_fail(err, OTR_EQUOTA,
                        "variables would take %llu bytes together; the limit is %llu",
                        (unsigned long long)bytes, (unsigned long long)max_bytes);
    }
    char *copy = otr_alloc(key.n + value.n + 1);
    if (copy == NULL) {
        return otr_fail_nomem(err);
    }
    if (!found && insert(vars, at, err) != OTR_OK) {
        otr_free(copy);
        return OTR_ENOMEM;
    }
    if (key.n > 0) {
        memcpy(copy, key.p, key.n);
    }
    if (value.n > 0) {
        memcpy(copy + key.n, value.p, value.n);
    }
    otr_free(vars->items[at].bytes);
    vars->items[at] = (otr_extism_var){ .bytes = copy, .key_n = key.n, .value_n = value.n };
    vars->bytes = bytes;
    return OTR_OK;
}

void otr_extism_vars_remove(otr_extism_vars *vars, otr_bytes key)
{
    bool found;
    size_t at = place(vars, key, &found);
    if (!found) {
        return;
    }
    vars->bytes -= cost(key.n, vars->items[at].value_n);
    otr_free(vars->items[at].bytes);
    vars->n--;
    memmove(&vars->items[at], &vars->items[at + 1], (vars->n - at) * sizeof(*vars->items));
}

void otr_extism_vars_deinit(otr_extism_vars *vars)
{
    for (size_t i = 0; i < vars->n; i++) {
        otr_free(vars->items[i].bytes);
    }
    otr_free(vars->items);
    *vars = (otr_extism_vars){ 0 };
}
