#include "nginx/log/compiled.h"

#include <stdio.h>

#include "base/alloc.h"
#include "nginx/log/values.h"

enum { ELEMENTS_MOST = 512, MARKS_MOST = 1024 };

static const char combined[] = "$remote_addr - $remote_user [$time_local] \"$request\" $status "
                               "$body_bytes_sent \"$http_referer\" \"$http_user_agent\"";

typedef struct element {
    otr_bytes text;             /* of a literal, or a variable's name */
    const otr_log_value *value; /* NULL: a literal */
} element;

typedef enum story { /* of the request line and the headers */
                     ANY_STORY,
                     WELL_FORMED,
                     NO_LINE,
                     MALFORMED
} story;

typedef struct elements {
    element items[ELEMENTS_MOST];
    size_t n;
    size_t status; /* index of the one that is looked for; n: there is none */
} elements;

/* ---- text to elements ---- */

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* The variable that begins at `p` ('$'); false when it is none. `*ret_end` is behind it. */
static bool variable(const char *p, otr_bytes *ret_name, const char **ret_end)
{
    const char *name = p + 1;
    bool braced = *name == '{';
    name += braced;
    size_t n = 0;
    while (is_name(name[n])) {
        n++;
    }
    if (n == 0 || (braced && name[n] != '}')) {
        return false;
    }
    *ret_name = (otr_bytes){ (const uint8_t *)name, n };
    *ret_end = name + n + braced;
    return true;
}

static const char *literal_end(const char *p)
{
    otr_bytes name;
    const char *end;
    while (*p != '\0' && (*p != '$' || !variable(p, &name, &end))) {
        p++;
    }
    return p;
}

/* False when there are too many. */
static bool split(const char *text, elements *out)
{
    out->n = 0;
    for (const char *p = text; *p != '\0';) {
        if (out->n == ELEMENTS_MOST) {
            return false;
        }
        element *e = &out->items[out->n++];
        *e = (element){ 0 };
        const char *end = literal_end(p);
        if (end > p) {
            e->text = (otr_bytes){ (const uint8_t *)p, (size_t)(end - p) };
        } else if (variable(p, &e->text, &end)) {
            e->value = otr_log_value_of(e->text);
        }
        p = end;
    }
    return true;
}

/* ---- marks ---- */

static unsigned count(otr_bytes text, uint8_t byte)
{
    unsigned n = 0;
    for (size_t i = 0; i < text.n; i++) {
        n += text.p[i] == byte;
    }
    return n;
}

/* A byte of the literal that no value can hold; 0: none. */
static uint8_t mark_of(otr_bytes literal, otr_log_escape escape)
{
    if (escape == OTR_LOG_ESCAPE_NONE) {
        return 0;
    }
    if (count(literal, '"') > 0) {
        return '"';
    }
    for (size_t i = literal.n; i-- > 0;) {
        if (literal.p[i] < ' ') {
            return literal.p[i];
        }
    }
    return 0;
}

/* The marks of the status at `at`; `n` is 0 when there are none. */
static otr_log_marks marks_of(const elements *e, size_t at, otr_log_escape escape)
{
    otr_log_marks m = { 0 };
    if (at == 0 || e->items[at - 1].value != NULL) {
        return m;
    }
    otr_bytes last = e->items[at - 1].text;
    m.byte = mark_of(last, escape);
    unsigned n = 0;
    for (size_t i = 0; m.byte != 0 && i < at; i++) {
        if (e->items[i].value != NULL) {
            continue;
        }
        if (escape == OTR_LOG_ESCAPE_JSON && count(e->items[i].text, '\\') > 0) {
            return m; /* a quote behind a backslash might be the format's own */
        }
        n += count(e->items[i].text, m.byte);
    }
    if (n == 0 || n > MARKS_MOST) {
        return m;
    }
    size_t mark = last.n;
    while (last.p[mark - 1] != m.byte) {
        mark--;
    }
    m.n = n;
    m.lead = (otr_bytes){ last.p, mark - 1 };
    m.behind = (otr_bytes){ last.p + mark, last.n - mark };
    m.first = e->items[0].value == NULL ? e->items[0].text : (otr_bytes){ 0 };
    m.ends = at + 1 == e->n;
    if (!m.ends && e->items[at + 1].value == NULL) {
        m.after = e->items[at + 1].text;
        m.ends = at + 2 == e->n;
    }
    return m;
}

