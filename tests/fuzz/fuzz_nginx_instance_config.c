/*
 * An NGINX configuration as text: lexer, walk and what is taken from it.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "nginx/instance/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Those that count come first, and each is another one. */
static void check_log(const otr_nginx_log *log)
{
    if (log->path[0] != '/' || log->n_formats == 0 || log->refused != NULL ||
        !same(log->format, log->formats[0].text)) {
        abort();
    }
    for (size_t i = 1; i < log->n_formats; i++) {
        if ((log->formats[i - 1].spare && !log->formats[i].spare) ||
            same(log->formats[i - 1].text, log->formats[i].text)) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const otr_root host_root = { .path = "" };
    otr_nginx_config_spec spec = { .root = &host_root,
                                   .config = "nginx.conf",
                                   .prefix = "/usr/share/nginx",
                                   .error_log = "logs/error.log",
                                   .access_log = "logs/access.log" };
    otr_nginx_config *config = NULL;
    otr_err err;
    if (otr_nginx_config_text(&spec, (otr_bytes){ data, size }, &config, &err) != OTR_OK) {
        abort(); /* only memory may be out */
    }
    for (size_t i = 0; i < config->n_access_logs; i++) {
        check_log(&config->access_logs[i]);
    }
    if (config->remarks.n > OTR_LIMIT_NGINX_REMARKS) {
        abort();
    }
    otr_nginx_config_free(config);
    return 0;
}
