/*
 * The folders of logs, watched by inotify for names that appear or go: private to this folder.
 *
 * Of what happens in a folder only the name is told; plain writes are not. A folder that is itself
 * replaced is watched anew by otr_log_folders_renew(). Without inotify nothing is told.
 *
 * Thread: loop.
 */
#ifndef OTR_NGINX_LOG_FOLDERS_H
#define OTR_NGINX_LOG_FOLDERS_H

#include "base/base.h"
#include "base/err.h"
#include "loop/loop.h"

typedef struct otr_log_folders otr_log_folders;
typedef struct otr_log_folder otr_log_folder;

/* `name` appeared in the folder or went. Both NULL: something was missed. After the last one of
 * several that came at once it is called with `folder` alone NULL and an empty name. */
typedef void otr_log_folder_fn(void *arg, otr_log_folder *folder, const char *name);

otr_code otr_log_folders_new(otr_loop *loop, otr_log_folder_fn *fn, void *arg,
                             otr_log_folders **ret, otr_err *err) OTR_MUST_CHECK;
void otr_log_folders_free(otr_log_folders *folders); /* after every leave */

/* The folder of the log; the same for all logs in it. NULL: no memory. */
otr_log_folder *otr_log_folders_join(otr_log_folders *folders, const char *root, const char *path);
void otr_log_folders_leave(otr_log_folders *folders, otr_log_folder *folder); /* NULL is fine */

/* Watches again what was replaced. */
void otr_log_folders_renew(otr_log_folders *folders);

#endif
