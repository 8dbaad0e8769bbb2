#include "nginx/apply/verdict.h"

#include <signal.h>
#include <stdio.h>

#include "base/escape.h"
#include "base/limits.h"
#include "nginx/apply/lines.h"

enum { SHOWN_BYTES = 400 };

typedef struct seen {         /* over all lines */
    const otr_finding *worst; /* the first emerg, alert or crit; NULL: none */
    const otr_finding *warning;
    bool lack;   /* of this machine's */
    bool denied; /* for a right that is missing */
} seen;

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

/* Errors of Linux that say something of the machine and nothing of the configuration, in the form
 * that NGINX gives them: "(24: Too many open files)". */
static bool is_lack(const char *text)
{
    static const char *const parts[] = { "(12: ",         "(23: ",  "(24: ",    "(28: ",
                                         "(11: Resource", "(105: ", "(5: Input" };
    for (size_t i = 0; i < OTR_COUNT(parts); i++) {
        if (has(text, parts[i])) {
            return true;
        }
    }
    return false;
}

/* NGINX opens its compiled-in log before it knows of another one; without rights it goes on. */
static bool is_harmless(const otr_finding *f)
{
    return strcmp(f->level, "alert") == 0 && has(f->text, "could not open error log file");
}

static bool is_grave(const otr_finding *f)
{
    return strcmp(f->level, "emerg") == 0 || strcmp(f->level, "crit") == 0 ||
           (strcmp(f->level, "alert") == 0 && !is_harmless(f));
}

/* Adds the lines from `first` to `last`; with `findings` NULL it only counts them. */
static otr_code collect_levels(otr_bytes output, otr_level first, otr_level last,
                               otr_findings *findings, size_t *ret_n, otr_err *err)
{
    otr_bytes one;
    otr_line line;
    otr_code rc = OTR_OK;
    while (rc == OTR_OK && otr_line_next(&output, &one)) {
        if (otr_line_parse(one, &line) && line.level >= first && line.level <= last) {
            (*ret_n)++;
            rc = findings != NULL ? otr_findings_add_line(findings, &line, err) : OTR_OK;
        }
    }
    return rc;
}

/* In NGINX's order; of more than there is room for those first that it can end for. */
static otr_code collect(otr_bytes output, otr_findings *findings, otr_err *err)
{
    size_t n = 0;
    otr_level grave = OTR_LEVEL_STDERR;
    otr_code rc = collect_levels(output, OTR_LEVEL_STDERR, OTR_LEVEL_WARN, NULL, &n, err);
    if (rc == OTR_OK && n > OTR_LIMIT_APPLY_FINDINGS) {
        rc = collect_levels(output, OTR_LEVEL_STDERR, OTR_LEVEL_CRIT, findings, &n, err);
        grave = OTR_LEVEL_ERROR;
    }
    return rc == OTR_OK ? collect_levels(output, grave, OTR_LEVEL_WARN, findings, &n, err) : rc;
}

static void look(const otr_findings *findings, seen *ret)
{
    *ret = (seen){ 0 };
    for (size_t i = 0; i < findings->n; i++) {
        const otr_finding *f = &findings->items[i];
        if (is_grave(f)) {
            ret->worst = ret->worst == NULL ? f : ret->worst;
            ret->lack |= is_lack(f->text);
            ret->denied |= has(f->text, "(13: ") || has(f->text, "(1: Op");
        } else if (ret->warning == NULL && strcmp(f->level, "warn") == 0) {
            ret->warning = f;
        }
    }
}

/* "[emerg] unknown directive "x" in /etc/nginx/nginx.conf:3" */
static void cite(const otr_finding *f, char *out, size_t cap)
{
    if (f->file[0] != '\0') {
        (void)snprintf(out, cap, "[%s] %s in %s:%u", f->level, f->text, f->file, f->line);
    } else {
        (void)snprintf(out, cap, "[%s] %s", f->level, f->text);
    }
}

