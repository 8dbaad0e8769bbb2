/*
 * Who this agent is to a management plane: ids of the machine or the container, and its release.
 *
 * The id of the machine is made as NGINX Agent makes it; that of the agent is stable, but not
 * proven to be the one that NGINX Agent would have.
 *
 * Thread: any; reading waits for the file system.
 */
#ifndef OTR_MPI_REPORT_IDENTITY_H
#define OTR_MPI_REPORT_IDENTITY_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "nginx/instance/instance.h"

enum { OTR_IDENTITY_TEXT_BYTES = 128 };

typedef struct otr_identity {
    bool container;
    char id[OTR_NGINX_ID_BYTES]; /* of the host or the container */
    char hostname[OTR_IDENTITY_TEXT_BYTES];
    char codename[OTR_IDENTITY_TEXT_BYTES]; /* os-release; each "" when it does not say */
    char release_id[OTR_IDENTITY_TEXT_BYTES];
    char name[OTR_IDENTITY_TEXT_BYTES];
    char version_id[OTR_IDENTITY_TEXT_BYTES];
    char version[OTR_IDENTITY_TEXT_BYTES];
} otr_identity;

/* `root`: before every path; "" is the system's own. OTR_ENOTFOUND: the machine has no id. */
otr_code otr_identity_read(const char *root, otr_identity *ret, otr_err *err) OTR_MUST_CHECK;

/* The id of the agent itself: of its executable and its configuration file. */
otr_code otr_identity_agent(const char *binary, const char *config, char out[OTR_NGINX_ID_BYTES],
                            otr_err *err) OTR_MUST_CHECK;

#endif
