#include "nginx/apply/result.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/texts.h"

/* ---- ids ---- */

void otr_apply_id_make(char out[OTR_APPLY_ID_BYTES])
{
    uint32_t bits = 0;
    if (getrandom(&bits, sizeof(bits), GRND_NONBLOCK) != (ssize_t)sizeof(bits)) {
        bits = (uint32_t)otr_now_ns(); /* unlikely to meet another one of this second */
    }
    time_t s = (time_t)(otr_wall_ns() / OTR_NS_PER_S);
    struct tm tm = { 0 };
    char day[16] = "";
    (void)gmtime_r(&s, &tm);
    (void)strftime(day, sizeof(day), "%Y%m%dT%H%M%S", &tm);
    (void)snprintf(out, OTR_APPLY_ID_BYTES, "%.15s-%08x", day, (unsigned)bits);
}

bool otr_apply_id_ok(const char *text)
{
    static const char form[] = "dddddddd"
                               "T"
                               "dddddd"
                               "-"
                               "xxxxxxxx";
    if (strlen(text) != OTR_APPLY_ID_BYTES - 1) {
        return false;
    }
    for (size_t i = 0; form[i] != '\0'; i++) {
        char c = text[i];
        bool digit = c >= '0' && c <= '9';
        bool ok = form[i] == 'd'   ? digit
                  : form[i] == 'x' ? digit || (c >= 'a' && c <= 'f')
                                   : c == form[i];
        if (!ok) {
            return false;
        }
    }
    return true;
}

/* ---- names ---- */

static const char *const outcomes[OTR_APPLY_OUTCOMES] = {
    [OTR_APPLY_APPLIED] = "applied",         [OTR_APPLY_UNCHANGED] = "unchanged",
    [OTR_APPLY_DENIED] = "denied",           [OTR_APPLY_INVALID] = "invalid",
    [OTR_APPLY_ROLLED_BACK] = "rolled-back", [OTR_APPLY_ROLLBACK_FAILED] = "rollback-failed",
    [OTR_APPLY_SUPERSEDED] = "superseded",   [OTR_APPLY_FAILED] = "failed",
    [OTR_APPLY_PLANNED] = "planned",
};

const char *otr_apply_outcome_name(otr_apply_outcome outcome)
{
    return outcomes[outcome];
}

const char *otr_apply_step_name(otr_apply_step step)
{
    static const char *const names[OTR_APPLY_STEPS] = {
        [OTR_APPLY_WAITING] = "waiting",
        [OTR_APPLY_PLAN] = "plan",
        [OTR_APPLY_POLICY] = "policy",
        [OTR_APPLY_STAGE] = "stage",
        [OTR_APPLY_SWAP] = "swap",
        [OTR_APPLY_TEST] = "test",
        [OTR_APPLY_RELOAD] = "reload",
        [OTR_APPLY_PROOF] = "proof",
        [OTR_APPLY_PROBATION] = "probation",
        [OTR_APPLY_COMMIT] = "commit",
        [OTR_APPLY_UNDO] = "undo",
        [OTR_APPLY_UNDO_RELOAD] = "undo-reload",
        [OTR_APPLY_UNDO_PROOF] = "undo-proof",
        [OTR_APPLY_END] = "end",
    };
    return names[step];
}

const char *otr_apply_asker_name(otr_apply_asker asker)
{
    static const char *const names[] = { "user", "plane", "plugin", "agent" };
    return names[asker];
}

const char *otr_apply_why_name(otr_apply_why why)
{
    static const char *const names[] = { "apply", "rollback", "revert", "recovery" };
    return names[why];
}

const char *otr_apply_action_name(otr_apply_action action)
{
    static const char *const names[] = { "add", "update", "delete", "mode" };
    return names[action];
}

/* ---- findings ---- */

void otr_findings_deinit(otr_findings *findings)
{
    for (size_t i = 0; i < findings->n; i++) {
        otr_free(findings->items[i].file);
        otr_free(findings->items[i].text);
    }
    otr_free(findings->items);
    *findings = (otr_findings){ 0 };
}

