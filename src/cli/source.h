/*
 * Where an agent that is started by this command line takes its configuration from.
 *
 * Thread: main.
 */
#ifndef OTR_CLI_SOURCE_H
#define OTR_CLI_SOURCE_H

#include <stdbool.h>

#include "base/buf.h"
#include "config/config.h"

enum { OTR_CLI_PATH_BYTES = 4096 };

extern const otr_key *const otr_cli_tables[];

/* Takes `-c FILE` and `--config FILE` out of the flags and finds the file when there is none; the
 * other flags stay in order. `path` is initialized and outlives `ret`. False: standard error has
 * the reason. */
bool otr_cli_source(const char *command, int argc, char **argv, otr_config_source *ret,
                    otr_buf *path);

#endif
