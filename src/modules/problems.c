#include "modules/problems.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"

enum { TEXT_BYTES = 768 };

/* One that found no room: who and what, as far as a digest tells. */
typedef struct missed {
    uint64_t who, name;
} missed;

struct otr_problems {
    otr_problem items[OTR_LIMIT_PROBLEMS];
    size_t n;
    missed *missed; /* in order */
    size_t n_missed, cap_missed;
};

otr_code otr_problems_new(otr_problems **ret, otr_err *err)
{
    *ret = otr_zalloc(sizeof(**ret));
    return *ret != NULL ? OTR_OK : otr_fail_nomem(err);
}

static void deinit(otr_problem *problem)
{
    otr_free(problem->who);
    otr_free(problem->name);
    otr_free(problem->text);
}

void otr_problems_free(otr_problems *problems)
{
    for (size_t i = 0; problems != NULL && i < problems->n; i++) {
        deinit(&problems->items[i]);
    }
    if (problems != NULL) {
        otr_free(problems->missed);
    }
    otr_free(problems);
}

/* ---- what found no room ---- */

static uint64_t hash(const char *text)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (; *text != '\0'; text++) {
        h = (h ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
    }
    return h;
}

static missed digest(const char *who, const char *name)
{
    return (missed){ hash(who), hash(name) };
}

/* Where `what` is or would be; by name first, so that those of one instance spread. */
static size_t position(const otr_problems *problems, missed what, bool *ret_there)
{
    size_t low = 0, high = problems->n_missed;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        missed at = problems->missed[mid];
        if (at.name < what.name || (at.name == what.name && at.who < what.who)) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    *ret_there = low < problems->n_missed && problems->missed[low].who == what.who &&
                 problems->missed[low].name == what.name;
    return low;
}

/* True when it is new. Without memory, or past OTR_LIMIT_PROBLEMS_MISSED, it is not remembered. */
static bool miss(otr_problems *problems, const char *who, const char *name)
{
    bool there = false;
    missed what = digest(who, name);
    size_t at = position(problems, what, &there);
    if (there || problems->n_missed == OTR_LIMIT_PROBLEMS_MISSED) {
        return false;
    }
    if (problems->n_missed == problems->cap_missed) {
        size_t cap = problems->cap_missed > 0 ? 2 * problems->cap_missed : 16;
        missed *grown = otr_realloc(problems->missed, cap * sizeof(*grown));
        if (grown == NULL) {
            return false;
        }
        problems->missed = grown;
        problems->cap_missed = cap;
    }
    memmove(&problems->missed[at + 1], &problems->missed[at],
            (problems->n_missed - at) * sizeof(what));
    problems->missed[at] = what;
    problems->n_missed++;
    return true;
}

static void unmiss(otr_problems *problems, const char *who, const char *name)
{
    bool there = false;
    size_t at = position(problems, digest(who, name), &there);
    if (there) {
        problems->n_missed--;
        memmove(&problems->missed[at], &problems->missed[at + 1],
                (problems->n_missed - at) * sizeof(missed));
    }
}

static void unmiss_all(otr_problems *problems, const char *who)
{
    size_t kept = 0;
    uint64_t of = hash(who);
    for (size_t i = 0; i < problems->n_missed; i++) {
        if (problems->missed[i].who != of) {
            problems->missed[kept++] = problems->missed[i];
        }
    }
    problems->n_missed = kept;
}

/* ---- the list ---- */

static otr_problem *find(otr_problems *problems, const char *who, const char *name)
{
    for (size_t i = 0; i < problems->n; i++) {
        otr_problem *at = &problems->items[i];
        if (strcmp(at->who, who) == 0 && strcmp(at->name, name) == 0) {
            return at;
        }
    }
    return NULL;
}

static bool add(otr_problems *problems, const char *who, const char *name, const char *text)
{
    if (problems->n == OTR_LIMIT_PROBLEMS) {
        return false;
    }
    otr_problem made = { .who = otr_strdup(who),
                         .name = otr_strdup(name),
                         .text = otr_strdup(text),
                         .since_ns = otr_now_ns() };
    if (made.who == NULL || made.name == NULL || made.text == NULL) {
        deinit(&made);
        return false;
    }
    problems->items[problems->n++] = made;
    return true;
}

static void log_change(const char *message, const otr_problem *problem, otr_log_level level)
{
    otr_log(level, message, "instance", problem->who[0] != '\0' ? problem->who : "-", "what",
            problem->name, "text", problem->text, (char *)NULL);
}

void otr_problem_set(otr_problems *problems, const char *who, const char *name, const char *format,
                     ...)
{
    char text[TEXT_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    otr_problem *at = find(problems, who, name);
    if (at == NULL) {
        if (add(problems, who, name, text)) {
            unmiss(problems, who, name);
            log_change("problem", &problems->items[problems->n - 1], OTR_LOG_WARN);
        } else if (miss(problems, who, name)) {
            otr_log_warn("problem, and the list of them is full", "instance",
                         who[0] != '\0' ? who : "-", "what", name, "text", text);
        }
    } else if (strcmp(at->text, text) != 0) {
        char *copy = otr_strdup(text);
        if (copy != NULL) { /* else the older text stays */
            otr_free(at->text);
            at->text = copy;
        }
    }
}

static void drop(otr_problems *problems, otr_problem *at)
{
    deinit(at);
    problems->n--;
    memmove(at, at + 1, (size_t)(&problems->items[problems->n] - at) * sizeof(*at));
}

void otr_problem_clear(otr_problems *problems, const char *who, const char *name)
{
    otr_problem *at = find(problems, who, name);
    if (at != NULL) {
        log_change("problem is over", at, OTR_LOG_INFO);
        drop(problems, at);
    } else {
        unmiss(problems, who, name);
    }
}

void otr_problems_forget(otr_problems *problems, const char *who)
{
    for (size_t i = problems->n; i-- > 0;) {
        if (strcmp(problems->items[i].who, who) == 0) {
            drop(problems, &problems->items[i]);
        }
    }
    unmiss_all(problems, who);
}

const otr_problem *otr_problems_list(const otr_problems *problems, size_t *ret_n)
{
    *ret_n = problems->n;
    return problems->items;
}

uint64_t otr_problems_missing(const otr_problems *problems)
{
    return problems->n_missed;
}
