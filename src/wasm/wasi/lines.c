#include "wasm/wasi/lines.h"

#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"

void otr_lines_init(otr_lines *l, otr_line_fn *give, void *user)
{
    *l = (otr_lines){ .give = give, .user = user };
}

void otr_lines_deinit(otr_lines *l)
{
    for (size_t i = 0; i < OTR_COUNT(l->fds); i++) {
        otr_free(l->fds[i].text);
        l->fds[i] = (struct otr_line){ .text = NULL };
    }
}

static void give(otr_lines *l, int fd)
{
    struct otr_line *line = &l->fds[fd - 1];
    l->give(l->user, fd, (otr_bytes){ (const uint8_t *)line->text, line->n });
    line->n = 0;
}

void otr_lines_take(otr_lines *l, int fd, otr_bytes text)
{
    struct otr_line *line = &l->fds[fd - 1];
    if (l->give == NULL || text.n == 0 ||
        (line->text == NULL && (line->text = otr_alloc(OTR_LIMIT_PLUGIN_LOG_BYTES)) == NULL)) {
        return;
    }
    while (text.n > 0) {
        const uint8_t *end = memchr(text.p, '\n', text.n);
        size_t n = end != NULL ? (size_t)(end - text.p) : text.n;
        size_t room = OTR_LIMIT_PLUGIN_LOG_BYTES - line->n;
        size_t taken = n < room ? n : room;
        memcpy(line->text + line->n, text.p, taken);
        line->n += taken;
        bool ends = end != NULL && taken == n;
        if (ends || line->n == OTR_LIMIT_PLUGIN_LOG_BYTES) {
            give(l, fd);
        }
        taken += ends ? 1 : 0;
        text = (otr_bytes){ text.p + taken, text.n - taken };
    }
}

void otr_lines_flush(otr_lines *l)
{
    for (int fd = 1; fd <= 2; fd++) {
        if (l->fds[fd - 1].n > 0) {
            give(l, fd);
        }
    }
}
