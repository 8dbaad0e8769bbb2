#include "modules/config_instances.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "modules/topics.h"

enum { PREFIX_LEAST = 4, NAMES_BYTES = 300 };

void otr_config_instances_deinit(otr_config_instances *list)
{
    for (size_t i = 0; i < list->n; i++) {
        otr_msg_unref(list->items[i]);
    }
    otr_free(list->items);
    *list = (otr_config_instances){ .n = 0 };
}

const otr_nginx_instance *otr_config_instance_of(const otr_msg *msg)
{
    return ((const otr_instance_event *)msg->payload)->instance;
}

static size_t find(const otr_config_instances *list, const char *id)
{
    size_t i = 0;
    while (i < list->n && strcmp(otr_config_instance_of(list->items[i])->id, id) != 0) {
        i++;
    }
    return i;
}

otr_code otr_config_instances_hear(otr_config_instances *list, const otr_msg *msg, otr_err *err)
{
    bool ends = msg->topic == &otr_topic_instance_stopped;
    if (!ends && msg->topic != &otr_topic_instance_started &&
        msg->topic != &otr_topic_instance_changed) {
        return OTR_OK;
    }
    size_t at = find(list, otr_config_instance_of(msg)->id);
    if (at < list->n) {
        otr_msg_unref(list->items[at]);
        list->items[at] = ends ? list->items[--list->n] : otr_msg_ref(msg);
        return OTR_OK;
    }
    if (ends) {
        return OTR_OK;
    }
    otr_code rc = otr_grow(&list->items, list->n, &list->cap, sizeof(otr_msg *), err);
    if (rc == OTR_OK) {
        list->items[list->n++] = otr_msg_ref(msg);
    }
    return rc;
}

static bool is_any(const char *text)
{
    return text == NULL || text[0] == '\0' || strcmp(text, "nginx") == 0;
}

static bool fits(const otr_nginx_instance *i, const char *text)
{
    size_t n = strlen(text);
    return strcmp(i->config, text) == 0 || (n >= PREFIX_LEAST && strncmp(i->id, text, n) == 0);
}

/* "ID (path), …" of those that fit. */
static void name_them(const otr_config_instances *list, const char *text, otr_buf *out)
{
    for (size_t i = 0; i < list->n; i++) {
        const otr_nginx_instance *it = otr_config_instance_of(list->items[i]);
        if ((text == NULL || fits(it, text)) &&
            otr_buf_addf(out, NULL, "%s%.8s (%s)", out->n > 0 ? ", " : "", it->id, it->config) !=
                OTR_OK) {
            break;
        }
    }
}

static otr_code fail(const otr_config_instances *list, const char *text, size_t n, otr_err *err)
{
    otr_buf names;
    otr_buf_init(&names, NAMES_BYTES);
    name_them(list, is_any(text) || n == 0 ? NULL : text, &names);
    otr_code rc;
    if (list->n == 0) {
        rc = otr_fail(err, OTR_ENOTFOUND, "no NGINX is known to run here");
    } else if (n == 0) {
        rc = otr_fail(err, OTR_ENOTFOUND, "no NGINX is called \"%.80s\": there is %s", text,
                      otr_buf_text(&names));
    } else {
        rc = otr_fail(err, OTR_EINVAL, "several NGINX are meant: name one of %s",
                      otr_buf_text(&names));
    }
    otr_buf_deinit(&names);
    return rc;
}

otr_code otr_config_instances_find(const otr_config_instances *list, const char *text,
                                   otr_msg **ret, otr_err *err)
{
    size_t n = 0;
    otr_msg *found = NULL;
    for (size_t i = 0; i < list->n; i++) {
        const otr_nginx_instance *it = otr_config_instance_of(list->items[i]);
        if (is_any(text) || fits(it, text)) {
            found = list->items[i];
            n++;
        }
    }
    if (n != 1) {
        return fail(list, text, n, err);
    }
    *ret = found;
    return OTR_OK;
}
