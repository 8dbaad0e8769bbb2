#include "plugin/contract.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/escape.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/texts.h"
#include "bus/bus.h"

enum { MAX_TOPICS = 64, MAX_VERSION = 64 };

void otr_contract_info_deinit(otr_contract_info *info)
{
    otr_freep(&info->version);
    info->operations = 0;
}

/* Its tree takes many times what it has: none of these is long. */
static otr_code read_answer(otr_bytes answer, otr_json **ret, otr_err *err)
{
    return answer.n <= OTR_LIMIT_PLUGIN_ANSWER_BYTES
               ? otr_json_parse(answer, ret, err)
               : otr_fail(err, OTR_EINVAL, "an answer of %zu bytes; the limit is %d", answer.n,
                          OTR_LIMIT_PLUGIN_ANSWER_BYTES);
}

static unsigned read_operations(const otr_json *list)
{
    static const struct {
        const char *name;
        unsigned bit;
    } known[] = { { "init", OTR_HAS_INIT },
                  { "reconfigure", OTR_HAS_RECONFIGURE },
                  { "close", OTR_HAS_CLOSE } };
    unsigned bits = OTR_HAS_LIST;
    for (size_t i = 0; i < otr_json_size(list); i++) {
        const char *name = otr_json_str(otr_json_at(list, i), "");
        for (size_t k = 0; k < OTR_COUNT(known); k++) {
            bits |= strcmp(name, known[k].name) == 0 ? known[k].bit : 0;
        }
    }
    return bits;
}

static otr_code check_info(const otr_json *root, otr_err *err)
{
    if (otr_json_kind(root) != OTR_JSON_OBJECT) {
        return otr_fail(err, OTR_EINVAL, "info: expected a JSON object {name, version, api}");
    }
    const char *version = otr_json_str(otr_json_get(root, "version"), NULL);
    if (otr_json_str(otr_json_get(root, "name"), NULL) == NULL || version == NULL) {
        return otr_fail(err, OTR_EINVAL, "info: \"name\" and \"version\" must be texts");
    }
    if (strlen(version) > MAX_VERSION) {
        return otr_fail(err, OTR_EINVAL, "info: \"version\" is longer than %d bytes", MAX_VERSION);
    }
    const otr_json *api = otr_json_get(root, "api");
    const char *text = otr_json_str(api, "");
    if (strcmp(text, OTR_CONTRACT_API) != 0 && otr_json_int(api, 0) != 1) {
        return otr_fail(err, OTR_EUNSUP,
                        "info: \"api\" is \"%.32s\"; this agent serves plugin API \"%s\"", text,
                        OTR_CONTRACT_API);
    }
    return OTR_OK;
}

otr_code otr_contract_read_info(otr_bytes answer, otr_contract_info *ret, otr_err *err)
{
    OTR_CLEANUP(otr_json_freep) otr_json *root = NULL;
    otr_code rc = read_answer(answer, &root, err);
    if (rc != OTR_OK) {
        return otr_wrap(err, rc, "info");
    }
    rc = check_info(root, err);
    if (rc != OTR_OK) {
        return rc;
    }
    char shown[4 * MAX_VERSION + 1];
    const char *given = otr_json_str(otr_json_get(root, "version"), "");
    char *version = otr_strdup(otr_escape_text(otr_bytes_of(given), shown, sizeof(shown)));
    if (version == NULL) {
        return otr_fail_nomem(err);
    }
    const otr_json *operations = otr_json_get(root, "operations");
    *ret = (otr_contract_info){ version, operations != NULL ? read_operations(operations) : 0 };
    return OTR_OK;
}

void otr_contract_topics_deinit(otr_contract_topics *topics)
{
    otr_texts_free(topics->events);
    otr_texts_free(topics->hooks);
    *topics = (otr_contract_topics){ NULL, NULL };
}

/* Where in `to` a topic of this kind goes. */
static char **end_of(const otr_contract_topics *to, const char *kind)
{
    char **at = strcmp(kind, "hook") == 0 ? to->hooks : to->events;
    while (*at != NULL) {
        at++;
    }
    return at;
}

static otr_code read_topic(const otr_json *item, const otr_contract_topics *to, otr_err *err)
{
    const char *pattern = otr_json_str(item, NULL), *kind = "event";
    if (item != NULL && otr_json_kind(item) == OTR_JSON_OBJECT) {
        pattern = otr_json_str(otr_json_get(item, "pattern"), NULL);
        kind = otr_json_str(otr_json_get(item, "kind"), "event");
        if (strcmp(kind, "event") != 0 && strcmp(kind, "hook") != 0) {
            return otr_fail(err, OTR_EUNSUP,
                            "subscriptions: kind \"%.32s\" is not offered; there are: event, hook",
                            kind);
        }
    }
    if (pattern == NULL) {
        return otr_fail(err, OTR_EINVAL,
                        "subscriptions: each topic must be a text or {pattern, kind}");
    }
    otr_code rc = otr_topic_check(pattern, true, err);
    if (rc != OTR_OK) {
        return otr_wrap(err, rc, "subscriptions");
    }
    char **at = end_of(to, kind);
    *at = otr_strdup(pattern);
    return *at != NULL ? OTR_OK : otr_fail_nomem(err);
}

