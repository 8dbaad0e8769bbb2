/*
 * nginx-rules: a house's rules for configurations of NGINX.
 *
 * It answers the hook nginx.config.validate: no `ssl_protocols` may name an older protocol than
 * `tls_minimum`, nothing that `forbidden` names may stand anywhere, and each block that `required`
 * names must hold what it says, itself or by an include. All that is against the rules is told with
 * its file and line. A configuration that is too large for one message is asked for file by file,
 * with the grant `nginx_config`; what is required cannot be looked for then, and is denied.
 */
#include "outrider_extism.h"

OG_INFO("nginx-rules", "1.0.0")
OG_SUBSCRIBE(OG_HOOK("nginx.config.validate"))

enum {
    CONFIG_BYTES = 16384,
    WORD_BYTES = 512,
    MESSAGE_BYTES = 256,
    ANSWER_BYTES = 32768,
    FINDINGS = 16,
    DEPTH = 40,
};

static const char *const protocols[] = {
    "SSLv2", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"
};
enum { PROTOCOLS = sizeof protocols / sizeof protocols[0] };

/* The `config:` section as it was given, and what was read of it. */
static char config[CONFIG_BYTES];
static og_str forbidden, required;
static int minimum; /* among the protocols; 0: any */

static int protocol_number(og_str name)
{
    for (int i = 0; i < PROTOCOLS; i++) {
        if (og_str_eq(name, og_text(protocols[i]))) {
            return i;
        }
    }
    return -1;
}

/* Takes the next word of a rule such as "autoindex on"; false: there is none. */
static bool next_word(og_str *rule, og_str *ret)
{
    while (rule->len > 0 && *rule->at == ' ') {
        rule->at++;
        rule->len--;
    }
    size_t n = 0;
    while (n < rule->len && rule->at[n] != ' ') {
        n++;
    }
    *ret = (og_str){ rule->at, n };
    rule->at += n;
    rule->len -= n;
    return n > 0;
}

static bool is_words(og_str value)
{
    char word[WORD_BYTES];
    og_str words = og_json_string(value, word, sizeof word), first;
    return words.at != NULL && next_word(&words, &first);
}

static bool is_requirement(og_str value)
{
    return is_words(og_json_get(value, "block")) && is_words(og_json_get(value, "directive"));
}

/* A rule that is written wrongly would forbid nothing, and nobody would know. */
static bool are_all(og_str list, bool (*is)(og_str value))
{
    og_json_iter all = og_json_each(list);
    bool fine = list.at == NULL || og_json_kind(list) == '[';
    while (fine && og_json_next(&all)) {
        fine = is(all.value);
    }
    return fine;
}

static int check_names(og_str text)
{
    og_json_iter all = og_json_each(text);
    while (og_json_next(&all)) {
        if (!og_str_eq(all.key, OG_STR("tls_minimum")) &&
            !og_str_eq(all.key, OG_STR("forbidden")) && !og_str_eq(all.key, OG_STR("required"))) {
            return og_fail("config: there are tls_minimum, forbidden and required, and no other "
                           "rules");
        }
    }
    return OG_OK;
}

static int configure(og_str text)
{
    char word[WORD_BYTES];
    if (text.len > CONFIG_BYTES) {
        return og_fail("config: more than 16 KiB of rules");
    }
    og_str given = og_json_get(text, "tls_minimum");
    og_str name = og_json_string(given, word, sizeof word);
    int number = given.at != NULL ? protocol_number(name) : 0;
    if (number < 0) {
        return og_fail("config: tls_minimum is TLSv1, TLSv1.1, TLSv1.2 or TLSv1.3");
    }
    if (!are_all(og_json_get(text, "forbidden"), is_words)) {
        return og_fail("config: forbidden is a list of directives, each of at most 512 bytes");
    }
    if (!are_all(og_json_get(text, "required"), is_requirement)) {
        return og_fail("config: required is a list of {block: …, directive: …}");
    }
    if (check_names(text) != OG_OK) {
        return OG_FAILED;
    }
    minimum = number;
    og_copy(config, text.at, text.len);
    og_str kept = { config, text.len };
    forbidden = og_json_get(kept, "forbidden");
    required = og_json_get(kept, "required");
    return OG_OK;
}

