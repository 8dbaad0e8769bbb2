#include "nginx/log/format.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "nginx/log/compiled.h"

/* How a line can be read, as bits: by the class of the status, or otherwise. */
enum {
    OTHER_CLASS = 1 << 5, /* a status of no class */
    NO_STATUS = 1 << 6,   /* by a format that has none */
    LEFT_OUT = 1 << 7,    /* by a format that is not counted */
    REPEATED = 8,         /* classes of formats whose lines repeat are this much higher */
    CLASSES = 6
};

typedef struct source { /* what a format was made of */
    char *text;         /* NULL: combined */
    otr_log_use use;
    unsigned repeats; /* at least 1 */
    otr_log_compiled compiled;
} source;

struct otr_log_formats {
    unsigned refs;
    size_t n;
    unsigned repeats;  /* of those formats that repeat: of all the same */
    bool counted;      /* one of them is */
    bool errors;       /* it is an error log: there are none */
    const char *doubt; /* NULL: none */
    source items[];
};

typedef struct reading { /* of one line by one variant of a format */
    otr_automaton_run before, after[CLASSES];
    uint8_t first, second; /* classes of which one or two digits were seen */
    uint8_t live;          /* classes whose run goes on */
} reading;

struct otr_log_line {
    const otr_log_formats *formats;
    reading readings[]; /* OTR_LOG_VARIANTS of each format */
};

/* ---- life ---- */

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static void find_doubt(otr_log_formats *f)
{
    bool status = false;
    for (size_t i = 0; i < f->n; i++) {
        const otr_log_compiled *c = &f->items[i].compiled;
        f->counted |= f->items[i].use == OTR_LOG_COUNTED;
        status |= c->has_status && f->items[i].use == OTR_LOG_COUNTED;
        if (c->doubt[0] != '\0' && f->doubt == NULL) {
            f->doubt = c->doubt;
        }
    }
    if (f->doubt == NULL && f->counted && !status) {
        f->doubt = "its log_format has no $status";
    }
}

static bool has_text(const otr_log_formats *f, const char *text)
{
    for (size_t i = 0; i < f->n; i++) {
        if (same_text(f->items[i].text, text)) {
            return true;
        }
    }
    return false;
}

static otr_code add_format(otr_log_formats *f, const otr_log_format *format, otr_err *err)
{
    source *s = &f->items[f->n++];
    s->use = format->use;
    s->repeats = format->repeats > 1 ? format->repeats : 1;
    if (s->repeats > 1 && s->use == OTR_LOG_COUNTED) {
        if (f->repeats > 1 && f->repeats != s->repeats) {
            f->doubt = "formats of it are written different numbers of times for one request";
        }
        f->repeats = s->repeats;
    }
    if (format->text != NULL && format->text[0] == '\0') {
        f->doubt = "its log_format is not known";
    }
    s->text = format->text != NULL ? otr_strdup(format->text) : NULL;
    if (s->text == NULL && format->text != NULL) {
        return otr_fail_nomem(err);
    }
    return otr_log_compile(s->text, &s->compiled, err);
}

otr_code otr_log_formats_new(const otr_log_format *formats, size_t n, otr_log_formats **ret,
                             otr_err *err)
{
    if (n > OTR_LIMIT_NGINX_LOG_FORMATS) {
        return otr_fail(err, OTR_EQUOTA, "more than %d log formats for one file",
                        OTR_LIMIT_NGINX_LOG_FORMATS);
    }
    otr_log_formats *f = otr_zalloc(sizeof(*f) + n * sizeof(source));
    if (f == NULL) {
        return otr_fail_nomem(err);
    }
    f->refs = 1;
    for (size_t i = 0; i < n; i++) {
        otr_code rc = has_text(f, formats[i].text) ? OTR_OK : add_format(f, &formats[i], err);
        if (rc != OTR_OK) {
            otr_log_formats_unref(f);
            return rc;
        }
    }
    find_doubt(f);
    *ret = f;
    return OTR_OK;
}