otr_code otr_findings_add(otr_findings *findings, const otr_finding *finding, otr_err *err)
{
    if (findings->n >= OTR_LIMIT_APPLY_FINDINGS) {
        findings->missing++;
        return OTR_OK;
    }
    otr_code rc = otr_grow(&findings->items, findings->n, &findings->cap, sizeof(otr_finding), err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_finding *to = &findings->items[findings->n];
    *to = *finding;
    to->file = otr_strdup(finding->file != NULL ? finding->file : "");
    to->text = otr_strdup(finding->text != NULL ? finding->text : "");
    if (to->file == NULL || to->text == NULL) {
        otr_free(to->file);
        otr_free(to->text);
        return otr_fail_nomem(err);
    }
    findings->n++;
    return OTR_OK;
}

otr_code otr_findings_copy(const otr_findings *from, otr_findings *to, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < from->n; i++) {
        rc = otr_findings_add(to, &from->items[i], err);
    }
    if (rc == OTR_OK) {
        to->missing += from->missing;
    }
    return rc;
}

/* ---- results ---- */

void otr_apply_result_free(otr_apply_result *result)
{
    if (result == NULL) {
        return;
    }
    char *texts[] = { result->message, result->of,   result->reason,         result->verdicts,
                      result->impact,  result->diff, result->version_before, result->version_after,
                      result->history };
    for (size_t i = 0; i < OTR_COUNT(texts); i++) {
        otr_free(texts[i]);
    }
    for (size_t i = 0; i < result->n_files; i++) {
        otr_free(result->files[i].path);
    }
    otr_free(result->files);
    otr_texts_free(result->remarks);
    otr_findings_deinit(&result->findings);
    otr_free(result);
}

static otr_code dup(char **slot, otr_err *err)
{
    if (*slot == NULL) {
        return OTR_OK;
    }
    *slot = otr_strdup(*slot);
    return *slot != NULL ? OTR_OK : otr_fail_nomem(err);
}

static otr_code copy_files(const otr_apply_result *from, otr_apply_result *to, otr_err *err)
{
    to->files = otr_calloc(from->n_files + 1, sizeof(*to->files));
    if (to->files == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; i < from->n_files; i++) {
        to->files[i] = from->files[i];
        otr_code rc = dup(&to->files[i].path, err);
        if (rc != OTR_OK) {
            return rc;
        }
        to->n_files++;
    }
    return OTR_OK;
}

otr_code otr_apply_result_copy(const otr_apply_result *from, otr_apply_result **ret, otr_err *err)
{
    otr_apply_result *to = otr_zalloc(sizeof(*to));
    if (to == NULL) {
        return otr_fail_nomem(err);
    }
    *to = *from;
    to->findings = (otr_findings){ 0 };
    to->remarks = NULL;
    to->files = NULL;
    to->n_files = 0;
    char **slots[] = { &to->message, &to->of,   &to->reason,         &to->verdicts,
                       &to->impact,  &to->diff, &to->version_before, &to->version_after,
                       &to->history };
    otr_code rc = OTR_OK;
    for (size_t i = 0; i < OTR_COUNT(slots); i++) {
        if (rc == OTR_OK) {
            rc = dup(slots[i], err);
        } else {
            *slots[i] = NULL; /* it is still the other's */
        }
    }
    rc = rc == OTR_OK ? otr_findings_copy(&from->findings, &to->findings, err) : rc;
    rc = rc == OTR_OK ? otr_texts_copy(from->remarks, &to->remarks, err) : rc;
    rc = rc == OTR_OK ? copy_files(from, to, err) : rc;
    if (rc != OTR_OK) {
        otr_apply_result_free(to);
        return rc;
    }
    *ret = to;
    return OTR_OK;
}

otr_code otr_apply_result_say(char **slot, otr_err *err, const char *text)
{
    char *copy = otr_strdup(text);
    if (copy == NULL) {
        return otr_fail_nomem(err);
    }
    otr_free(*slot);
    *slot = copy;
    return OTR_OK;
}

otr_code otr_apply_result_remark(otr_apply_result *result, const char *text, otr_err *err)
{
    size_t n = 0;
    while (result->remarks != NULL && result->remarks[n] != NULL) {
        if (strcmp(result->remarks[n++], text) == 0) {
            return OTR_OK;
        }
    }
    if (n >= OTR_LIMIT_APPLY_REMARKS) {
        return OTR_OK;
    }
    char *copy = otr_strdup(text);
    char **grown = copy != NULL ? otr_realloc(result->remarks, (n + 2) * sizeof(*grown)) : NULL;
    if (grown == NULL) {
        otr_free(copy);
        return otr_fail_nomem(err);
    }
    grown[n] = copy;
    grown[n + 1] = NULL;
    result->remarks = grown;
    return OTR_OK;
}
