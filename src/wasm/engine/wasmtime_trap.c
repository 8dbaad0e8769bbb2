/*
 * Wasmtime's account of a failure, made short: "<reason> at <function> (<file>:<line>) < <caller>".
 *
 * The C API gives frames without file and line; only the text of the error has them. Its lines are
 * "<n>: <offset> - <module>!<function>", "- <inlined function>", "at <file>:<line>:<column>" and,
 * after "Caused by:", the reason.
 */
#include <ctype.h>
#include <stdio.h>

#include "wasm/engine/trace.h"
#include "wasm/engine/wasmtime.h"

static const char gc_full[] = "GC heap out of memory"; /* how such a trap begins */

enum { MOST_FRAMES = 6, FRAME_BYTES = 60 };

typedef struct story {
    char reason[200];
    char frames[320];
    unsigned n_frames;
} story;

typedef struct line {
    const char *p;
    size_t n;
} line;

/* Cuts the next line off `rest`, without blanks at either end. */
static bool next_line(line *rest, line *ret)
{
    if (rest->n == 0) {
        return false;
    }
    const char *end = memchr(rest->p, '\n', rest->n);
    size_t n = end != NULL ? (size_t)(end - rest->p) : rest->n;
    *ret = (line){ rest->p, n };
    size_t used = end != NULL ? n + 1 : n;
    rest->p += used;
    rest->n -= used;
    while (ret->n > 0 && isspace((unsigned char)ret->p[0])) {
        ret->p++;
        ret->n--;
    }
    while (ret->n > 0 && isspace((unsigned char)ret->p[ret->n - 1])) {
        ret->n--;
    }
    return true;
}

static bool starts(line l, const char *word)
{
    size_t n = strlen(word);
    return l.n >= n && memcmp(l.p, word, n) == 0;
}

static void skip(line *l, size_t n)
{
    l->p += n;
    l->n -= n;
}

/* Appends to a C string of `cap` bytes; bytes that would break a log line become '?'. */
static void append(char *out, size_t cap, line l)
{
    size_t n = strlen(out);
    for (size_t i = 0; i < l.n && n + 1 < cap; i++) {
        unsigned char c = (unsigned char)l.p[i];
        out[n++] = (char)(c < 0x20 || c == 0x7f ? '?' : c);
    }
    out[n] = '\0';
}

static line words(const char *s)
{
    return (line){ s, strlen(s) };
}

static void add_frame(story *s, line name)
{
    if (s->n_frames++ >= MOST_FRAMES) {
        return;
    }
    append(s->frames, sizeof(s->frames), words(s->n_frames > 1 ? " < " : ""));
    if (name.n > FRAME_BYTES) {
        append(s->frames, sizeof(s->frames), (line){ name.p, FRAME_BYTES });
        name = words("..");
    }
    append(s->frames, sizeof(s->frames), name);
}

/* "<digits>: [0x<offset> - ][<module>!]<function>" */
static bool frame_line(story *s, line l)
{
    size_t digits = 0;
    while (digits < l.n && isdigit((unsigned char)l.p[digits])) {
        digits++;
    }
    if (digits == 0 || digits >= l.n || l.p[digits] != ':') {
        return false;
    }
    skip(&l, digits + 1);
    for (size_t i = 0; i + 2 < l.n; i++) {
        if (memcmp(l.p + i, " - ", 3) == 0) {
            skip(&l, i + 3);
            break;
        }
    }
    const char *mark = l.n > 0 ? memchr(l.p, '!', l.n) : NULL;
    if (mark != NULL) {
        skip(&l, (size_t)(mark - l.p) + 1);
    }
    add_frame(s, l);
    return true;
}

/* "at /a/b/c.c:10:3": the last folder, the file and the line are enough to find it. */
static void file_line(story *s, line l)
{
    if (s->n_frames == 0 || s->n_frames > MOST_FRAMES) {
        return;
    }
    skip(&l, 3);
    size_t colons = 0, end = l.n;
    for (size_t i = l.n; i > 0 && colons < 1; i--) {
        if (l.p[i - 1] == ':') {
            colons++;
            end = i - 1;
        }
    }
    l.n = end;
    size_t slashes = 0;
    for (size_t i = l.n; i > 0; i--) {
        if (l.p[i - 1] == '/' && ++slashes == 2) {
            skip(&l, i);
            break;
        }
    }
    append(s->frames, sizeof(s->frames), words(" ("));
    append(s->frames, sizeof(s->frames), l);
    append(s->frames, sizeof(s->frames), words(")"));
}

static void add_reason(story *s, line l)
{
    if (l.n > 2 && isdigit((unsigned char)l.p[0]) && l.p[1] == ':') { /* one of several causes */
        skip(&l, 2);
        while (l.n > 0 && l.p[0] == ' ') {
            skip(&l, 1);
        }
    }
    if (starts(l, "wasm trap: ")) {
        skip(&l, strlen("wasm trap: "));
    }
    append(s->reason, sizeof(s->reason), words(s->reason[0] != '\0' ? ": " : ""));
    append(s->reason, sizeof(s->reason), l);
}