otr_code otr_contract_read_topics(otr_bytes answer, otr_contract_topics *ret, otr_err *err)
{
    OTR_CLEANUP(otr_json_freep) otr_json *root = NULL;
    otr_code rc = read_answer(answer, &root, err);
    if (rc != OTR_OK) {
        return otr_wrap(err, rc, "subscriptions");
    }
    const otr_json *list =
        otr_json_kind(root) == OTR_JSON_OBJECT ? otr_json_get(root, "topics") : root;
    if (list == NULL || otr_json_kind(list) != OTR_JSON_ARRAY) {
        return otr_fail(err, OTR_EINVAL, "subscriptions: expected {\"topics\":[…]} or a list");
    }
    size_t n = otr_json_size(list);
    if (n > MAX_TOPICS) {
        return otr_fail(err, OTR_EQUOTA, "subscriptions: %zu topics are more than the limit of %d",
                        n, MAX_TOPICS);
    }
    otr_contract_topics topics = { .events = otr_calloc(n + 1, sizeof(char *)),
                                   .hooks = otr_calloc(n + 1, sizeof(char *)) };
    rc = topics.events != NULL && topics.hooks != NULL ? OTR_OK : otr_fail_nomem(err);
    for (size_t i = 0; i < n && rc == OTR_OK; i++) {
        rc = read_topic(otr_json_at(list, i), &topics, err);
    }
    if (rc != OTR_OK) {
        otr_contract_topics_deinit(&topics);
        return rc;
    }
    *ret = topics;
    return OTR_OK;
}

/* ---- hooks ---- */

/* Escaped, as it is shown and told to whoever asked; at most what fits, and no half of a character
 * at the end. */
static void copy_text(const char *text, char *to, size_t size)
{
    size_t n = 0;
    for (otr_bytes rest = otr_bytes_of(text); rest.n > 0;) {
        char one[OTR_ESCAPE_BYTES];
        size_t wrote = 0, took = otr_escape_next(rest, one, &wrote);
        if (n + wrote >= size) {
            break;
        }
        memcpy(to + n, one, wrote);
        n += wrote;
        rest = (otr_bytes){ rest.p + took, rest.n - took };
    }
    to[n] = '\0';
}

const char *otr_finding_severity_name(otr_finding_severity severity)
{
    static const char *const names[] = { "error", "warning", "info" };
    return (size_t)severity < OTR_COUNT(names) ? names[severity] : names[0];
}

static otr_finding_severity read_severity(const otr_json *v)
{
    const char *text = otr_json_str(v, "");
    return strcmp(text, "warning") == 0 ? OTR_FINDING_WARNING
           : strcmp(text, "info") == 0  ? OTR_FINDING_INFO
                                        : OTR_FINDING_ERROR;
}

/* `v` has at least one of `file`, `line` and `message`. */
static void add_finding(const otr_json *v, otr_contract_verdict *to)
{
    const char *file = otr_json_str(otr_json_get(v, "file"), "");
    const char *message = otr_json_str(otr_json_get(v, "message"), "");
    int64_t line = otr_json_int(otr_json_get(v, "line"), 0);
    line = line > 0 && line <= UINT32_MAX ? line : 0;
    if (file[0] == '\0' && message[0] == '\0') {
        return;
    }
    if (to->n_findings == OTR_VERDICT_FINDINGS) {
        to->more_findings++;
        return;
    }
    otr_hook_finding *f = &to->findings[to->n_findings++];
    f->line = (uint32_t)line;
    f->severity = read_severity(otr_json_get(v, "severity"));
    copy_text(file, f->file, sizeof(f->file));
    copy_text(message, f->message, sizeof(f->message));
}

/* A guest that says more than we ask for, or in another form, is understood as before. */
static void read_findings(const otr_json *root, otr_contract_verdict *to)
{
    const otr_json *list = otr_json_get(root, "findings");
    to->n_findings = to->more_findings = 0;
    if (otr_json_str(otr_json_get(root, "file"), "")[0] != '\0') {
        add_finding(root, to);
    }
    for (size_t i = 0; otr_json_kind(list) == OTR_JSON_ARRAY && i < otr_json_size(list); i++) {
        const otr_json *v = otr_json_at(list, i);
        if (otr_json_kind(v) == OTR_JSON_OBJECT) {
            add_finding(v, to);
        }
    }
}

otr_code otr_contract_read_verdict(otr_bytes answer, otr_contract_verdict *ret, otr_err *err)
{
    static const char shape[] = "expected {\"verdict\":\"allow\" or \"deny\",\"message\":text}";
    OTR_CLEANUP(otr_json_freep) otr_json *root = NULL;
    if (answer.n == 0) {
        return otr_fail(err, OTR_EINVAL, "the hook was answered with nothing: %s", shape);
    }
    otr_code rc = read_answer(answer, &root, err);
    if (rc != OTR_OK) {
        return otr_wrap(err, rc, "answer to the hook");
    }
    bool object = otr_json_kind(root) == OTR_JSON_OBJECT;
    const char *verdict = object ? otr_json_str(otr_json_get(root, "verdict"), NULL) : NULL;
    const otr_json *message = object ? otr_json_get(root, "message") : NULL;
    if (verdict == NULL || (strcmp(verdict, "allow") != 0 && strcmp(verdict, "deny") != 0) ||
        (otr_json_kind(message) != OTR_JSON_STRING && otr_json_kind(message) != OTR_JSON_NULL)) {
        return otr_fail(err, OTR_EINVAL, "answer to the hook: %s", shape);
    }
    ret->verdict = strcmp(verdict, "allow") == 0 ? OTR_VERDICT_ALLOW : OTR_VERDICT_DENY;
    copy_text(otr_json_str(message, ""), ret->message, sizeof(ret->message));
    read_findings(root, ret);
    if (ret->message[0] == '\0' && ret->n_findings > 0) {
        (void)snprintf(ret->message, sizeof(ret->message), "%s", ret->findings[0].message);
    }
    return OTR_OK;
}