OG_OPERATION(init)
{
    return configure(og_input());
}

OG_OPERATION(reconfigure)
{
    return configure(og_input());
}

/* ---- what is told ---- */

typedef struct report {
    og_writer w;
    unsigned n;
} report;

static void tell(report *r, og_str file, og_str directive, og_str before, og_str what)
{
    char buf[MESSAGE_BYTES], path[WORD_BYTES];
    size_t n = 0;
    if (r->n++ >= FINDINGS) {
        return;
    }
    og_str parts[] = { before, what };
    for (unsigned i = 0; i < 2; i++) {
        size_t room = sizeof buf - n;
        size_t len = parts[i].len < room ? parts[i].len : room;
        og_copy(buf + n, parts[i].at, len);
        n += len;
    }
    og_put_object(&r->w, NULL);
    og_str name = og_json_string(file, path, sizeof path);
    if (name.at != NULL) {
        og_put_str(&r->w, "file", name);
    }
    og_put_u64(&r->w, "line", og_json_u64(og_json_get(directive, "line"), 0));
    og_put_text(&r->w, "severity", "error");
    og_put_str(&r->w, "message", (og_str){ buf, n });
    og_put_close(&r->w);
}

/* ---- directives ---- */

/* Does the directive begin with the words of the rule? */
static bool begins_with(og_str directive, og_str rule)
{
    char buf[WORD_BYTES];
    og_str word;
    if (!next_word(&rule, &word) ||
        !og_str_eq(og_json_string(og_json_get(directive, "directive"), buf, sizeof buf), word)) {
        return false;
    }
    og_json_iter args = og_json_each(og_json_get(directive, "args"));
    while (next_word(&rule, &word)) {
        if (!og_json_next(&args) || !og_str_eq(og_json_string(args.value, buf, sizeof buf), word)) {
            return false;
        }
    }
    return true;
}

static void check_forbidden(report *r, og_str file, og_str directive)
{
    char buf[WORD_BYTES];
    og_json_iter rules = og_json_each(forbidden);
    while (og_json_next(&rules)) {
        og_str rule = og_json_string(rules.value, buf, sizeof buf);
        if (rule.at != NULL && begins_with(directive, rule)) {
            tell(r, file, directive, OG_STR("forbidden here: "), rule);
            return;
        }
    }
}

static void check_protocols(report *r, og_str file, og_str directive)
{
    char buf[WORD_BYTES];
    if (minimum == 0 || !begins_with(directive, OG_STR("ssl_protocols"))) {
        return;
    }
    og_json_iter args = og_json_each(og_json_get(directive, "args"));
    while (og_json_next(&args)) {
        int number = protocol_number(og_json_string(args.value, buf, sizeof buf));
        if (number >= 0 && number < minimum) {
            tell(r, file, directive, OG_STR("older than the minimum of "),
                 og_text(protocols[minimum]));
            return;
        }
    }
}

/* ---- what must be there ---- */

static og_str files; /* the array of files of the question; absent: each comes alone */

static og_str file_at(uint64_t index)
{
    og_json_iter all = og_json_each(files);
    while (og_json_next(&all)) {
        if (index-- == 0) {
            return all.value;
        }
    }
    return (og_str){ NULL, 0 };
}

static bool block_has(og_str list, og_str rule, unsigned depth);

static bool include_has(og_str directive, og_str rule, unsigned depth)
{
    og_json_iter includes = og_json_each(og_json_get(directive, "includes"));
    while (depth < DEPTH && og_json_next(&includes)) {
        og_str file = file_at(og_json_u64(includes.value, UINT64_MAX));
        if (block_has(og_json_get(file, "parsed"), rule, depth + 1)) {
            return true;
        }
    }
    return false;
}

