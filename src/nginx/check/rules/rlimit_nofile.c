#include "nginx/check/rules/rules.h"

static bool number_of(otr_bytes text, uint64_t *ret)
{
    *ret = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9' || *ret > UINT32_MAX) {
            return false;
        }
        *ret = *ret * 10 + (uint64_t)(text.p[i] - '0');
    }
    return text.n > 0;
}

static void look(otr_look *l, const otr_spot *spot)
{
    uint64_t files, connections;
    const otr_entry *e = otr_scope_nearest(l, spot->scope, OTR_D_WORKER_RLIMIT_NOFILE, NULL);
    if (e == NULL || !number_of(otr_arg(l, e->node, 1), &files) ||
        !number_of(otr_arg(l, spot->node, 1), &connections) || files >= connections) {
        return;
    }
    otr_find(l, spot->node, 0,
             "worker_connections %llu is more than the %llu files that "
             "worker_rlimit_nofile lets a worker open",
             (unsigned long long)connections, (unsigned long long)files);
}

const otr_rule otr_rule_rlimit_nofile = {
    .id = "rlimit-nofile",
    .level = OTR_CHECK_WARNING,
    .title = "Fewer files than connections",
    .why = "Each connection is an open file, and one that is passed on is two: above the limit "
           "accept() "
           "fails with \"Too many open files\".",
    .mend = "Set worker_rlimit_nofile to at least twice worker_connections.",
    .reference = "https://nginx.org/en/docs/ngx_core_module.html#worker_rlimit_nofile",
    .on = { OTR_D_WORKER_CONNECTIONS },
    .look = look,
};
