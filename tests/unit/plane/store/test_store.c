/* The store of a management plane: what agents may tell, what is refused, what survives. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plane/store/internal.h"
#include "support/test.h"

#define A "3b0ceaf6-ca84-34be-80bb-502333546f3d"
#define B "3b0ceaf6-ca84-34be-80bb-502333546f3e"
#define I "cd2d5dc0-c528-3f37-b83c-727fd4010777"

typedef struct shop {
    char folder[40];
    otr_plane_store *s;
} shop;

static otr_code shop_open(shop *p, otr_err *err)
{
    if (p->folder[0] == '\0') {
        (void)snprintf(p->folder, sizeof(p->folder), "%s/otr-plane-XXXXXX",
                       access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        if (mkdtemp(p->folder) == NULL) {
            return otr_fail(err, OTR_EIO, "no folder");
        }
    }
    return otr_plane_store_open(p->folder, &p->s, err);
}

static void shop_again(shop *p, otr_err *err)
{
    otr_plane_store_close(p->s);
    p->s = NULL;
    CHECK_INT(shop_open(p, err), OTR_OK);
}

static void shop_close(shop *p)
{
    otr_plane_store_close(p->s);
    DIR *dir = opendir(p->folder);
    const struct dirent *e;
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        char path[400];
        (void)snprintf(path, sizeof(path), "%s/%s", p->folder, e->d_name);
        (void)unlink(path);
    }
    if (dir != NULL) {
        closedir(dir);
    }
    (void)rmdir(p->folder);
}

#define SHOP                                        \
    OTR_CLEANUP(shop_close) shop p = { .s = NULL }; \
    otr_err err = { 0 };                            \
    REQUIRE_OK(shop_open(&p, &err), err)

static const otr_plane_label labels[] = { { "env", "prod" }, { "site", "dub" } };
static const otr_plane_instance instances[] = {
    { .id = I, .type = 2, .version = "1.22.1", .config_path = "/etc/nginx/nginx.conf" }
};

static otr_plane_agent agent_of(const char *id, const char *host)
{
    return (otr_plane_agent){ .id = id,
                              .hostname = host,
                              .os = "Debian 12",
                              .version = "v3.11.3",
                              .last_ms = 1000,
                              .labels = labels,
                              .n_labels = OTR_COUNT(labels),
                              .instances = instances,
                              .n_instances = OTR_COUNT(instances) };
}

static otr_code put(shop *p, const char *id, const char *host, otr_err *err)
{
    otr_plane_agent a = agent_of(id, host);
    return otr_plane_store_put(p->s, &a, err);
}

static otr_code overview(shop *p, const char *path, otr_err *err)
{
    const otr_plane_file file = { .path = path, .digest = "ab", .mode = 0644, .bytes = 3 };
    const otr_plane_overview o = { .agent = A,
                                   .instance = I,
                                   .version = "v1",
                                   .config_path = "/etc/nginx/nginx.conf",
                                   .files = &file,
                                   .n_files = 1,
                                   .now_ms = 5 };
    return otr_plane_store_overview(p->s, &o, err);
}

static bool count_agent(void *arg, const otr_plane_agent *a)
{
    CHECK_STR(a->version, "v3.11.3");
    (*(size_t *)arg)++;
    return true;
}

static bool count_file(void *arg, const otr_plane_file *f)
{
    CHECK(f->path[0] == '/');
    (*(size_t *)arg)++;
    return true;
}

static bool count_id(void *arg, const char *id)
{
    (void)id;
    (*(size_t *)arg)++;
    return true;
}

static size_t files(shop *p)
{
    size_t n = 0;
    otr_err err = { 0 };
    CHECK_INT(otr_plane_store_files(p->s, A, I, count_file, &n, &err), OTR_OK);
    return n;
}

static size_t agents(shop *p)
{
    size_t n = 0;
    otr_err err = { 0 };
    CHECK_INT(otr_plane_store_agents(p->s, count_agent, &n, &err), OTR_OK);
    return n;
}

T(only_a_uuid_is_an_id)
{
    char id[OTR_PLANE_ID_BYTES] = "";
    CHECK(otr_plane_id("3B0CEAF6-ca84-34be-80bb-502333546f3d", id));
    CHECK_STR(id, A);
    CHECK(!otr_plane_id("", id));
    CHECK(!otr_plane_id(A "0", id));
    CHECK(!otr_plane_id("3b0ceaf6ca84-34be-80bb-502333546f3d0", id));
    CHECK(!otr_plane_id("../../../../../../../../../etc/passwd", id));
    CHECK(!otr_plane_id("3b0ceaf6-ca84-34be-80bb-502333546f3", id));
}

T(an_agent_is_found_by_host_and_by_the_beginning_of_its_id)
{
    SHOP;
    char id[OTR_PLANE_ID_BYTES] = "";
    REQUIRE_OK(put(&p, A, "web1", &err), err);
    REQUIRE_OK(otr_plane_store_find(p.s, "web1", id, &err), err);
    CHECK_STR(id, A);
    REQUIRE_OK(otr_plane_store_find(p.s, "3B0C", id, &err), err);
    CHECK_INT(otr_plane_store_find(p.s, "3b0", id, &err), OTR_ENOTFOUND);
    CHECK_INT(otr_plane_store_find(p.s, "%", id, &err), OTR_ENOTFOUND);
    REQUIRE_OK(put(&p, B, "web2", &err), err);
    CHECK_INT(otr_plane_store_find(p.s, "3b0ceaf6", id, &err), OTR_EINVAL);
    REQUIRE_OK(otr_plane_store_find(p.s, B, id, &err), err);
    CHECK_STR(id, B);
}

T(labels_select_and_are_replaced)
{
    SHOP;
    size_t n = 0;
    REQUIRE_OK(put(&p, A, "web1", &err), err);
    REQUIRE_OK(otr_plane_store_labelled(p.s, &labels[0], count_id, &n, &err), err);
    CHECK_INT(n, 1);
    otr_plane_agent a = agent_of(A, "web1");
    a.n_labels = 0;
    REQUIRE_OK(otr_plane_store_put(p.s, &a, &err), err);
    REQUIRE_OK(otr_plane_store_labelled(p.s, &labels[0], count_id, &n, &err), err);
    CHECK_INT(n, 1);
}

T(an_overview_replaces_the_one_before_and_a_bad_one_changes_nothing)
{
    static const char *const bad[] = { "relative", "/",    "",    "/a//b", "/a/../b",
                                       "/..",      "/a/.", "/a/", "/a\nb" };
    SHOP;
    REQUIRE_OK(put(&p, A, "web1", &err), err);
    REQUIRE_OK(overview(&p, "/etc/nginx/nginx.conf", &err), err);
    REQUIRE_OK(overview(&p, "/etc/nginx/..conf", &err), err);
    CHECK_INT(files(&p), 1);
    for (size_t i = 0; i < OTR_COUNT(bad); i++) {
        CHECK_INT(overview(&p, bad[i], &err), OTR_EINVAL);
    }
    const otr_plane_file twice[] = { { .path = "/a" }, { .path = "/a" } };
    otr_plane_overview o = { .agent = A, .instance = I, .files = twice, .n_files = 2 };
    CHECK_INT(otr_plane_store_overview(p.s, &o, &err), OTR_EINVAL);
    o.n_files = OTR_LIMIT_PLANE_FILES + 1;
    CHECK_INT(otr_plane_store_overview(p.s, &o, &err), OTR_EQUOTA);
    o.n_files = 1;
    o.instance = B;
    CHECK_INT(otr_plane_store_overview(p.s, &o, &err), OTR_ENOTFOUND);
    CHECK_INT(files(&p), 1);
}

T(an_instance_that_is_not_listed_any_more_goes_with_its_files)
{
    SHOP;
    REQUIRE_OK(put(&p, A, "web1", &err), err);
    REQUIRE_OK(overview(&p, "/etc/nginx/nginx.conf", &err), err);
    REQUIRE_OK(put(&p, A, "web1", &err), err);
    CHECK_INT(files(&p), 1);
    otr_plane_agent a = agent_of(A, "web1");
    a.n_instances = 0;
    REQUIRE_OK(otr_plane_store_put(p.s, &a, &err), err);
    CHECK_INT(files(&p), 0);
    CHECK_INT(otr_plane_store_health(p.s, A, I, OTR_PLANE_HEALTHY, "", 1, &err), OTR_ENOTFOUND);
}

T(too_many_instances_are_refused_as_a_whole)
{
    SHOP;
    REQUIRE_OK(put(&p, A, "web1", &err), err);
    otr_plane_agent a = agent_of(A, "changed");
    a.n_instances = OTR_LIMIT_PLANE_INSTANCES + 1;
    CHECK_INT(otr_plane_store_put(p.s, &a, &err), OTR_EQUOTA);
    const otr_plane_instance wrong = { .id = "x" };
    a.n_instances = 1;
    a.instances = &wrong;
    CHECK_INT(otr_plane_store_put(p.s, &a, &err), OTR_EINVAL);
    char id[OTR_PLANE_ID_BYTES];
    CHECK_INT(otr_plane_store_find(p.s, "changed", id, &err), OTR_ENOTFOUND);
}

T(another_certificate_does_not_take_an_id)
{
    SHOP;
    otr_plane_agent a = agent_of(A, "web1");
    a.subject = "CN = web1";
    REQUIRE_OK(otr_plane_store_put(p.s, &a, &err), err);
    REQUIRE_OK(otr_plane_store_put(p.s, &a, &err), err);
    a.subject = "CN = web2";
    CHECK_INT(otr_plane_store_put(p.s, &a, &err), OTR_EDENIED);
    a.subject = NULL;
    CHECK_INT(otr_plane_store_put(p.s, &a, &err), OTR_EDENIED);
    REQUIRE_OK(otr_plane_store_forget(p.s, A, &err), err);
    CHECK_INT(otr_plane_store_forget(p.s, A, &err), OTR_ENOTFOUND);
    a.subject = "CN = web2";
    REQUIRE_OK(otr_plane_store_put(p.s, &a, &err), err);
}

T_NO_OOM(a_second_process_is_told_and_a_folder_of_others_refused) /* locks */
{
    SHOP;
    otr_plane_store *second = NULL;
    CHECK_INT(otr_plane_store_open(p.folder, &second, &err), OTR_ESTATE);
    otr_plane_store_close(p.s);
    p.s = NULL;
    CHECK_INT(chmod(p.folder, 0777), 0);
    CHECK_INT(otr_plane_store_open(p.folder, &second, &err), OTR_EDENIED);
    CHECK_INT(chmod(p.folder, 0700), 0);
}

