#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "support/test.h"

/* A folder for log files, the log at info with a fixed time, and standard error out of the way. */
typedef struct place {
    char dir[64];
    char file[96];
    int saved_stderr;
    otr_buf text;
} place;

static void leave(place *p)
{
    otr_log_close();
    otr_log_set_level(OTR_LOG_INFO);
    otr_clock_fake(0);
    if (p->saved_stderr >= 0) {
        dup2(p->saved_stderr, STDERR_FILENO);
        close(p->saved_stderr);
    }
    otr_buf_deinit(&p->text);
    char path[128];
    static const char *const names[] = { "agent.log", "x.log", "x.log.1", "stderr" };
    for (size_t i = 0; i < OTR_COUNT(names); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", p->dir, names[i]);
        unlink(path);
    }
    rmdir(p->dir);
}

static bool enter(place *p)
{
    *p = (place){ .saved_stderr = -1 };
    otr_buf_init(&p->text, 1 << 20);
    (void)snprintf(p->dir, sizeof(p->dir), "/tmp/otr-log-XXXXXX");
    if (mkdtemp(p->dir) == NULL) {
        return false;
    }
    (void)snprintf(p->file, sizeof(p->file), "%s/x.log", p->dir);
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/stderr", p->dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    p->saved_stderr = dup(STDERR_FILENO);
    bool ok = fd >= 0 && dup2(fd, STDERR_FILENO) >= 0;
    if (fd >= 0) {
        close(fd);
    }
    otr_clock_fake(OTR_NS_PER_S);
    return ok;
}

/* What the log file holds, after the time and with the level; "" when it cannot be read. */
static const char *logged(place *p, const char *file)
{
    otr_buf_clear(&p->text);
    if (otr_buf_read_file(&p->text, file, NULL) != OTR_OK) {
        return "";
    }
    static const char when[] = "time=1970-01-01T00:00:01.000Z ";
    const char *text = otr_buf_text(&p->text);
    return strncmp(text, when, strlen(when)) == 0 ? text + strlen(when) : text;
}

#define ENTER(p)                \
    OTR_CLEANUP(leave) place p; \
    REQUIRE(enter(&p));         \
    otr_err e;                  \
    REQUIRE_OK(otr_log_open(p.file, &e), e)

T(a_log_file_that_cannot_be_opened_leaves_the_old_one)
{
    ENTER(p);
    CHECK_INT(otr_log_open("/nonexistent/a.log", &e), OTR_ENOTFOUND);
    CHECK_HAS(e.msg, "/nonexistent/a.log");
    otr_log_info("still here");
    CHECK_STR(logged(&p, p.file), "level=INFO msg=\"still here\"\n");
}

T(a_path_that_is_too_long_is_refused)
{
    OTR_CLEANUP(otr_freep) char *path = otr_alloc(5001);
    REQUIRE(path != NULL);
    memset(path, 'a', 5000);
    path[5000] = '\0';
    otr_err e;
    CHECK_INT(otr_log_open(path, &e), OTR_EINVAL);
}

T(a_foreign_newline_makes_no_second_line)
{
    ENTER(p);
    otr_log_info("m", "path", "/x\nlevel=ERROR msg=forged", "cr", "a\rb", "tab", "\t");
    CHECK_STR(logged(&p, p.file),
              "level=INFO msg=m path=\"/x\\nlevel=ERROR msg=forged\" cr=\"a\\rb\" tab=\"\\t\"\n");
}

T(control_and_hidden_characters_are_escaped)
{
    ENTER(p);
    otr_log_info("m", "esc", "\x1b[31m", "del", "\x7f", "csi", "\xc2\x9b", "ls", "\xe2\x80\xa8",
                 "rlo", "\xe2\x80\xae", "tag", "\xf3\xa0\x80\x81");
    CHECK_STR(logged(&p, p.file),
              "level=INFO msg=m esc=\"\\x1b[31m\" del=\"\\x7f\" csi=\"\\u009b\" ls=\"\\u2028\" "
              "rlo=\"\\u202e\" tag=\"\\U000e0001\"\n");
}

T(bytes_that_are_not_utf8_are_escaped)
{
    ENTER(p);
    otr_log_info("m", "a", "x\xffy", "b", "\xc3", "c", "\xed\xa0\x80", "d", "gr\xc3\xbc\xc3\x9f");
    CHECK_STR(logged(&p, p.file), "level=INFO msg=m a=\"x\\xffy\" b=\"\\xc3\" "
                                  "c=\"\\xed\\xa0\\x80\" d=\"gr\xc3\xbc\xc3\x9f\"\n");
}

T(values_are_quoted_where_needed)
{
    ENTER(p);
    otr_log_info("two words", "plain", "a/b:c", "empty", "", "null", (const char *)NULL, "eq",
                 "a=b", "quote", "a\"b", "back", "a\\b");
    CHECK_STR(logged(&p, p.file), "level=INFO msg=\"two words\" plain=a/b:c empty=\"\" null=\"\" "
                                  "eq=\"a=b\" quote=\"a\\\"b\" back=\"a\\\\b\"\n");
}

