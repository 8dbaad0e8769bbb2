#include "base/limits.h"
#include "nginx/change/record.h"
#include "unit/nginx/change/scene.h"

static void change_freep(otr_change **change)
{
    otr_change_free(*change);
}

#define SWAPPED(name)                                                     \
    OTR_CLEANUP(scene_deinit) scene name;                                 \
    otr_err err = { 0 };                                                  \
    REQUIRE_OK(scene_ready(&(name), &err) ? OTR_OK : OTR_EIO, err);       \
    OTR_CLEANUP(change_freep) otr_change *change = NULL;                  \
    const otr_change_spec spec = scene_spec(&(name), NULL);               \
    REQUIRE_OK(otr_change_begin(&spec, (name).plan, &change, &err), err); \
    REQUIRE_OK(otr_change_stage(change, &err), err);                      \
    REQUIRE_OK(otr_change_swap(change, &err), err)

static const char *journal_of(scene *s)
{
    snprintf(s->t.path, sizeof(s->t.path), "%.190s/one.journal", s->journals);
    return s->t.path;
}

static size_t read_journal(scene *s, uint8_t *to, size_t cap)
{
    FILE *f = fopen(journal_of(s), "rb");
    size_t n = f != NULL ? fread(to, 1, cap, f) : 0;
    if (f != NULL) {
        fclose(f);
    }
    return n;
}

static bool write_journal(scene *s, const uint8_t *from, size_t n)
{
    FILE *f = fopen(journal_of(s), "wb");
    bool ok = f != NULL && fwrite(from, 1, n, f) == n;
    return (f == NULL || fclose(f) == 0) && ok;
}

static const char *content_of(const char *path)
{
    static char text[256];
    FILE *f = fopen(path, "rb");
    size_t n = f != NULL ? fread(text, 1, sizeof(text) - 1, f) : 0;
    text[n] = '\0';
    if (f != NULL) {
        fclose(f);
    }
    return text;
}

/* What the list says of a journal: its state, or its trouble into `why`. */
static otr_change_state listed(scene *s, char why[200])
{
    otr_err err;
    otr_journals j;
    otr_change_state state = OTR_CHANGE_NONE;
    why[0] = '\0';
    if (otr_recover_list(s->journals, NULL, &j, &err) != OTR_OK) {
        snprintf(why, 200, "%.190s", err.msg);
        return state;
    }
    if (j.n == 1) {
        CHECK_STR(j.items[0].instance, "one");
        state = j.items[0].state;
        snprintf(why, 200, "%.190s", j.items[0].trouble != NULL ? j.items[0].trouble : "");
    }
    otr_journals_deinit(&j);
    return state;
}

T(a_folder_without_journals_has_none)
{
    otr_err err;
    otr_journals j;
    REQUIRE_OK(otr_recover_list("/nowhere/apply", NULL, &j, &err), err);
    CHECK_INT(j.n, 0);
}

T(journals_are_believed_in_a_folder_of_ours_only)
{
    SWAPPED(s);
    otr_journals j;
    otr_change *other = NULL;
    REQUIRE(chmod(s.journals, 0750) == 0);
    CHECK_INT(otr_recover_list(s.journals, NULL, &j, &err), OTR_EDENIED);
    CHECK_HAS(err.msg, "mode 0700");
    CHECK_INT(otr_change_begin(&spec, s.plan, &other, &err), OTR_EDENIED);
    REQUIRE(chmod(s.journals, 0700) == 0);
    if (geteuid() == 0) {
        REQUIRE(chown(s.journals, 1, 0) == 0);
        CHECK_INT(otr_recover_list(s.journals, NULL, &j, &err), OTR_EDENIED);
        REQUIRE(chown(s.journals, 0, 0) == 0);
    }
    CHECK_INT(otr_change_undo(change, &err), OTR_OK);
}

T(one_at_work_is_not_listed_and_one_broken_off_is)
{
    SWAPPED(s);
    char why[200];
    CHECK_INT(listed(&s, why), OTR_CHANGE_NONE);
    CHECK_STR(why, "");
    otr_change_free(change);
    change = NULL;
    CHECK_INT(listed(&s, why), OTR_CHANGE_SWAPPED);
    REQUIRE_OK(scene_recover(&s, NULL, &err), err);
    CHECK_INT(listed(&s, why), OTR_CHANGE_NONE);
    CHECK_INT(otr_change_resume(&spec, NULL, &change, &err), OTR_ENOTFOUND);
}