T_NO_OOM(a_damaged_database_is_put_aside_and_said) /* SQLite's own memory */
{
    SHOP;
    REQUIRE_OK(put(&p, A, "web1", &err), err);
    otr_plane_store_close(p.s);
    p.s = NULL;
    char path[64];
    (void)snprintf(path, sizeof(path), "%s/plane.db", p.folder);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    static const char junk[200] = "this is no database, whatever its name may say of it";
    CHECK(fd >= 0 && write(fd, junk, sizeof(junk)) == (ssize_t)sizeof(junk));
    close(fd);
    REQUIRE_OK(shop_open(&p, &err), err);
    REQUIRE(otr_plane_store_remark(p.s) != NULL);
    CHECK_HAS(otr_plane_store_remark(p.s), "plane.db.damaged");
    CHECK_INT(agents(&p), 0);
    REQUIRE_OK(put(&p, A, "web1", &err), err);
}

T_NO_OOM(a_full_disk_is_an_error_and_what_was_there_stays) /* a limit of the whole process */
{
    SHOP;
    struct rlimit before, tight = { 40000, 40000 };
    REQUIRE_OK(put(&p, A, "web1", &err), err);
    REQUIRE_OK(overview(&p, "/etc/nginx/nginx.conf", &err), err);
    REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
    tight.rlim_max = before.rlim_max;
    (void)signal(SIGXFSZ, SIG_IGN);
    REQUIRE(setrlimit(RLIMIT_FSIZE, &tight) == 0);
    otr_code rc = OTR_OK;
    for (int i = 0; i < 200 && rc == OTR_OK; i++) {
        char path[600];
        (void)snprintf(path, sizeof(path), "/%0500d", i);
        rc = overview(&p, path, &err);
    }
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &before), 0);
    CHECK_INT(rc, OTR_EIO);
    CHECK_INT(agents(&p), 1);
    CHECK_INT(files(&p), 1);
    shop_again(&p, &err);
    REQUIRE(p.s != NULL);
    CHECK_INT(files(&p), 1);
    REQUIRE_OK(overview(&p, "/etc/nginx/nginx.conf", &err), err);
}

