/*
 * What goes to a terminal: foreign text as base/escape.h writes it, so that no name or message of
 * a plugin, a file or an agent can drive the terminal or forge a line.
 *
 * Thread: main.
 */
#ifndef OTR_CLI_PRINT_H
#define OTR_CLI_PRINT_H

#include <stdio.h>

#include "base/base.h"

/* Escaped; no line break is added. Returns how many columns it takes, as nearly as one can tell. */
size_t otr_cli_print(FILE *to, otr_bytes text);
/* One line, whatever is put into it. */
void otr_cli_say(FILE *to, const char *format, ...) OTR_PRINTF(2, 3);
/* A JSON text and a line break; what is raw in its strings becomes an escape of JSON. */
void otr_cli_print_json(FILE *to, otr_bytes json);
/* What an operation answered: the very bytes, but on a terminal escaped in lines. Returns 0, or -1
 * when it cannot be written. */
int otr_cli_print_output(otr_bytes output);

#endif
