/*
 * What `outrider plugin inspect` prints of a report of otr_guest_inspect_file().
 *
 * Thread: main.
 */
#ifndef OTR_CLI_PLUGIN_REPORT_H
#define OTR_CLI_PLUGIN_REPORT_H

#include "base/base.h"

/* Both return the exit code: 0, 1 when the engine does not take the file, 2 on failure. */
int otr_cli_report_json(otr_bytes report);
int otr_cli_report_text(const char *file, otr_bytes report);

#endif