/* Of several $status the first that has marks, else the first. */
static void find_status(elements *e, otr_log_compiled *c)
{
    e->status = e->n;
    for (size_t i = 0; i < e->n; i++) {
        if (e->items[i].value == NULL || e->items[i].value->shape != OTR_LOG_STATUS) {
            continue;
        }
        otr_log_marks marks = marks_of(e, i, c->escape);
        if (e->status == e->n || marks.n > 0) {
            e->status = i;
            c->marks = marks;
        }
        if (marks.n > 0) {
            return;
        }
    }
}

/* ---- times ---- */

static otr_log_time time_of(const element *e)
{
    static const char *const names[OTR_LOG_TIMES] = {
        [OTR_LOG_REQUEST_TIME] = "request_time",
        [OTR_LOG_UPSTREAM_CONNECT] = "upstream_connect_time",
        [OTR_LOG_UPSTREAM_HEADER] = "upstream_header_time",
        [OTR_LOG_UPSTREAM_RESPONSE] = "upstream_response_time",
    };
    for (unsigned i = 0; e->value != NULL && i < OTR_LOG_TIMES; i++) {
        if (strcmp(e->value->name, names[i]) == 0) {
            return (otr_log_time)i;
        }
    }
    return OTR_LOG_TIMES;
}

/* Can the end of it be seen without a mark? */
static bool is_passable(const elements *e, size_t at)
{
    const otr_log_value *value = e->items[at].value;
    if (value == NULL || time_of(&e->items[at]) != OTR_LOG_TIMES) {
        return true;
    }
    switch (value->shape) {
    case OTR_LOG_STATUS:
    case OTR_LOG_TEMPLATE:
    case OTR_LOG_SECONDS:
        return true;
    case OTR_LOG_SET:
    case OTR_LOG_SET_SOME:
        return at + 1 == e->n || (e->items[at + 1].value == NULL &&
                                  !otr_log_set_has(value->set, e->items[at + 1].text.p[0]));
    case OTR_LOG_TEXT:
    case OTR_LOG_ANYTHING:
    case OTR_LOG_REQUEST:
    case OTR_LOG_HEADER:
    default:
        return false;
    }
}

static void add_step(otr_log_plan *plan, otr_log_step step)
{
    if (plan->n < OTR_LOG_STEPS) {
        plan->steps[plan->n] = step;
    }
    plan->n++; /* too many: seen by the caller */
}

static void add_passed(otr_log_plan *plan, const element *e)
{
    otr_log_step step = { .kind = OTR_LOG_STEP_TEXT, .text = e->text, .time = OTR_LOG_TIMES };
    if (e->value != NULL) {
        step.kind = OTR_LOG_STEP_SECONDS;
        step.time = time_of(e);
    }
    if (e->value != NULL && step.time == OTR_LOG_TIMES && e->value->shape != OTR_LOG_SECONDS) {
        bool set = e->value->shape == OTR_LOG_SET || e->value->shape == OTR_LOG_SET_SOME;
        step.kind = set ? OTR_LOG_STEP_SET : OTR_LOG_STEP_SKIP;
        step.set = e->value->set;
        step.n = e->value->shape == OTR_LOG_STATUS || set ? 3 : (unsigned)strlen(e->value->set);
    }
    if (step.kind == OTR_LOG_STEP_SECONDS && step.time != OTR_LOG_TIMES) {
        plan->known |= 1U << step.time;
    }
    add_step(plan, step);
}

