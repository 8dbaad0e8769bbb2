/*
 * Why the agent may not see what it wants to: the right that is missing, for people.
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_INSTANCE_RIGHTS_H
#define OTR_NGINX_INSTANCE_RIGHTS_H

#include <stdbool.h>
#include <sys/types.h>

enum { OTR_RIGHTS_BYTES = 256 };

/* Why /proc/<pid> of a process of `uid` is closed: a part of a sentence, into `out`. */
void otr_rights_missing(const char *proc_root, pid_t pid, uid_t uid, char out[OTR_RIGHTS_BYTES]);

/* Does /proc hide the processes of other users from the agent? Then `out` says by what, and what to
 * do: a sentence. */
bool otr_rights_hidden(const char *proc_root, char out[OTR_RIGHTS_BYTES]);

#endif
