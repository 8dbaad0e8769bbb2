#include "nginx/impact/lines.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "nginx/impact/myers.h"

/* ---- splitting ---- */

static size_t count_lines(const uint8_t *p, size_t n)
{
    size_t lines = 0;
    for (const uint8_t *end = p + n, *at = p; at < end; lines++) {
        const uint8_t *feed = memchr(at, '\n', (size_t)(end - at));
        at = feed != NULL ? feed + 1 : end;
    }
    return lines;
}

/* The start of the line that holds the byte before `at`, `n` lines further up. */
static size_t up(otr_bytes text, size_t at, size_t n)
{
    while (at > 0) {
        const uint8_t *feed = memrchr(text.p, '\n', at - 1);
        at = feed != NULL ? (size_t)(feed - text.p) + 1 : 0;
        if (n-- == 0) {
            break;
        }
    }
    return at;
}

static size_t down(otr_bytes text, size_t at, size_t n)
{
    for (; n > 0 && at < text.n; n--) {
        const uint8_t *feed = memchr(text.p + at, '\n', text.n - at);
        at = feed != NULL ? (size_t)(feed - text.p) + 1 : text.n;
    }
    return at;
}

static size_t same_start(otr_bytes a, otr_bytes b)
{
    enum { STEP = 4096 };
    size_t most = a.n < b.n ? a.n : b.n, n = 0;
    while (most - n >= STEP && memcmp(a.p + n, b.p + n, STEP) == 0) {
        n += STEP;
    }
    while (n < most && a.p[n] == b.p[n]) {
        n++;
    }
    return n;
}

static size_t same_end(otr_bytes a, otr_bytes b, size_t most)
{
    size_t n = 0;
    while (n < most && a.p[a.n - 1 - n] == b.p[b.n - 1 - n]) {
        n++;
    }
    return n;
}

static otr_code split(otr_side_lines *side, otr_err *err)
{
    side->n = count_lines(side->text.p, side->text.n);
    side->starts = otr_calloc(side->n + 1, sizeof(*side->starts));
    side->differs = otr_calloc(side->n + 1, sizeof(*side->differs));
    if (side->starts == NULL || side->differs == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; i < side->n; i++) {
        side->starts[i + 1] = down(side->text, side->starts[i], 1);
    }
    return OTR_OK;
}

otr_code otr_diff_lines_init(otr_diff_lines *lines, otr_bytes old, otr_bytes new, size_t around,
                             otr_err *err)
{
    *lines = (otr_diff_lines){ 0 };
    old.p = old.n > 0 ? old.p : (const uint8_t *)"";
    new.p = new.n > 0 ? new.p : (const uint8_t *)"";
    size_t head = same_start(old, new);
    size_t most = (old.n < new.n ? old.n : new.n) - head;
    size_t tail = same_end(old, new, most);
    /* Whole lines, of which the first is the one that has the first difference: what is equal of it
     * differs with it. */
    const uint8_t *feed = head > 0 ? memrchr(old.p, '\n', head) : NULL;
    head = feed != NULL ? (size_t)(feed - old.p) + 1 : 0;
    size_t from = around > 0 && head > 0 ? up(old, head, around - 1) : head;
    lines->before = count_lines(old.p, from);
    size_t old_end = down(old, old.n - tail, around + 1);
    size_t new_end = new.n - (old.n - old_end);
    lines->old.text = (otr_bytes){ old.p + from, old_end - from };
    lines->new.text = (otr_bytes){ new.p + from, new_end - from };
    otr_code rc = split(&lines->old, err);
    return rc == OTR_OK ? split(&lines->new, err) : rc;
}

static void side_deinit(otr_side_lines *side)
{
    otr_free(side->starts);
    otr_free(side->differs);
}

void otr_diff_lines_deinit(otr_diff_lines *lines)
{
    side_deinit(&lines->old);
    side_deinit(&lines->new);
}

size_t otr_diff_lines_differ(const otr_side_lines *side)
{
    size_t n = 0;
    for (size_t i = 0; i < side->n; i++) {
        n += side->differs[i];
    }
    return n;
}

/* ---- numbers for lines ---- */

enum { IN_OLD = 1, IN_NEW = 2, WORK = 40000000 };

typedef struct kind { /* of line */
    otr_bytes line;
    uint32_t id;
    uint8_t seen;
} kind;

typedef struct kinds {
    kind *slots;
    size_t n; /* a power of two */
    uint32_t count;
} kinds;

static kind *find_kind(const kinds *k, otr_bytes line)
{
    uint64_t hash = 14695981039346656037U;
    size_t at = 0;
    for (; at + sizeof(uint64_t) <= line.n; at += sizeof(uint64_t)) {
        uint64_t eight;
        memcpy(&eight, line.p + at, sizeof(eight));
        hash = (hash ^ eight) * 1099511628211U;
        hash ^= hash >> 29;
    }
    for (; at < line.n; at++) {
        hash = (hash ^ line.p[at]) * 1099511628211U;
    }
    size_t i = (size_t)(hash ^ hash >> 32) & (k->n - 1);
    while (k->slots[i].id != 0 &&
           (k->slots[i].line.n != line.n || memcmp(k->slots[i].line.p, line.p, line.n) != 0)) {
        i = (i + 1) & (k->n - 1);
    }
    return &k->slots[i];
}

