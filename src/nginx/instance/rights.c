#include "nginx/instance/rights.h"

#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LINE_BYTES = 4096, GROUPS_MOST = 256 };

static bool may_trace(void)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };
    return syscall(SYS_capget, &head, data) == 0 &&
           (data[0].effective & (1U << CAP_SYS_PTRACE)) != 0;
}

/* In a user namespace root is root of that namespace alone. */
static bool in_user_namespace(const char *proc_root)
{
    char path[LINE_BYTES], line[128];
    (void)snprintf(path, sizeof(path), "%s/self/uid_map", proc_root);
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return false;
    }
    unsigned long inside = 0, outside = 0, n = 0;
    char *at = fgets(line, sizeof(line), f);
    if (at != NULL) {
        inside = strtoul(at, &at, 10);
        outside = strtoul(at, &at, 10);
        n = strtoul(at, &at, 10);
    }
    (void)fclose(f);
    return n != 0 && !(inside == 0 && outside == 0 && n == 4294967295UL);
}

void otr_rights_missing(const char *proc_root, pid_t pid, uid_t uid, char out[OTR_RIGHTS_BYTES])
{
    (void)pid;
    unsigned own = (unsigned)geteuid();
    if (!may_trace()) {
        (void)snprintf(out, OTR_RIGHTS_BYTES,
                       "the agent runs as user %u without CAP_SYS_PTRACE, the process as user %u",
                       own, (unsigned)uid);
    } else if (in_user_namespace(proc_root)) {
        (void)snprintf(out, OTR_RIGHTS_BYTES,
                       "the agent runs in a user namespace (a rootless container), and its "
                       "CAP_SYS_PTRACE ends there");
    } else {
        (void)snprintf(out, OTR_RIGHTS_BYTES,
                       "the agent has CAP_SYS_PTRACE, so a security module (AppArmor, SELinux, "
                       "Yama) refuses");
    }
}

/* ---- hidepid ---- */

/* The value of "<name>=" among options that are set apart by commas; NULL: not there. */
static const char *option(const char *options, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = options; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, n) == 0 && at[n] == '=') {
            return at + n + 1;
        }
    }
    return NULL;
}

static bool in_group(const char *text)
{
    gid_t groups[GROUPS_MOST];
    gid_t gid = (gid_t)strtoul(text, &(char *){ NULL }, 10);
    int n = getgroups(GROUPS_MOST, groups);
    bool in = getegid() == gid;
    for (int i = 0; i < n; i++) {
        in |= groups[i] == gid;
    }
    return in;
}

/* The options of the mount at `proc_root` that is of type proc: the last one of
 * /proc/self/mountinfo lies on top. */
static bool mount_options(const char *proc_root, char *out, size_t cap)
{
    char line[LINE_BYTES], point[LINE_BYTES];
    bool found = false;
    (void)snprintf(point, sizeof(point), "%s/self/mountinfo", proc_root);
    FILE *f = fopen(point, "re");
    (void)snprintf(point, sizeof(point), " %s ", proc_root);
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        const char *type = strstr(line, " - proc ");
        if (type != NULL && strstr(line, point) != NULL) {
            line[strcspn(line, "\n")] = '\0';
            const char *options = strrchr(line, ' ');
            (void)snprintf(out, cap, "%s", options + 1);
            found = true;
        }
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    return found;
}

bool otr_rights_hidden(const char *proc_root, char out[OTR_RIGHTS_BYTES])
{
    char options[LINE_BYTES];
    if (may_trace() || !mount_options(proc_root, options, sizeof(options))) {
        return false;
    }
    const char *value = option(options, "hidepid"), *gid = option(options, "gid");
    if (value == NULL || value[0] == '0' || strncmp(value, "off", 3) == 0 ||
        (gid != NULL && in_group(gid))) {
        return false;
    }
    (void)snprintf(out, OTR_RIGHTS_BYTES,
                   "%s is mounted with hidepid=%.*s: NGINX of other users is not seen. Give the "
                   "agent CAP_SYS_PTRACE, or a group that the mount names by gid=",
                   proc_root, (int)strcspn(value, ","), value);
    return true;
}
