#include "base/buf.h"
#include "base/limits.h"
#include "nginx/apply/verdict.h"
#include "support/test.h"

static void free_findings(void *slot)
{
    otr_findings_deinit(slot);
}

/* `warnings` lines, then what it ends for. */
static bool write_output(otr_buf *out, size_t warnings, const char *last)
{
    otr_err e = { 0 };
    bool ok = true;
    for (size_t i = 0; ok && i < warnings; i++) {
        ok = otr_buf_addf(out, &e, "nginx: [warn] conflicting server name \"%zu\"\n", i) == OTR_OK;
    }
    return ok && otr_buf_adds(out, last, &e) == OTR_OK;
}

T(what_nginx_ends_for_counts_behind_any_number_of_warnings)
{
    static const size_t warnings[] = { 0, OTR_LIMIT_APPLY_FINDINGS - 1, OTR_LIMIT_APPLY_FINDINGS,
                                       3 * OTR_LIMIT_APPLY_FINDINGS };
    for (size_t i = 0; i < OTR_COUNT(warnings); i++) {
        OTR_CLEANUP(free_findings) otr_findings f = { 0 };
        OTR_CLEANUP(otr_buf_deinit) otr_buf out;
        otr_err e = { 0 };
        otr_trial_verdict verdict = OTR_TRIAL_UNKNOWN;
        char reason[OTR_VERDICT_REASON_BYTES];
        otr_buf_init(&out, OTR_LIMIT_APPLY_TEST_BYTES);
        REQUIRE(write_output(&out, warnings[i], "nginx: [emerg] no such thing in /a:3\n"));
        const otr_child_result r = { .exit_status = 1, .output = otr_buf_bytes(&out) };
        const otr_verdict_spec spec = { .timeout_ms = 1000 };
        REQUIRE_OK(otr_verdict_of(&r, &spec, &f, &verdict, reason, &e), e);
        CHECK_INT(verdict, OTR_TRIAL_INVALID);
        CHECK_STR(reason, "[emerg] no such thing in /a:3");
        CHECK_INT(f.n + f.missing, warnings[i] + 1);
    }
}
