/*
 * An NGINX that a running agent knows, for commands that look at its files.
 *
 * Thread: main.
 */
#ifndef OTR_CLI_NGINX_INSTANCE_H
#define OTR_CLI_NGINX_INSTANCE_H

#include <stdbool.h>
#include <sys/types.h>

enum { OTR_CLI_INSTANCE_PATH_BYTES = 4096 };

typedef struct otr_cli_instance {
    char config[OTR_CLI_INSTANCE_PATH_BYTES]; /* its nginx.conf, as it names it */
    char root[64];                            /* "/proc/17/root"; "": ours */
    char version[24];                         /* "1.28.0"; "": not known */
    uid_t uid;                                /* of its master */
} otr_cli_instance;

/* Asks the agent at `socket` (NULL: where it listens by default) for the one that is called `text`:
 * an id, its beginning, the path of nginx.conf, or "nginx" where there is only one. False: standard
 * error has the reason. */
bool otr_cli_instance_find(const char *command, const char *socket, const char *text,
                           otr_cli_instance *ret);

#endif
