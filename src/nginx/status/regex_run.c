/*
 * Runs the program of a regular expression: over a text along all paths at once, and without a text
 * to find one.
 */
#include "base/limits.h"
#include "nginx/status/regex_steps.h"

enum { STEPS = OTR_LIMIT_NGINX_REGEX, SAMPLE_WALK = 4000, SAMPLE_STACK = 256 };

/* ---- matching ---- */

typedef struct threads { /* the steps that are reached at one place of the text */
    uint16_t items[STEPS + 1];
    size_t n;
    uint8_t seen[STEPS / 8 + 1];
} threads;

static void reach(const otr_regex *r, threads *t, size_t at, bool begin, bool end)
{
    uint16_t stack[2 * STEPS + 2];
    size_t n = 0;
    stack[n++] = (uint16_t)at;
    while (n > 0) {
        size_t i = stack[--n];
        if (otr_regex_has(t->seen, (unsigned)i)) {
            continue;
        }
        otr_regex_put(t->seen, (unsigned)i);
        const otr_regex_step *s = &r->steps[i];
        if (s->op == OTR_STEP_EITHER) {
            stack[n++] = (uint16_t)((int)i + s->b);
        }
        if (s->op == OTR_STEP_EITHER || s->op == OTR_STEP_JUMP) {
            stack[n++] = (uint16_t)((int)i + s->a);
        } else if ((s->op == OTR_STEP_BEGIN && begin) || (s->op == OTR_STEP_END && end)) {
            stack[n++] = (uint16_t)(i + 1);
        } else if (s->op == OTR_STEP_SET || s->op == OTR_STEP_DONE) {
            t->items[t->n++] = (uint16_t)i;
        }
    }
}

static void clear(threads *t)
{
    t->n = 0;
    memset(t->seen, 0, sizeof(t->seen));
}

bool otr_regex_matches(const otr_regex *r, otr_bytes text)
{
    threads both[2];
    threads *now = &both[0], *then = &both[1];
    clear(now);
    for (size_t i = 0; i <= text.n; i++) {
        reach(r, now, 0, i == 0, i == text.n); /* a match may begin anywhere */
        clear(then);
        for (size_t j = 0; j < now->n; j++) {
            const otr_regex_step *s = &r->steps[now->items[j]];
            if (s->op == OTR_STEP_DONE) {
                return true;
            }
            if (i < text.n && otr_regex_has(s->set, text.p[i])) {
                reach(r, then, now->items[j] + 1U, false, i + 1 == text.n);
            }
        }
        threads *swap = now;
        now = then;
        then = swap;
    }
    return false;
}

/* ---- samples ---- */

/* A byte of the set that reads well in a name or a URI. */
static bool pleasant(const uint8_t *set, uint8_t *ret)
{
    static const char order[] =
        "aAbcdefghijklmnopqrstuvwxyzBCDEFGHIJKLMNOPQRSTUVWXYZ1023456789-_./";
    for (const char *c = order; *c != '\0'; c++) {
        if (otr_regex_has(set, (unsigned char)*c)) {
            *ret = (uint8_t)*c;
            return true;
        }
    }
    for (unsigned i = 33; i < 256; i++) {
        if (i != 0x7f && otr_regex_has(set, i)) {
            *ret = (uint8_t)i;
            return true;
        }
    }
    *ret = ' ';
    return otr_regex_has(set, ' ');
}

typedef struct place {
    size_t step, n; /* n: bytes of the text so far */
} place;

static size_t target(size_t from, int jump)
{
    return jump < 0 ? from - (size_t)-jump : from + (size_t)jump;
}

/* One step of the walk; false: this way leads nowhere. */
static bool advance(const otr_regex *r, place *at, uint8_t *text, place *stack, size_t *n)
{
    const otr_regex_step *s = &r->steps[at->step];
    switch (s->op) {
    case OTR_STEP_SET:
        if (at->n >= OTR_REGEX_SAMPLE_BYTES || !pleasant(s->set, &text[at->n])) {
            return false;
        }
        at->n++;
        at->step++;
        return true;
    case OTR_STEP_EITHER: {
        place second = *at;
        second.step = target(at->step, s->late ? s->a : s->b);
        at->step = target(at->step, s->late ? s->b : s->a);
        if (*n < SAMPLE_STACK) {
            stack[(*n)++] = second;
        }
        return true;
    }
    case OTR_STEP_JUMP:
        at->step = target(at->step, s->a);
        return true;
    default: /* whether an anchor holds is seen at the end */
        at->step++;
        return true;
    }
}

void otr_regex_samples(const otr_regex *r, size_t most, otr_regex_sample_fn *take, void *arg)
{
    uint8_t text[OTR_REGEX_SAMPLE_BYTES];
    place stack[SAMPLE_STACK];
    size_t n = 0, given = 0;
    stack[n++] = (place){ 0 };
    place at = { 0 };
    bool going = false;
    for (unsigned walked = 0; walked < SAMPLE_WALK && given < most; walked++) {
        if (!going) {
            if (n == 0) {
                return;
            }
            at = stack[--n];
        }
        going = r->steps[at.step].op != OTR_STEP_DONE;
        if (!going) {
            otr_bytes sample = { text, at.n };
            if (otr_regex_matches(r, sample)) {
                given++;
                if (!take(arg, sample)) {
                    return;
                }
            }
        } else {
            going = advance(r, &at, text, stack, &n);
        }
    }
}
