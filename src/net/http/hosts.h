/*
 * Names in the text of /etc/hosts: the only name service that is used for NGINX.
 *
 * Thread: any.
 */
#ifndef OTR_NET_HTTP_HOSTS_H
#define OTR_NET_HTTP_HOSTS_H

#include "base/base.h"

enum { OTR_HOSTS_ADDRESS_BYTES = 48 };

typedef void otr_hosts_fn(void *arg, const char *address);

/* Calls `take` with each address that `text` gives `name`, in order; without any for "localhost",
 * with 127.0.0.1 and ::1. The text of an address is at most OTR_HOSTS_ADDRESS_BYTES with its NUL
 * and not checked further. */
void otr_hosts_find(otr_bytes text, const char *name, otr_hosts_fn *take, void *arg);

#endif
