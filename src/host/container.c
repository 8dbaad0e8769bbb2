#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "host/host.h"
#include "host/text.h"

enum { PATH_BYTES = 4096 };

static bool exists(const char *root, const char *path)
{
    char full[PATH_BYTES];
    struct stat st;
    int len = snprintf(full, sizeof(full), "%s%s", root, path);
    return len > 0 && (size_t)len < sizeof(full) && stat(full, &st) == 0;
}

/* The signs that NGINX Agent goes by. */
otr_code otr_host_in_container(const char *root, bool *ret, otr_err *err)
{
    static const char *const files[] = { "/.dockerenv", "/run/.containerenv",
                                         "/var/run/secrets/kubernetes.io/serviceaccount" };
    static const char *const words[] = { "kubepods", "docker", "containerd", "ecs", "fargate" };
    bool found = getenv("ECS_CONTAINER_METADATA_URI_V4") != NULL;
    for (size_t i = 0; i < OTR_COUNT(files); i++) {
        found |= exists(root, files[i]);
    }
    otr_buf text;
    otr_buf_init(&text, OTR_LIMIT_HOST_TEXT_BYTES);
    otr_code rc = otr_host_text(root, "/proc/self/cgroup", &text, err);
    for (size_t i = 0; i < OTR_COUNT(words) && rc == OTR_OK && text.n > 0; i++) {
        found |= memmem(text.p, text.n, words[i], strlen(words[i])) != NULL;
    }
    otr_buf_deinit(&text);
    if (rc == OTR_OK) {
        *ret = found;
    }
    return rc;
}
