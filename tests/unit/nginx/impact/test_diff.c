#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "nginx/impact/diff.h"
#include "unit/nginx/tree.h"

extern char **environ;

enum { MOST_BYTES = 256 << 20 };

static void deinit(otr_buf *b)
{
    otr_buf_deinit(b);
}

#define BUF(name)                     \
    OTR_CLEANUP(deinit) otr_buf name; \
    otr_buf_init(&(name), MOST_BYTES)

static otr_diff_spec spec_of(otr_bytes old, otr_bytes new)
{
    return (
        otr_diff_spec){ .old = { "a/f", old, false }, .new = { "b/f", new, false }, .context = 3 };
}

static void check_diff(const char *old, const char *new, const char *expected)
{
    BUF(out);
    otr_err err = { 0 };
    otr_diff_spec spec = spec_of(otr_bytes_of(old), otr_bytes_of(new));
    REQUIRE_OK(otr_diff_write(&spec, &out, NULL, &err), err);
    CHECK_STR(otr_buf_text(&out), expected);
}

T(equal_texts_have_no_diff)
{
    check_diff("", "", "");
    check_diff("a\nb\n", "a\nb\n", "");
}

T(a_changed_line_is_shown_with_three_lines_around_it)
{
    check_diff("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nX\n6\n7\n8\n9\n",
               "--- a/f\n+++ b/f\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+X\n 6\n 7\n 8\n");
}

T(changes_at_the_edges_have_fewer_lines_around_them)
{
    check_diff("1\n2\n3\n", "X\n2\n3\n", "--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n-1\n+X\n 2\n 3\n");
    check_diff("1\n2\n3\n", "1\n2\nX\n", "--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n 1\n 2\n-3\n+X\n");
    check_diff("1\n", "1\n2\n", "--- a/f\n+++ b/f\n@@ -1 +1,2 @@\n 1\n+2\n");
    check_diff("1\n2\n", "1\n", "--- a/f\n+++ b/f\n@@ -1,2 +1 @@\n 1\n-2\n");
    check_diff("2\n", "1\n2\n", "--- a/f\n+++ b/f\n@@ -1 +1,2 @@\n+1\n 2\n");
}

T(an_empty_side_begins_at_line_zero)
{
    check_diff("", "1\n2\n", "--- a/f\n+++ b/f\n@@ -0,0 +1,2 @@\n+1\n+2\n");
    check_diff("1\n", "", "--- a/f\n+++ b/f\n@@ -1 +0,0 @@\n-1\n");
}

T(a_missing_line_feed_at_the_end_is_told)
{
    check_diff("1\n2", "1\n2\n",
               "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n 1\n-2\n\\ No newline at end of file\n+2\n");
    check_diff("1\n2", "3\n2",
               "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n-1\n+3\n 2\n\\ No newline at end of file\n");
    check_diff("1", "1\n2",
               "--- a/f\n+++ b/f\n@@ -1 +1,2 @@\n-1\n\\ No newline at end of file\n+1\n+2\n\\ No "
               "newline at end of file\n");
}

T(near_changes_share_a_hunk_and_far_ones_do_not)
{
    check_diff("a\n1\n2\n3\n4\n5\n6\nb\n", "A\n1\n2\n3\n4\n5\n6\nB\n",
               "--- a/f\n+++ b/f\n@@ -1,8 +1,8 @@\n-a\n+A\n 1\n 2\n 3\n 4\n 5\n 6\n-b\n+B\n");
    check_diff("a\n1\n2\n3\n4\n5\n6\n7\nb\n", "A\n1\n2\n3\n4\n5\n6\n7\nB\n",
               "--- a/f\n+++ b/f\n@@ -1,4 +1,4 @@\n-a\n+A\n 1\n 2\n 3\n@@ -6,4 +6,4 @@\n 5\n 6\n "
               "7\n-b\n+B\n");
}

T(a_block_that_was_added_ends_with_its_own_brace)
{
    check_diff("a {\n}\n", "a {\n}\nb {\n}\n",
               "--- a/f\n+++ b/f\n@@ -1,2 +1,4 @@\n a {\n }\n+b {\n+}\n");
}

