/*
 * Private to src/nginx/drift: processes that have a file open.
 *
 * Thread: any; calls block for microseconds a process.
 */
#ifndef OTR_NGINX_DRIFT_SEARCH_H
#define OTR_NGINX_DRIFT_SEARCH_H

#include "nginx/drift/state.h"

/* Fills `ret[i]` where a process has `paths[i]`, or a file like an editor's beside it (".x.swp"),
 * open; others stay as they are. Paths are as seen from our own root, without links. Looks at no
 * more than OTR_LIMIT_DRIFT_PROCESSES. */
void otr_drift_search(const char *proc_root, const char *const *paths, size_t n,
                      otr_drift_writer *ret);

#endif
