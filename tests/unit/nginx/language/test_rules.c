#include "nginx/language/rules.h"
#include "support/test.h"

static otr_use use_of(const char *name, otr_where where, size_t n_args)
{
    return (otr_use){ .name = otr_bytes_of(name), .where = where, .n_args = n_args };
}

static void check_says(const otr_rules *rules, const otr_use *use, const char *expected)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf out;
    otr_buf_init(&out, 1024);
    otr_err err = { 0 };
    REQUIRE_OK(otr_use_say(use, otr_rules_check(rules, use), &out, &err), err);
    CHECK_STR(otr_buf_text(&out), expected);
}

static void free_rules(otr_rules **rules)
{
    otr_rules_free(*rules);
}

#define WITH_RULES(rules)                              \
    OTR_CLEANUP(free_rules) otr_rules *(rules) = NULL; \
    otr_err err = { 0 };                               \
    REQUIRE_OK(otr_rules_new(&(rules), &err), err)

T(wrong_uses_are_told_in_the_words_of_nginx)
{
    WITH_RULES(rules);
    otr_use use = use_of("workerprocesses", OTR_WHERE_MAIN, 1);
    check_says(rules, &use, "unknown directive \"workerprocesses\"");
    use = use_of("listen", OTR_WHERE_HTTP, 1);
    check_says(rules, &use, "\"listen\" directive is not allowed here");
    use = use_of("server", OTR_WHERE_HTTP, 0);
    check_says(rules, &use, "directive \"server\" has no opening \"{\"");
    use = use_of("listen", OTR_WHERE_HTTP_SRV, 1);
    use.end = OTR_USE_BLOCK;
    check_says(rules, &use, "directive \"listen\" is not terminated by \";\"");
    use = use_of("user", OTR_WHERE_MAIN, 3);
    check_says(rules, &use, "invalid number of arguments in \"user\" directive");
    use = use_of("gzip", OTR_WHERE_HTTP, 1);
    use.first = otr_bytes_of("yes");
    check_says(rules, &use,
               "invalid value \"yes\" in \"gzip\" directive, it must be \"on\" or \"off\"");
    use.n_args = 2;
    check_says(rules, &use, "invalid number of arguments in \"gzip\" directive");
}

T(a_use_that_one_of_several_rules_takes_fits)
{
    WITH_RULES(rules);
    otr_use use = use_of("server", OTR_WHERE_HTTP_UPS, 2);
    CHECK_INT(otr_rules_check(rules, &use), OTR_USE_FITS);
    use = use_of("server", OTR_WHERE_STREAM, 0);
    use.end = OTR_USE_BLOCK;
    CHECK_INT(otr_rules_check(rules, &use), OTR_USE_FITS);
    use = use_of("gzip", OTR_WHERE_HTTP_LIF, 1);
    use.first = otr_bytes_of("OFF");
    CHECK_INT(otr_rules_check(rules, &use), OTR_USE_FITS);
    use = use_of("proxy_pass", OTR_WHERE_HTTP_LMT | OTR_WHERE_IN_HTTP, 1);
    CHECK_INT(otr_rules_check(rules, &use), OTR_USE_FITS);
}

T(a_place_that_no_rule_knows_takes_anything)
{
    WITH_RULES(rules);
    otr_use use = use_of("no-such-thing", OTR_WHERE_IN_HTTP, 9);
    CHECK_INT(otr_rules_check(rules, &use), OTR_USE_FITS);
}

T(what_is_not_to_be_checked_is_not)
{
    WITH_RULES(rules);
    otr_use use = use_of("listen", OTR_WHERE_MAIN, 1);
    use.any_place = true;
    CHECK_INT(otr_rules_check(rules, &use), OTR_USE_FITS);
    use.n_args = 0;
    CHECK_INT(otr_rules_check(rules, &use), OTR_USE_BAD_COUNT);
    use.any_args = true;
    CHECK_INT(otr_rules_check(rules, &use), OTR_USE_FITS);
}

T(every_family_of_modules_has_its_directives)
{
    static const struct {
        const char *name;
        otr_where where;
        size_t n;
    } one_of_each[] = {
        { "app_protect_policy_file", OTR_WHERE_HTTP_LOC, 1 },
        { "brotli_comp_level", OTR_WHERE_HTTP, 1 },
        { "geoip2_proxy", OTR_WHERE_HTTP, 1 },
        { "more_set_headers", OTR_WHERE_HTTP_SRV, 3 },
        { "set_by_lua_block", OTR_WHERE_HTTP_LOC, 2 },
        { "js_content", OTR_WHERE_HTTP_LOC, 1 },
        { "otel_trace", OTR_WHERE_HTTP, 1 },
        { "zone_sync_buffers", OTR_WHERE_STREAM, 2 },
        { "license_token", OTR_WHERE_MGMT, 1 },
        { "vhost_traffic_status_zone", OTR_WHERE_HTTP, 0 },
        { "starttls", OTR_WHERE_MAIL, 1 },
        { "ssl_preread", OTR_WHERE_STREAM_SRV, 0 },
    };
    WITH_RULES(rules);
    for (size_t i = 0; i < OTR_COUNT(one_of_each); i++) {
        otr_use use = use_of(one_of_each[i].name, one_of_each[i].where, one_of_each[i].n);
        otr_use_verdict verdict = otr_rules_check(rules, &use);
        CHECK(verdict != OTR_USE_UNKNOWN && verdict != OTR_USE_NOT_HERE);
    }
}

T(blocks_lead_from_place_to_place)
{
    static const struct {
        const char *path; /* names of blocks, the outermost first */
        otr_where where;
    } places[] = {
        { "http", OTR_WHERE_HTTP | OTR_WHERE_IN_HTTP },
        { "http server", OTR_WHERE_HTTP_SRV | OTR_WHERE_IN_HTTP },
        { "http server if", OTR_WHERE_HTTP_SIF | OTR_WHERE_IN_HTTP },
        { "http server location location if", OTR_WHERE_HTTP_LIF | OTR_WHERE_IN_HTTP },
        { "http server location limit_except", OTR_WHERE_HTTP_LMT | OTR_WHERE_IN_HTTP },
        { "http upstream", OTR_WHERE_HTTP_UPS | OTR_WHERE_IN_HTTP },
        { "http map", OTR_WHERE_IN_HTTP },
        { "stream server", OTR_WHERE_STREAM_SRV },
        { "stream upstream", OTR_WHERE_STREAM_UPS },
        { "mail server", OTR_WHERE_MAIL_SRV },
        { "mgmt", OTR_WHERE_MGMT },
        { "events server", 0 },
        { "rtmp server", 0 },
    };
    for (size_t i = 0; i < OTR_COUNT(places); i++) {
        otr_where where = OTR_WHERE_MAIN;
        for (const char *at = places[i].path; *at != '\0';) {
            size_t n = strcspn(at, " ");
            where = otr_where_in(where, (otr_bytes){ (const uint8_t *)at, n });
            at += n + (at[n] == ' ');
        }
        CHECK_INT(where, places[i].where);
    }
}