/* The last record cut at any byte: it was being written when the machine stopped. */
T_NO_OOM(a_torn_journal_is_read_as_far_as_it_goes) /* a transaction for each byte */
{
    static uint8_t bytes[16384];
    size_t n = 4096;
    for (size_t cut = 8; cut < n; cut += 29) {
        OTR_CLEANUP(scene_deinit) scene s;
        otr_err err = { 0 };
        static snap now;
        char why[200];
        REQUIRE_OK(scene_ready(&s, &err) ? OTR_OK : OTR_EIO, err);
        otr_change *change = NULL;
        const otr_change_spec spec = scene_spec(&s, NULL);
        REQUIRE_OK(otr_change_begin(&spec, s.plan, &change, &err), err);
        otr_change_free(change);
        n = read_journal(&s, bytes, sizeof(bytes));
        REQUIRE(n > 300 && n < sizeof(bytes) && write_journal(&s, bytes, cut));
        CHECK_INT(listed(&s, why), OTR_CHANGE_NONE);
        CHECK_STR(why, "");
        REQUIRE_OK(scene_recover(&s, NULL, &err), err);
        CHECK_STR(scene_which(&s, &now), "old");
        change = NULL;
        REQUIRE_OK(otr_change_begin(&spec, s.plan, &change, &err), err);
        CHECK_INT(otr_change_undo(change, &err), OTR_OK);
        otr_change_free(change);
    }
}

/* Which files were staged is on the disk before the swap. If that is lost all the same, the old
 * files come back, and the new ones are put aside and not removed. */
T(a_journal_that_lost_its_middle_loses_no_file)
{
    SWAPPED(s);
    static uint8_t bytes[16384];
    char why[200];
    otr_change_free(change);
    change = NULL;
    size_t n = read_journal(&s, bytes, sizeof(bytes));
    REQUIRE(n > 600);
    bytes[n - 300] ^= 1;
    REQUIRE(write_journal(&s, bytes, n));
    CHECK_INT(listed(&s, why), OTR_CHANGE_SWAPPED);
    REQUIRE_OK(scene_recover(&s, NULL, &err), err);
    CHECK_STR(content_of(scene_path(&s, "nginx.conf")), "old main");
    CHECK_STR(content_of(scene_path(&s, "gone.conf")), "to go");
    CHECK_STR(content_of(scene_path(&s, "sites/one.conf")), "old one");
}

T(a_damaged_record_does_not_hide_those_around_it)
{
    SWAPPED(s);
    static uint8_t bytes[16384];
    char why[200];
    snap now;
    REQUIRE_OK(otr_change_mark(change, OTR_CHANGE_RELOADING, (otr_bytes){ 0 }, &err), err);
    otr_change_free(change);
    change = NULL;
    size_t n = read_journal(&s, bytes, sizeof(bytes));
    REQUIRE(n > 200);
    bytes[n - 60] ^= 1; /* in the last record, which says "reloading" */
    REQUIRE(write_journal(&s, bytes, n));
    CHECK_INT(listed(&s, why), OTR_CHANGE_SWAPPED);
    REQUIRE_OK(scene_recover(&s, NULL, &err), err);
    CHECK_STR(scene_which(&s, &now), "old");
}

T(a_journal_that_cannot_be_read_says_why)
{
    SWAPPED(s);
    static uint8_t bytes[16384];
    char why[200];
    otr_change_free(change);
    change = NULL;
    size_t n = read_journal(&s, bytes, sizeof(bytes));
    REQUIRE(n > 200);
    bytes[60] ^= 1;
    REQUIRE(write_journal(&s, bytes, n));
    CHECK_INT(listed(&s, why), OTR_CHANGE_NONE);
    CHECK_HAS(why, "first record is damaged");
    CHECK_HAS(why, "move it out of");
    CHECK_INT(otr_change_resume(&spec, NULL, &change, &err), OTR_EINVAL);
    CHECK_INT(otr_change_begin(&spec, s.plan, &change, &err), OTR_EINVAL);
    bytes[7] = '2';
    REQUIRE(write_journal(&s, bytes, n));
    (void)listed(&s, why);
    CHECK_HAS(why, "another version");
    memset(bytes, 'x', n);
    REQUIRE(write_journal(&s, bytes, n));
    (void)listed(&s, why);
    CHECK_HAS(why, "no journal of this agent");
    memset(bytes, 0, n);
    REQUIRE(write_journal(&s, bytes, n));
    (void)listed(&s, why);
    CHECK_STR(why, "");
}

T(names_of_instances_are_no_paths)
{
    SWAPPED(s);
    otr_change_spec other = spec;
    otr_change *second = NULL;
    static const char *const names[] = { "../x", "", ".hidden", "a/b" };
    for (size_t i = 0; i < OTR_COUNT(names); i++) {
        other.instance = names[i];
        CHECK_INT(otr_change_begin(&other, s.plan, &second, &err), OTR_EINVAL);
    }
    CHECK_INT(otr_change_undo(change, &err), OTR_OK);
}
