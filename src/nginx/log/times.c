#include "nginx/log/times.h"

#include "nginx/log/values.h"

enum { TRIES_MOST = 64, DIGITS_MOST = 12, PER_S = 1000 };

typedef struct found { /* in one line */
    uint64_t ms[TRIES_MOST];
    size_t n;
} found;

bool otr_log_times_any(const otr_log_times *times)
{
    uint64_t n = 0;
    for (size_t i = 0; i < OTR_LOG_CLASSES; i++) {
        n += times->requests[i].count;
    }
    for (size_t i = 0; i < OTR_LOG_TIMES; i++) {
        n += times->upstreams[i].count;
    }
    return n > 0;
}

void otr_log_times_merge(otr_log_times *times, const otr_log_times *other)
{
    for (size_t i = 0; i < OTR_LOG_CLASSES; i++) {
        otr_histogram_merge(&times->requests[i], &other->requests[i]);
    }
    for (size_t i = 0; i < OTR_LOG_TIMES; i++) {
        otr_histogram_merge(&times->upstreams[i], &other->upstreams[i]);
    }
}

/* In JSON a quote behind an odd number of backslashes belongs to a value. */
static bool is_escaped(const uint8_t *begin, const uint8_t *quote)
{
    const uint8_t *p = quote;
    while (p > begin && p[-1] == '\\') {
        p--;
    }
    return ((quote - p) & 1) != 0;
}

const uint8_t *otr_log_behind_mark(const uint8_t *begin, const uint8_t *p, const uint8_t *end,
                                   uint8_t mark, bool json, unsigned n)
{
    while (n > 0) {
        p = memchr(p, mark, (size_t)(end - p));
        if (p == NULL) {
            return NULL;
        }
        n -= !json || !is_escaped(begin, p);
        p++;
    }
    return p;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* "12.345"; NULL when there is something else. */
static const uint8_t *read_time(const uint8_t *p, const uint8_t *end, uint64_t *ret_ms)
{
    uint64_t ms = 0;
    const uint8_t *begin = p;
    while (p < end && is_digit(*p) && p - begin < DIGITS_MOST) {
        ms = ms * 10 + (uint64_t)(*p++ - '0');
    }
    if (p == begin || end - p < 4 || *p != '.' || !is_digit(p[1]) || !is_digit(p[2]) ||
        !is_digit(p[3])) {
        return NULL;
    }
    *ret_ms = ms * PER_S + (uint64_t)(p[1] - '0') * 100 + (uint64_t)(p[2] - '0') * 10 +
              (uint64_t)(p[3] - '0');
    return p + 4;
}

/* Between two servers that were tried, and before another group of them. */
static const uint8_t *behind_separator(const uint8_t *p, const uint8_t *end)
{
    if (end - p > 2 && p[0] == ',' && p[1] == ' ') {
        return p + 2;
    }
    return end - p > 3 && p[0] == ' ' && p[1] == ':' && p[2] == ' ' ? p + 3 : NULL;
}

/* "0.010", "-", "0.010, - : 0.030". A list is empty in JSON when no server was asked. */
static const uint8_t *read_times(const uint8_t *p, const uint8_t *end, found *ret)
{
    ret->n = 0;
    for (;;) {
        if (p < end && *p == '-') {
            p++;
        } else {
            uint64_t ms = 0;
            const uint8_t *behind = read_time(p, end, &ms);
            if (behind == NULL) {
                return ret->n == 0 ? p : NULL;
            }
            if (ret->n < TRIES_MOST) {
                ret->ms[ret->n++] = ms;
            }
            p = behind;
        }
        const uint8_t *next = behind_separator(p, end);
        if (next == NULL) {
            return p;
        }
        p = next;
    }
}

/* Behind the step; NULL: the line is another. */
static const uint8_t *take_step(const otr_log_plan *plan, const otr_log_step *step,
                                const uint8_t *begin, const uint8_t *p, const uint8_t *end)
{
    switch (step->kind) {
    case OTR_LOG_STEP_MARKS:
        return otr_log_behind_mark(begin, p, end, plan->mark, plan->json, step->n);
    case OTR_LOG_STEP_TEXT:
        return (size_t)(end - p) >= step->text.n && memcmp(p, step->text.p, step->text.n) == 0
                   ? p + step->text.n
                   : NULL;
    case OTR_LOG_STEP_SKIP:
        return (size_t)(end - p) >= step->n ? p + step->n : NULL;
    case OTR_LOG_STEP_SET:
        while (p < end && otr_log_set_has(step->set, *p)) {
            p++;
        }
        return p;
    case OTR_LOG_STEP_END:
        return p == end ? p : NULL;
    case OTR_LOG_STEP_SECONDS:
    default:
        return p;
    }
}

static void add(otr_log_times *times, unsigned class, otr_log_time what, const found *list)
{
    if (what == OTR_LOG_REQUEST_TIME) {
        if (list->n == 1) {
            otr_histogram_add(&times->requests[class], list->ms[0]);
        }
        return;
    }
    for (size_t i = 0; i < list->n; i++) {
        otr_histogram_add(&times->upstreams[what], list->ms[i]);
    }
}

void otr_log_plan_read(const otr_log_plan *plan, const uint8_t *begin, const uint8_t *end,
                       unsigned class, otr_log_times *times)
{
    const uint8_t *p = begin;
    found list;
    for (size_t i = 0; i < plan->n && p != NULL; i++) {
        const otr_log_step *step = &plan->steps[i];
        if (step->kind != OTR_LOG_STEP_SECONDS) {
            p = take_step(plan, step, begin, p, end);
            continue;
        }
        p = read_times(p, end, &list);
        /* What stands behind it must be what the format has there, or it was no such time. */
        const otr_log_step *next = step + 1;
        bool told =
            i + 1 < plan->n && (next->kind == OTR_LOG_STEP_TEXT || next->kind == OTR_LOG_STEP_END);
        bool fits = p != NULL && (!told || take_step(plan, next, begin, p, end) != NULL);
        if (fits && step->time != OTR_LOG_TIMES) {
            add(times, class, step->time, &list);
        }
        p = fits ? p : NULL;
    }
}
