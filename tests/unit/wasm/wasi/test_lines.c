#include <stdio.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "support/test.h"
#include "wasm/wasi/lines.h"

typedef struct seen {
    char text[256];
    size_t n, longest;
} seen;

static void on_line(void *user, int fd, otr_bytes text)
{
    seen *s = user;
    s->n++;
    s->longest = text.n > s->longest ? text.n : s->longest;
    if (text.n < 64) {
        size_t at = strlen(s->text);
        (void)snprintf(s->text + at, sizeof(s->text) - at, "%d:%.*s|", fd, (int)text.n,
                       text.n > 0 ? (const char *)text.p : "");
    }
}

static void take(otr_lines *l, int fd, const char *text)
{
    otr_lines_take(l, fd, otr_bytes_of(text));
}

T(lines_are_given_one_by_one_and_the_rest_when_flushed)
{
    seen s = { .n = 0 };
    OTR_CLEANUP(otr_lines_deinit) otr_lines l;
    otr_lines_init(&l, on_line, &s);
    take(&l, 1, "a\n\nb");
    take(&l, 2, "x");
    take(&l, 1, "c\nd");
    bool room = l.fds[0].text != NULL && l.fds[1].text != NULL; /* else memory was out */
    CHECK(!room || strcmp(s.text, "1:a|1:|1:bc|") == 0);
    CHECK(!room || otr_lines_wait(&l));
    otr_lines_flush(&l);
    CHECK(!room || strcmp(s.text, "1:a|1:|1:bc|1:d|2:x|") == 0);
    CHECK(!otr_lines_wait(&l));
    size_t n = s.n;
    otr_lines_flush(&l);
    CHECK(s.n == n);
}

T(a_line_without_end_is_cut_at_the_limit_and_goes_on)
{
    enum { N = 2 * OTR_LIMIT_PLUGIN_LOG_BYTES + 10 };
    seen s = { .n = 0 };
    OTR_CLEANUP(otr_freep) uint8_t *text = otr_alloc(N);
    OTR_CLEANUP(otr_lines_deinit) otr_lines l;
    otr_lines_init(&l, on_line, &s);
    REQUIRE(text != NULL);
    memset(text, 'y', N);
    otr_lines_take(&l, 1, (otr_bytes){ text, N });
    bool room = l.fds[0].text != NULL;
    otr_lines_flush(&l);
    CHECK(!room || (s.n == 3 && s.longest == OTR_LIMIT_PLUGIN_LOG_BYTES));
}

T(a_line_of_exactly_the_limit_is_followed_by_an_empty_one_only_with_a_second_end)
{
    seen s = { .n = 0 };
    OTR_CLEANUP(otr_freep) uint8_t *text = otr_alloc(OTR_LIMIT_PLUGIN_LOG_BYTES + 1);
    OTR_CLEANUP(otr_lines_deinit) otr_lines l;
    otr_lines_init(&l, on_line, &s);
    REQUIRE(text != NULL);
    memset(text, 'y', OTR_LIMIT_PLUGIN_LOG_BYTES);
    text[OTR_LIMIT_PLUGIN_LOG_BYTES] = '\n';
    otr_lines_take(&l, 1, (otr_bytes){ text, OTR_LIMIT_PLUGIN_LOG_BYTES + 1 });
    CHECK(l.fds[0].text == NULL || s.n == 1);
}

T(without_a_taker_nothing_is_kept)
{
    OTR_CLEANUP(otr_lines_deinit) otr_lines l;
    otr_lines_init(&l, NULL, NULL);
    take(&l, 1, "a\nb");
    otr_lines_flush(&l);
    CHECK(!otr_lines_wait(&l) && l.fds[0].text == NULL);
}
