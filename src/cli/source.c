#include "cli/source.h"

#include <stdio.h>
#include <string.h>

#include "cli/print.h"
#include "config/agent_keys.h"

extern char **environ;

const otr_key *const otr_cli_tables[] = { otr_agent_keys, NULL };

/* Takes `--config FILE` out of the flags; the rest stays in order. Returns how many are left, or
 * -1. */
static int take_config_flag(const char *command, int argc, char **argv, const char **ret_file)
{
    int kept = 0;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0) {
            if (i + 1 >= argc) {
                otr_cli_say(stderr, "outrider %s: %s needs a file name", command, argv[i]);
                return -1;
            }
            *ret_file = argv[++i];
        } else if (strncmp(argv[i], "--config=", 9) == 0) {
            *ret_file = argv[i] + 9;
        } else {
            argv[kept++] = argv[i];
        }
    }
    return kept;
}

bool otr_cli_source(const char *command, int argc, char **argv, otr_config_source *ret,
                    otr_buf *path)
{
    otr_err err = { 0 };
    *ret = (otr_config_source){ .tables = otr_cli_tables,
                                .env = (const char *const *)environ,
                                .argv = argv };
    ret->argc = take_config_flag(command, argc, argv, &ret->file);
    if (ret->argc < 0) {
        return false;
    }
    if (ret->file == NULL) {
        if (otr_config_find(path, &err) != OTR_OK) {
            otr_cli_say(stderr, "outrider %s: %s", command, err.msg);
            return false;
        }
        ret->file = otr_buf_text(path);
    }
    return true;
}
