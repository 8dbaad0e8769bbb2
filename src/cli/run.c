/* `outrider run`: reads nothing but its flags here; the daemon does the rest. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "cli/cli.h"
#include "config/agent_keys.h"
#include "config/config.h"
#include "daemon/daemon.h"

enum { HELP_BYTES = 65536, PATH_BYTES = 4096, EXIT_CONFIG = 1 };

extern char **environ;

static const otr_key *const tables[] = { otr_agent_keys, NULL };

static int help(void)
{
    otr_buf out;
    otr_err err = { 0 };
    otr_buf_init(&out, HELP_BYTES);
    otr_code rc = otr_config_help(tables, &out, &err);
    if (rc != OTR_OK) {
        (void)fprintf(stderr, "outrider run: %s\n", err.msg);
    } else {
        (void)printf(
            "Usage: outrider run [--config FILE] [FLAG]…\n\n"
            "  -c, --config FILE   the configuration (default: /etc/nginx-agent/nginx-agent.conf,\n"
            "                      then ./nginx-agent.conf)\n\n"
            "Every flag is also a key of the file and NGINX_AGENT_<KEY> in the environment; a "
            "flag\n"
            "wins over the environment, that over the file, that over the default.\n\n%s",
            otr_buf_text(&out));
    }
    otr_buf_deinit(&out);
    return rc == OTR_OK ? 0 : EXIT_CONFIG;
}

/* Takes `--config FILE` out of the flags; the rest stays in order. Returns how many are left, or
 * -1. */
static int take_config_flag(int argc, char **argv, const char **ret_file)
{
    int kept = 0;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0) {
            if (i + 1 >= argc) {
                (void)fprintf(stderr, "outrider run: %s needs a file name\n", argv[i]);
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

int otr_cli_run(int argc, char **argv, uint64_t started_ns)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return help();
        }
    }
    otr_config_source source = { .tables = tables,
                                 .env = (const char *const *)environ,
                                 .argv = argv + 1 };
    source.argc = take_config_flag(argc - 1, argv + 1, &source.file);
    otr_buf found;
    otr_buf_init(&found, PATH_BYTES);
    otr_err err = { 0 };
    if (source.argc >= 0 && source.file == NULL) {
        if (otr_config_find(&found, &err) != OTR_OK) {
            (void)fprintf(stderr, "outrider run: %s\n", err.msg);
            source.argc = -1;
        }
        source.file = otr_buf_text(&found);
    }
    int rc = source.argc < 0 ? EXIT_CONFIG : otr_daemon_run(&source, started_ns);
    otr_buf_deinit(&found);
    return rc;
}
