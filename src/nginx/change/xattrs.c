#include "nginx/change/xattrs.h"

#include <errno.h>
#include <sys/xattr.h>

#include "base/alloc.h"
#include "base/limits.h"

static unsigned kind_of(const char *name)
{
    if (strcmp(name, "system.posix_acl_access") == 0 || strcmp(name, "system.nfs4_acl") == 0) {
        return OTR_XATTRS_ACL;
    }
    return strcmp(name, "security.selinux") == 0 || strcmp(name, "security.SMACK64") == 0
               ? OTR_XATTRS_LABEL
               : OTR_XATTRS_OTHER;
}

unsigned otr_xattrs_kinds(int fd)
{
    OTR_CLEANUP(otr_freep) char *names = NULL;
    ssize_t n = flistxattr(fd, NULL, 0);
    if (n <= 0 || n > OTR_LIMIT_CHANGE_XATTR_BYTES || (names = otr_alloc((size_t)n)) == NULL ||
        (n = flistxattr(fd, names, (size_t)n)) <= 0) {
        return 0;
    }
    unsigned kinds = 0;
    for (const char *name = names; name < names + n; name += strlen(name) + 1) {
        kinds |= kind_of(name);
    }
    return kinds;
}

static otr_code copy_one(const otr_fileops *ops, int from, int to, const char *name, char *value,
                         const char *path, otr_err *err)
{
    ssize_t n = fgetxattr(from, name, value, OTR_LIMIT_CHANGE_XATTR_BYTES);
    char *has = value + OTR_LIMIT_CHANGE_XATTR_BYTES;
    if (n < 0 && errno == ENODATA) {
        return OTR_OK;
    }
    /* A label is mostly the one that the folder gives, and to set it may need a right of its own.
     */
    if (n >= 0 && fgetxattr(to, name, has, OTR_LIMIT_CHANGE_XATTR_BYTES) == n &&
        memcmp(value, has, (size_t)n) == 0) {
        return OTR_OK;
    }
    if (n >= 0 && ops->setxattr(ops, to, name, value, (size_t)n) == 0) {
        return OTR_OK;
    }
    bool optional = kind_of(name) == OTR_XATTRS_OTHER &&
                    (errno == EPERM || errno == EOPNOTSUPP || errno == EACCES || errno == EINVAL);
    return optional ? OTR_OK
                    : otr_fail_sys(err, errno, "cannot copy the attribute %s of %s to its new file",
                                   name, path);
}

otr_code otr_xattrs_copy(const otr_fileops *ops, int from, int to, const char *path, otr_err *err)
{
    ssize_t n = flistxattr(from, NULL, 0);
    if (n <= 0) {
        return OTR_OK;
    }
    if (n > OTR_LIMIT_CHANGE_XATTR_BYTES) {
        return otr_fail(err, OTR_EQUOTA, "%s has too many extended attributes", path);
    }
    OTR_CLEANUP(otr_freep) char *names = otr_alloc((size_t)n + 2 * OTR_LIMIT_CHANGE_XATTR_BYTES);
    if (names == NULL) {
        return otr_fail_nomem(err);
    }
    char *value = names + n;
    n = flistxattr(from, names, (size_t)n);
    otr_code rc =
        n < 0 ? otr_fail_sys(err, errno, "cannot list the attributes of %s", path) : OTR_OK;
    for (const char *name = names; rc == OTR_OK && name < names + n; name += strlen(name) + 1) {
        rc = copy_one(ops, from, to, name, value, path, err);
    }
    return rc;
}
