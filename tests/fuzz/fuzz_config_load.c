/*
 * The whole loader: the input is the file, and its lines are also tried as variables and as flags.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/json.h"
#include "config/agent_keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_LINES = 16, LINE_BYTES = 256 };

static void must(int ok)
{
    if (!ok) {
        abort();
    }
}

typedef struct lines {
    char text[MOST_LINES][LINE_BYTES];
    char *at[MOST_LINES + 1];
    int n;
} lines;

static void split(lines *l, const char *before, const uint8_t *data, size_t size)
{
    l->n = 0;
    for (size_t i = 0; i < size && l->n < MOST_LINES;) {
        const uint8_t *end = memchr(data + i, '\n', size - i);
        size_t n = end != NULL ? (size_t)(end - (data + i)) : size - i;
        (void)snprintf(l->text[l->n], LINE_BYTES, "%s%.*s", before, (int)(n < 200 ? n : 200),
                       (const char *)data + i);
        l->at[l->n] = l->text[l->n];
        l->n++;
        i += n + 1;
    }
    l->at[l->n] = NULL;
}

static void try_load(const otr_config_source *source)
{
    otr_config *cfg = NULL;
    otr_err err = { 0 };
    otr_code rc = otr_config_load(source, &cfg, &err);
    must((rc == OTR_OK) == (cfg != NULL));
    must(rc == OTR_OK || err.msg[0] != '\0');
    if (cfg != NULL) {
        otr_buf out;
        otr_buf_init(&out, SIZE_MAX);
        must(otr_config_dump(cfg, &out, &err) == OTR_OK);
        must(otr_json_valid(otr_buf_bytes(&out)));
        otr_buf_deinit(&out);
    }
    otr_config_unref(cfg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const otr_key *const tables[] = { otr_agent_keys, NULL };
    static lines env;
    static lines flags;
    char path[64];
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    try_load(&(otr_config_source){ .tables = tables, .file = path });
    close(fd);
    split(&env, "NGINX_AGENT_", data, size);
    try_load(
        &(otr_config_source){ .tables = tables, .file = "", .env = (const char *const *)env.at });
    split(&flags, "--", data, size);
    try_load(
        &(otr_config_source){ .tables = tables, .file = "", .argc = flags.n, .argv = flags.at });
    return 0;
}
