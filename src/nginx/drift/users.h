/*
 * Names of users, for people.
 *
 * Thread: any; calls block.
 */
#ifndef OTR_NGINX_DRIFT_USERS_H
#define OTR_NGINX_DRIFT_USERS_H

#include <sys/types.h>

#include "nginx/drift/state.h"

/* As /etc/passwd of the agent's own root has it; its number where there is none. */
void otr_drift_user(uid_t uid, char out[OTR_DRIFT_USER_BYTES]);

#endif
