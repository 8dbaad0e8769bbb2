/*
 * Private to src/nginx/instance: lists of access logs as plain data.
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_INSTANCE_ACCESS_LOGS_H
#define OTR_NGINX_INSTANCE_ACCESS_LOGS_H

#include <stdbool.h>

#include "nginx/instance/instance.h"

/* NULL when memory is out; `n` may be 0, which gives a list as well. */
otr_nginx_log *otr_nginx_logs_copy(const otr_nginx_log *from, size_t n);
void otr_nginx_logs_free(otr_nginx_log *logs, size_t n); /* NULL is fine */
bool otr_nginx_logs_eq(const otr_nginx_log *a, const otr_nginx_log *b, size_t n);

#endif
