/*
 * Tables of configurations that a rule must, or must not, say something about.
 */
#ifndef OTR_TESTS_UNIT_NGINX_CHECK_RULES_TABLE_H
#define OTR_TESTS_UNIT_NGINX_CHECK_RULES_TABLE_H

#include <stdio.h>

#include "nginx/check/check.h"
#include "nginx/check/rules/rules.h"
#include "support/test.h"

/* What stands around a snippet. */
#define HTTP(text)   "events {}\nhttp {\n" text "\n}\n"
#define SERVER(text) HTTP("server { listen 80; server_name a.example;\n" text "\n}")
#define LOC(text)    SERVER("location /x/ {\n" text "\n}")
#define STREAM(text) "events {}\nstream {\n" text "\n}\n"

typedef struct sample {
    const char *rule;
    bool bad;
    const char *text;
} sample;

#define GOOD(rule, text) { (rule), false, (text) }
#define BAD(rule, text)  { (rule), true, (text) }

static inline void check_begin(otr_check_spec *spec, const otr_rules_list *rules,
                               const otr_bytes *text)
{
    static const otr_root here = { .path = "" };
    *spec = (otr_check_spec){
        .parse = { .root = &here, .path = "f", .folder = "/nowhere", .text = text },
        .options = { .root = &here, .folder = "/nowhere", .now_s = 1800000000, .expires_days = 30 },
        .rules = rules,
    };
}

/* How many findings of `rule` there are (`levels`: by level), SIZE_MAX: it did not run. */
static inline size_t found_in(const otr_check *c, const char *rule, size_t levels[3])
{
    size_t n = 0;
    for (size_t i = 0; i < c->report.n; i++) {
        const otr_finding *f = &c->report.items[i];
        if (strcmp(c->rules->items[f->rule]->id, rule) == 0) {
            n++;
            levels[f->level]++;
        }
    }
    return n;
}

static inline void run_sample(const sample *s)
{
    otr_rules_list rules = otr_check_rules();
    otr_bytes text = otr_bytes_of(s->text);
    otr_check_spec spec;
    otr_check c;
    otr_err err = { 0 };
    size_t levels[3] = { 0 };
    uint32_t index;
    check_begin(&spec, &rules, &text);
    CHECK(otr_rule_find(&rules, otr_bytes_of(s->rule), &index) != NULL);
    bool ran = otr_check_run(&spec, &c, &err) == OTR_OK;
    bool parsed = ran && (!c.failed || strcmp(s->rule, "parse") == 0);
    size_t n = ran ? found_in(&c, s->rule, levels) : 0;
    if (!ran || !parsed || (n > 0) != s->bad) {
        (void)printf("# %s: %s, %s:\n# %s\n", s->rule, s->bad ? "bad" : "good",
                     !ran      ? err.msg
                     : !parsed ? c.report.items[0].message
                               : "not told apart",
                     s->text);
    }
    CHECK(ran && parsed && (n > 0) == s->bad);
    otr_check_deinit(&c);
}

#define RUN_ALL(samples)                              \
    for (size_t i = 0; i < OTR_COUNT(samples); i++) { \
        run_sample(&(samples)[i]);                    \
    }

#endif
