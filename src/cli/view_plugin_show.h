/*
 * One plugin of a running agent on one screen.
 *
 * Thread: main.
 */
#ifndef OTR_CLI_VIEW_PLUGIN_SHOW_H
#define OTR_CLI_VIEW_PLUGIN_SHOW_H

#include "base/json.h"

/* Prints what the admin API tells of a plugin (GET /api/v1/plugins/NAME). */
void otr_cli_show_plugin(const otr_json *plugin);

#endif
