#include "nginx/status/lives.h"

static bool grew(const otr_counters *from, const otr_counters *to)
{
    return to->accepted >= from->accepted && to->handled >= from->handled &&
           to->requests >= from->requests;
}

/* Who answered is known: the life of that name, or one that had none so far. */
static otr_life *find_named(otr_lives *l, const otr_stub_answer *answer, const otr_counters *now)
{
    for (size_t i = 0; i < l->n; i++) {
        otr_life *life = &l->items[i];
        if (life->pid == answer->master_pid && life->started_ticks == answer->started_ticks) {
            return life;
        }
    }
    for (size_t i = 0; i < l->n; i++) {
        otr_life *life = &l->items[i];
        if (life->pid == 0 && grew(&life->last, now)) {
            life->pid = answer->master_pid;
            life->started_ticks = answer->started_ticks;
            return life;
        }
    }
    return NULL;
}

/* Nobody knows who answered: the one that it is the least away from, if it grew. */
static otr_life *find_near(otr_lives *l, const otr_counters *now)
{
    otr_life *best = NULL;
    for (size_t i = 0; i < l->n; i++) {
        otr_life *life = &l->items[i];
        if (grew(&life->last, now) && (best == NULL || life->last.requests > best->last.requests)) {
            best = life;
        }
    }
    return best;
}

static otr_life *add(otr_lives *l)
{
    size_t at = l->n;
    if (at == OTR_LIVES) { /* the one that was silent for longest */
        at = 0;
        for (size_t i = 1; i < l->n; i++) {
            at = l->items[i].age > l->items[at].age ? i : at;
        }
    } else {
        l->n++;
    }
    l->items[at] = (otr_life){ 0 };
    return &l->items[at];
}

/* Where a life that is met now began to count for us. */
static otr_counters origin(const otr_lives *l, const otr_stub_answer *answer,
                           const otr_counters *now)
{
    bool young = answer->master_pid != 0 && answer->started_ticks > l->first_ticks;
    return !l->begun || young || l->fresh ? (otr_counters){ 0 } : *now;
}

void otr_lives_renew(otr_lives *lives)
{
    lives->fresh = true;
}

uint64_t otr_lives_count(otr_lives *l, const otr_stub_answer *answer)
{
    otr_counters now = { answer->status.accepted, answer->status.handled, answer->status.requests };
    bool named = answer->master_pid != 0;
    otr_life *life = named ? find_named(l, answer, &now) : find_near(l, &now);
    uint64_t before = l->total.requests;
    bool first = !l->begun;
    if (life == NULL) {
        otr_counters from = origin(l, answer, &now);
        life = add(l);
        life->pid = answer->master_pid;
        life->started_ticks = answer->started_ticks;
        life->last = from;
        l->fresh = false;
    } else if (!grew(&life->last, &now)) {
        life->last = now; /* went back without a new process: nothing is known of the gap */
    }
    l->total.accepted += now.accepted - life->last.accepted;
    l->total.handled += now.handled - life->last.handled;
    l->total.requests += now.requests - life->last.requests;
    life->last = now;
    for (size_t i = 0; i < l->n; i++) {
        l->items[i].age++;
    }
    life->age = 0;
    if (first) {
        l->begun = true;
        l->first_ticks = named ? answer->started_ticks : UINT64_MAX;
    }
    return first ? 0 : l->total.requests - before;
}