T(a_new_file_and_a_deleted_one_name_dev_null)
{
    BUF(out);
    otr_err err = { 0 };
    otr_diff_spec spec = spec_of(otr_bytes_of(""), otr_bytes_of("x;\n"));
    otr_diff_stats stats;
    spec.old.absent = true;
    REQUIRE_OK(otr_diff_write(&spec, &out, &stats, &err), err);
    CHECK_STR(otr_buf_text(&out), "--- /dev/null\n+++ b/f\n@@ -0,0 +1 @@\n+x;\n");
    CHECK_INT(stats.added, 1);
    CHECK_INT(stats.removed, 0);
    otr_buf_clear(&out);
    spec = spec_of(otr_bytes_of("x;\n"), otr_bytes_of(""));
    spec.new.absent = true;
    REQUIRE_OK(otr_diff_write(&spec, &out, &stats, &err), err);
    CHECK_STR(otr_buf_text(&out), "--- a/f\n+++ /dev/null\n@@ -1 +0,0 @@\n-x;\n");
    otr_buf_clear(&out);
    spec = spec_of(otr_bytes_of(""), otr_bytes_of("")); /* an empty file appears */
    spec.old.absent = true;
    REQUIRE_OK(otr_diff_write(&spec, &out, &stats, &err), err);
    CHECK_STR(otr_buf_text(&out), "--- /dev/null\n+++ b/f\n");
}

T(a_name_with_blanks_or_control_characters_is_quoted)
{
    BUF(out);
    otr_err err = { 0 };
    otr_diff_spec spec = spec_of(otr_bytes_of("1\n"), otr_bytes_of("2\n"));
    spec.old.name = "a/x y";
    spec.new.name = "b/\n+++ \"\\\xc3\xa9";
    REQUIRE_OK(otr_diff_write(&spec, &out, NULL, &err), err);
    CHECK_STR(otr_buf_text(&out),
              "--- \"a/x y\"\n+++ \"b/\\012+++ \\\"\\\\\\303\\251\"\n@@ -1 +1 @@\n-1\n+2\n");
}

static void check_hidden(const char *path, otr_bytes new, otr_diff_kind kind, const char *expected)
{
    BUF(out);
    otr_err err = { 0 };
    otr_diff_stats stats = { 0 };
    otr_diff_spec spec = spec_of(otr_bytes_of("a\n"), new);
    spec.path = path;
    REQUIRE_OK(otr_diff_write(&spec, &out, &stats, &err), err);
    CHECK_INT(stats.kind, kind);
    CHECK_INT(stats.added, 0);
    CHECK_STR(otr_buf_text(&out), expected);
}

T(binary_texts_and_secrets_are_not_shown)
{
    check_hidden("/f", (otr_bytes){ (const uint8_t *)"x\0y", 3 }, OTR_DIFF_BINARY,
                 "--- a/f\n+++ b/f\nit is binary, and is not shown (2 bytes before, 3 after)\n");
    static const char secret[] =
        "--- a/f\n+++ b/f\nit holds a secret, and is not shown (2 bytes before, 34 after)\n";
    check_hidden(NULL, otr_bytes_of("x\n-----BEGIN RSA PRIVATE KEY-----\n"), OTR_DIFF_SECRET,
                 secret);
    CHECK_INT(otr_diff_hides("/etc/x.key", otr_bytes_of("a")), OTR_DIFF_SECRET);
    CHECK_INT(otr_diff_hides("/etc/.htpasswd", otr_bytes_of("a")), OTR_DIFF_SECRET);
    CHECK_INT(otr_diff_hides("/etc/passwd.d/x", otr_bytes_of("a")), OTR_DIFF_SHOWN);
    CHECK_INT(otr_diff_hides("/etc/x.pem", otr_bytes_of("-----BEGIN CERTIFICATE-----")),
              OTR_DIFF_SHOWN);
}

T(hunks_that_do_not_fit_are_counted)
{
    BUF(old);
    BUF(new);
    BUF(out);
    otr_err err = { 0 };
    for (int i = 0; i < 100; i++) {
        REQUIRE_OK(otr_buf_addf(&old, &err, "%d\n", i), err);
        REQUIRE_OK(otr_buf_addf(&new, &err, i % 20 == 0 ? "X%d\n" : "%d\n", i), err);
    }
    otr_diff_spec spec = spec_of(otr_buf_bytes(&old), otr_buf_bytes(&new));
    otr_diff_stats stats;
    spec.max_bytes = 120;
    REQUIRE_OK(otr_diff_write(&spec, &out, &stats, &err), err);
    CHECK_INT(stats.hunks, 5);
    CHECK_INT(stats.hunks_left_out, 3);
    CHECK_INT(stats.added, 5);
    CHECK_HAS(otr_buf_text(&out), "+X20\n");
    CHECK_HAS(otr_buf_text(&out), "… 3 more hunks are not shown\n");
    CHECK(strstr(otr_buf_text(&out), "X40") == NULL);
}