/* What it wrote that is no line of NGINX's: the loader, a shell. */
static void cite_output(otr_bytes output, char out[SHOWN_BYTES])
{
    while (output.n > 0 && (output.p[output.n - 1] == '\n' || output.p[output.n - 1] == ' ')) {
        output.n--;
    }
    (void)otr_escape_text(output, out, SHOWN_BYTES);
}

static otr_trial_verdict say(char reason[OTR_VERDICT_REASON_BYTES], otr_trial_verdict verdict,
                             const char *before, const char *text)
{
    (void)snprintf(reason, OTR_VERDICT_REASON_BYTES, "%s%s", before, text);
    return verdict;
}

static bool is_crash(int sig)
{
    return sig == SIGSEGV || sig == SIGBUS || sig == SIGABRT || sig == SIGFPE || sig == SIGILL;
}

static otr_trial_verdict judge_end(const otr_child_result *r, const otr_verdict_spec *spec,
                                   char *reason)
{
    char text[96];
    if (r->failed != NULL) {
        return say(reason, OTR_TRIAL_UNKNOWN, "`nginx -t` could not be run: ", r->failed->msg);
    }
    if (r->timed_out) {
        (void)snprintf(text, sizeof(text), "%llu ms", (unsigned long long)spec->timeout_ms);
        return say(reason, OTR_TRIAL_UNKNOWN, "`nginx -t` did not end within ", text);
    }
    (void)snprintf(text, sizeof(text), "signal %d", r->term_signal);
    if (is_crash(r->term_signal)) {
        return say(reason, OTR_TRIAL_INVALID, "`nginx -t` crashed with this configuration, by ",
                   text);
    }
    return say(reason, OTR_TRIAL_UNKNOWN, "`nginx -t` was ended by ", text);
}

static otr_trial_verdict judge_lines(const otr_child_result *r, const otr_verdict_spec *spec,
                                     const seen *s, char *reason)
{
    char text[OTR_VERDICT_REASON_BYTES - 160];
    if (s->worst != NULL) {
        cite(s->worst, text, sizeof(text));
        return s->lack ? say(reason, OTR_TRIAL_UNKNOWN,
                             "`nginx -t` failed for a lack of this machine, not for the "
                             "configuration: ",
                             text)
               : s->denied && spec->lacking
                   ? say(reason, OTR_TRIAL_UNKNOWN,
                         "`nginx -t` could not be given all rights that NGINX has, and failed: ",
                         text)
                   : say(reason, OTR_TRIAL_INVALID, "", text);
    }
    if (r->exit_status != 0) {
        char shown[SHOWN_BYTES];
        cite_output(r->output, shown);
        (void)snprintf(text, sizeof(text), "%d: %s", r->exit_status,
                       shown[0] != '\0' ? shown : "it wrote nothing");
        return say(reason, OTR_TRIAL_UNKNOWN,
                   "`nginx -t` gave no verdict; it ended with exit status ", text);
    }
    if (s->warning != NULL && spec->warnings_are_errors) {
        cite(s->warning, text, sizeof(text));
        return say(reason, OTR_TRIAL_INVALID, "warnings count as errors here: ", text);
    }
    return say(reason, OTR_TRIAL_VALID, "", "");
}

otr_code otr_verdict_of(const otr_child_result *result, const otr_verdict_spec *spec,
                        otr_findings *findings, otr_trial_verdict *ret,
                        char reason[OTR_VERDICT_REASON_BYTES], otr_err *err)
{
    seen s;
    otr_code rc = collect(result->output, findings, err);
    if (rc != OTR_OK) {
        return rc;
    }
    look(findings, &s);
    *ret = result->failed != NULL || result->timed_out || result->exit_status < 0
               ? judge_end(result, spec, reason)
               : judge_lines(result, spec, &s, reason);
    return OTR_OK;
}
