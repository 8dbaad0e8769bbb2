#include "cli/nginx_instance.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "cli/print.h"
#include "cli/view.h"

enum { PREFIX_LEAST = 4 };

static bool fits(const otr_json *instance, const char *text)
{
    const char *id = otr_json_str(otr_json_get(instance, "id"), "");
    return strcmp(text, "nginx") == 0 ||
           strcmp(otr_json_str(otr_json_get(instance, "config"), ""), text) == 0 ||
           (strlen(text) >= PREFIX_LEAST && strncmp(id, text, strlen(text)) == 0);
}

/* Its files are below its own root, which is another one in a container or after chroot. */
static bool take_root(const char *command, int pid, otr_cli_instance *ret)
{
    struct stat ours, its;
    (void)snprintf(ret->root, sizeof(ret->root), "/proc/%d/root", pid);
    if (stat(ret->root, &its) != 0 || stat("/", &ours) != 0) {
        char why[128];
        (void)strerror_r(errno, why, sizeof(why));
        otr_cli_say(stderr,
                    "outrider %s: %s, where the files of that NGINX are, cannot be looked at: %s: "
                    "run this as root, or name the file",
                    command, ret->root, why);
        return false;
    }
    if (its.st_dev == ours.st_dev && its.st_ino == ours.st_ino) {
        ret->root[0] = '\0';
    }
    return true;
}

static bool take(const char *command, const otr_json *instance, otr_cli_instance *ret)
{
    int64_t uid = otr_json_int(otr_json_get(instance, "uid"), -1);
    int64_t pid = otr_json_int(otr_json_get(instance, "pid"), 0);
    const char *config = otr_json_str(otr_json_get(instance, "config"), "");
    if (config[0] != '/' || strlen(config) >= sizeof(ret->config) || uid < 0 || pid <= 0) {
        otr_cli_say(stderr, "outrider %s: the agent does not know the configuration of that NGINX",
                    command);
        return false;
    }
    (void)snprintf(ret->config, sizeof(ret->config), "%s", config);
    (void)snprintf(ret->version, sizeof(ret->version), "%s",
                   otr_json_str(otr_json_get(instance, "version"), ""));
    ret->uid = (uid_t)uid;
    return take_root(command, (int)pid, ret);
}

static bool choose(const char *command, const otr_json *all, const char *text,
                   otr_cli_instance *ret)
{
    size_t n = 0;
    const otr_json *found = NULL;
    for (size_t i = 0; i < otr_json_size(all); i++) {
        const otr_json *one = otr_json_get(otr_json_at(all, i), "instance");
        if (fits(one, text)) {
            found = one;
            n++;
        }
    }
    if (n != 1) {
        otr_cli_say(stderr, "outrider %s: %s is called \"%s\": `outrider status` lists them",
                    command, n == 0 ? "no NGINX that the agent knows" : "more than one NGINX",
                    text);
        return false;
    }
    return take(command, found, ret);
}

bool otr_cli_instance_find(const char *command, const char *socket, const char *text,
                           otr_cli_instance *ret)
{
    otr_view view = { .command = command, .usage = "" };
    char *argv[] = { (char *)(uintptr_t)command, "--socket", (char *)(uintptr_t)socket, NULL };
    int ret_exit = 0;
    OTR_CLEANUP(otr_json_freep) otr_json *all = NULL;
    OTR_CLEANUP(otr_buf_deinit) otr_buf answer;
    otr_buf_init(&answer, OTR_LIMIT_HTTP_REPLY_BYTES);
    bool ok = otr_view_init(&view, socket != NULL ? 3 : 1, argv, &ret_exit) &&
              otr_view_ask(&view, "/api/v1/instances", &answer, &all) &&
              choose(command, all, text, ret);
    otr_view_deinit(&view);
    return ok;
}