otr_code otr_log_formats_new_errors(otr_log_formats **ret, otr_err *err)
{
    otr_log_formats *f = otr_zalloc(sizeof(*f));
    if (f == NULL) {
        return otr_fail_nomem(err);
    }
    f->refs = 1;
    f->errors = true;
    *ret = f;
    return OTR_OK;
}

otr_log_formats *otr_log_formats_ref(otr_log_formats *formats)
{
    formats->refs++;
    return formats;
}

void otr_log_formats_unref(otr_log_formats *formats)
{
    if (formats == NULL || --formats->refs > 0) {
        return;
    }
    for (size_t i = 0; i < formats->n; i++) {
        otr_free(formats->items[i].text);
        otr_log_compiled_deinit(&formats->items[i].compiled);
    }
    otr_free(formats);
}

bool otr_log_formats_are(const otr_log_formats *formats, const otr_log_format *others, size_t n)
{
    bool same =
        formats->n == n && !formats->errors; /* with one text twice: never, which costs a copy */
    for (size_t i = 0; same && i < n; i++) {
        const source *s = &formats->items[i];
        same = s->use == others[i].use &&
               s->repeats == (others[i].repeats > 1 ? others[i].repeats : 1) &&
               same_text(s->text, others[i].text);
    }
    return same;
}

const char *otr_log_formats_doubt(const otr_log_formats *formats)
{
    return formats->doubt;
}

bool otr_log_formats_count(const otr_log_formats *formats)
{
    return formats->counted && formats->doubt == NULL;
}

/* ---- by marks ---- */

