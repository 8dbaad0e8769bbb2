/*
 * One process: is it the master of an NGINX, and what does the kernel tell about it?
 */
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "nginx/files.h"
#include "nginx/instance/scan.h"

/* A process that runs NGINX under no title of NGINX's may still get it: it reads its configuration,
 * or is a command that ends soon. */
enum { UNTITLED_S = 2 };

static bool strip_deleted(char *path)
{
    static const char tail[] = " (deleted)";
    size_t n = strlen(path), k = sizeof(tail) - 1;
    if (n <= k || strcmp(path + n - k, tail) != 0) {
        return false;
    }
    path[n - k] = '\0';
    return true;
}

/* ---- is it one? ---- */

typedef struct claim { /* what is known of a process that may be a master */
    otr_proc_stat stat;
    otr_proc_owner owner;
    const char *text; /* where its title begins, in the scan's buffer */
    otr_title title;
    otr_file_key exe; /* all 0: unknown */
    otr_look how;
    bool stranger;
} claim;

/* Whose executable may not be read can only be judged by its names. */
static bool named_like_nginx(const otr_discovery *d, pid_t pid)
{
    static const char *const names[] = { "nginx", "nginx-debug", "angie", "openresty", "tengine" };
    char comm[OTR_PROC_COMM_BYTES];
    otr_proc_comm(d->proc_root, pid, comm);
    for (size_t i = 0; i < OTR_COUNT(names); i++) {
        if (strcmp(comm, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static otr_code program_of(otr_discovery *d, pid_t pid, const otr_file_key *key, otr_look how,
                           otr_program *ret, otr_err *err)
{
    char path[OTR_NGINX_PATH_BYTES];
    *ret = OTR_PROGRAM_UNKNOWN;
    if (!otr_file_key_known(key)) {
        return OTR_OK;
    }
    (void)snprintf(path, sizeof(path), "%s/%d/exe", d->proc_root, (int)pid);
    return otr_executables_look(&d->executables, path, key, how, ret, err);
}

static bool is_young(const otr_proc_stat *st)
{
    struct timespec now;
    long ticks = sysconf(_SC_CLK_TCK);
    if (ticks <= 0 || clock_gettime(CLOCK_BOOTTIME, &now) != 0) {
        return false;
    }
    uint64_t started_s = st->started_ticks / (uint64_t)ticks;
    return (uint64_t)now.tv_sec < started_s + UNTITLED_S;
}

/* A process of an NGINX's executable whose parent is none is the one that was started. */
static otr_code is_first(otr_discovery *d, const claim *c, bool *ret, otr_err *err)
{
    otr_file_key parent = { 0 };
    otr_program program = OTR_PROGRAM_UNKNOWN;
    (void)otr_proc_exe_key(d->proc_root, c->stat.ppid, &parent);
    otr_code rc = program_of(d, c->stat.ppid, &parent, c->how, &program, err);
    *ret = program != OTR_PROGRAM_NGINX;
    return rc;
}

typedef enum verdict { VERDICT_NO, VERDICT_LATER, VERDICT_MASTER } verdict;

static otr_code judge_untitled(otr_discovery *d, const claim *c, verdict *ret, otr_err *err)
{
    bool first = false;
    const otr_binary *binary = otr_executables_binary(&d->executables, &c->exe);
    otr_code rc = is_first(d, c, &first, err);
    /* Without a title all of it has to fit: others may know the names of NGINX's directives. */
    *ret = !first || binary == NULL || binary->version[0] == '\0' ? VERDICT_NO
           : is_young(&c->stat)                                   ? VERDICT_LATER
                                                                  : VERDICT_MASTER;
    return rc;
}

/* ld.so, or an emulator of a processor, that was given another program. */
static bool is_loader(const otr_discovery *d, pid_t pid)
{
    static const char *const names[] = { "ld-", "ld.so", "ld64.so", "qemu-" };
    char path[OTR_NGINX_PATH_BYTES];
    const char *slash = NULL;
    if (otr_proc_link(d->proc_root, pid, "exe", path, sizeof(path))) {
        slash = strrchr(path, '/');
    }
    for (size_t i = 0; slash != NULL && i < OTR_COUNT(names); i++) {
        if (strncmp(slash + 1, names[i], strlen(names[i])) == 0) {
            return true;
        }
    }
    return false;
}

/* The title of what a loader loaded, into the scan's buffer: it stands behind the loader's own
 * name, where the kernel may not show it. NULL: it has none. */
static const char *loaded_title(otr_discovery *d, const claim *c, pid_t pid)
{
    const char *text = c->title == OTR_TITLE_MASTER ? c->text : otr_title_inside(c->text);
    if (otr_title_kind(text) == OTR_TITLE_MASTER) {
        return text;
    }
    size_t n = otr_proc_arguments(d->proc_root, pid, d->title, sizeof(d->title) - 1);
    d->title[n] = '\0';
    for (size_t at = 0; at < n; at += strlen(d->title + at) + 1) {
        if (otr_title_kind(d->title + at) == OTR_TITLE_MASTER) {
            return d->title + at;
        }
    }
    return NULL;
}

/* The process of another program: a loader may have loaded an NGINX into it. Not looked for in
 * those of strangers, whose paths may lead to file systems that never answer. */
static otr_code judge_loaded(otr_discovery *d, claim *c, otr_master *m, char *path, verdict *ret,
                             otr_err *err)
{
    bool found = false;
    otr_file_key parent = { 0 };
    (void)otr_proc_exe_key(d->proc_root, c->stat.ppid, &parent);
    if (c->stranger || otr_file_key_eq(&parent, &c->exe) ||
        !(c->title == OTR_TITLE_MASTER || is_loader(d, m->pid))) {
        return OTR_OK;
    }
    otr_code rc = otr_scan_mapped(d, m->pid, path, OTR_NGINX_PATH_BYTES, &m->file, &found, err);
    const char *text = rc == OTR_OK && found ? loaded_title(d, c, m->pid) : NULL;
    if (rc != OTR_OK || !found) {
        return rc;
    }
    m->exe_known = true;
    m->untitled = text == NULL;
    if (text != NULL) {
        c->text = text;
    } else {
        /* Its own arguments stand behind the name of the loader. */
        (void)otr_proc_title(d->proc_root, m->pid, d->title, sizeof(d->title));
        const char *blank = strchr(d->title, ' ');
        c->text = blank != NULL ? blank + 1 : d->title;
    }
    *ret = m->untitled && is_young(&c->stat) ? VERDICT_LATER : VERDICT_MASTER;
    return OTR_OK;
}

/* `m->file` becomes known, and `path` is where it is. */
static otr_code judge(otr_discovery *d, claim *c, otr_master *m, char *path, verdict *ret,
                      otr_err *err)
{
    bool says_so = c->title == OTR_TITLE_MASTER;
    otr_program program;
    otr_code rc = program_of(d, m->pid, &c->exe, c->how, &program, err);
    *ret = VERDICT_NO;
    if (rc != OTR_OK) {
        return rc;
    }
    if (program == OTR_PROGRAM_OTHER) {
        return judge_loaded(d, c, m, path, ret, err);
    }
    if (program == OTR_PROGRAM_UNKNOWN) {
        *ret = says_so && named_like_nginx(d, m->pid) ? VERDICT_MASTER : VERDICT_NO;
        return OTR_OK;
    }
    if (program != OTR_PROGRAM_NGINX) {
        *ret = program == OTR_PROGRAM_LATER ? VERDICT_LATER : VERDICT_NO;
        return OTR_OK;
    }
    m->file = c->exe;
    if (otr_proc_link(d->proc_root, m->pid, "exe", path, OTR_NGINX_PATH_BYTES)) {
        m->replaced = strip_deleted(path);
        m->exe_known = true;
    }
    if (says_so) {
        *ret = VERDICT_MASTER;
        return OTR_OK;
    }
    return judge_untitled(d, c, ret, err);
}

/* ---- what it is like ---- */

/* Where the executable is when the kernel does not tell. */
static const char *guess_binary(const char *argv0)
{
    static const char *const places[] = { "/usr/sbin/nginx", "/usr/local/sbin/nginx",
                                          "/usr/bin/nginx", "/usr/local/nginx/sbin/nginx",
                                          "/usr/local/openresty/nginx/sbin/nginx" };
    if (argv0[0] == '/') {
        return argv0;
    }
    for (size_t i = 0; i < OTR_COUNT(places); i++) {
        struct stat st;
        if (stat(places[i], &st) == 0) {
            return places[i];
        }
    }
    return places[0];
}

static bool same_root(const otr_file_key *a, const otr_file_key *b)
{
    return a->dev == b->dev && a->ino == b->ino;
}

/* The kernel gives paths as we see them: below the folder `root` that is the root of a process,
 * they lose that part. */
static char *path_inside(const char *root, char *path)
{
    size_t n = strlen(root);
    if (n > 1 && strncmp(path, root, n) == 0 && (path[n] == '/' || path[n] == '\0')) {
        return path[n] == '/' ? path + n : path + n - 1;
    }
    return path;
}

/* Its files are ours when both its root folder and its mounts are. */
static otr_code describe_root(const otr_discovery *d, otr_master *m, otr_err *err)
{
    char path[OTR_NGINX_PATH_BYTES];
    otr_file_key root;
    (void)snprintf(path, sizeof(path), "%s/%d/root", d->proc_root, (int)m->pid);
    m->net_ns = otr_proc_ns(d->proc_root, m->pid, "net");
    m->pid_ns = otr_proc_ns(d->proc_root, m->pid, "pid");
    m->mnt_ns = otr_proc_ns(d->proc_root, m->pid, "mnt");
    m->root_known = otr_file_key_read(path, &root);
    if (m->root_known) {
        m->root_dev = root.dev;
        m->root_ino = root.ino;
    }
    bool ours = m->root_known && same_root(&root, &d->own_root) &&
                (d->own.mnt_ns == 0 || m->mnt_ns == d->own.mnt_ns);
    m->root = otr_strdup(ours ? "" : path);
    return m->root != NULL ? OTR_OK : otr_fail_nomem(err);
}

static otr_code describe_owner(const claim *c, otr_master *m, otr_err *err)
{
    m->uid = c->owner.uid;
    m->gid = c->owner.gid;
    m->stranger = c->stranger;
    if (c->owner.n_groups > 0) {
        m->groups = otr_calloc(c->owner.n_groups, sizeof(*m->groups));
        if (m->groups == NULL) {
            return otr_fail_nomem(err);
        }
        memcpy(m->groups, c->owner.groups, c->owner.n_groups * sizeof(*m->groups));
        m->n_groups = c->owner.n_groups;
    }
    return OTR_OK;
}

static otr_code describe_paths(const otr_discovery *d, const char *argv0, char *exe, otr_master *m,
                               otr_err *err)
{
    char root[OTR_NGINX_PATH_BYTES] = "", cwd[OTR_NGINX_PATH_BYTES];
    if (m->root[0] != '\0') {
        (void)otr_proc_link(d->proc_root, m->pid, "root", root, sizeof(root));
    }
    bool loaded = !otr_file_key_eq(&m->file, &m->exe); /* that path is as it sees it */
    m->binary = otr_strdup(!m->exe_known ? guess_binary(argv0)
                           : loaded      ? exe
                                         : path_inside(root, exe));
    m->cwd_known = otr_proc_link(d->proc_root, m->pid, "cwd", cwd, sizeof(cwd));
    m->cwd = otr_strdup(m->cwd_known ? path_inside(root, cwd) : "/");
    return m->binary != NULL && m->cwd != NULL ? OTR_OK : otr_fail_nomem(err);
}

/* What a guessed executable says of its paths. A stranger's guess names whatever they like. */
static otr_code read_guess(otr_discovery *d, otr_master *m, otr_err *err)
{
    otr_program program;
    if (m->exe_known || m->stranger || !otr_file_key_read(m->binary, &m->guess)) {
        return OTR_OK;
    }
    return otr_executables_look(&d->executables, m->binary, &m->guess, OTR_LOOK_NOW, &program, err);
}

static otr_code describe(otr_discovery *d, const claim *c, char *exe, otr_master *m, otr_err *err)
{
    char *argv0 = NULL;
    otr_code rc = otr_master_parse_title(c->text, m, &argv0, err);
    if (rc == OTR_OK) {
        rc = describe_owner(c, m, err);
    }
    if (rc == OTR_OK) {
        rc = describe_root(d, m, err);
    }
    if (rc == OTR_OK) {
        rc = describe_paths(d, argv0, exe, m, err);
    }
    if (rc == OTR_OK) {
        rc = read_guess(d, m, err);
    }
    otr_free(argv0);
    return rc;
}

/* Its pid names another process by now, or it has become another program: what was read before
 * belongs to something else. */
static bool is_unchanged(const otr_discovery *d, const otr_master *m, const claim *c)
{
    otr_proc_stat st;
    otr_file_key exe = { 0 };
    otr_proc_owner owner;
    (void)otr_proc_exe_key(d->proc_root, m->pid, &exe);
    return otr_proc_stat_read(d->proc_root, m->pid, &st) && st.started_ticks == m->started_ticks &&
           otr_file_key_eq(&exe, &c->exe) &&
           otr_proc_owner_read(d->proc_root, m->pid, d->own.uid, &owner) && owner.uid == m->uid;
}

/* False: it is none, or it is gone. */
static bool read_claim(otr_discovery *d, scan_process *process, claim *ret)
{
    if (otr_proc_title(d->proc_root, process->pid, d->title, sizeof(d->title)) == 0) {
        return false; /* a kernel thread, a zombie */
    }
    *ret = (claim){ .text = d->title, .title = otr_title_kind(d->title) };
    bool exe = otr_proc_exe_key(d->proc_root, process->pid, &ret->exe);
    if (ret->title == OTR_TITLE_HELPER || (!exe && ret->title == OTR_TITLE_NONE) ||
        !otr_proc_stat_read(d->proc_root, process->pid, &ret->stat) || ret->stat.state == 'Z' ||
        ret->stat.state == 'X') {
        return false;
    }
    if (ret->title == OTR_TITLE_WORKER) {
        process->worker_of = ret->stat.ppid;
        return false;
    }
    if (!otr_proc_owner_read(d->proc_root, process->pid, d->own.uid, &ret->owner)) {
        return false;
    }
    ret->stranger = ret->owner.uid != 0 && ret->owner.uid != d->own.uid;
    ret->how = ret->title == OTR_TITLE_MASTER && !ret->stranger ? OTR_LOOK_NOW : OTR_LOOK_BUDGET;
    return true;
}

otr_code otr_scan_look(otr_discovery *d, scan_process *process, otr_master *ret, bool *ret_found,
                       otr_err *err)
{
    claim c;
    char path[OTR_NGINX_PATH_BYTES] = "";
    verdict what = VERDICT_NO;
    d->stats.looked++;
    *ret_found = false;
    process->worker_of = 0;
    process->again = false;
    if (!read_claim(d, process, &c)) {
        return OTR_OK;
    }
    otr_master m = { .pid = process->pid,
                     .ppid = c.stat.ppid,
                     .session = c.stat.session,
                     .started_ticks = c.stat.started_ticks,
                     .exe = c.exe,
                     .untitled = c.title != OTR_TITLE_MASTER };
    otr_code rc = judge(d, &c, &m, path, &what, err);
    process->again = what == VERDICT_LATER;
    if (rc == OTR_OK && what == VERDICT_MASTER) {
        rc = describe(d, &c, path, &m, err);
    }
    bool command = m.untitled && m.client;
    if (rc == OTR_OK && what == VERDICT_MASTER && !command && is_unchanged(d, &m, &c)) {
        *ret = m;
        *ret_found = true;
        return OTR_OK;
    }
    otr_master_deinit(&m);
    return rc;
}

/* ---- one that is known ---- */

/* A process that a master has just forked bears its title until it has one of its own, and one that
 * had no title may have got it: then it is looked at as a new one. */
static bool has_its_title(otr_discovery *d, const otr_master *m)
{
    bool loaded = otr_file_key_known(&m->file) && !otr_file_key_eq(&m->file, &m->exe);
    if (loaded || (m->n_workers > 0 && !m->untitled)) {
        return true;
    }
    if (otr_proc_title(d->proc_root, m->pid, d->title, sizeof(d->title)) == 0) {
        return false;
    }
    otr_title kind = otr_title_kind(d->title);
    return kind == (m->untitled ? OTR_TITLE_NONE : OTR_TITLE_MASTER);
}

bool otr_scan_refresh(otr_discovery *d, otr_master *m)
{
    otr_proc_stat st;
    otr_proc_owner owner;
    otr_file_key exe = { 0 };
    (void)otr_proc_exe_key(d->proc_root, m->pid, &exe);
    if (!otr_file_key_eq(&exe, &m->exe) ||
        !otr_proc_owner_read(d->proc_root, m->pid, d->own.uid, &owner) || owner.uid != m->uid ||
        !otr_proc_stat_read(d->proc_root, m->pid, &st) || st.started_ticks != m->started_ticks ||
        st.state == 'Z' || st.state == 'X') {
        return false;
    }
    m->ppid = st.ppid;
    char path[OTR_NGINX_PATH_BYTES];
    if (otr_file_key_eq(&m->file, &m->exe) && m->exe_known &&
        otr_proc_link(d->proc_root, m->pid, "exe", path, sizeof(path))) {
        m->replaced = strip_deleted(path);
    }
    otr_executables_use(&d->executables, m->exe_known ? &m->file : &m->guess);
    return has_its_title(d, m);
}