/* ---- any texts ---- */

static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525U + 1013904223U;
    return *seed >> 8;
}

static otr_code random_text(uint32_t *seed, unsigned kinds, otr_buf *out, otr_err *err)
{
    unsigned n = next(seed) % 40;
    otr_code rc = OTR_OK;
    otr_buf_clear(out);
    for (unsigned i = 0; rc == OTR_OK && i < n; i++) {
        rc = otr_buf_addf(out, err, "%u\n", next(seed) % kinds);
    }
    if (out->n > 0 && next(seed) % 8 == 0) {
        otr_buf_cut(out, out->n - 1);
    }
    return rc;
}

/* Applies a diff as its definition says. */
static otr_code apply(otr_bytes old, const char *diff, otr_buf *out, otr_err *err)
{
    size_t at = 0;
    unsigned long line = 1;
    const char *p = strstr(diff, "\n@@");
    otr_code rc = OTR_OK;
    for (p = p != NULL ? p + 1 : ""; rc == OTR_OK && *p != '\0';) {
        const char *end = strchr(p, '\n') + 1;
        bool feed = *end != '\\';
        otr_bytes text = { (const uint8_t *)p + 1, (size_t)(end - p) - (feed ? 1 : 2) };
        if (*p == '@') {
            unsigned long first = strtoul(p + 4, NULL, 10);
            bool none = strstr(p, ",0 +") != NULL && strstr(p, ",0 +") < end;
            for (first += none; rc == OTR_OK && line < first; line++) {
                const uint8_t *stop = memchr(old.p + at, '\n', old.n - at);
                size_t n = stop != NULL ? (size_t)(stop - old.p) + 1 - at : old.n - at;
                rc = otr_buf_add(out, (otr_bytes){ old.p + at, n }, err);
                at += n;
            }
        } else if (*p == '+' || *p == ' ') {
            rc = otr_buf_add(out, text, err);
        }
        if (*p == '-' || *p == ' ') {
            if (old.n - at < text.n || memcmp(old.p + at, text.p, text.n) != 0) {
                return otr_fail(err, OTR_EINVAL, "line %lu is another one", line);
            }
            at += text.n;
            line++;
        }
        p = feed ? end : strchr(end, '\n') + 1;
    }
    return rc == OTR_OK ? otr_buf_add(out, (otr_bytes){ old.p + at, old.n - at }, err) : rc;
}

T_NO_OOM(every_diff_makes_the_new_text_of_the_old_one) /* for the time that takes */
{
    BUF(old);
    BUF(new);
    BUF(diff);
    BUF(made);
    uint32_t seed = 1;
    for (unsigned i = 0; i < 4000; i++) {
        otr_err err = { 0 };
        REQUIRE_OK(random_text(&seed, 2 + i % 9, &old, &err), err);
        REQUIRE_OK(random_text(&seed, 2 + i % 9, &new, &err), err);
        otr_diff_spec spec = spec_of(otr_buf_bytes(&old), otr_buf_bytes(&new));
        spec.context = i % 4;
        otr_buf_clear(&diff);
        otr_buf_clear(&made);
        REQUIRE_OK(otr_diff_write(&spec, &diff, NULL, &err), err);
        if (diff.n == 0) {
            CHECK_STR(otr_buf_text(&old), otr_buf_text(&new));
            continue;
        }
        REQUIRE_OK(apply(otr_buf_bytes(&old), otr_buf_text(&diff), &made, &err), err);
        CHECK_STR(otr_buf_text(&made), otr_buf_text(&new));
    }
}

/* The length of the longest common subsequence of lines of one digit. */
static unsigned longest_common(const char *a, size_t n, const char *b, size_t m)
{
    unsigned table[41][41] = { { 0 } };
    for (size_t i = 1; i <= n; i++) {
        for (size_t j = 1; j <= m; j++) {
            unsigned up = table[i - 1][j], left = table[i][j - 1];
            table[i][j] = a[2 * i - 2] == b[2 * j - 2] ? table[i - 1][j - 1] + 1
                          : up > left                  ? up
                                                       : left;
        }
    }
    return table[n][m];
}

