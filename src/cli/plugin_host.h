/*
 * The host that `outrider plugin call` gives a guest: it shows on standard error what the guest
 * publishes and logs, and answers config from the command line. There is no bus to reach.
 *
 * Thread: main.
 */
#ifndef OTR_CLI_PLUGIN_HOST_H
#define OTR_CLI_PLUGIN_HOST_H

#include "wasm/guest.h"

typedef struct otr_cli_guest_host {
    const char *const *pairs; /* key, value, …, NULL */
} otr_cli_guest_host;

extern const otr_host_ops otr_cli_guest_host_ops; /* `host` is an otr_cli_guest_host */

#endif
