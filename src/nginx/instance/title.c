/*
 * From the title of a master process to the options it was started with.
 */
#include "base/alloc.h"
#include "nginx/instance/discovery.h"

/* What stands behind "<word>: " in a title, whatever the server calls itself; NULL: no such title.
 */
static const char *behind_word(const char *title)
{
    enum { WORD_MOST = 24 };
    size_t n = 0;
    while (n <= WORD_MOST &&
           ((title[n] >= 'a' && title[n] <= 'z') || (title[n] >= 'A' && title[n] <= 'Z') ||
            (title[n] >= '0' && title[n] <= '9') || title[n] == '-' || title[n] == '_')) {
        n++;
    }
    return n > 0 && n <= WORD_MOST && title[n] == ':' && title[n + 1] == ' ' ? title + n + 2 : NULL;
}

/* Behind `phrase`, when `at` begins with it as whole words; else NULL. */
static const char *behind_phrase(const char *at, const char *phrase)
{
    size_t n = strlen(phrase);
    return strncmp(at, phrase, n) == 0 && (at[n] == ' ' || at[n] == '\0') ? at + n : NULL;
}

/* Is `at` the front part of `phrase`? That much of a title fits into few arguments. */
static bool is_cut(const char *at, const char *phrase)
{
    return strncmp(at, phrase, strlen(at)) == 0;
}

otr_title otr_title_kind(const char *title)
{
    const char *at = behind_word(title);
    if (at == NULL) {
        return OTR_TITLE_NONE;
    }
    if (behind_phrase(at, "master process") != NULL) {
        return OTR_TITLE_MASTER;
    }
    if (behind_phrase(at, "worker process") != NULL) {
        return OTR_TITLE_WORKER;
    }
    return is_cut(at, "master process") || is_cut(at, "worker process") ? OTR_TITLE_NONE
                                                                        : OTR_TITLE_HELPER;
}

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
    case 'g':
        return &m->global_arg;
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
        m->client |= strchr("stTvVh?", option) != NULL;
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

const char *otr_title_inside(const char *title)
{
    for (const char *at = title; (at = strchr(at, ' ')) != NULL;) {
        at++;
        otr_title kind = otr_title_kind(at);
        if (kind == OTR_TITLE_MASTER || kind == OTR_TITLE_WORKER) {
            return at;
        }
    }
    return title;
}

/* Where the arguments begin: behind "nginx: master process", and behind what Angie puts there,
 * " v1.4.0 #1 [" with a ']' at the end. */
static const char *arguments_of(const char *title, char *ret_close)
{
    const char *at = behind_word(title);
    const char *behind = at != NULL ? behind_phrase(at, "master process") : NULL;
    at = behind != NULL ? behind : title;
    *ret_close = '\0';
    for (;;) {
        at += strspn(at, " ");
        bool mark = (at[0] == 'v' || at[0] == '#') && at[1] >= '0' && at[1] <= '9';
        if (behind == NULL || !mark) {
            break;
        }
        at += strcspn(at, " ");
    }
    if (behind != NULL && *at == '[') {
        *ret_close = ']';
        at++;
    }
    return at;
}

static otr_code parse_arguments(const char *at, otr_master *m, char **ret_argv0, otr_err *err)
{
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

otr_code otr_master_parse_title(const char *title, otr_master *m, char **ret_argv0, otr_err *err)
{
    static const char none[] = "";
    char **slots[] = { &m->prefix_arg, &m->config_arg, &m->error_log_arg, &m->global_arg,
                       ret_argv0 };
    for (size_t i = 0; i < OTR_COUNT(slots); i++) {
        otr_code rc = replace(slots[i], none, none, err);
        if (rc != OTR_OK) {
            return rc;
        }
    }
    m->client = false;
    char close;
    char *arguments = otr_strdup(arguments_of(title, &close));
    if (arguments == NULL) {
        return otr_fail_nomem(err);
    }
    size_t n = strlen(arguments);
    if (close != '\0' && n > 0 && arguments[n - 1] == close) {
        arguments[n - 1] = '\0';
    }
    otr_code rc = parse_arguments(arguments, m, ret_argv0, err);
    otr_free(arguments);
    return rc;
}

void otr_master_deinit(otr_master *m)
{
    char *texts[] = { m->binary,     m->root,          m->cwd,       m->prefix_arg,
                      m->config_arg, m->error_log_arg, m->global_arg };
    for (size_t i = 0; i < OTR_COUNT(texts); i++) {
        otr_free(texts[i]);
    }
    otr_free(m->groups);
    otr_free(m->children);
    *m = (otr_master){ 0 };
}
