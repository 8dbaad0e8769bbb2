/*
 * The command line: `outrider COMMAND …`. One function a command, each in its own file.
 *
 * argv[0] is the command's own name. Reports go to standard output, everything else to standard
 * error. Exit codes: 0 fine, 1 the thing asked about is not fine, 2 it could not be asked.
 *
 * Thread: main.
 */
#ifndef OTR_CLI_CLI_H
#define OTR_CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>

/* Finds the command and runs it; returns the process's exit code. `started_ns`: monotonic. */
int otr_cli_main(int argc, char **argv, uint64_t started_ns);

int otr_cli_run(int argc, char **argv, uint64_t started_ns); /* the daemon */
int otr_cli_config(int argc, char **argv);                   /* config show|apply|… */
int otr_cli_plugin(int argc, char **argv);                   /* plugin inspect|call */
int otr_cli_nginx_main(int argc, char **argv);               /* nginx parse|build|… */
int otr_cli_plugin_compile(int argc, char **argv);           /* argv[0] is "compile" */

/* Views of a running agent, over its admin socket. */
int otr_cli_status(int argc, char **argv);
int otr_cli_plugins(int argc, char **argv);
int otr_cli_events(int argc, char **argv);
int otr_cli_reload(int argc, char **argv);
bool otr_cli_is_plugin_view(const char *word);  /* of `outrider plugin WORD` */
int otr_cli_plugin_view(int argc, char **argv); /* argv[0] is that word */
int otr_cli_plugin_ask(int argc, char **argv);  /* argv[0] is "ask" */

#endif
