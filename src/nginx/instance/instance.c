#include "nginx/instance/instance.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "nginx/config/access_logs.h"

enum { REMARK_BYTES = 512 };

static bool dup_text(char **slot, const char *from)
{
    if (from == NULL) {
        return true;
    }
    *slot = otr_strdup(from);
    return *slot != NULL;
}

static bool copy_texts(otr_nginx_instance *to, const otr_nginx_instance *from)
{
    return dup_text(&to->binary, from->binary) && dup_text(&to->version, from->version) &&
           dup_text(&to->maker, from->maker) && dup_text(&to->config, from->config) &&
           dup_text(&to->prefix, from->prefix) && dup_text(&to->configure, from->configure) &&
           dup_text(&to->error_log, from->error_log) &&
           dup_text(&to->stub_status, from->stub_status) &&
           dup_text(&to->config_error, from->config_error) && dup_text(&to->root, from->root);
}

static bool copy_workers(otr_nginx_instance *to, const otr_nginx_instance *from)
{
    if (from->n_workers == 0) {
        return true;
    }
    to->workers = otr_calloc(from->n_workers, sizeof(*to->workers));
    if (to->workers == NULL) {
        return false;
    }
    memcpy(to->workers, from->workers, from->n_workers * sizeof(*to->workers));
    to->n_workers = from->n_workers;
    return true;
}

static bool copy_logs(otr_nginx_instance *to, const otr_nginx_instance *from)
{
    to->access_logs = otr_nginx_logs_copy(from->access_logs, from->n_access_logs);
    to->n_access_logs = to->access_logs != NULL ? from->n_access_logs : 0;
    return to->access_logs != NULL;
}

static bool copy_reach(otr_nginx_instance *to, const otr_nginx_instance *from)
{
    return from->reach == NULL || otr_root_copy(from->reach, &to->reach, NULL) == OTR_OK;
}

static bool copy_urls(otr_nginx_instance *to, const otr_nginx_instance *from)
{
    if (from->n_status_urls == 0) {
        return true;
    }
    to->status_urls = otr_calloc(from->n_status_urls, sizeof(*to->status_urls));
    if (to->status_urls == NULL) {
        return false;
    }
    to->n_status_urls = from->n_status_urls;
    for (size_t i = 0; i < from->n_status_urls; i++) {
        if (!dup_text(&to->status_urls[i], from->status_urls[i])) {
            return false;
        }
    }
    return true;
}

static bool copy_remarks(otr_nginx_instance *to, const otr_nginx_instance *from)
{
    if (from->n_remarks == 0) {
        return true;
    }
    to->remarks = otr_calloc(from->n_remarks, sizeof(*to->remarks));
    if (to->remarks == NULL) {
        return false;
    }
    to->n_remarks = from->n_remarks;
    for (size_t i = 0; i < from->n_remarks; i++) {
        if (!dup_text(&to->remarks[i], from->remarks[i])) {
            return false;
        }
    }
    return true;
}

