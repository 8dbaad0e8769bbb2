#include "modules/problems.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"

enum { TEXT_BYTES = 768 };

struct otr_problems {
    otr_problem items[OTR_LIMIT_PROBLEMS];
    size_t n;
    uint64_t missing;
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
    otr_free(problems);
}

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
            log_change("problem", &problems->items[problems->n - 1], OTR_LOG_WARN);
        } else {
            problems->missing++;
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
    }
}

void otr_problems_forget(otr_problems *problems, const char *who)
{
    for (size_t i = problems->n; i-- > 0;) {
        if (strcmp(problems->items[i].who, who) == 0) {
            drop(problems, &problems->items[i]);
        }
    }
}

const otr_problem *otr_problems_list(const otr_problems *problems, size_t *ret_n)
{
    *ret_n = problems->n;
    return problems->items;
}

uint64_t otr_problems_missing(const otr_problems *problems)
{
    return problems->missing;
}
