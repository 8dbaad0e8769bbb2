#include "nginx/drift/writers.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/fanotify.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "nginx/drift/users.h"
#include "nginx/proc.h"

enum { EVENT_BYTES = 16384, ROUNDS = 64, LOGIN_BYTES = 16 };

typedef struct change {
    otr_folder_key folder;
    char *name;
    uint64_t at_ns; /* wall */
    otr_drift_writer writer;
} change;

struct otr_writers {
    int fan; /* -1: not to be had */
    otr_watch *watch;
    char *proc_root;
    change *ring; /* of OTR_LIMIT_DRIFT_WRITERS; NULL until the first */
    size_t first, n;
};

static const uint64_t mask = FAN_CREATE | FAN_MOVED_TO | FAN_MOVED_FROM | FAN_DELETE |
                             FAN_CLOSE_WRITE | FAN_ATTRIB | FAN_EVENT_ON_CHILD;

/* ---- processes ---- */

static uid_t login_of(const char *proc_root, pid_t pid)
{
    char path[256];
    char text[LOGIN_BYTES];
    (void)snprintf(path, sizeof(path), "%s/%d/loginuid", proc_root, (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    if (fd >= 0) {
        close(fd);
    }
    if (n <= 0) {
        return (uid_t)-1;
    }
    text[n] = '\0';
    uintmax_t id = 0;
    for (const char *p = text; *p >= '0' && *p <= '9'; p++) {
        id = id * 10 + (uintmax_t)(*p - '0');
    }
    return (uid_t)id; /* nobody is all ones there, too */
}

void otr_writers_ask(const char *proc_root, pid_t pid, otr_drift_writer *ret)
{
    otr_proc_owner owner;
    *ret = (otr_drift_writer){ .pid = pid, .uid = (uid_t)-1, .login = (uid_t)-1 };
    otr_proc_comm(proc_root, pid, ret->comm);
    if (ret->comm[0] == '\0') {
        return;
    }
    ret->alive = true;
    ret->login = login_of(proc_root, pid);
    if (otr_proc_owner_read(proc_root, pid, 0, &owner)) {
        ret->uid = owner.uid;
    }
    uid_t who = ret->login != (uid_t)-1 ? ret->login : ret->uid;
    if (who != (uid_t)-1) {
        otr_drift_user(who, ret->user);
    }
}

/* ---- what the kernel tells ---- */

static bool same_key(const otr_folder_key *a, const otr_folder_key *b)
{
    return a->n > 0 && a->n == b->n && a->type == b->type && a->fsid[0] == b->fsid[0] &&
           a->fsid[1] == b->fsid[1] && memcmp(a->bytes, b->bytes, a->n) == 0;
}

static change *at(const otr_writers *w, size_t i)
{
    return &w->ring[(w->first + i) % OTR_LIMIT_DRIFT_WRITERS];
}

/* One that has ended may have been asked at a change before. */
static void ask(const otr_writers *w, pid_t pid, otr_drift_writer *ret)
{
    otr_writers_ask(w->proc_root, pid, ret);
    for (size_t i = w->n; !ret->alive && i > 0; i--) {
        const change *c = at(w, i - 1);
        if (c->writer.pid == pid && c->writer.comm[0] != '\0') {
            *ret = c->writer;
            ret->alive = false;
            break;
        }
    }
}

static void remember(otr_writers *w, const otr_folder_key *key, const char *name, pid_t pid)
{
    if (w->ring == NULL) {
        w->ring = otr_calloc(OTR_LIMIT_DRIFT_WRITERS, sizeof(*w->ring));
    }
    char *copy = w->ring != NULL ? otr_strdup(name) : NULL;
    if (copy == NULL) {
        return; /* who it was stays unknown */
    }
    change c = { .folder = *key, .name = copy, .at_ns = otr_wall_ns() };
    ask(w, pid, &c.writer);
    if (w->n == OTR_LIMIT_DRIFT_WRITERS) {
        otr_free(at(w, 0)->name);
        w->first = (w->first + 1) % OTR_LIMIT_DRIFT_WRITERS;
        w->n--;
    }
    *at(w, w->n) = c;
    w->n++;
}

/* One event; the kernel aligns them to four bytes only, so nothing is read in place. */
static void on_event(otr_writers *w, const struct fanotify_event_metadata *m, const uint8_t *more)
{
    struct fanotify_event_info_fid info;
    struct file_handle handle;
    size_t left = m->event_len - sizeof(*m);
    const size_t head = sizeof(info) + sizeof(handle);
    if (m->pid <= 0 || m->pid == getpid() || left <= head) {
        return;
    }
    memcpy(&info, more, sizeof(info));
    memcpy(&handle, more + sizeof(info), sizeof(handle));
    left = info.hdr.len < left ? info.hdr.len : left;
    if (info.hdr.info_type != FAN_EVENT_INFO_TYPE_DFID_NAME ||
        handle.handle_bytes > OTR_HANDLE_BYTES || left <= head + handle.handle_bytes) {
        return;
    }
    const char *name = (const char *)more + head + handle.handle_bytes;
    if (memchr(name, '\0', left - head - handle.handle_bytes) == NULL || name[0] == '\0') {
        return;
    }
    otr_folder_key key = { .type = handle.handle_type, .n = handle.handle_bytes };
    memcpy(key.fsid, &info.fsid, sizeof(key.fsid));
    memcpy(key.bytes, more + head, handle.handle_bytes);
    remember(w, &key, name, m->pid);
}

static void on_readable(void *arg, int events)
{
    otr_writers *w = arg;
    uint8_t bytes[EVENT_BYTES];
    (void)events;
    for (int i = 0; i < ROUNDS; i++) {
        ssize_t n = read(w->fan, bytes, sizeof(bytes));
        if (n <= 0) {
            break;
        }
        struct fanotify_event_metadata m;
        for (size_t at = 0; at + sizeof(m) <= (size_t)n; at += m.event_len) {
            memcpy(&m, bytes + at, sizeof(m));
            if (m.event_len < sizeof(m) || m.event_len > (size_t)n - at ||
                m.vers != FANOTIFY_METADATA_VERSION) {
                break;
            }
            if (m.fd >= 0) {
                close(m.fd);
            }
            on_event(w, &m, bytes + at + sizeof(m));
        }
    }
}

void otr_writers_catch_up(otr_writers *w)
{
    if (w->fan >= 0) {
        on_readable(w, 0);
    }
}

bool otr_writers_find(const otr_writers *w, const otr_folder_key *key, const char *name,
                      uint64_t since_ns, otr_drift_writer *ret)
{
    for (size_t i = w->n; i > 0; i--) {
        const change *c = at(w, i - 1);
        if (c->at_ns < since_ns) {
            break;
        }
        if (strcmp(c->name, name) == 0 && same_key(&c->folder, key)) {
            *ret = c->writer;
            return true;
        }
    }
    return false;
}

/* ---- life ---- */

otr_code otr_writers_new(otr_loop *loop, const char *proc_root, otr_writers **ret, otr_err *err)
{
    otr_writers *w = otr_zalloc(sizeof(*w));
    if (w == NULL) {
        return otr_fail_nomem(err);
    }
    w->fan = -1;
    w->proc_root = otr_strdup(proc_root);
    otr_code rc = w->proc_root != NULL ? OTR_OK : otr_fail_nomem(err);
    if (rc == OTR_OK && geteuid() == 0) { /* nobody else is told whose process it is */
        w->fan = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME | FAN_CLOEXEC | FAN_NONBLOCK,
                               O_RDONLY | O_CLOEXEC);
    }
    if (rc == OTR_OK && w->fan >= 0) {
        rc = otr_watch_new(loop, w->fan, OTR_WATCH_READ, on_readable, w, &w->watch, err);
    }
    if (rc != OTR_OK) {
        otr_writers_free(w);
        return rc;
    }
    otr_log_debug("writers of files are told by", "fanotify", w->fan >= 0 ? "yes" : "no");
    *ret = w;
    return OTR_OK;
}

void otr_writers_free(otr_writers *w)
{
    if (w == NULL) {
        return;
    }
    otr_watch_free(w->watch);
    if (w->fan >= 0) {
        close(w->fan);
    }
    for (size_t i = 0; i < w->n; i++) {
        otr_free(at(w, i)->name);
    }
    otr_free(w->ring);
    otr_free(w->proc_root);
    otr_free(w);
}

bool otr_writers_told(const otr_writers *w)
{
    return w->fan >= 0;
}

void otr_writers_mark(const otr_writers *w, int fd, otr_folder_key *ret)
{
    struct {
        struct file_handle head;
        uint8_t bytes[OTR_HANDLE_BYTES];
    } handle = { .head = { .handle_bytes = OTR_HANDLE_BYTES } };
    struct statfs fs;
    int mount;
    *ret = (otr_folder_key){ 0 };
    if (w->fan < 0 || fanotify_mark(w->fan, FAN_MARK_ADD | FAN_MARK_ONLYDIR, mask, fd, NULL) != 0 ||
        name_to_handle_at(fd, "", &handle.head, &mount, AT_EMPTY_PATH) != 0 ||
        fstatfs(fd, &fs) != 0 || handle.head.handle_bytes > OTR_HANDLE_BYTES) {
        return;
    }
    ret->type = handle.head.handle_type;
    ret->n = handle.head.handle_bytes;
    memcpy(ret->fsid, &fs.f_fsid, sizeof(ret->fsid));
    memcpy(ret->bytes, handle.head.f_handle, ret->n);
}

void otr_writers_unmark_all(const otr_writers *w)
{
    if (w->fan >= 0) {
        (void)fanotify_mark(w->fan, FAN_MARK_FLUSH, 0, AT_FDCWD, NULL);
    }
}
