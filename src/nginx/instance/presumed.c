#include "nginx/instance/presumed.h"

#include <unistd.h>

#include "base/alloc.h"
#include "nginx/root.h"

void otr_presumed_deinit(otr_presumed *presumed)
{
    for (size_t i = 0; i < presumed->n; i++) {
        otr_binary_deinit(&presumed->items[i].binary);
        otr_free(presumed->items[i].path);
    }
    *presumed = (otr_presumed){ 0 };
}

static otr_code read_binary(const char *path, otr_binary *ret)
{
    const otr_root host = { .path = "" };
    struct stat st;
    int fd;
    bool is_nginx = false;
    otr_code rc = otr_root_open_file(&host, path, &fd, &st, NULL);
    if (rc == OTR_OK) {
        rc = otr_binary_read(fd, (uint64_t)st.st_size, &is_nginx, ret, NULL);
        close(fd);
    }
    return rc == OTR_OK && !is_nginx ? OTR_ENOTFOUND : rc;
}

const otr_binary *otr_presumed_binary(otr_presumed *presumed, const char *path)
{
    size_t i = 0;
    while (i < presumed->n && strcmp(presumed->items[i].path, path) != 0) {
        i++;
    }
    if (i == OTR_PRESUMED) {
        return NULL;
    }
    if (i == presumed->n) {
        otr_binary binary = { 0 };
        char *copy = otr_strdup(path);
        if (copy == NULL) {
            return NULL;
        }
        if (read_binary(path, &binary) == OTR_OK) {
            binary.version[0] = binary.maker[0] = '\0';
            binary.plus = false;
            presumed->items[i].binary = binary;
        }
        presumed->items[presumed->n++].path = copy;
    }
    return presumed->items[i].binary.conf_path != NULL ? &presumed->items[i].binary : NULL;
}
