#include "nginx/status/lives.h"
#include "support/test.h"

/* `pid` 0: nobody saw who answered. Accepted and handled are half of the requests. */
static uint64_t count(otr_lives *l, int pid, uint64_t ticks, uint64_t requests)
{
    otr_stub_answer a = {
        .status = { .accepted = requests / 2, .handled = requests / 2, .requests = requests },
        .master_pid = pid,
        .started_ticks = ticks
    };
    return otr_lives_count(l, &a);
}

T(first_answer_is_taken_as_it_is)
{
    otr_lives l = { 0 };
    CHECK_INT(count(&l, 7, 100, 10000), 0);
    CHECK_INT(l.total.requests, 10000);
    CHECK_INT(l.total.accepted, 5000);
    CHECK_INT(count(&l, 7, 100, 10030), 30);
    CHECK_INT(l.total.requests, 10030);
}

T(masters_that_answer_in_turn_are_counted_each_for_itself)
{
    otr_lives l = { 0 };
    CHECK_INT(count(&l, 7, 100, 10000), 0);
    CHECK_INT(count(&l, 9, 200, 6), 6); /* began while we looked: all of it is new */
    CHECK_INT(count(&l, 7, 100, 10004), 4);
    CHECK_INT(count(&l, 9, 200, 11), 5);
    CHECK_INT(count(&l, 9, 200, 12), 1);
    CHECK_INT(l.total.requests, 10016);
}

T(older_master_that_is_met_late_adds_nothing_that_went_before)
{
    otr_lives l = { 0 };
    CHECK_INT(count(&l, 9, 200, 36), 0);
    CHECK_INT(count(&l, 7, 100, 10000), 0);
    CHECK_INT(l.total.requests, 36);
    CHECK_INT(count(&l, 7, 100, 10002), 2);
    CHECK_INT(count(&l, 9, 200, 40), 4);
    CHECK_INT(l.total.requests, 42);
}

T(without_a_name_counters_are_told_apart_by_what_they_say)
{
    otr_lives l = { 0 };
    CHECK_INT(count(&l, 0, 0, 10000), 0);
    CHECK_INT(count(&l, 0, 0, 36), 0); /* went back: somebody else, or begun anew */
    CHECK_INT(count(&l, 0, 0, 10003), 3);
    CHECK_INT(count(&l, 0, 0, 40), 4);
    CHECK_INT(count(&l, 0, 0, 10003), 0);
    CHECK_INT(l.total.requests, 10007);
}

T(new_master_without_a_name_counts_from_zero)
{
    otr_lives l = { 0 };
    CHECK_INT(count(&l, 0, 0, 10000), 0);
    otr_lives_renew(&l);
    CHECK_INT(count(&l, 0, 0, 36), 36);
    CHECK_INT(count(&l, 0, 0, 2), 0);
    CHECK_INT(l.total.requests, 10036);
}

T(answer_that_is_seen_later_goes_on_where_the_unseen_were)
{
    otr_lives l = { 0 };
    CHECK_INT(count(&l, 0, 0, 10000), 0);
    CHECK_INT(count(&l, 7, 100, 10010), 10);
    CHECK_INT(count(&l, 0, 0, 10011), 1);
    CHECK_INT(count(&l, 9, 200, 50), 0); /* it may be older than what was met first */
    CHECK_INT(l.total.requests, 10011);
}

T(many_lives_forget_the_one_that_was_silent_longest)
{
    otr_lives l = { 0 };
    for (int i = 0; i < 3 * OTR_LIVES; i++) {
        CHECK_INT(count(&l, 100 + i, 100 + (uint64_t)i, 10), i == 0 ? 0 : 10);
        CHECK_INT(count(&l, 100, 100, 11), i == 0 ? 1 : 0);
    }
    CHECK_INT(l.n, OTR_LIVES);
    CHECK_INT(l.total.requests, 11 + 10 * (3 * OTR_LIVES - 1));
}

/* Random masters side by side: the total is what each did since it was met, or since it began when
 * that was later than the first answer. */
T(totals_are_those_of_any_history)
{
    enum { MASTERS = 4 };
    uint64_t seed = 12345;
    for (int round = 0; round < 200; round++) {
        otr_lives l = { 0 };
        uint64_t now[MASTERS] = { 0 }, last[MASTERS] = { 0 }, expected = 0;
        bool met[MASTERS] = { false };
        unsigned first = MASTERS;
        for (int step = 0; step < 100; step++) {
            seed = seed * 6364136223846793005U + 1442695040888963407U;
            unsigned who = (unsigned)(seed >> 62), more = (unsigned)(seed >> 40) & 63;
            now[who] += 2 * more; /* also of those that do not answer: count() halves it */
            seed = seed * 6364136223846793005U + 1442695040888963407U;
            who = (unsigned)(seed >> 62);
            first = first == MASTERS ? who : first;
            bool whole = step == 0 || met[who] || who > first;
            expected += whole ? now[who] - last[who] : 0;
            (void)count(&l, 10 + (int)who, 10 + who, now[who]);
            last[who] = now[who];
            met[who] = true;
            CHECK_INT(l.total.requests, expected);
        }
    }
}
