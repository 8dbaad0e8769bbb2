#include "nginx/check/check.h"

#include "base/alloc.h"
#include "nginx/check/facts.h"
#include "nginx/check/part.h"
#include "nginx/check/suppress.h"
#include "nginx/files.h"

static otr_code read_main(const otr_check_spec *spec, otr_check *check, otr_err *err)
{
    otr_buf path;
    otr_buf_init(&path, 2 * OTR_NGINX_PATH_BYTES);
    otr_code rc = otr_path_join(spec->parse.folder != NULL ? spec->parse.folder : "/",
                                spec->parse.path, &path, err);
    if (rc == OTR_OK) {
        rc = otr_root_read(spec->parse.root, otr_buf_text(&path), &check->text, NULL, err);
    }
    otr_buf_deinit(&path);
    return rc;
}

/* ---- files that include each other ---- */

typedef struct rings {
    const otr_conf *conf;
    uint8_t *state;     /* of a file: 0 not seen, 1 being read, 2 done */
    const otr_node *at; /* the include that closes a ring, or goes too deep */
} rings;

static void look_for_ring(rings *r, const otr_node *first, unsigned depth)
{
    for (const otr_node *node = first; node != NULL && r->at == NULL; node = node->next) {
        if (node->has_block) {
            look_for_ring(r, node->block, depth);
        }
        for (uint32_t i = 0; i < node->n_includes && r->at == NULL; i++) {
            uint32_t file = node->includes[i];
            if (r->state[file] == 1 || depth >= OTR_LIMIT_NGINX_INCLUDE_DEPTH) {
                r->at = node;
            } else if (r->state[file] == 0) {
                r->state[file] = 1;
                look_for_ring(r, r->conf->files[file].first, depth + 1);
                r->state[file] = 2;
            }
        }
    }
}

static otr_code find_ring(const otr_conf *conf, const otr_node **ret, otr_err *err)
{
    rings r = { .conf = conf, .state = otr_zalloc(conf->n_files) };
    if (r.state == NULL) {
        return otr_fail_nomem(err);
    }
    r.state[0] = 1;
    look_for_ring(&r, conf->files[0].first, 0);
    otr_free(r.state);
    *ret = r.at;
    return OTR_OK;
}

/* ---- rules ---- */

typedef struct run {
    otr_look look;
    const otr_check_spec *spec;
    uint16_t *callees;               /* indices of rules, those of a directive side by side */
    uint16_t first[OTR_D_COUNT + 1]; /* of a directive in `callees` */
} run;

static void see(otr_look *l, const otr_spot *spot)
{
    run *r = (run *)l; /* its first member */
    for (uint16_t i = r->first[spot->id]; i < r->first[spot->id + 1] && l->rc == OTR_OK; i++) {
        l->rule = r->callees[i];
        l->level = r->spec->rules->items[l->rule]->level;
        r->spec->rules->items[l->rule]->look(l, spot);
    }
}

static bool wants(const otr_check_spec *spec, size_t rule, otr_d id)
{
    const otr_rule *r = spec->rules->items[rule];
    if (r->look == NULL || spec->off[rule]) {
        return false;
    }
    for (size_t i = 0; i < OTR_RULE_DIRECTIVES && r->on[i] != OTR_D_OTHER; i++) {
        if (r->on[i] == id) {
            return true;
        }
    }
    return false;
}

static otr_code list_callees(run *r, otr_err *err)
{
    r->callees = otr_calloc(r->spec->rules->n * OTR_RULE_DIRECTIVES, sizeof(*r->callees));
    if (r->callees == NULL) {
        return otr_fail_nomem(err);
    }
    uint16_t n = 0;
    for (unsigned id = 0; id < OTR_D_COUNT; id++) {
        r->first[id] = n;
        for (size_t i = 0; id != OTR_D_OTHER && i < r->spec->rules->n; i++) {
            if (wants(r->spec, i, (otr_d)id)) {
                r->callees[n++] = (uint16_t)i;
            }
        }
    }
    r->first[OTR_D_COUNT] = n;
    return OTR_OK;
}

static otr_code run_rules(const otr_check_spec *spec, otr_check *check, otr_place place,
                          otr_err *err)
{
    run *r = otr_zalloc(sizeof(*r));
    if (r == NULL) {
        return otr_fail_nomem(err);
    }
    otr_facts facts = { 0 };
    r->spec = spec;
    r->look.conf = check->conf;
    r->look.options = &spec->options;
    r->look.facts = &facts;
    r->look.report = &check->report;
    r->look.start = place;
    r->look.err = err;
    r->look.texts = &r->look.keep;
    otr_code rc = list_callees(r, err);
    if (rc == OTR_OK) {
        otr_look_walk(&r->look, otr_facts_take);
        r->look.texts = &r->look.scratch;
    }
    if (rc == OTR_OK && r->look.rc == OTR_OK) {
        otr_look_walk(&r->look, see);
    }
    rc = rc == OTR_OK ? r->look.rc : rc;
    check->n_directives = r->look.n_seen;
    check->n_servers = r->look.servers;
    otr_facts_deinit(&facts);
    otr_look_deinit(&r->look);
    otr_free(r->callees);
    otr_free(r);
    return rc;
}