T(a_line_that_is_too_long_is_cut_closed_and_marked)
{
    ENTER(p);
    static char big[20000];
    for (size_t shift = 0; shift < 8; shift++) {
        memset(big, 'a', shift);
        for (size_t i = shift; i + 4 < sizeof(big); i += 4) {
            memcpy(big + i, shift % 2 ? "\xf0\x9f\x98\x80" : "aaaa", 4);
        }
        otr_log_info("m", "big", big, "after", "lost");
    }
    const char *text = logged(&p, p.file);
    size_t lines = 0;
    for (const char *end; (end = strchr(text, '\n')) != NULL; text = end + 1) {
        CHECK(end - text < 8192);
        CHECK(strncmp(end - 16, "\" truncated=true", 16) == 0);
        CHECK(otr_utf8_ok((otr_bytes){ (const uint8_t *)text, (size_t)(end - text) }));
        lines++;
    }
    CHECK_INT(lines, 8);
}

T(a_line_full_of_long_values_stays_one_line)
{
    ENTER(p);
    static char half[5000];
    memset(half, 'b', sizeof(half) - 1);
    otr_log_info("m", "one", half, "two", half, "three", half, half, "v");
    const char *text = logged(&p, p.file);
    CHECK(strlen(text) < 8192);
    CHECK(strchr(text, '\n') == text + strlen(text) - 1);
}

T(levels_below_the_threshold_are_dropped)
{
    ENTER(p);
    otr_log_debug("no");
    otr_log_set_level(OTR_LOG_ERROR);
    CHECK_INT(otr_log_get_level(), OTR_LOG_ERROR);
    otr_log_warn("no");
    otr_log_error("yes");
    otr_log_set_level(OTR_LOG_DEBUG);
    otr_log_debug("too", "n", OTR_I64(-5), "u", OTR_U64(UINT64_MAX));
    CHECK_STR(logged(&p, p.file), "level=ERROR msg=yes\n"
                                  "time=1970-01-01T00:00:01.000Z level=DEBUG msg=too n=-5 "
                                  "u=18446744073709551615\n");
}

T(the_file_is_private_and_appended_to)
{
    ENTER(p);
    otr_log_info("one");
    REQUIRE_OK(otr_log_open(p.file, &e), e);
    otr_log_info("two");
    struct stat st;
    REQUIRE(stat(p.file, &st) == 0);
    CHECK_INT(st.st_mode & 07777, 0600);
    CHECK_HAS(logged(&p, p.file), "msg=one\n");
    CHECK_HAS(logged(&p, p.file), "msg=two\n");
}

T(opening_again_follows_a_rotation)
{
    ENTER(p);
    char old[128];
    (void)snprintf(old, sizeof(old), "%s.1", p.file);
    otr_log_info("before");
    REQUIRE(rename(p.file, old) == 0);
    otr_log_info("between");
    REQUIRE_OK(otr_log_open(p.file, &e), e);
    otr_log_info("after");
    CHECK_STR(logged(&p, p.file), "level=INFO msg=after\n");
    CHECK_HAS(logged(&p, old), "msg=between\n");
}

T(a_folder_gets_agent_log)
{
    ENTER(p);
    char file[128];
    (void)snprintf(file, sizeof(file), "%s/agent.log", p.dir);
    REQUIRE_OK(otr_log_open(p.dir, &e), e);
    otr_log_info("one");
    char slash[96];
    (void)snprintf(slash, sizeof(slash), "%s/", p.dir);
    REQUIRE_OK(otr_log_open(slash, &e), e);
    otr_log_info("two");
    CHECK_HAS(logged(&p, file), "msg=one\n");
    CHECK_HAS(logged(&p, file), "msg=two\n");
}

T(standard_error_gets_every_line)
{
    ENTER(p);
    REQUIRE_OK(otr_log_open("", &e), e);
    otr_log_info("only there");
    char file[128];
    (void)snprintf(file, sizeof(file), "%s/stderr", p.dir);
    CHECK_STR(logged(&p, file), "level=INFO msg=\"only there\"\n");
    CHECK_STR(logged(&p, p.file), "");
}

T(logging_leaves_errno_alone)
{
    ENTER(p);
    errno = ENOSPC;
    otr_log_info("m");
    CHECK_INT(errno, ENOSPC);
}

T(level_names_are_read_in_any_case)
{
    CHECK_INT(otr_log_level_of("debug"), OTR_LOG_DEBUG);
    CHECK_INT(otr_log_level_of("WARN"), OTR_LOG_WARN);
    CHECK_INT(otr_log_level_of("Error"), OTR_LOG_ERROR);
    CHECK_INT(otr_log_level_of("info"), OTR_LOG_INFO);
    CHECK_INT(otr_log_level_of("verbose"), OTR_LOG_INFO);
    CHECK_INT(otr_log_level_of(""), OTR_LOG_INFO);
    CHECK_STR(otr_log_level_name(OTR_LOG_WARN), "WARN");
}
