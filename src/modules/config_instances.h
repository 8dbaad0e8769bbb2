/*
 * Which NGINX people mean: the instances that run, by what is typed for them.
 *
 * A list hears the messages nginx.instance.* and keeps the last one of each.
 *
 * Thread: loop.
 */
#ifndef OTR_MODULES_CONFIG_INSTANCES_H
#define OTR_MODULES_CONFIG_INSTANCES_H

#include "bus/msg.h"
#include "nginx/instance/instance.h"

typedef struct otr_config_instances { /* zeroed at first */
    otr_msg **items;                  /* a reference each */
    size_t n, cap;
} otr_config_instances;

void otr_config_instances_deinit(otr_config_instances *list);
/* Other messages are fine and change nothing. */
otr_code otr_config_instances_hear(otr_config_instances *list, const otr_msg *msg, otr_err *err)
    OTR_MUST_CHECK;

/* What a kept message is about. */
const otr_nginx_instance *otr_config_instance_of(const otr_msg *msg);
/* By its id, the beginning of one (4 characters at least), the path of its nginx.conf, or the word
 * "nginx" (also "" and NULL) for the only one there is. The message is the list's. OTR_ENOTFOUND;
 * OTR_EINVAL: several fit, and `err` names them. */
otr_code otr_config_instances_find(const otr_config_instances *list, const char *text,
                                   otr_msg **ret, otr_err *err) OTR_MUST_CHECK;

#endif