/* From the place before element `at` to the time at `to`; false: it cannot be told where it is. */
static bool add_way(otr_log_plan *plan, const elements *e, size_t at, size_t to)
{
    size_t from = to; /* the first of those that are passed one by one */
    while (from > at && is_passable(e, from - 1)) {
        from--;
    }
    if (from > at) {
        /* The literal whose mark is nearest. */
        size_t j = to;
        while (j > from &&
               (e->items[j - 1].value != NULL || count(e->items[j - 1].text, plan->mark) == 0)) {
            j--;
        }
        if (plan->mark == 0 || j == from) {
            return false;
        }
        unsigned marks = 0;
        for (size_t i = at; i < j; i++) {
            marks += e->items[i].value == NULL ? count(e->items[i].text, plan->mark) : 0;
        }
        add_step(plan, (otr_log_step){ .kind = OTR_LOG_STEP_MARKS, .n = marks });
        otr_bytes rest = e->items[j - 1].text;
        size_t behind = rest.n;
        while (rest.p[behind - 1] != plan->mark) {
            behind--;
        }
        rest = (otr_bytes){ rest.p + behind, rest.n - behind };
        if (rest.n > 0) {
            add_step(plan, (otr_log_step){ .kind = OTR_LOG_STEP_TEXT, .text = rest });
        }
        from = j;
    }
    for (size_t i = from; i <= to; i++) {
        add_passed(plan, &e->items[i]);
    }
    return true;
}

/* The byte that tells values apart in all of the format; 0: none. */
static uint8_t common_mark(const elements *e, otr_log_escape escape)
{
    uint8_t mark = 0;
    for (size_t i = 0; i < e->n; i++) {
        const element *one = &e->items[i];
        if (one->value == NULL && escape == OTR_LOG_ESCAPE_JSON && count(one->text, '\\') > 0) {
            return 0;
        }
        if (one->value == NULL && mark == 0) {
            mark = mark_of(one->text, escape);
        }
    }
    return mark;
}

static void make_plan(const elements *e, otr_log_compiled *c)
{
    otr_log_plan *plan = &c->plan;
    plan->mark = common_mark(e, c->escape);
    plan->json = c->escape == OTR_LOG_ESCAPE_JSON && plan->mark == '"';
    size_t at = 0;
    for (size_t i = 0; i < e->n; i++) {
        otr_log_time time = time_of(&e->items[i]);
        if (i < at || time == OTR_LOG_TIMES || (plan->known >> time & 1) != 0) {
            continue;
        }
        size_t n = plan->n;
        unsigned known = plan->known;
        if (!add_way(plan, e, at, i)) {
            continue;
        }
        at = i + 1;
        if (at == e->n) {
            add_step(plan, (otr_log_step){ .kind = OTR_LOG_STEP_END });
        } else if (e->items[at].value == NULL) {
            add_passed(plan, &e->items[at++]);
        }
        if (plan->n > OTR_LOG_STEPS) {
            plan->n = n;
            plan->known = known;
            return;
        }
    }
}

/* ---- automata ---- */

static otr_byte_set set_of(const char *set)
{
    otr_byte_set out = { 0 };
    for (unsigned b = 0; b < 256; b++) {
        if (otr_log_set_has(set, (uint8_t)b)) {
            otr_byte_set_add(&out, (uint8_t)b);
        }
    }
    return out;
}

static otr_code add_text(otr_automaton *a, otr_log_escape escape, otr_err *err)
{
    otr_byte_set set = { 0 };
    for (unsigned b = 0; b < 256; b++) {
        bool fits = escape == OTR_LOG_ESCAPE_NONE
                        ? b != '\n'
                        : b >= ' ' && b != '"' && (b != '\\' || escape != OTR_LOG_ESCAPE_JSON);
        if (fits) {
            otr_byte_set_add(&set, (uint8_t)b);
        }
    }
    unsigned flags = OTR_POSITION_REPEATS | OTR_POSITION_OPTIONAL;
    if (escape == OTR_LOG_ESCAPE_JSON) {
        flags |= OTR_POSITION_ESCAPES;
    }
    return otr_automaton_add(a, &set, flags, err);
}

static otr_code add_template(otr_automaton *a, const char *template, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (const char *p = template; rc == OTR_OK && *p != '\0'; p++) {
        const char self[] = { *p, '\0' };
        const char *set = *p == '0' ? "0-9" : *p == 'A' ? "A-Za-z" : *p == '+' ? "+-" : self;
        otr_byte_set bytes = set_of(set);
        rc = otr_automaton_add(a, &bytes, 0, err);
    }
    return rc;
}

