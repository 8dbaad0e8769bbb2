#include "nginx/change/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "nginx/change/names.h"

static otr_code check_folder(const otr_fileops *ops, int fd, const char *folder, otr_err *err)
{
    struct stat st;
    if (ops->stat(ops, fd, "", &st) != 0) {
        return otr_fail_sys(err, errno, "cannot look at %s", folder);
    }
    if (st.st_uid != geteuid() || (st.st_mode & 077) != 0) {
        return otr_fail(err, OTR_EDENIED,
                        "%s has to be of user %lu with mode 0700, as what lies in it is believed",
                        folder, (unsigned long)geteuid());
    }
    return OTR_OK;
}

static int open_folder(const otr_fileops *ops, const char *folder)
{
    return otr_fileops_open_folder(ops, folder, O_RDONLY | O_NOFOLLOW);
}

otr_code otr_journal_open_folder(const otr_fileops *ops, const char *folder, otr_journal_way way,
                                 int *ret_fd, otr_err *err)
{
    int fd = open_folder(ops, folder);
    if (fd < 0 && errno == ENOENT && way == OTR_JOURNAL_MAKE) {
        if (ops->mkdir(ops, AT_FDCWD, folder, 0700) != 0 && errno != EEXIST) {
            return otr_fail_sys(err, errno, "cannot make the folder %s", folder);
        }
        fd = open_folder(ops, folder);
    }
    if (fd < 0) {
        return otr_fail_sys(err, errno, "cannot open the folder %s", folder);
    }
    otr_code rc = check_folder(ops, fd, folder, err);
    if (rc != OTR_OK) {
        (void)ops->close(ops, fd);
        return rc;
    }
    *ret_fd = fd;
    return OTR_OK;
}

/* One that is made is synced into its folder: it stays for ever. */
static int open_file(const otr_fileops *ops, int dir, const char *file, otr_journal_way way)
{
    int fd = otr_fileops_open(ops, dir, file, O_RDWR | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0 && errno == ENOENT && way == OTR_JOURNAL_MAKE) {
        fd = otr_fileops_open(ops, dir, file, O_RDWR | O_CREAT | O_EXCL, 0600);
        if (fd < 0 && errno == EEXIST) {
            fd = otr_fileops_open(ops, dir, file, O_RDWR | O_NONBLOCK | O_NOCTTY, 0);
        }
        if (fd >= 0 && otr_fileops_sync(ops, dir) != 0) {
            int sys = errno;
            (void)ops->close(ops, fd);
            errno = sys;
            return -1;
        }
    }
    return fd;
}

static otr_code check_file(otr_journal *journal, otr_err *err)
{
    struct stat st;
    const otr_fileops *ops = journal->ops;
    if (ops->stat(ops, journal->fd, "", &st) != 0) {
        return otr_fail_sys(err, errno, "cannot look at the %s", journal->name);
    }
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022) != 0) {
        return otr_fail(err, OTR_EDENIED,
                        "the %s is no file of this agent: move it away and look where it comes "
                        "from",
                        journal->name);
    }
    if (ops->lock(ops, journal->fd) == 0) {
        return OTR_OK;
    }
    return errno == EWOULDBLOCK ? otr_fail(err, OTR_ESTATE,
                                           "a change of that instance is under way (the %s is "
                                           "locked)",
                                           journal->name)
                                : otr_fail_sys(err, errno, "cannot lock the %s", journal->name);
}

otr_code otr_journal_open(otr_journal *journal, const otr_fileops *ops, const char *folder,
                          const char *instance, otr_journal_way way, otr_err *err)
{
    int dir;
    char file[160];
    *journal = (otr_journal){ .ops = ops, .fd = -1 };
    if (!otr_change_is_instance(instance)) {
        return otr_fail(err, OTR_EINVAL, "\"%s\" cannot name a journal", instance);
    }
    (void)snprintf(file, sizeof(file), "%s" OTR_JOURNAL_SUFFIX, instance);
    (void)snprintf(journal->name, sizeof(journal->name), "journal of %.128s", instance);
    otr_code rc = otr_journal_open_folder(ops, folder, way, &dir, err);
    if (rc != OTR_OK) {
        return rc;
    }
    journal->fd = open_file(ops, dir, file, way);
    rc = journal->fd >= 0
             ? check_file(journal, err)
             : otr_fail_sys(err, errno, "cannot open the %s in %s", journal->name, folder);
    (void)ops->close(ops, dir);
    if (rc != OTR_OK) {
        otr_journal_close(journal);
    }
    return rc;
}

void otr_journal_close(otr_journal *journal)
{
    if (journal->ops != NULL && journal->fd >= 0) {
        (void)journal->ops->close(journal->ops, journal->fd);
        journal->fd = -1;
    }
}

otr_code otr_journal_read(otr_journal *journal, otr_buf *out, otr_err *err)
{
    otr_code rc = otr_fileops_read(journal->ops, journal->fd, out, err);
    return rc == OTR_OK ? rc : otr_wrap(err, rc, "the %s", journal->name);
}

otr_code otr_journal_append(otr_journal *journal, otr_bytes records, otr_journal_sync sync,
                            otr_err *err)
{
    const otr_fileops *ops = journal->ops;
    otr_code rc = OTR_OK;
    if (otr_fileops_write(ops, journal->fd, records, journal->end) != 0) {
        rc = otr_fail_sys(err, errno,
                          "cannot write the %s in the agent's state folder (is its disk full?)",
                          journal->name);
    } else if (sync == OTR_JOURNAL_SYNC && otr_fileops_sync(ops, journal->fd) != 0) {
        rc = otr_fail_sys(err, errno, "cannot sync the %s", journal->name);
    }
    if (rc == OTR_OK) {
        journal->end += records.n;
    } else { /* what the caller takes for not said must not be read after a crash */
        (void)ops->truncate(ops, journal->fd, (off_t)journal->end);
    }
    return rc;
}

otr_code otr_journal_clear(otr_journal *journal, otr_err *err)
{
    const otr_fileops *ops = journal->ops;
    if (ops->truncate(ops, journal->fd, 0) != 0) {
        return otr_fail_sys(err, errno, "cannot end the %s", journal->name);
    }
    journal->end = 0;
    return otr_fileops_sync(ops, journal->fd) == 0
               ? OTR_OK
               : otr_fail_sys(err, errno, "cannot sync the %s", journal->name);
}
