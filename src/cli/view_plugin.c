/* `outrider plugin list|show|reload|disable|enable|replay|dead-letters`: one plugin of a running
 * agent. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/print.h"
#include "cli/view.h"
#include "cli/view_plugin_show.h"
#include "net/http/unix.h"

enum { TARGET_BYTES = 160, ANSWER_BYTES = 16 << 20, ASK_MS = 10000 };

static const char usage[] =
    "Usage: outrider plugin list [--json]\n"
    "       outrider plugin show NAME [--json]\n"
    "       outrider plugin dead-letters NAME\n"
    "       outrider plugin reload|disable|enable|replay NAME\n"
    "       outrider plugin ask TOPIC [--input JSON|@FILE|-] [--deadline 2s] [--json]\n"
    "                       [--socket PATH] [--config FILE]\n\n"
    "reload   load the file anew beside the running version, then exchange them\n"
    "replay   process the dead letters again, oldest first\n"
    "Exit: 0 done, 1 refused, 2 the agent could not be asked.\n";

static const char *const questions[] = { "show", "dead-letters", NULL };
static const char *const verbs[] = { "reload", "disable", "enable", "replay", NULL };

static bool among(const char *const *list, const char *word)
{
    while (*list != NULL && strcmp(*list, word) != 0) {
        list++;
    }
    return *list != NULL;
}

bool otr_cli_is_plugin_view(const char *word)
{
    return strcmp(word, "list") == 0 || strcmp(word, "ask") == 0 || among(questions, word) ||
           among(verbs, word);
}

static void print_text(const otr_buf *body)
{
    otr_view_print(OTR_TONE_PLAIN, otr_buf_text(body));
    (void)putchar('\n');
}

static void print_plugin(const otr_buf *body)
{
    OTR_CLEANUP(otr_json_freep) otr_json *plugin = NULL;
    if (otr_json_parse(otr_buf_bytes(body), &plugin, NULL) == OTR_OK) {
        otr_cli_show_plugin(plugin);
    } else {
        print_text(body);
    }
}

static int answer(const otr_view *v, const char *method, const char *target,
                  void (*print)(const otr_buf *body))
{
    otr_buf body;
    otr_err err = { 0 };
    unsigned status = 0;
    otr_buf_init(&body, ANSWER_BYTES);
    otr_unix_http spec = { .socket_path = otr_buf_text(&v->socket_path),
                           .method = method,
                           .target = target,
                           .timeout_ms = ASK_MS };
    int rc = OTR_VIEW_FINE;
    if (otr_unix_http_ask(&spec, &status, &body, &err) != OTR_OK) {
        otr_view_complain(v, &err);
        rc = OTR_VIEW_FAILED;
    } else if (status != 200) {
        otr_view_refused(v, status, &body);
        rc = OTR_VIEW_NOT_FINE;
    } else {
        print(&body);
    }
    otr_buf_deinit(&body);
    return rc;
}

static int ask(const otr_view *v, const char *word, const char *name)
{
    char target[TARGET_BYTES];
    bool verb = among(verbs, word);
    const char *tail = strcmp(word, "show") == 0 ? "" : word;
    if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(name) ||
        strlen(name) > 64) {
        otr_cli_say(stderr, "outrider plugin %s: \"%s\" cannot be a plugin's name", word, name);
        return OTR_VIEW_FAILED;
    }
    (void)snprintf(target, sizeof(target), "/api/v1/plugins/%s%s%s", name,
                   tail[0] != '\0' ? "/" : "", tail);
    return answer(v, verb ? "POST" : "GET", target,
                  tail[0] == '\0' && !v->json ? print_plugin : print_text);
}

int otr_cli_plugin_view(int argc, char **argv)
{
    const char *word = argv[0];
    if (strcmp(word, "list") == 0) {
        return otr_cli_plugins(argc, argv);
    }
    if (strcmp(word, "ask") == 0) {
        return otr_cli_plugin_ask(argc, argv);
    }
    if (argc < 2 || argv[1][0] == '-') {
        (void)fprintf(stderr, "outrider plugin %s: which plugin?\n\n%s", word, usage);
        return OTR_VIEW_FAILED;
    }
    const char *name = argv[1];
    argv[1] = argv[0];
    otr_view v = { .command = "plugin", .usage = usage };
    int rc = OTR_VIEW_FINE;
    if (otr_view_init(&v, argc - 1, argv + 1, &rc)) {
        rc = ask(&v, word, name);
        otr_view_deinit(&v);
    }
    return rc;
}
