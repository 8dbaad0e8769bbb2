#include "cli/plugin_report.h"

#include <stdio.h>

#include "base/json.h"
#include "cli/print.h"

enum { EXIT_REFUSED = 1, EXIT_HOST = 2 };

static const char *text_of(const otr_json *root, const char *key)
{
    return otr_json_str(otr_json_get(root, key), "");
}

static bool compiled(const otr_json *root)
{
    return otr_json_bool(otr_json_get(root, "compiled"), true);
}

static void print_item(const otr_json *item)
{
    const char *plain = otr_json_str(item, NULL);
    const char *module = text_of(item, "module"), *type = text_of(item, "type");
    if (plain != NULL) {
        otr_cli_say(stdout, "  %s", plain);
        return;
    }
    otr_cli_say(stdout, "  %s%s%s  %s", module, module[0] != '\0' ? "." : "", text_of(item, "name"),
                type[0] != '\0' ? type : text_of(item, "kind"));
}

static void print_list(const otr_json *root, const char *key, const char *title)
{
    const otr_json *list = otr_json_get(root, key);
    size_t n = list != NULL ? otr_json_size(list) : 0;
    (void)printf("%s (%zu)\n", title, n);
    for (size_t i = 0; i < n; i++) {
        print_item(otr_json_at(list, i));
    }
}

static void print_modules(const otr_json *root)
{
    const otr_json *list = otr_json_get(root, "modules");
    for (size_t i = 0; list != NULL && i < otr_json_size(list); i++) {
        const otr_json *item = otr_json_at(list, i);
        otr_cli_say(stdout, "module %s", text_of(item, "name"));
        print_list(item, "exports", " exports");
        print_list(item, "imports", " imports");
    }
}

static int parse(otr_bytes report, otr_json **ret)
{
    otr_err err = { 0 };
    if (otr_json_parse(report, ret, &err) == OTR_OK) {
        return 0;
    }
    otr_cli_say(stderr, "outrider plugin: %s", err.msg);
    return EXIT_HOST;
}

int otr_cli_report_json(otr_bytes report)
{
    OTR_CLEANUP(otr_json_freep) otr_json *root = NULL;
    int bad = parse(report, &root);
    otr_cli_print_json(stdout, report);
    return bad != 0 ? bad : compiled(root) ? 0 : EXIT_REFUSED;
}

int otr_cli_report_text(const char *file, otr_bytes report)
{
    OTR_CLEANUP(otr_json_freep) otr_json *root = NULL;
    int bad = parse(report, &root);
    if (bad != 0) {
        return bad;
    }
    otr_cli_say(stdout, "file     %s", file);
    otr_cli_say(stdout, "abi      %s", text_of(root, "abi"));
    otr_cli_say(stdout, "engine   %s", text_of(root, "engine"));
    (void)printf("size     %lld bytes\n", (long long)otr_json_int(otr_json_get(root, "size"), 0));
    otr_cli_say(stdout, "sha256   %s", text_of(root, "sha256"));
    if (compiled(root)) {
        print_list(root, "exports", "exports");
        print_list(root, "imports", "imports");
        print_modules(root);
    }
    print_list(root, "missing", "missing");
    return compiled(root) ? 0 : EXIT_REFUSED;
}
