/*
 * An NGINX configuration as text: lexer, walk and what is taken from it.
 */
#include <stdlib.h>

#include "nginx/instance/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
        if (config->access_logs[i].path[0] != '/') {
            abort();
        }
    }
    otr_nginx_config_free(config);
    return 0;
}