static unsigned class_bit(uint8_t digit)
{
    unsigned class = (unsigned)digit - '0';
    return class >= 1 && class <= 5 ? 1U << (class - 1) : OTHER_CLASS;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool starts(const uint8_t *p, const uint8_t *end, otr_bytes with)
{
    return (size_t)(end - p) >= with.n && (with.n == 0 || memcmp(p, with.p, with.n) == 0);
}

/* `[begin, end)` is one line without its end. */
static unsigned read_by_marks(const otr_log_compiled *c, const uint8_t *begin, const uint8_t *end)
{
    const otr_log_marks *m = &c->marks;
    bool json = c->escape == OTR_LOG_ESCAPE_JSON && m->byte == '"';
    const uint8_t *p = starts(begin, end, m->first)
                           ? otr_log_behind_mark(begin, begin, end, m->byte, json, m->n)
                           : NULL;
    if (p == NULL || (size_t)(p - begin) <= m->lead.n || !starts(p, end, m->behind) ||
        (m->lead.n > 0 && memcmp(p - 1 - m->lead.n, m->lead.p, m->lead.n) != 0)) {
        return 0;
    }
    p += m->behind.n;
    if (end - p < 3 || !is_digit(p[0]) || !is_digit(p[1]) || !is_digit(p[2])) {
        return 0;
    }
    const uint8_t *after = p + 3;
    if (!starts(after, end, m->after) || (m->ends && (size_t)(end - after) != m->after.n)) {
        return 0;
    }
    return class_bit(p[0]);
}

/* ---- by automaton ---- */

static void begin(const otr_log_variant *v, reading *r)
{
    r->first = r->second = r->live = 0;
    otr_automaton_clear(&r->before);
    otr_automaton_enter(v->before, &r->before);
}

static void step_after(const otr_log_variant *v, reading *r, uint8_t byte)
{
    for (unsigned i = 0; i < CLASSES; i++) {
        if ((r->live >> i & 1) != 0) {
            otr_automaton_step(v->after, &r->after[i], byte);
            if (!otr_automaton_alive(&r->after[i])) {
                r->live &= (uint8_t)~(1U << i);
            }
        }
    }
}

/* The status ends here for these classes. */
static void enter_after(const otr_log_variant *v, reading *r, unsigned classes)
{
    for (unsigned i = 0; i < CLASSES; i++) {
        if ((classes >> i & 1) != 0) {
            if ((r->live >> i & 1) == 0) {
                otr_automaton_clear(&r->after[i]);
            }
            otr_automaton_enter(v->after, &r->after[i]);
            r->live |= (uint8_t)(1U << i);
        }
    }
}

/* False when nothing can fit any more. */
static bool feed(const otr_log_variant *v, reading *r, const uint8_t *p, const uint8_t *end)
{
    for (; p < end; p++) {
        if (r->live != 0) {
            step_after(v, r, *p);
        }
        if (v->after != NULL) {
            bool digit = is_digit(*p);
            if (r->second != 0 && digit) {
                enter_after(v, r, r->second);
            }
            r->second = digit ? r->first : 0;
            r->first =
                digit && otr_automaton_accepts(v->before, &r->before) ? (uint8_t)class_bit(*p) : 0;
        }
        if (otr_automaton_alive(&r->before)) {
            otr_automaton_step(v->before, &r->before, *p);
        } else if ((r->live | r->first | r->second) == 0) {
            return false;
        }
    }
    return true;
}

static unsigned end_of(const otr_log_variant *v, const reading *r)
{
    if (v->after == NULL) {
        return otr_automaton_accepts(v->before, &r->before) ? NO_STATUS : 0;
    }
    unsigned ways = 0;
    for (unsigned i = 0; i < CLASSES; i++) {
        if ((r->live >> i & 1) != 0 && otr_automaton_accepts(v->after, &r->after[i])) {
            ways |= 1U << i;
        }
    }
    return ways;
}

static unsigned used(const source *s, unsigned ways)
{
    if (s->use == OTR_LOG_NOT_COUNTED) {
        return ways != 0 ? LEFT_OUT : 0;
    }
    return s->repeats > 1 ? ways << REPEATED : ways;
}

static unsigned read_line(const otr_log_formats *f, reading *r, const uint8_t *p,
                          const uint8_t *end)
{
    unsigned ways = 0;
    for (size_t i = 0; i < f->n; i++) {
        const otr_log_compiled *c = &f->items[i].compiled;
        for (size_t j = 0; j < c->n_variants; j++) {
            begin(&c->variants[j], r);
            bool fits = feed(&c->variants[j], r, p, end);
            ways |= used(&f->items[i], fits ? end_of(&c->variants[j], r) : 0);
        }
    }
    return ways;
}

/* ---- counting ---- */

/* Is the response complete? */
static bool add_repeated(const otr_log_formats *f, unsigned class, otr_log_counts *counts)
{
    if (++counts->started[class] < f->repeats) {
        return false;
    }
    counts->started[class] = 0;
    counts->responses[class]++;
    return true;
}

/* True when this line counts one response, of `*ret_class`. */
static bool add(const otr_log_formats *f, unsigned ways, otr_log_counts *counts,
                unsigned *ret_class)
{
    counts->lines++;
    for (unsigned i = 0; i < OTR_COUNT(counts->responses); i++) {
        *ret_class = i;
        if (ways == 1U << i) {
            counts->responses[i]++;
            return true;
        }
        if (ways == 1U << (i + REPEATED)) {
            return add_repeated(f, i, counts);
        }
    }
    if (ways != LEFT_OUT && ways != OTHER_CLASS && ways != OTHER_CLASS << REPEATED) {
        counts->unparsed++;
        counts->ambiguous += ways != 0 && ways != NO_STATUS && ways != NO_STATUS << REPEATED;
    }
    return false;
}

/* Whose lines may be read for their times; NULL: nobody's. */
static const otr_log_plan *plan_of(const otr_log_formats *f)
{
    const otr_log_plan *plan = f->n == 1 && f->doubt == NULL ? &f->items[0].compiled.plan : NULL;
    return plan != NULL && plan->n > 0 && f->items[0].use == OTR_LOG_COUNTED ? plan : NULL;
}

unsigned otr_log_formats_times(const otr_log_formats *formats)
{
    const otr_log_plan *plan = plan_of(formats);
    return plan != NULL ? plan->known : 0;
}

static size_t scan_errors(otr_bytes data, otr_log_counts *counts)
{
    size_t at = 0;
    while (at < data.n) {
        const uint8_t *line = data.p + at, *eol = memchr(line, '\n', data.n - at);
        if (eol == NULL) {
            break;
        }
        size_t n = (size_t)(eol - line);
        counts->lines++;
        counts->unparsed +=
            counts->errors == NULL || !otr_log_errors_read(counts->errors, (otr_bytes){ line, n });
        at += n + 1;
    }
    return at;
}

size_t otr_log_formats_scan(const otr_log_formats *formats, otr_bytes data, otr_log_counts *counts)
{
    if (formats->errors) {
        return scan_errors(data, counts);
    }
    const otr_log_compiled *one = formats->n == 1 ? &formats->items[0].compiled : NULL;
    bool marks = one != NULL && one->marks.n > 0 && formats->items[0].use == OTR_LOG_COUNTED &&
                 formats->repeats == 0;
    const otr_log_plan *plan = counts->times != NULL ? plan_of(formats) : NULL;
    const uint8_t *p = data.p, *end = data.p + data.n;
    reading r;
    while (p < end) {
        const uint8_t *eol = memchr(p, '\n', (size_t)(end - p));
        if (eol == NULL) {
            break;
        }
        unsigned class = 0, ways = formats->doubt != NULL ? 0
                                   : marks                ? read_by_marks(one, p, eol)
                                                          : read_line(formats, &r, p, eol);
        if (add(formats, ways, counts, &class) && plan != NULL) {
            otr_log_plan_read(plan, p, eol, class, counts->times);
        }
        p = eol + 1;
    }
    return data.n > 0 ? (size_t)(p - data.p) : 0;
}

/* ---- lines in pieces ---- */

otr_code otr_log_line_new(const otr_log_formats *formats, otr_log_line **ret, otr_err *err)
{
    otr_log_line *line = otr_alloc(sizeof(*line) + formats->n * OTR_LOG_VARIANTS * sizeof(reading));
    if (line == NULL) {
        return otr_fail_nomem(err);
    }
    line->formats = formats;
    for (size_t i = 0; formats->doubt == NULL && i < formats->n; i++) {
        const otr_log_compiled *c = &formats->items[i].compiled;
        for (size_t j = 0; j < c->n_variants; j++) {
            begin(&c->variants[j], &line->readings[i * OTR_LOG_VARIANTS + j]);
        }
    }
    *ret = line;
    return OTR_OK;
}

void otr_log_line_free(otr_log_line *line)
{
    otr_free(line);
}

void otr_log_line_feed(otr_log_line *line, otr_bytes piece)
{
    const otr_log_formats *f = line->formats;
    for (size_t i = 0; f->doubt == NULL && i < f->n; i++) {
        const otr_log_compiled *c = &f->items[i].compiled;
        for (size_t j = 0; j < c->n_variants; j++) {
            (void)feed(&c->variants[j], &line->readings[i * OTR_LOG_VARIANTS + j], piece.p,
                       piece.p + piece.n);
        }
    }
}

void otr_log_line_end(otr_log_line *line, otr_log_counts *counts)
{
    const otr_log_formats *f = line->formats;
    unsigned ways = 0;
    for (size_t i = 0; f->doubt == NULL && i < f->n; i++) {
        const otr_log_compiled *c = &f->items[i].compiled;
        for (size_t j = 0; j < c->n_variants; j++) {
            ways |= used(&f->items[i],
                         end_of(&c->variants[j], &line->readings[i * OTR_LOG_VARIANTS + j]));
        }
    }
    unsigned class = 0;
    (void)add(f, ways, counts, &class);
}