static int on_statement(unsigned type, void *arg, void *a, void *b)
{
    int *left = arg;
    (void)type;
    (void)a;
    (void)b;
    if (--*left == 0) {
        (void)kill(getpid(), SIGKILL);
    }
    return 0;
}

/* True: the writer was killed. */
static bool kill_after(int statements)
{
    OTR_CLEANUP(shop_close) shop p = { .s = NULL };
    otr_err err = { 0 };
    int status = 0;
    CHECK_INT(shop_open(&p, &err), OTR_OK);
    CHECK_INT(put(&p, A, "web1", &err), OTR_OK);
    CHECK_INT(overview(&p, "/etc/nginx/nginx.conf", &err), OTR_OK);
    otr_plane_store_close(p.s);
    p.s = NULL;
    pid_t pid = fork();
    if (pid == 0) {
        int left = statements;
        if (shop_open(&p, &err) != OTR_OK) {
            _exit(2);
        }
        sqlite3_trace_v2(p.s->db, SQLITE_TRACE_STMT, on_statement, &left);
        bool ok = put(&p, B, "web2", &err) == OTR_OK && overview(&p, "/other", &err) == OTR_OK &&
                  otr_plane_store_forget(p.s, B, &err) == OTR_OK;
        _exit(ok ? 0 : 3);
    }
    (void)waitpid(pid, &status, 0);
    CHECK(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
    CHECK_INT(shop_open(&p, &err), OTR_OK);
    if (p.s != NULL) {
        CHECK(otr_plane_store_remark(p.s) == NULL);
        CHECK(agents(&p) >= 1);
        CHECK_INT(files(&p), 1);
    }
    return WIFSIGNALED(status);
}

T_NO_OOM(a_kill_before_any_statement_leaves_a_whole_state) /* processes of their own */
{
    int n = 1;
    while (n < 200 && kill_after(n)) {
        n++;
    }
    CHECK(n > 15 && n < 200);
}
