/*
 * The table of plugins, which two views show.
 *
 * Thread: main.
 */
#ifndef OTR_CLI_VIEW_PLUGINS_H
#define OTR_CLI_VIEW_PLUGINS_H

#include "base/json.h"

/* Prints the JSON array as /api/v1/plugins gives it. */
void otr_view_plugins_print(const otr_json *plugins);

#endif
