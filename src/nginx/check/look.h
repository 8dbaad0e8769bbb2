/*
 * A look at a configuration as NGINX puts it together: blocks one inside the other, each with the
 * directives that it and what it includes hold, in their order.
 *
 * A scope is an open block. What stands in it is found by directive; what stands around it by
 * `outer`. Rules are called for each directive that they name, for a block with its inside
 * (`inner`) before anything in it. They say what they find by otr_find(). A lack of memory is kept
 * and ends the look, so that rules do not return codes.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NGINX_CHECK_LOOK_H
#define OTR_NGINX_CHECK_LOOK_H

#include "base/arena.h"
#include "base/limits.h"
#include "nginx/check/report.h"
#include "nginx/check/words.h"
#include "nginx/language/conf.h"
#include "nginx/root.h"

typedef enum otr_place {
    OTR_AT_MAIN,
    OTR_AT_EVENTS,
    OTR_AT_HTTP,
    OTR_AT_SERVER,
    OTR_AT_LOCATION,
    OTR_AT_IF, /* in a server or a location: see outer */
    OTR_AT_LIMIT_EXCEPT,
    OTR_AT_UPSTREAM,
    OTR_AT_STREAM,
    OTR_AT_STREAM_SERVER,
    OTR_AT_STREAM_UPSTREAM,
    OTR_AT_MAIL,
    OTR_AT_MAIL_SERVER,
    OTR_AT_OTHER, /* its inside is not looked at */
} otr_place;

typedef struct otr_entry {
    const otr_node *node;
    uint32_t next; /* place + 1 in its scope of the next one of this directive */
    otr_d id;
} otr_entry;

typedef struct otr_scope otr_scope;
struct otr_scope {
    const otr_scope *outer; /* NULL: the outermost */
    const otr_node *node;   /* that opens it; NULL: the file itself */
    otr_place place;
    uint32_t base, n;            /* its entries */
    uint32_t first[OTR_D_COUNT]; /* place + 1 of the first entry of a directive, and … */
    uint32_t last[OTR_D_COUNT];  /* … of the last one */
};

typedef struct otr_spot { /* what a rule is called with */
    const otr_scope *scope;
    const otr_scope *inner; /* of a block that is looked into, else NULL */
    const otr_node *node;
    otr_d id;
} otr_spot;

typedef struct otr_facts otr_facts;

typedef struct otr_check_options {
    const otr_root *root; /* that files which are named are looked up in */
    const char *folder;   /* where relative ones start */
    int64_t now_s;        /* wall time, seconds since 1970 */
    unsigned expires_days;
    unsigned nginx_version; /* 1029003 for 1.29.3; 0: not known */
    bool resolve;           /* names may be asked for over the network */
} otr_check_options;

typedef struct otr_look {
    const otr_conf *conf;
    const otr_check_options *options;
    otr_facts *facts;
    otr_report *report;
    otr_entry *entries;
    size_t n_entries, cap_entries;
    size_t n_seen;
    otr_scope scopes[OTR_LIMIT_NGINX_BLOCK_DEPTH + 1];
    otr_place start;  /* where the main file stands */
    uint32_t servers; /* of http and stream that were entered, this one included */
    otr_arena keep, scratch;
    otr_arena *texts; /* one of both */
    bool used_scratch;
    uint32_t steps;     /* that were followed for this directive */
    uint64_t all_steps; /* in all */
    bool gave_up;       /* there were too many of them: said once */
    uint32_t rule;      /* whose findings come */
    otr_check_level level;
    otr_code rc;
    otr_err *err;
} otr_look;

typedef void otr_look_fn(otr_look *l, const otr_spot *spot);

/* Shows all directives to `see`, one after the other. */
void otr_look_walk(otr_look *l, otr_look_fn *see);
void otr_look_deinit(otr_look *l);

/* ---- scopes ---- */

const otr_entry *otr_scope_at(const otr_look *l, const otr_scope *scope, uint32_t i);
/* The first one of `id`, NULL: none, and the one behind it. */
const otr_entry *otr_scope_first(const otr_look *l, const otr_scope *scope, otr_d id);
const otr_entry *otr_scope_next(const otr_look *l, const otr_scope *scope, const otr_entry *entry);
/* The first one of `id` in the innermost scope that has one. `ret` (may be NULL): that scope. */
const otr_entry *otr_scope_nearest(const otr_look *l, const otr_scope *scope, otr_d id,
                                   const otr_scope **ret);
/* The innermost scope at `place`, NULL: none. */
const otr_scope *otr_scope_within(const otr_scope *scope, otr_place place);

/* Is it stream, or in it? */
bool otr_scope_in_stream(const otr_scope *scope);

/* Calls `fn` with what stands directly in a block, includes followed, until it returns false. */
typedef bool otr_inside_fn(otr_look *l, const otr_node *node, void *arg);
void otr_look_inside(otr_look *l, const otr_node *block, otr_inside_fn *fn, void *arg);

/* ---- words ---- */

/* As NGINX reads it; until the rule returns. Empty: there is none. */
otr_bytes otr_text(otr_look *l, const otr_word *word);
otr_bytes otr_arg(otr_look *l, const otr_node *node, uint32_t i); /* 1: the first behind the name */
bool otr_is(otr_bytes text, const char *word);
bool otr_is_any_case(otr_bytes text, const char *word);
bool otr_begins(otr_bytes text, const char *head);
bool otr_ends(otr_bytes text, const char *tail);
bool otr_same(otr_bytes a, otr_bytes b);
bool otr_same_any_case(otr_bytes a, otr_bytes b);
const uint8_t *otr_find_byte(otr_bytes text, char c); /* NULL: it has none */
/* A copy that stays as long as the look. */
otr_bytes otr_keep(otr_look *l, otr_bytes text);
/* For "%.*s" in a message: at most as many bytes as are shown of one value. */
int otr_shown(otr_bytes text);
#define OTR_S(bytes) otr_shown(bytes), (bytes).n > 0 ? (const char *)(bytes).p : ""

/* ---- findings ---- */

/* At a directive, or at its word `i`. */
void otr_find(otr_look *l, const otr_node *node, uint32_t i, const char *format, ...)
    OTR_PRINTF(4, 5);
/* It cannot be known: a note. */
void otr_find_unknown(otr_look *l, const otr_node *node, uint32_t i, const char *format, ...)
    OTR_PRINTF(4, 5);
/* Counts one value that is followed; false: there were too many, and what it is stays unknown. */
bool otr_look_step(otr_look *l, const otr_node *at);
/* Keeps a failure. */
void otr_look_fail(otr_look *l, otr_code rc);

#endif