static otr_code add_literal(otr_automaton *a, otr_bytes text, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < text.n; i++) {
        otr_byte_set set = { 0 };
        otr_byte_set_add(&set, text.p[i]);
        rc = otr_automaton_add(a, &set, 0, err);
    }
    return rc;
}

static otr_code add_set(otr_automaton *a, const char *set, unsigned flags, otr_err *err)
{
    otr_byte_set bytes = set_of(set);
    return otr_automaton_add(a, &bytes, flags, err);
}

/* "METHOD uri HTTP/1.1", where the URI may be any text. */
static otr_code add_request_line(otr_automaton *a, otr_log_escape escape, otr_err *err)
{
    otr_code rc = add_set(a, "A-Z_-", OTR_POSITION_REPEATS, err);
    if (rc == OTR_OK) {
        rc = add_set(a, " ", 0, err);
    }
    if (rc == OTR_OK) {
        rc = add_text(a, escape, err);
    }
    if (rc == OTR_OK) {
        rc = add_literal(a, otr_bytes_of(" HTTP/"), err);
    }
    if (rc == OTR_OK) {
        rc = add_set(a, "0-9.", OTR_POSITION_REPEATS, err);
    }
    return rc == OTR_OK ? add_set(a, " ", OTR_POSITION_REPEATS | OTR_POSITION_OPTIONAL, err) : rc;
}

typedef struct making { /* what an automaton is made of, beside elements */
    otr_automaton *a;
    otr_log_escape escape;
    story story;
} making;

static otr_code add_request(const making *m, otr_err *err)
{
    switch (m->story) {
    case WELL_FORMED:
        return add_request_line(m->a, m->escape, err);
    case NO_LINE:
        return add_set(m->a, "A-Z_-", OTR_POSITION_REPEATS | OTR_POSITION_OPTIONAL, err);
    case ANY_STORY:
    case MALFORMED:
    default:
        return add_text(m->a, m->escape, err);
    }
}

/* What was not read is "-", and nothing in JSON and without escaping. */
static otr_code add_header(const making *m, otr_err *err)
{
    if (m->story != MALFORMED) {
        return add_text(m->a, m->escape, err);
    }
    return m->escape == OTR_LOG_ESCAPE_DEFAULT ? add_set(m->a, "-", 0, err) : OTR_OK;
}

static otr_code add_value(const making *m, const otr_log_value *value, otr_err *err)
{
    otr_code rc;
    switch (value->shape) {
    case OTR_LOG_STATUS:
        return add_template(m->a, "000", err);
    case OTR_LOG_TEMPLATE:
        return add_template(m->a, value->set, err);
    case OTR_LOG_SECONDS:
        rc = add_set(m->a, "0-9", OTR_POSITION_REPEATS, err);
        return rc == OTR_OK ? add_template(m->a, ".000", err) : rc;
    case OTR_LOG_SET:
        return add_set(m->a, value->set, OTR_POSITION_REPEATS | OTR_POSITION_OPTIONAL, err);
    case OTR_LOG_SET_SOME:
        return add_set(m->a, value->set, OTR_POSITION_REPEATS, err);
    case OTR_LOG_REQUEST:
        return add_request(m, err);
    case OTR_LOG_HEADER:
        return add_header(m, err);
    case OTR_LOG_TEXT:
    case OTR_LOG_ANYTHING:
    default:
        return add_text(m->a, m->escape, err);
    }
}

static otr_code build(const elements *e, size_t from, size_t to, making *m, otr_err *err)
{
    otr_code rc = otr_automaton_new(&m->a, err);
    for (size_t i = from; rc == OTR_OK && i < to; i++) {
        rc = e->items[i].value == NULL ? add_literal(m->a, e->items[i].text, err)
                                       : add_value(m, e->items[i].value, err);
    }
    return rc == OTR_OK ? otr_automaton_finish(m->a, err) : rc;
}

static bool has_shape(const elements *e, otr_log_shape shape)
{
    for (size_t i = 0; i < e->n; i++) {
        if (e->items[i].value != NULL && e->items[i].value->shape == shape) {
            return true;
        }
    }
    return false;
}

