/*
 * Where stub_status stands in a configuration, and the URLs at which it may be asked.
 *
 * Who walks a configuration shows every directive and the end of every block; at the end there are
 * URLs, best first. The form of a URL is that of otr_nginx_instance.stub_status.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NGINX_STATUS_COLLECT_H
#define OTR_NGINX_STATUS_COLLECT_H

#include "base/base.h"
#include "base/err.h"
#include "nginx/language/walk.h"
#include "nginx/root.h"

typedef struct otr_status_collect otr_status_collect;

/* `root` is borrowed for good: names in `listen` are looked up in its /etc/hosts, sockets lie
 * below. */
otr_code otr_status_collect_new(const otr_root *root, otr_status_collect **ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_status_collect_free(otr_status_collect *collect); /* NULL is fine */
/* As otr_visitor.enter and .leave. */
otr_code otr_status_collect_enter(otr_status_collect *collect, const otr_directive *directive,
                                  otr_err *err) OTR_MUST_CHECK;
void otr_status_collect_leave(otr_status_collect *collect);
/* The URLs of all stub_status, best first; the caller frees texts and array. */
otr_code otr_status_collect_urls(otr_status_collect *collect, char ***ret, size_t *ret_n,
                                 otr_err *err) OTR_MUST_CHECK;

/* Room for one more item of `size` bytes in the growing array at `slot`. OTR_EQUOTA past
 * OTR_LIMIT_NGINX_STATUS_ITEMS. */
otr_code otr_scan_room(void *slot, size_t n, size_t *cap, size_t size, otr_err *err) OTR_MUST_CHECK;

#endif
