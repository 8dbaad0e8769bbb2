/*
 * config-guard: keeps the agent from taking a configuration that loads plugins from elsewhere.
 *
 * It answers the hook agent.config.validate: every plugin of the new configuration must lie in
 * `directory`. With `on_failure: fail-closed` in its own entry a configuration is also refused when
 * the guard itself cannot answer.
 */
#include "outrider_extism.h"

OG_INFO("config-guard", "1.0.0")
OG_SUBSCRIBE(OG_HOOK("agent.config.validate"))

enum { PATH_BYTES = 1024 };

static char directory[PATH_BYTES]; /* with its last slash */
static size_t directory_len;

static int configure(og_str config)
{
    og_str text = og_json_string(og_json_get(config, "directory"), directory, PATH_BYTES - 1);
    if (text.at == NULL || text.len == 0 || text.at[0] != '/') {
        return og_fail("config: directory must be an absolute path: the one that plugins lie in");
    }
    directory_len = text.len;
    if (directory[directory_len - 1] != '/') {
        directory[directory_len++] = '/';
    }
    return OG_OK;
}

/* Below the directory, and not by a detour. */
static bool is_inside(og_str path)
{
    if (path.len <= directory_len ||
        !og_str_eq((og_str){ path.at, directory_len }, (og_str){ directory, directory_len })) {
        return false;
    }
    for (size_t i = directory_len; i + 1 < path.len; i++) {
        if (path.at[i - 1] == '/' && path.at[i] == '.' && path.at[i + 1] == '.') {
            return false;
        }
    }
    return true;
}

OG_OPERATION(init)
{
    return configure(og_input());
}

OG_OPERATION(reconfigure)
{
    return configure(og_input());
}

OG_OPERATION(process)
{
    og_json_iter it = og_json_each(og_json_get(og_input(), "data.plugins"));
    while (og_json_next(&it)) {
        char path[PATH_BYTES];
        char name[65];
        og_str source = og_json_string(og_json_get(it.value, "source"), path, sizeof path);
        if (source.at == NULL || !is_inside(source)) {
            og_str who = og_json_string(og_json_get(it.value, "name"), name, sizeof name);
            og_str text =
                og_concat(OG_STR("plugin "), who.at != NULL ? who : OG_STR("without name"));
            text = og_concat(text, OG_STR(" does not lie in "));
            return og_deny(og_concat(text, (og_str){ directory, directory_len }));
        }
    }
    return og_allow();
}
