#include "nginx/impact/myers.h"

#include <sys/types.h>

#include "base/alloc.h"

/* "An O(ND) Difference Algorithm and Its Variations", E. Myers, 1986, section 4b: the middle of a
 * shortest path is found from both ends at once, then each half by itself. */

typedef struct job {
    const otr_sequence *a, *b;
    ssize_t *ahead, *back; /* furthest x on each diagonal, from either end; at its middle */
    size_t left;           /* work */
    bool coarse;
} job;

typedef struct box { /* a[a0, a1) against b[b0, b1) */
    size_t a0, a1, b0, b1;
} box;

static void all_differ(const job *j, const box *at)
{
    memset(j->a->differs + at->a0, 1, at->a1 - at->a0);
    memset(j->b->differs + at->b0, 1, at->b1 - at->b0);
}

typedef struct search { /* in one box */
    const uint32_t *a, *b;
    ssize_t n, m;
    ssize_t x, y; /* where it was split */
} search;

/* Where the path of one more edit on diagonal `k` begins: one to the right or one down from its
 * neighbours, whichever is further; -1: neither stays in the box. */
static ssize_t start_of(const ssize_t *v, ssize_t k, const search *s)
{
    ssize_t right = v[k - 1] >= 0 && v[k - 1] < s->n ? v[k - 1] + 1 : -1;
    ssize_t down = v[k + 1] - k <= s->m ? v[k + 1] : -1;
    return right > down ? right : down;
}

static ssize_t first_start(const ssize_t *v, ssize_t k, ssize_t d, const search *s)
{
    return d == 0 ? 0 : start_of(v, k, s);
}

/* Diagonals outside of the box are left out. */
static ssize_t first_of(ssize_t d, ssize_t m)
{
    return d > m ? -(2 * m - d) : -d;
}

static ssize_t last_of(ssize_t d, ssize_t n)
{
    return d > n ? 2 * n - d : d;
}

/* One more edit from the front; true when it meets the other end. */
static bool step_ahead(job *j, search *s, ssize_t d, size_t *work)
{
    ssize_t delta = s->n - s->m;
    for (ssize_t k = first_of(d, s->m); k <= last_of(d, s->n); k += 2) {
        ssize_t from = first_start(j->ahead, k, d, s), x = from;
        while (x >= 0 && x < s->n && x - k < s->m && s->a[x] == s->b[x - k]) {
            x++;
        }
        *work += (size_t)(x - from) + 1;
        j->ahead[k] = x;
        ssize_t mirror = delta - k;
        if ((delta & 1) != 0 && mirror >= -(d - 1) && mirror <= d - 1 && x >= 0 &&
            j->back[mirror] >= 0 && x + j->back[mirror] >= s->n) {
            s->x = x;
            s->y = x - k;
            return true;
        }
    }
    return false;
}

static bool step_back(job *j, search *s, ssize_t d, size_t *work)
{
    ssize_t delta = s->n - s->m;
    for (ssize_t k = first_of(d, s->m); k <= last_of(d, s->n); k += 2) {
        ssize_t from = first_start(j->back, k, d, s), x = from;
        while (x >= 0 && x < s->n && x - k < s->m &&
               s->a[s->n - 1 - x] == s->b[s->m - 1 - (x - k)]) {
            x++;
        }
        *work += (size_t)(x - from) + 1;
        j->back[k] = x;
        ssize_t mirror = delta - k;
        if ((delta & 1) == 0 && mirror >= -d && mirror <= d && x >= 0 && j->ahead[mirror] >= 0 &&
            x + j->ahead[mirror] >= s->n) {
            s->x = s->n - x;
            s->y = s->m - (x - k);
            return true;
        }
    }
    return false;
}

/* False when the work is used up. */
static bool find_middle(job *j, search *s)
{
    for (ssize_t d = 0;; d++) {
        size_t work = 0;
        j->ahead[d + 1] = j->ahead[-d - 1] = j->back[d + 1] = j->back[-d - 1] = -1;
        if (step_ahead(j, s, d, &work) || step_back(j, s, d, &work)) {
            return true;
        }
        if (work > j->left) {
            j->left = 0;
            return false;
        }
        j->left -= work;
    }
}

static void compare(job *j, box at)
{
    const uint32_t *a = j->a->ids, *b = j->b->ids;
    while (at.a0 < at.a1 && at.b0 < at.b1 && a[at.a0] == b[at.b0]) {
        at.a0++;
        at.b0++;
    }
    while (at.a0 < at.a1 && at.b0 < at.b1 && a[at.a1 - 1] == b[at.b1 - 1]) {
        at.a1--;
        at.b1--;
    }
    if (at.a0 == at.a1 || at.b0 == at.b1) {
        all_differ(j, &at);
        return;
    }
    search s = {
        .a = a + at.a0, .b = b + at.b0, .n = (ssize_t)(at.a1 - at.a0), .m = (ssize_t)(at.b1 - at.b0)
    };
    if (!find_middle(j, &s)) {
        j->coarse = true;
        all_differ(j, &at);
        return;
    }
    size_t x = at.a0 + (size_t)s.x, y = at.b0 + (size_t)s.y;
    compare(j, (box){ at.a0, x, at.b0, y });
    compare(j, (box){ x, at.a1, y, at.b1 });
}

otr_code otr_myers(const otr_sequence *a, const otr_sequence *b, size_t max_work, bool *ret_coarse,
                   otr_err *err)
{
    size_t most = (a->n > b->n ? a->n : b->n) + 3, n = 2 * most + 1;
    job j = { .a = a, .b = b, .left = max_work };
    ssize_t *ahead = otr_calloc(n, sizeof(*ahead));
    ssize_t *back = otr_calloc(n, sizeof(*back));
    otr_code rc = ahead != NULL && back != NULL ? OTR_OK : otr_fail_nomem(err);
    if (rc == OTR_OK) {
        j.ahead = ahead + most;
        j.back = back + most;
        compare(&j, (box){ 0, a->n, 0, b->n });
        *ret_coarse = j.coarse;
    }
    otr_free(ahead);
    otr_free(back);
    return rc;
}