static void tell(story *s, line text)
{
    bool in_frames = false;
    for (line l; next_line(&text, &l);) {
        if (l.n == 0 || starts(l, "note: ")) {
            continue;
        }
        if (starts(l, "error while executing at wasm backtrace")) {
            in_frames = true;
        } else if (starts(l, "Caused by:")) {
            in_frames = false;
        } else if (!in_frames) {
            add_reason(s, l);
        } else if (starts(l, "at ")) {
            file_line(s, l);
        } else if (starts(l, "- ")) {
            skip(&l, 2);
            add_frame(s, l);
        } else {
            (void)frame_line(s, l);
        }
    }
    if (s->n_frames > MOST_FRAMES) {
        append(s->frames, sizeof(s->frames), words(" < .."));
    }
}

void otr_wasmtime_shorten(otr_bytes text, char *ret, size_t cap)
{
    story s = { 0 };
    tell(&s, (line){ (const char *)text.p, text.n });
    (void)snprintf(ret, cap, "%s%s%s", s.reason, s.frames[0] != '\0' ? " at " : "", s.frames);
}

/* The message vector ends with a NUL for traps and not for errors. */
static void tell_vec(story *s, wasm_byte_vec_t *v)
{
    size_t n = v->size;
    while (n > 0 && v->data[n - 1] == '\0') {
        n--;
    }
    tell(s, (line){ v->data, n });
    wasm_byte_vec_delete(v);
}

otr_code otr_wasmtime_fail(otr_err *err, otr_code code, wasmtime_error_t *error, const char *what)
{
    story s = { 0 };
    wasm_byte_vec_t text;
    wasmtime_error_message(error, &text);
    wasmtime_error_delete(error);
    tell_vec(&s, &text);
    return otr_fail(err, code, "%s: %s", what, s.reason);
}

/* Growth that the limit denies is no trap; a guest that then gives up does so by `unreachable`. */
static bool ran_out(wt_instance *i, const wasm_trap_t *trap)
{
    wasmtime_trap_code_t code;
    if (trap == NULL || !wasmtime_trap_code(trap, &code) ||
        code != WASMTIME_TRAP_CODE_UNREACHABLE_CODE_REACHED) {
        return false;
    }
    return otr_wasmtime_denied(i);
}

static otr_code say(otr_err *err, otr_code code, const char *reason, const story *s)
{
    return otr_fail(err, code, "%s%s%s", reason, s->frames[0] != '\0' ? " at " : "", s->frames);
}

static otr_code host_failure(const wt_instance *i, const story *s, otr_err *err)
{
    otr_code code = i->host_err.code;
    if (code != OTR_ETIMEOUT && code != OTR_EQUOTA && code != OTR_ENOMEM) {
        code = OTR_EGUEST;
    }
    return say(err, code, i->host_err.msg, s);
}

otr_code otr_wasmtime_failed(wt_instance *i, wasmtime_error_t *error, wasm_trap_t *trap,
                             otr_err *err)
{
    story s = { 0 };
    int status = 0;
    bool exited = error != NULL && wasmtime_error_exit_status(error, &status);
    bool full = ran_out(i, trap);
    wasm_byte_vec_t text;
    if (trap != NULL) {
        wasm_trap_message(trap, &text);
        wasm_trap_delete(trap);
    } else {
        wasmtime_error_message(error, &text);
        wasmtime_error_delete(error);
    }
    tell_vec(&s, &text);
    if (!exited && i->end == WT_END_EXIT) {
        exited = true;
        status = i->exit_code;
        i->end = status == 0 && i->depth == 0 ? WT_END_NONE : WT_END_EXIT;
    }
    full = full || strncmp(s.reason, gc_full, sizeof(gc_full) - 1) == 0;
    i->dead = !(exited && status == 0);
    i->exit_code = exited ? status : -1; /* not that of an earlier call */
    if (exited) {
        return otr_fail(err, OTR_EGUEST, "the guest ended itself with exit code %d", status);
    }
    switch (i->end) {
    case WT_END_DEADLINE:
        return say(err, OTR_ETIMEOUT, "the call ran past its deadline", &s);
    case WT_END_INTERRUPT:
        return say(err, OTR_ETIMEOUT, "the call was interrupted", &s);
    case WT_END_MEMORY:
        return say(err, OTR_EQUOTA, "the guest's memories together passed the limit", &s);
    case WT_END_HOST:
        return host_failure(i, &s, err);
    case WT_END_EXIT:
    case WT_END_NONE:
        break;
    }
    if (full) {
        return otr_fail(err, OTR_EQUOTA, "out of memory (limit %llu KiB), then %s%s%s",
                        (unsigned long long)(i->max_memory_bytes / 1024), s.reason,
                        s.frames[0] != '\0' ? " at " : "", s.frames);
    }
    return say(err, OTR_EGUEST, s.reason, &s);
}
