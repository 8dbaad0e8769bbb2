/* `outrider run`: reads nothing but its flags here; the daemon does the rest. */
#include <stdio.h>
#include <string.h>

#include "base/base.h"
#include "base/buf.h"
#include "cli/cli.h"
#include "cli/print.h"
#include "cli/source.h"
#include "config/config.h"
#include "daemon/daemon.h"

enum { HELP_BYTES = 65536, EXIT_CONFIG = 1 };

static int help(void)
{
    otr_buf out;
    otr_err err = { 0 };
    otr_buf_init(&out, HELP_BYTES);
    otr_code rc = otr_config_help(otr_cli_tables, &out, &err);
    if (rc != OTR_OK) {
        otr_cli_say(stderr, "outrider run: %s", err.msg);
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

int otr_cli_run(int argc, char **argv, uint64_t started_ns)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return help();
        }
    }
    OTR_CLEANUP(otr_buf_deinit) otr_buf found;
    otr_config_source source;
    otr_buf_init(&found, OTR_CLI_PATH_BYTES);
    bool sourced = otr_cli_source("run", argc - 1, argv + 1, &source, &found);
    return sourced ? otr_daemon_run(&source, started_ns) : EXIT_CONFIG;
}