/* The kind of each line into `ids`. */
static void number(kinds *k, const otr_side_lines *side, uint8_t where, uint32_t *ids)
{
    for (size_t i = 0; i < side->n; i++) {
        otr_bytes line = otr_diff_lines_at(side, i);
        kind *found = find_kind(k, line);
        if (found->id == 0) {
            *found = (kind){ .line = line, .id = ++k->count };
        }
        found->seen |= where;
        ids[i] = found->id;
    }
}

static otr_code kinds_init(kinds *k, size_t lines, otr_err *err)
{
    k->n = 16;
    while (k->n < 2 * lines) {
        k->n *= 2;
    }
    k->slots = otr_calloc(k->n, sizeof(*k->slots));
    return k->slots != NULL ? OTR_OK : otr_fail_nomem(err);
}

/* ---- comparing ---- */

typedef struct rest { /* the lines of one side that the other one has somewhere */
    uint32_t *ids;
    size_t *places; /* among all of its lines */
    uint8_t *differs;
    size_t n;
} rest;

/* Lines that only one side has differ, and the way to the others is shorter without them. */
static otr_code keep_shared(const otr_side_lines *side, const uint32_t *ids, const uint8_t *seen,
                            rest *ret, otr_err *err)
{
    ret->ids = otr_calloc(side->n + 1, sizeof(*ret->ids));
    ret->places = otr_calloc(side->n + 1, sizeof(*ret->places));
    ret->differs = otr_calloc(side->n + 1, sizeof(*ret->differs));
    if (ret->ids == NULL || ret->places == NULL || ret->differs == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; i < side->n; i++) {
        if (seen[ids[i]] == (IN_OLD | IN_NEW)) {
            ret->ids[ret->n] = ids[i];
            ret->places[ret->n++] = i;
        } else {
            side->differs[i] = 1;
        }
    }
    return OTR_OK;
}

static void rest_deinit(rest *r)
{
    otr_free(r->ids);
    otr_free(r->places);
    otr_free(r->differs);
}

static void mark(const otr_side_lines *side, const rest *r)
{
    for (size_t i = 0; i < r->n; i++) {
        side->differs[r->places[i]] |= r->differs[i];
    }
}

/* Moves each run of changed lines down as far as it reads the same: a block that was added then
 * ends with its own closing brace. */
static void slide(const otr_side_lines *side, const uint32_t *ids)
{
    for (size_t start = 0; start < side->n;) {
        if (side->differs[start] == 0) {
            start++;
            continue;
        }
        size_t end = start;
        while (end < side->n && side->differs[end] != 0) {
            end++;
        }
        while (end < side->n && side->differs[end] == 0 && ids[start] == ids[end]) {
            side->differs[start++] = 0;
            side->differs[end++] = 1;
        }
        start = end + 1;
    }
}

static otr_code compare(const otr_diff_lines *lines, const uint32_t *old_ids,
                        const uint32_t *new_ids, const uint8_t *seen, bool *ret_coarse,
                        otr_err *err)
{
    rest a = { 0 }, b = { 0 };
    otr_code rc = keep_shared(&lines->old, old_ids, seen, &a, err);
    rc = rc == OTR_OK ? keep_shared(&lines->new, new_ids, seen, &b, err) : rc;
    if (rc == OTR_OK) {
        otr_sequence of_a = { a.ids, a.differs, a.n }, of_b = { b.ids, b.differs, b.n };
        rc = otr_myers(&of_a, &of_b, WORK, ret_coarse, err);
    }
    if (rc == OTR_OK) {
        mark(&lines->old, &a);
        mark(&lines->new, &b);
        slide(&lines->old, old_ids);
        slide(&lines->new, new_ids);
    }
    rest_deinit(&a);
    rest_deinit(&b);
    return rc;
}

static otr_code seen_of(const kinds *k, uint8_t **ret, otr_err *err)
{
    uint8_t *seen = otr_calloc((size_t)k->count + 1, 1);
    if (seen == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; i < k->n; i++) {
        seen[k->slots[i].id] |= k->slots[i].seen;
    }
    *ret = seen;
    return OTR_OK;
}

otr_code otr_diff_lines_compare(otr_diff_lines *lines, bool *ret_coarse, otr_err *err)
{
    kinds k = { 0 };
    size_t n = lines->old.n + lines->new.n;
    if (n > OTR_LIMIT_DIFF_LINES) {
        memset(lines->old.differs, 1, lines->old.n);
        memset(lines->new.differs, 1, lines->new.n);
        *ret_coarse = true;
        return OTR_OK;
    }
    uint8_t *seen = NULL;
    uint32_t *ids = otr_calloc(n + 1, sizeof(*ids));
    otr_code rc = ids != NULL ? kinds_init(&k, n, err) : otr_fail_nomem(err);
    if (rc == OTR_OK) {
        number(&k, &lines->old, IN_OLD, ids);
        number(&k, &lines->new, IN_NEW, ids + lines->old.n);
        rc = seen_of(&k, &seen, err);
        otr_free(k.slots);
        rc = rc == OTR_OK ? compare(lines, ids, ids + lines->old.n, seen, ret_coarse, err) : rc;
    }
    otr_free(seen);
    otr_free(ids);
    return rc;
}
