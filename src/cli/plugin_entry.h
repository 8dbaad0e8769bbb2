/*
 * `outrider plugin inspect|call --plugin NAME`: the entry of the agent's configuration in the place
 * of a file and its options, with the names by which the agent would ask the guest.
 *
 * Thread: main.
 */
#ifndef OTR_CLI_PLUGIN_ENTRY_H
#define OTR_CLI_PLUGIN_ENTRY_H

#include "config/config.h"
#include "plugin/manifest/manifest.h"

typedef struct otr_cli_entry {
    const otr_manifest *manifest; /* of `set`; NULL: there is no entry */
    otr_manifest_set *set;
    const char *required[OTR_MAPPING_OPERATIONS + 1];
} otr_cli_entry;

/* Reads the entry `name` from `file`, or from where the agent would when that is NULL. */
otr_code otr_cli_entry_open(const char *file, const char *name, otr_cli_entry *ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_cli_entry_close(otr_cli_entry *entry);

/* What `process` is given of an envelope that somebody wrote as JSON. `*ret` lies in `json` or in
 * `scratch`. OTR_ENOTFOUND: it has no such field. */
otr_code otr_cli_entry_input(const otr_manifest *m, otr_bytes json, otr_buf *scratch,
                             otr_bytes *ret, otr_err *err) OTR_MUST_CHECK;
/* Shows on standard error what the agent would publish of this answer to `process`. */
otr_code otr_cli_entry_output(const otr_manifest *m, otr_bytes answer, otr_err *err) OTR_MUST_CHECK;
/* Puts a member "entry" at the end of the JSON object in `report`. */
otr_code otr_cli_entry_report(const otr_manifest *m, otr_buf *report, otr_err *err) OTR_MUST_CHECK;
void otr_cli_entry_print(const otr_manifest *m); /* for people, on standard output */

#endif