static bool block_has(og_str list, og_str rule, unsigned depth)
{
    og_json_iter all = og_json_each(list);
    while (og_json_next(&all)) {
        if (begins_with(all.value, rule) || include_has(all.value, rule, depth)) {
            return true;
        }
    }
    return false;
}

static void check_required(report *r, og_str file, og_str directive)
{
    char block[WORD_BYTES], text[WORD_BYTES];
    og_str list = og_json_get(directive, "block");
    og_json_iter rules = og_json_each(list.at != NULL ? required : list);
    while (og_json_next(&rules)) {
        og_str name = og_json_string(og_json_get(rules.value, "block"), block, sizeof block);
        og_str rule = og_json_string(og_json_get(rules.value, "directive"), text, sizeof text);
        if (name.at != NULL && rule.at != NULL && begins_with(directive, name) &&
            !block_has(list, rule, 0)) {
            tell(r, file, directive, OG_STR("required here: "), rule);
        }
    }
}

/* ---- a file ---- */

static void check_list(report *r, og_str file, og_str list, unsigned depth)
{
    og_json_iter all = og_json_each(list);
    while (og_json_next(&all)) {
        check_forbidden(r, file, all.value);
        check_protocols(r, file, all.value);
        if (files.at != NULL) {
            check_required(r, file, all.value);
        }
        og_str block = og_json_get(all.value, "block");
        if (block.at != NULL && depth < DEPTH) {
            check_list(r, file, block, depth + 1);
        } else if (block.at != NULL) {
            tell(r, file, all.value, OG_STR("nested too deep: "),
                 OG_STR("what is in this block was not looked at"));
        }
    }
}

static void check_files(report *r, og_str list)
{
    og_json_iter all = og_json_each(list);
    while (og_json_next(&all)) {
        check_list(r, og_json_get(all.value, "file"), og_json_get(all.value, "parsed"), 0);
    }
}

/* ---- a configuration that is too large for one message ---- */

static bool any(og_str list)
{
    og_json_iter all = og_json_each(list);
    return og_json_next(&all);
}

static int check_one_by_one(report *r, og_str paths)
{
    char question[WORD_BYTES + 64];
    og_json_iter all = og_json_each(paths);
    while (og_json_next(&all)) {
        og_writer w = og_json_object(question, sizeof question);
        og_put_raw(&w, "path", all.value);
        og_put_text(&w, "form", "parsed");
        og_str parsed = og_call("nginx_config.get", og_json_end(&w));
        if (parsed.at == NULL) {
            return og_fail_str(og_error());
        }
        check_files(r, og_json_get(parsed, "config"));
    }
    return OG_OK;
}

/* ---- the question ---- */

static int answer(report *r)
{
    og_put_close(&r->w);
    if (r->n == 0) {
        return og_allow();
    }
    og_put_text(&r->w, "verdict", "deny");
    return og_output_json(&r->w);
}

OG_OPERATION(process)
{
    static char text[ANSWER_BYTES];
    report r = { .w = og_json_object(text, sizeof text) };
    og_put_array(&r.w, "findings");
    og_str data = og_json_get(og_input(), "data");
    og_str config_of = og_json_get(data, "config");
    files = og_json_get(config_of, "config");
    if (files.at != NULL) {
        check_files(&r, files);
        return any(files) ? answer(&r)
                          : og_deny(OG_STR("the configuration has no files to look at"));
    }
    if (!og_json_bool(og_json_get(data, "config_truncated"), false)) {
        return og_fail("the question has neither a configuration nor a list of its files");
    }
    if (any(required)) {
        return og_deny(OG_STR("the configuration is too large to look for required directives"));
    }
    int rc = check_one_by_one(&r, og_json_get(data, "config_files"));
    return rc == OG_OK ? answer(&r) : rc;
}