otr_code otr_nginx_instance_remark(otr_nginx_instance *instance, otr_err *err, const char *format,
                                   ...)
{
    char text[REMARK_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    for (size_t i = 0; i < instance->n_remarks; i++) {
        if (strcmp(instance->remarks[i], text) == 0) {
            return OTR_OK;
        }
    }
    if (instance->n_remarks >= OTR_LIMIT_NGINX_REMARKS) {
        return OTR_OK;
    }
    char *copy = otr_strdup(text);
    char **list = otr_realloc(instance->remarks, (instance->n_remarks + 1) * sizeof(*list));
    if (list != NULL) {
        instance->remarks = list;
    }
    if (copy == NULL || list == NULL) {
        otr_free(copy);
        return otr_fail_nomem(err);
    }
    list[instance->n_remarks++] = copy;
    return OTR_OK;
}

otr_code otr_nginx_instance_copy(const otr_nginx_instance *from, otr_nginx_instance **ret,
                                 otr_err *err)
{
    otr_nginx_instance *to = otr_zalloc(sizeof(*to));
    if (to == NULL) {
        return otr_fail_nomem(err);
    }
    memcpy(to->id, from->id, sizeof(to->id));
    to->pid = from->pid;
    to->started_ticks = from->started_ticks;
    to->replaced = from->replaced;
    to->plus = from->plus;
    to->status_given = from->status_given;
    to->config_changed = from->config_changed;
    to->loads = from->loads;
    to->loaded_ns = from->loaded_ns;
    to->uid = from->uid;
    to->gid = from->gid;
    to->stranger = from->stranger;
    to->net_ns = from->net_ns;
    to->own_net = from->own_net;
    if (!copy_reach(to, from) || !copy_texts(to, from) || !copy_workers(to, from) ||
        !copy_logs(to, from) || !copy_urls(to, from) || !copy_remarks(to, from)) {
        otr_nginx_instance_free(to);
        return otr_fail_nomem(err);
    }
    *ret = to;
    return OTR_OK;
}

void otr_nginx_instance_free(otr_nginx_instance *instance)
{
    if (instance == NULL) {
        return;
    }
    otr_nginx_logs_free(instance->access_logs, instance->n_access_logs);
    otr_root_free(instance->reach);
    for (size_t i = 0; i < instance->n_status_urls; i++) {
        otr_free(instance->status_urls[i]);
    }
    for (size_t i = 0; i < instance->n_remarks; i++) {
        otr_free(instance->remarks[i]);
    }
    char *texts[] = { instance->binary, instance->version,     instance->config,
                      instance->prefix, instance->configure,   instance->error_log,
                      instance->root,   instance->stub_status, instance->config_error,
                      instance->maker };
    for (size_t i = 0; i < OTR_COUNT(texts); i++) {
        otr_free(texts[i]);
    }
    otr_free(instance->remarks);
    otr_free(instance->status_urls);
    otr_free(instance->workers);
    otr_free(instance);
}

static bool same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_lists(const otr_nginx_instance *a, const otr_nginx_instance *b)
{
    if (a->n_workers != b->n_workers || a->n_access_logs != b->n_access_logs ||
        a->n_status_urls != b->n_status_urls || a->n_remarks != b->n_remarks) {
        return false;
    }
    if (a->n_workers > 0 &&
        memcmp(a->workers, b->workers, a->n_workers * sizeof(*a->workers)) != 0) {
        return false;
    }
    if (!otr_nginx_logs_eq(a->access_logs, b->access_logs, a->n_access_logs)) {
        return false;
    }
    for (size_t i = 0; i < a->n_status_urls; i++) {
        if (!same(a->status_urls[i], b->status_urls[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < a->n_remarks; i++) {
        if (!same(a->remarks[i], b->remarks[i])) {
            return false;
        }
    }
    return true;
}

static bool same_texts(const otr_nginx_instance *a, const otr_nginx_instance *b)
{
    return same(a->binary, b->binary) && same(a->version, b->version) && same(a->maker, b->maker) &&
           same(a->config, b->config) && same(a->prefix, b->prefix) &&
           same(a->configure, b->configure) && same(a->error_log, b->error_log) &&
           same(a->stub_status, b->stub_status) && same(a->config_error, b->config_error) &&
           same(a->root, b->root);
}

static bool same_reach(const otr_root *a, const otr_root *b)
{
    return a == b || (a != NULL && b != NULL && otr_root_eq(a, b));
}

static bool same_load(const otr_nginx_instance *a, const otr_nginx_instance *b)
{
    return a->config_changed == b->config_changed && a->loads == b->loads;
}

bool otr_nginx_instance_eq(const otr_nginx_instance *a, const otr_nginx_instance *b)
{
    return strcmp(a->id, b->id) == 0 && a->pid == b->pid && a->started_ticks == b->started_ticks &&
           a->uid == b->uid && a->gid == b->gid && a->stranger == b->stranger &&
           a->net_ns == b->net_ns && a->own_net == b->own_net && a->replaced == b->replaced &&
           a->plus == b->plus && a->status_given == b->status_given && same_load(a, b) &&
           same_reach(a->reach, b->reach) && same_texts(a, b) && same_lists(a, b);
}