T_NO_OOM(no_diff_is_longer_than_it_must_be)
{
    BUF(diff);
    uint32_t seed = 7;
    for (unsigned i = 0; i < 2000; i++) {
        char a[81] = "", b[81] = "";
        size_t n = next(&seed) % 41, m = next(&seed) % 41;
        otr_err err = { 0 };
        for (size_t k = 0; k < n; k++) {
            (void)snprintf(a + 2 * k, 3, "%u\n", next(&seed) % (2 + i % 8));
        }
        for (size_t k = 0; k < m; k++) {
            (void)snprintf(b + 2 * k, 3, "%u\n", next(&seed) % (2 + i % 8));
        }
        otr_diff_stats stats;
        otr_diff_spec spec = spec_of(otr_bytes_of(a), otr_bytes_of(b));
        otr_buf_clear(&diff);
        REQUIRE_OK(otr_diff_write(&spec, &diff, &stats, &err), err);
        unsigned common = longest_common(a, n, b, m);
        CHECK_INT(stats.removed, n - common);
        CHECK_INT(stats.added, m - common);
    }
}

static bool patch(tree *dir)
{
    char folder[256], *argv[] = { "patch", "-s", "-p1", "-d", folder, "-i", "diff", NULL };
    pid_t pid;
    int status = 0;
    (void)snprintf(folder, sizeof(folder), "%s", dir->dir);
    return posix_spawnp(&pid, "patch", NULL, NULL, argv, environ) == 0 &&
           waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

T_NO_OOM(patch_takes_our_diffs) /* another program */
{
    BUF(old);
    BUF(new);
    BUF(diff);
    BUF(made);
    uint32_t seed = 3;
    OTR_CLEANUP(tree_deinit) tree dir;
    REQUIRE(tree_init(&dir));
    if (access("/usr/bin/patch", X_OK) != 0) {
        otr_test_skip("there is no patch(1)");
        return;
    }
    for (unsigned i = 0; i < 40; i++) {
        otr_err err = { 0 };
        REQUIRE_OK(random_text(&seed, 12, &old, &err), err);
        REQUIRE_OK(random_text(&seed, 12, &new, &err), err);
        otr_diff_spec spec = spec_of(otr_buf_bytes(&old), otr_buf_bytes(&new));
        otr_buf_clear(&diff);
        REQUIRE_OK(otr_diff_write(&spec, &diff, NULL, &err), err);
        if (diff.n == 0 || old.n == 0 || new.n == 0) {
            continue; /* patch(1) takes a file away that gets empty */
        }
        REQUIRE(tree_write(&dir, "f", otr_buf_text(&old)));
        REQUIRE(tree_write(&dir, "diff", otr_buf_text(&diff)));
        REQUIRE(patch(&dir));
        otr_buf_clear(&made);
        REQUIRE_OK(otr_buf_read_file(&made, tree_path(&dir, "f"), &err), err);
        CHECK_STR(otr_buf_text(&made), otr_buf_text(&new));
    }
}

static otr_code many_lines(otr_buf *out, unsigned factor, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (unsigned i = 0; rc == OTR_OK && i < 60000; i++) {
        rc = otr_buf_addf(out, err, "%u\n", i * factor % 4999);
    }
    return rc;
}

T_NO_OOM(texts_that_have_little_in_common_are_shown_as_replaced)
{
    BUF(old);
    BUF(new);
    BUF(diff);
    BUF(made);
    otr_err err = { 0 };
    otr_diff_stats stats;
    REQUIRE_OK(many_lines(&old, 7, &err), err);
    REQUIRE_OK(many_lines(&new, 1009, &err), err);
    otr_diff_spec spec = spec_of(otr_buf_bytes(&old), otr_buf_bytes(&new));
    REQUIRE_OK(otr_diff_write(&spec, &diff, &stats, &err), err);
    CHECK(stats.coarse);
    REQUIRE_OK(apply(otr_buf_bytes(&old), otr_buf_text(&diff), &made, &err), err);
    CHECK(made.n == new.n &&memcmp(made.p, new.p, new.n) == 0);
}