static otr_code build_variants(const elements *e, otr_log_compiled *c, otr_err *err)
{
    static const story one[] = { ANY_STORY }, all[] = { WELL_FORMED, NO_LINE, MALFORMED };
    bool told = has_shape(e, OTR_LOG_REQUEST) && has_shape(e, OTR_LOG_HEADER);
    const story *stories = told ? all : one;
    size_t n = told ? OTR_COUNT(all) : OTR_COUNT(one);
    c->has_status = e->status < e->n;
    otr_code rc = OTR_OK;
    while (rc == OTR_OK && c->n_variants < n) {
        making m = { .escape = c->escape, .story = stories[c->n_variants] };
        otr_log_variant *v = &c->variants[c->n_variants++];
        rc = build(e, 0, e->status, &m, err);
        v->before = m.a;
        if (rc == OTR_OK && c->has_status) {
            m.a = NULL;
            rc = build(e, e->status + 1, e->n, &m, err);
            v->after = m.a;
        }
    }
    return rc;
}

/* Unescaped values that may hold line ends let a client write whole lines of its own. */
static void doubt_line_ends(const elements *e, otr_log_compiled *c)
{
    for (size_t i = 0; c->escape == OTR_LOG_ESCAPE_NONE && i < e->n; i++) {
        if (e->items[i].value != NULL && e->items[i].value->shape == OTR_LOG_ANYTHING) {
            (void)snprintf(c->doubt, sizeof(c->doubt),
                           "with escape=none $%.*s may hold line ends, so that a client can write "
                           "lines of its own",
                           e->items[i].text.n < 40 ? (int)e->items[i].text.n : 40,
                           (const char *)e->items[i].text.p);
            return;
        }
    }
}

/* ---- the whole ---- */

/* Takes "escape=json " off; returns what is left. */
static const char *take_escape(const char *format, otr_log_escape *ret)
{
    static const char escape[] = "escape=";
    const size_t n = sizeof(escape) - 1;
    *ret = OTR_LOG_ESCAPE_DEFAULT;
    if (strncmp(format, escape, n) != 0) {
        return format;
    }
    const char *end = strchr(format, ' ');
    size_t word = end != NULL ? (size_t)(end - format) - n : strlen(format) - n;
    if (word == 4 && memcmp(format + n, "json", 4) == 0) {
        *ret = OTR_LOG_ESCAPE_JSON;
    } else if (word == 4 && memcmp(format + n, "none", 4) == 0) {
        *ret = OTR_LOG_ESCAPE_NONE;
    }
    return end != NULL ? end + 1 : "";
}

static otr_code compile(elements *e, otr_log_compiled *c, otr_err *err)
{
    if (!split(c->text, e)) {
        (void)snprintf(c->doubt, sizeof(c->doubt), "the log_format has more than %d parts",
                       ELEMENTS_MOST);
        return OTR_OK;
    }
    find_status(e, c);
    make_plan(e, c);
    otr_err why;
    otr_code rc = build_variants(e, c, &why);
    if (rc == OTR_EQUOTA) {
        (void)snprintf(c->doubt, sizeof(c->doubt), "%.150s", why.msg);
        return OTR_OK;
    }
    if (rc != OTR_OK) {
        return otr_fail_nomem(err);
    }
    doubt_line_ends(e, c);
    return OTR_OK;
}

otr_code otr_log_compile(const char *format, otr_log_compiled *ret, otr_err *err)
{
    *ret = (otr_log_compiled){ 0 };
    const char *text = take_escape(format != NULL ? format : combined, &ret->escape);
    ret->text = otr_strdup(text);
    elements *e = otr_alloc(sizeof(*e));
    otr_code rc = ret->text != NULL && e != NULL ? compile(e, ret, err) : otr_fail_nomem(err);
    otr_free(e);
    if (rc != OTR_OK) {
        otr_log_compiled_deinit(ret);
    }
    return rc;
}

void otr_log_compiled_deinit(otr_log_compiled *c)
{
    for (size_t i = 0; i < c->n_variants; i++) {
        otr_automaton_free(c->variants[i].before);
        otr_automaton_free(c->variants[i].after);
    }
    otr_free(c->text);
    *c = (otr_log_compiled){ 0 };
}
