#include "nginx/instance/reading.h"

#include <unistd.h>

#include "base/alloc.h"
#include "nginx/files.h"
#include "nginx/proc.h"

otr_root otr_reading_root(const otr_survey *s, const otr_master *m, const record *r)
{
    return (otr_root){ .path = r->ours ? "" : m->root,
                       .uid = m->uid,
                       .gid = m->gid,
                       .groups = m->groups,
                       .n_groups = m->n_groups,
                       .allowed = (const char *const *)s->allowed };
}

/* Nothing is assumed about files that cannot be seen. */
static otr_code unseen_config(record *r, otr_err *err)
{
    otr_nginx_config *c = otr_zalloc(sizeof(*c));
    if (c == NULL) {
        return otr_fail_nomem(err);
    }
    c->error_log = otr_strdup("");
    c->error = otr_strdup("not read: the root folder of the master process is not known");
    if (c->error_log == NULL || c->error == NULL) {
        otr_nginx_config_free(c);
        return otr_fail_nomem(err);
    }
    r->config = c;
    return OTR_OK;
}

/* The files may have been changed between the time when NGINX loaded them and now. */
static otr_code note_newer(otr_nginx_config *c, const otr_workers *workers,
                           const otr_loaded *before, otr_err *err)
{
    uint64_t since = otr_loaded_since(workers, before);
    const char *path = since > 0 ? otr_config_files_newer(&c->files, since) : NULL;
    if (path == NULL) {
        return OTR_OK;
    }
    c->unsure = true;
    return otr_remark(&c->remarks, err,
                      "%s was changed after NGINX loaded its configuration: what it runs with is "
                      "not known, shown is what the files say",
                      path);
}

static otr_code read_files(const otr_survey *s, const group *g, record *r, otr_err *err)
{
    const otr_master *m = g->leader;
    otr_root root = otr_reading_root(s, m, r);
    otr_nginx_config_spec spec = {
        .root = &root,
        .config = g->config,
        .prefix = g->prefix,
        .error_log = m->error_log_arg[0] != '\0' ? m->error_log_arg : g->binary->error_log,
        .access_log = g->binary->access_log,
        .exclude = (const char *const *)s->excluded,
    };
    return otr_nginx_config_read(&spec, &r->config, err);
}

/* Does the file hold the process id of the master, and nothing else? */
static bool names_master(const otr_root *root, const char *path, pid_t pid)
{
    char text[32];
    int fd;
    if (otr_root_open_file(root, path, &fd, NULL, NULL) != OTR_OK) {
        return false;
    }
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    while (n > 0 && text[n - 1] == '\n') {
        n--;
    }
    text[n > 0 ? n : 0] = '\0';
    return otr_proc_pid(text) == pid;
}

/* An agent without rights does not see which root folder a master has. Where the configuration that
 * its arguments name in ours has a pid file in ours, and that names the very process, they are its
 * files: another one's configuration would name another process. */
static otr_code presume_ours(const otr_survey *s, const group *g, record *r, otr_err *err)
{
    r->ours = true;
    otr_code rc = read_files(s, g, r, err);
    if (rc != OTR_OK) {
        return rc;
    }
    const otr_master *m = g->leader;
    otr_root root = otr_reading_root(s, m, r);
    char compiled[OTR_NGINX_PATH_BYTES] = "";
    (void)otr_binary_argument(g->binary->configure, "pid-path", compiled, sizeof(compiled));
    if (names_master(&root, r->config->pid_file != NULL ? r->config->pid_file : compiled, m->pid)) {
        return OTR_OK;
    }
    r->ours = false;
    otr_nginx_config_free(otr_steal(&r->config));
    return unseen_config(r, err);
}

otr_code otr_reading_read(const otr_survey *s, const group *g, const otr_workers *workers,
                          record *r, otr_err *err)
{
    otr_code rc = g->leader->root_known ? read_files(s, g, r, err) : presume_ours(s, g, r, err);
    if (rc == OTR_OK) {
        rc = note_newer(r->config, workers, g->was != NULL ? &g->was->loaded : NULL, err);
    }
    return rc == OTR_OK ? otr_loaded_take(workers, &r->loaded, err) : rc;
}

otr_code otr_reading_keep(otr_survey *s, const group *g, const otr_workers *workers, otr_load load,
                          record *r, otr_err *err)
{
    const record *was = g->was;
    r->config = was->config;
    r->ours = was->ours;
    r->lent = true; /* until the run is complete it stays the old record's */
    otr_code rc = load == OTR_LOAD_RESPAWN ? otr_loaded_take(workers, &r->loaded, err)
                                           : otr_loaded_copy(&was->loaded, &r->loaded, err);
    if (rc != OTR_OK) {
        return rc;
    }
    r->loaded.waits = load == OTR_LOAD_LATER ? was->loaded.waits + 1 : 0;
    s->early |= load == OTR_LOAD_LATER && !g->leader->stranger;
    otr_root root = otr_reading_root(s, g->leader, r);
    rc = otr_config_files_look(&r->config->files, &root, g->config, err);
    if (rc == OTR_OK && r->config->files.changed && load == OTR_LOAD_SAME) {
        r->loaded.fds = otr_loaded_fds(workers); /* logs may have been opened anew since */
    }
    return rc;
}
