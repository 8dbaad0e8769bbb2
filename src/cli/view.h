/*
 * What the views of a running agent share: options, the question over the admin socket, tables.
 *
 * Thread: main.
 */
#ifndef OTR_CLI_VIEW_H
#define OTR_CLI_VIEW_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

enum { OTR_VIEW_FINE = 0, OTR_VIEW_NOT_FINE = 1, OTR_VIEW_FAILED = 2 };

typedef struct otr_view {
    const char *command; /* "status": for messages */
    const char *usage;   /* printed by --help and after a wrong option */
    bool events;         /* takes --follow, --topic and --last */
    bool asks;           /* takes --input, --deadline and --allow-none */
    bool json, follow, allow_none;
    /* as given, or NULL */
    const char *socket, *config_file, *topic, *last, *input, *deadline;
    otr_buf socket_path; /* what is asked */
} otr_view;

/* Reads the options and finds the socket. False: the caller returns `*ret_exit`. */
bool otr_view_init(otr_view *v, int argc, char **argv, int *ret_exit);
void otr_view_deinit(otr_view *v);

/* GETs `target` and parses the answer; the text is in `ret_text` too. On failure says on standard
 * error why and what to do, and returns false. */
bool otr_view_ask(const otr_view *v, const char *target, otr_buf *ret_text, otr_json **ret);
/* Says why the agent could not be asked. */
void otr_view_complain(const otr_view *v, const otr_err *err);
/* Says what an answer other than 200 means. */
void otr_view_refused(const otr_view *v, unsigned status, const otr_buf *body);

/* ---- output ---- */

typedef enum otr_tone {
    OTR_TONE_PLAIN,
    OTR_TONE_GOOD,
    OTR_TONE_WARN,
    OTR_TONE_BAD,
    OTR_TONE_DIM
} otr_tone;

/* Prints foreign text without what a terminal would obey; coloured on a terminal only. */
void otr_view_print(otr_tone tone, const char *text);
/* Prints foreign text in lines of the terminal's width, from column `indent` on, where the cursor
 * is already and where each further line begins. Ends the last line. */
void otr_view_wrap(size_t indent, otr_tone tone, const char *text);
const char *otr_view_bytes(uint64_t bytes, char out[24]); /* "12.3 MiB"; "-" for none */
const char *otr_view_span(double seconds, char out[32]);  /* "2 h 3 min" */

enum { OTR_TABLE_COLUMNS = 10 };

typedef struct otr_table {
    size_t columns, cells;
    unsigned right; /* bit per column: flush right */
    otr_buf text;   /* cells, each a tone and a NUL-terminated text */
    otr_code rc;
} otr_table;

void otr_table_init(otr_table *t, size_t columns, unsigned right);
void otr_table_cell(otr_table *t, otr_tone tone, const char *format, ...) OTR_PRINTF(3, 4);
/* Prints the rows, indented by two, the last column unpadded. The first row has the heads: where
 * the terminal is too narrow each other row becomes lines of "HEAD cell". Releases the table. */
void otr_table_print(otr_table *t);

#endif