/* ---- all of it ---- */

/* An include of a part, with a relative path, while the folder where those start is not known. */
static bool is_out_of_sight(const otr_check_spec *spec, const otr_check *check,
                            const otr_conf_error *e)
{
    static const char head[] = "[Errno 2] No such file or directory: '";
    const char *path = e->text + sizeof(head) - 1, *own = spec->parse.path;
    if (check->place == NULL || spec->parse.prefix != NULL ||
        check->conf->n_errors >= OTR_LIMIT_NGINX_CONFIG_ERRORS || /* others were not kept */
        strncmp(e->text, head, sizeof(head) - 1) != 0) {
        return false;
    }
    const char *slash = strrchr(own, '/');
    return path[0] != '/' || (slash != NULL && strncmp(path, own, (size_t)(slash - own) + 1) == 0);
}

/* `ring`: an include that closes one, or NULL. */
static otr_code add_errors(const otr_check_spec *spec, otr_check *check, const otr_node *ring,
                           otr_err *err)
{
    otr_conf *conf = check->conf;
    otr_finding made = { 0 };
    otr_code rc = OTR_OK;
    check->failed = ring != NULL;
    bool quiet = otr_rule_find(spec->rules, otr_bytes_of("parse"), &made.rule) == NULL ||
                 spec->off[made.rule];
    for (size_t i = 0; rc == OTR_OK && i < conf->n_errors; i++) {
        made.unknown = is_out_of_sight(spec, check, &conf->errors[i]);
        made.level = made.unknown ? OTR_CHECK_NOTE : OTR_CHECK_ERROR;
        made.file = conf->errors[i].file;
        made.line = conf->errors[i].line;
        check->failed |= !made.unknown;
        rc = quiet ? OTR_OK
                   : otr_report_add(&check->report, conf, (otr_place_of){ 0 }, &made,
                                    conf->errors[i].text, err);
    }
    if (quiet) {
        return rc;
    }
    made.level = OTR_CHECK_ERROR;
    made.unknown = false;
    return rc == OTR_OK && ring != NULL
               ? otr_report_add(&check->report, conf, (otr_place_of){ .node = ring }, &made,
                                "files include each other, or are included more than 32 deep", err)
               : rc;
}

static void count(otr_check *check)
{
    for (size_t i = 0; i < check->report.n; i++) {
        const otr_finding *f = &check->report.items[i];
        check->counts[f->level] += f->reason == NULL;
        check->n_quiet += f->reason != NULL;
    }
}

static otr_code run_all(const otr_check_spec *spec, otr_check *check, otr_place place, otr_err *err)
{
    otr_suppress quiet = {
        .conf = check->conf, .rules = spec->rules, .off = spec->off, .report = &check->report
    };
    const otr_node *ring = NULL;
    otr_code rc = find_ring(check->conf, &ring, err);
    if (rc == OTR_OK) {
        rc = add_errors(spec, check, ring, err);
    }
    if (rc == OTR_OK && ring == NULL) {
        rc = run_rules(spec, check, place, err);
    }
    if (rc == OTR_OK &&
        otr_rule_find(spec->rules, otr_bytes_of("suppression"), &quiet.own) != NULL) {
        rc = otr_suppress_all(&quiet, err);
    }
    otr_report_sort(&check->report);
    count(check);
    return rc;
}

otr_code otr_check_run(const otr_check_spec *spec, otr_check *ret, otr_err *err)
{
    *ret = (otr_check){ .rules = spec->rules };
    otr_buf_init(&ret->text, OTR_LIMIT_NGINX_CONFIG_BYTES);
    otr_parse parse = spec->parse;
    otr_bytes text;
    if (parse.text == NULL) {
        otr_code rc = read_main(spec, ret, err);
        if (rc != OTR_OK) {
            return rc;
        }
        text = otr_buf_bytes(&ret->text);
        parse.text = &text;
    }
    parse.comments = true;
    bool *off = NULL;
    otr_check_spec full = *spec;
    if (spec->off == NULL) {
        off = otr_calloc(spec->rules->n, sizeof(*off));
        if (off == NULL) {
            return otr_fail_nomem(err);
        }
        full.off = off;
    }
    otr_part_of part;
    otr_code rc = otr_part_parse(&parse, &part, &ret->conf, err);
    ret->place = part.name;
    full.parse.prefix = part.prefix;
    if (part.prefix != NULL) {
        full.options.folder = part.prefix;
    }
    if (rc == OTR_OK) {
        rc = run_all(&full, ret, part.place, err);
    }
    otr_free(part.prefix);
    otr_free(off);
    return rc;
}

void otr_check_deinit(otr_check *check)
{
    otr_conf_free(check->conf);
    otr_report_deinit(&check->report);
    otr_buf_deinit(&check->text);
}
