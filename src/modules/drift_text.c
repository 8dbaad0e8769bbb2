#include <stdio.h>

#include "modules/drift.h"

enum { NAMES_BYTES = 420, BY_BYTES = 256, ONE_BYTES = 1024, SHORT = 8 };

static void add(char *out, size_t cap, const char *text)
{
    size_t n = strlen(out);
    size_t more = strlen(text);
    if (n + more < cap) {
        memcpy(out + n, text, more + 1);
    }
}

/* "a.conf changed by root (vim, process 7), b.conf added" and how many more. */
static void list(const otr_drift_report *r, char *out, size_t cap)
{
    size_t shown = 0;
    char last[BY_BYTES] = "";
    out[0] = '\0';
    for (; shown < r->n; shown++) {
        const otr_drift_file *f = &r->files[shown];
        char by[BY_BYTES];
        char one[ONE_BYTES];
        otr_drift_by(f, by, sizeof(by));
        bool same = by[0] == '\0' || strcmp(by, last) == 0;
        const char *what = f->kind == OTR_DRIFT_ATTRIBUTES   ? "has another owner or mode"
                           : f->kind == OTR_DRIFT_UNREADABLE ? "cannot be read"
                                                             : otr_drift_kind_name(f->kind);
        int n = snprintf(one, sizeof(one), "%s%s %s%s%s", shown > 0 ? ", " : "", f->path, what,
                         same ? "" : " by ", same ? "" : by);
        if (n < 0 || strlen(out) + (size_t)n >= cap) {
            break;
        }
        add(out, cap, one);
        memcpy(last, by, sizeof(last));
    }
    size_t more = r->more + (r->n - shown);
    char rest[64];
    (void)snprintf(rest, sizeof(rest), "%s%zu %sfile%s", shown > 0 ? " and " : "", more,
                   shown > 0 ? "more " : "", more == 1 ? "" : "s");
    if (more > 0) {
        add(out, cap, rest);
    }
}

static bool only_named(const otr_drift_report *r)
{
    bool all = r->more == 0;
    for (size_t i = 0; i < r->n; i++) {
        all &= r->files[i].named;
    }
    return all;
}

void otr_drift_say(const otr_drift_report *r, char *out, size_t cap)
{
    char names[NAMES_BYTES + 64];
    list(r, names, sizeof(names));
    if (only_named(r)) {
        (void)snprintf(out, cap,
                       "files that it names are not those that NGINX has loaded: %s; NGINX uses "
                       "them once it is reloaded",
                       names);
    } else if (r->version[0] != '\0') {
        (void)snprintf(out, cap,
                       "its files are not as in version %.*s: %s; see `outrider config diff`, keep "
                       "them with `outrider config adopt`, undo it with `outrider config revert`",
                       SHORT, r->version, names);
    } else {
        (void)snprintf(
            out, cap,
            "its files are not those that NGINX has loaded: %s; NGINX takes them when it "
            "is reloaded, `outrider config revert` undoes it",
            names);
    }
}
