/*
 * From the title of a master process to the options it was started with.
 */
#include "base/alloc.h"
#include "nginx/instance/discovery.h"

static const char lead[] = "nginx: master process";

/* Options of nginx that take a value; the others stand alone. */
static bool takes_value(char c)
{
    return c == 'p' || c == 'c' || c == 'e' || c == 'g' || c == 's';
}

/* Does an option begin here? Inside the value of -g, "-" words are rare and never look so. */
static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] != '\0' && strchr("pcegsqtTvVh?", word[1]) != NULL;
}

/* The end of the value that begins at `at`: before the next word that is an option. */
static const char *value_end(const char *at)
{
    const char *end = at + strcspn(at, " ");
    while (*end != '\0') {
        const char *next = end + strspn(end, " ");
        if (*next == '\0' || is_option(next)) {
            break;
        }
        end = next + strcspn(next, " ");
    }
    return end;
}

static otr_code replace(char **slot, const char *at, const char *end, otr_err *err)
{
    while (end > at && end[-1] == ' ') {
        end--;
    }
    char *text = otr_strndup(at, (size_t)(end - at));
    if (text == NULL) {
        return otr_fail_nomem(err);
    }
    otr_free(*slot);
    *slot = text;
    return OTR_OK;
}

static char **slot_of(otr_master *m, char option)
{
    switch (option) {
    case 'p':
        return &m->prefix_arg;
    case 'c':
        return &m->config_arg;
    case 'e':
        return &m->error_log_arg;
    default:
        return NULL;
    }
}

/* One word that begins with '-': single letters may be joined, the one with a value is last. */
static otr_code parse_options(const char **at, otr_master *m, otr_err *err)
{
    const char *p = *at + 1;
    while (*p != '\0' && *p != ' ') {
        char option = *p++;
        if (!takes_value(option)) {
            continue;
        }
        p += strspn(p, " ");
        const char *end = value_end(p);
        char **slot = slot_of(m, option);
        *at = end;
        return slot != NULL ? replace(slot, p, end, err) : OTR_OK;
    }
    *at = p;
    return OTR_OK;
}

otr_code otr_master_parse_title(const char *title, otr_master *m, char **ret_argv0, otr_err *err)
{
    static const char none[] = "";
    char **slots[] = { &m->prefix_arg, &m->config_arg, &m->error_log_arg, ret_argv0 };
    for (size_t i = 0; i < OTR_COUNT(slots); i++) {
        otr_code rc = replace(slots[i], none, none, err);
        if (rc != OTR_OK) {
            return rc;
        }
    }
    const char *at = title;
    if (strncmp(at, lead, sizeof(lead) - 1) == 0) {
        at += sizeof(lead) - 1;
    }
    at += strspn(at, " ");
    const char *end = value_end(at);
    otr_code rc = replace(ret_argv0, at, end, err);
    at = end;
    while (rc == OTR_OK && *(at += strspn(at, " ")) != '\0') {
        if (*at == '-') {
            rc = parse_options(&at, m, err);
        } else {
            at += strcspn(at, " ");
        }
    }
    return rc;
}

void otr_master_deinit(otr_master *m)
{
    char *texts[] = { m->binary, m->root, m->cwd, m->prefix_arg, m->config_arg, m->error_log_arg };
    for (size_t i = 0; i < OTR_COUNT(texts); i++) {
        otr_free(texts[i]);
    }
    otr_free(m->children);
    *m = (otr_master){ 0 };
}
