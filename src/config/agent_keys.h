/*
 * The options of the agent itself: NGINX Agent v3's, by its names and defaults, and Outrider's.
 *
 * Thread: constant.
 */
#ifndef OTR_CONFIG_AGENT_KEYS_H
#define OTR_CONFIG_AGENT_KEYS_H

#include "config/config.h"

extern const otr_key otr_agent_keys[];

#endif
