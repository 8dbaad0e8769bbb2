/*
 * Questions about the history of configurations, over HTTP: the routes and what answers them.
 *
 * GET /api/v1/config/history?instance=&before=&limit=      transactions, the newest first
 * GET /api/v1/config/history/NUMBER|ID                     one, with its files
 * GET /api/v1/config/versions?instance=                    where an instance stands
 * GET /api/v1/config/files?instance=&version=              files of a version; "disk": those now
 * GET /api/v1/config/file?instance=&path=&version=         one, with its text
 * GET /api/v1/config/diff?instance=&from=&to=              two versions; "disk" is one as well
 * GET /api/v1/config/export?instance=&version=             a version as a tar
 *
 * The first two are on the status page's server as well: they tell no content. Contents of private
 * keys are shown by none of them but the export, which is for whoever may open the admin socket.
 *
 * Thread: loop.
 */
#ifndef OTR_MODULES_CONFIG_HISTORY_API_H
#define OTR_MODULES_CONFIG_HISTORY_API_H

#include "modules/config_history.h"
#include "modules/services.h"

typedef struct otr_config_history_api otr_config_history_api;

/* Adds the routes. */
otr_code otr_config_history_api_new(otr_config_history *history, otr_services *services,
                                    otr_config_history_api **ret, otr_err *err) OTR_MUST_CHECK;
/* What is under way ends by itself. NULL is fine. */
void otr_config_history_api_free(otr_config_history_api *api);
/* A message of the topics nginx.instance.*. */
otr_code otr_config_history_api_hear(otr_config_history_api *api, const otr_msg *msg, otr_err *err)
    OTR_MUST_CHECK;

#endif
