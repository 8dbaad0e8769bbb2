/*
 * `--input`: the text itself, "@FILE", or "-" for standard input.
 *
 * Thread: main.
 */
#ifndef OTR_CLI_INPUT_H
#define OTR_CLI_INPUT_H

#include "base/buf.h"
#include "base/err.h"

/* Appends what `input` stands for; NULL: nothing. */
otr_code otr_cli_read_input(const char *input, otr_buf *out, otr_err *err) OTR_MUST_CHECK;

#endif
