/* Bodies that go to a file, over a unix socket and with the client of the command line. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/http/server.h"
#include "net/http/unix.h"
#include "support/test.h"

enum { MOST = 3 << 20, PATIENCE_MS = 30000, OOM_PATIENCE_MS = 300, TEN_YEARS_MS = 1 << 30 };

typedef struct rig {
    otr_loop *loop;
    otr_pool *pool;
    otr_http_routes *routes;
    otr_http_server *server;
    char dir[64], path[96];
    unsigned calls;
    uint64_t said, found; /* bytes that the request and the file have */
    uint32_t sum;         /* of them */
    bool leave;           /* the handler does not take the file */
    otr_http_peer peer;
    char values[64];
} rig;

static void rig_deinit(rig *r)
{
    otr_http_server_free(r->server);
    otr_http_routes_free(r->routes);
    otr_pool_free(r->pool);
    otr_loop_free(r->loop);
    if (r->dir[0] != '\0') {
        (void)unlink(r->path);
        (void)rmdir(r->dir);
    }
}

static bool add_value(void *arg, const char *value)
{
    rig *r = arg;
    size_t n = strlen(r->values);
    (void)snprintf(r->values + n, sizeof(r->values) - n, "%s;", value);
    return true;
}

static void add_sum(rig *r, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        r->sum = r->sum * 31 + p[i];
    }
}

static int make_file(uint64_t bytes, rig *r)
{
    char path[] = "/tmp/otr-upload-file-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    uint8_t part[4096];
    (void)unlink(path);
    for (uint64_t at = 0; at < bytes;) {
        size_t n = bytes - at < sizeof(part) ? (size_t)(bytes - at) : sizeof(part);
        for (size_t i = 0; i < n; i++) {
            part[i] = (uint8_t)((at + i) * 2654435761U >> 13);
        }
        if (write(fd, part, n) != (ssize_t)n) {
            break;
        }
        add_sum(r, part, n);
        at += n;
    }
    return fd;
}

static otr_code on_upload(void *arg, const otr_http_request *req, otr_http_reply *reply,
                          otr_err *err)
{
    rig *r = arg;
    uint8_t bytes[65536];
    ssize_t n;
    r->calls++;
    r->said = req->uploaded;
    r->peer = req->peer;
    otr_http_query_each(req, "v", add_value, r);
    int fd = r->leave ? -1 : otr_http_take_upload(req);
    while (fd >= 0 && (n = read(fd, bytes, sizeof(bytes))) > 0) {
        add_sum(r, bytes, (size_t)n);
        r->found += (uint64_t)n;
    }
    if (fd >= 0) {
        CHECK_INT(otr_http_take_upload(req), -1);
        close(fd);
    }
    return otr_buf_addf(&reply->body, err, "{\"bytes\":%llu}", (unsigned long long)r->said);
}

static void nothing(void *arg)
{
    (void)arg;
}

/* GET /file?bytes=N: so many of a file, later. */
static otr_code on_file(void *arg, const otr_http_request *req, otr_http_reply *reply, otr_err *err)
{
    rig *r = arg;
    otr_http_later *later = NULL;
    const char *bytes = otr_http_query(req, "bytes");
    otr_code rc = otr_http_later_open(req, reply, nothing, r, &later, err);
    if (rc == OTR_OK) {
        rig other = { .calls = 0 };
        uint64_t n = bytes != NULL ? strtoull(bytes, NULL, 10) : 0;
        otr_http_later_send_file(later, make_file(n, &other), n, "application/x-tar");
        r->sum = other.sum;
        r->calls++;
    }
    return rc;
}

typedef struct terms {
    const char *folder; /* NULL: the rig's */
    bool on_loop;
    uint64_t request_ms;
} terms;

static otr_code rig_init(rig *r, const terms *t, otr_err *err)
{
    (void)snprintf(r->dir, sizeof(r->dir), "/tmp/otr-upload-XXXXXX");
    if (mkdtemp(r->dir) == NULL) {
        return otr_fail(err, OTR_EIO, "no folder");
    }
    (void)snprintf(r->path, sizeof(r->path), "%s/s.sock", r->dir);
    otr_http_listen listen = { .unix_path = r->path, .bounds = { .request_ms = t->request_ms } };
    otr_code rc = otr_loop_new(&r->loop, err);
    rc = rc != OTR_OK ? rc : otr_pool_new(r->loop, 1, &r->pool, err);
    rc = rc != OTR_OK ? rc : otr_http_routes_new(&r->routes, err);
    otr_http_upload upload = { .folder = t->folder != NULL ? t->folder : r->dir,
                               .max_bytes = MOST,
                               .arrive_ms = TEN_YEARS_MS,
                               .pool = t->on_loop ? NULL : r->pool };
    rc = rc != OTR_OK ? rc
                      : otr_http_route_upload(r->routes, "POST", "/up", &upload, on_upload, r, err);
    rc = rc != OTR_OK ? rc : otr_http_route(r->routes, "GET", "/file", on_file, r, err);
    return rc != OTR_OK ? rc : otr_http_server_new(r->loop, r->routes, &listen, &r->server, err);
}

#define RIG(...)                                    \
    otr_err err = { 0 };                            \
    OTR_CLEANUP(rig_deinit) rig r = { .calls = 0 }; \
    REQUIRE_OK(rig_init(&r, &(terms){ __VA_ARGS__ }, &err), err)

/* ---- one request, by a thread of its own ---- */

typedef struct asker {
    otr_unix_http spec;
    pthread_t thread;
    _Atomic bool done;
    otr_code rc;
    otr_err err;
    unsigned status;
    otr_buf body;
    int save; /* the answer goes there; used with `saves` */
    bool saves;
} asker;

static void *ask_in_thread(void *arg)
{
    asker *a = arg;
    a->rc = a->saves ? otr_unix_http_save(&a->spec, a->save, &a->status, &a->body, &a->err)
                     : otr_unix_http_ask(&a->spec, &a->status, &a->body, &a->err);
    atomic_store(&a->done, true);
    return NULL;
}

/* Sends `bytes` from a file; the status, 0 when there was no answer. `ret_sum`: of what was sent.
 */
static unsigned upload(rig *r, const char *target, uint64_t bytes, uint32_t *ret_sum, asker *a)
{
    rig other = { .calls = 0 };
    int fd = make_file(bytes, &other);
    *ret_sum = other.sum;
    *a = (asker){ .spec = { .socket_path = r->path,
                            .method = "POST",
                            .target = target,
                            .body_fd = fd,
                            .body_bytes = bytes,
                            .timeout_ms = PATIENCE_MS } };
    otr_buf_init(&a->body, 4096);
    if (otr_alloc_failed() > 0) {
        a->spec.timeout_ms = OOM_PATIENCE_MS;
    }
    uint64_t until = otr_now_ns() + 2 * PATIENCE_MS * OTR_NS_PER_MS;
    if (pthread_create(&a->thread, NULL, ask_in_thread, a) == 0) {
        while (!atomic_load(&a->done) && otr_now_ns() < until) {
            otr_loop_step(r->loop, 5);
        }
        pthread_join(a->thread, NULL);
    }
    close(fd);
    otr_buf_deinit(&a->body);
    return a->rc == OTR_OK ? a->status : 0;
}

/* The client's thread allocates beside the test's: which of them fails is chance. */

T_NO_OOM(a_body_arrives_whole_in_a_file_at_and_around_what_is_written_at_a_time)
{
    static const uint64_t sizes[] = { 1, 65535, 65536, 65537, 262144, 327681, MOST };
    for (int on_loop = 0; on_loop < 2; on_loop++) {
        RIG(.on_loop = on_loop != 0);
        for (size_t i = 0; i < OTR_COUNT(sizes); i++) {
            uint32_t sum;
            asker a;
            r.sum = 0;
            r.found = 0;
            CHECK_INT(upload(&r, "/up", sizes[i], &sum, &a), 200);
            CHECK_INT(r.said, sizes[i]);
            CHECK_INT(r.found, sizes[i]);
            CHECK_INT(r.sum, sum);
        }
    }
}

T_NO_OOM(a_body_above_the_limit_is_refused_before_it_is_sent)
{
    RIG(.on_loop = false);
    uint32_t sum;
    asker a;
    CHECK_INT(upload(&r, "/up", MOST + 1, &sum, &a), 413);
    CHECK_INT(r.calls, 0);
}

T_NO_OOM(no_body_is_no_file)
{
    RIG(.on_loop = false);
    uint32_t sum;
    asker a;
    CHECK_INT(upload(&r, "/up", 0, &sum, &a), 200);
    CHECK_INT(r.calls, 1);
    CHECK_INT(r.said, 0);
}

static int lowest_fd(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(fd);
    return fd;
}

T_NO_OOM(a_file_that_is_not_taken_is_closed)
{
    RIG(.on_loop = false);
    uint32_t sum;
    asker a;
    r.leave = true;
    CHECK_INT(upload(&r, "/up", 100000, &sum, &a), 200);
    int before = lowest_fd();
    for (int i = 0; i < 5; i++) {
        CHECK_INT(upload(&r, "/up", 100000, &sum, &a), 200);
    }
    for (int i = 0; i < 5; i++) {
        otr_loop_step(r.loop, 1);
    }
    CHECK_INT(lowest_fd(), before);
}

T_NO_OOM(a_folder_that_is_gone_is_named)
{
    RIG(.folder = "/nowhere/spool");
    uint32_t sum;
    asker a;
    CHECK_INT(upload(&r, "/up", 100, &sum, &a), 507);
    CHECK_INT(r.calls, 0);
}

T_NO_OOM(a_full_disk_is_said_at_the_end)
{
    for (int on_loop = 0; on_loop < 2; on_loop++) {
        RIG(.on_loop = on_loop != 0);
        uint32_t sum;
        asker a;
        struct rlimit old, small;
        REQUIRE(getrlimit(RLIMIT_FSIZE, &old) == 0);
        small = (struct rlimit){ .rlim_cur = MOST / 2, .rlim_max = old.rlim_max };
        void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
        /* The file that is sent has room: the limit comes after it is made. */
        rig other = { .calls = 0 };
        int fd = make_file(MOST, &other);
        REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
        a = (asker){ .spec = { .socket_path = r.path,
                               .method = "POST",
                               .target = "/up",
                               .body_fd = fd,
                               .body_bytes = MOST,
                               .timeout_ms = PATIENCE_MS } };
        otr_buf_init(&a.body, 4096);
        REQUIRE(pthread_create(&a.thread, NULL, ask_in_thread, &a) == 0);
        uint64_t until = otr_now_ns() + 2 * PATIENCE_MS * OTR_NS_PER_MS;
        while (!atomic_load(&a.done) && otr_now_ns() < until) {
            otr_loop_step(r.loop, 5);
        }
        pthread_join(a.thread, NULL);
        close(fd);
        bool restored = setrlimit(RLIMIT_FSIZE, &old) == 0;
        (void)signal(SIGXFSZ, handler);
        CHECK(restored);
        CHECK_INT(a.status, 507);
        CHECK_HAS(otr_buf_text(&a.body), r.dir);
        CHECK_INT(r.calls, 0);
        otr_buf_deinit(&a.body);
        CHECK_INT(upload(&r, "/up", 1000, &sum, &a), 200);
    }
}

T_NO_OOM(who_asks_is_told_by_the_kernel_and_values_come_several_times)
{
    RIG(.on_loop = false);
    uint32_t sum;
    asker a;
    CHECK_INT(upload(&r, "/up?v=a&w=x&v=b%20c&v", 10, &sum, &a), 200);
    CHECK(r.peer.known);
    CHECK_INT(r.peer.uid, getuid());
    CHECK_INT(r.peer.pid, getpid());
    CHECK_STR(r.values, "a;b c;;");
}

static unsigned save(rig *r, const char *target, asker *a)
{
    char path[] = "/tmp/otr-upload-file-XXXXXX";
    *a = (asker){ .spec = { .socket_path = r->path,
                            .method = "GET",
                            .target = target,
                            .timeout_ms = PATIENCE_MS },
                  .save = mkostemp(path, O_CLOEXEC),
                  .saves = true };
    (void)unlink(path);
    otr_buf_init(&a->body, 4096);
    uint64_t until = otr_now_ns() + 2 * PATIENCE_MS * OTR_NS_PER_MS;
    if (pthread_create(&a->thread, NULL, ask_in_thread, a) == 0) {
        while (!atomic_load(&a->done) && otr_now_ns() < until) {
            otr_loop_step(r->loop, 5);
        }
        pthread_join(a->thread, NULL);
    }
    return a->rc == OTR_OK ? a->status : 0;
}

T_NO_OOM(a_file_is_an_answer_of_any_size)
{
    static const char *const sizes[] = { "0", "1", "4096", "3000001" };
    RIG(.on_loop = false);
    int before = lowest_fd();
    for (size_t i = 0; i < OTR_COUNT(sizes); i++) {
        char target[64];
        uint8_t bytes[65536];
        asker a;
        rig got = { .calls = 0 };
        ssize_t n;
        (void)snprintf(target, sizeof(target), "/file?bytes=%s", sizes[i]);
        CHECK_INT(save(&r, target, &a), 200);
        CHECK_INT(lseek(a.save, 0, SEEK_SET), 0);
        while ((n = read(a.save, bytes, sizeof(bytes))) > 0) {
            add_sum(&got, bytes, (size_t)n);
            got.found += (uint64_t)n;
        }
        close(a.save);
        otr_buf_deinit(&a.body);
        CHECK_INT(got.found, strtoull(sizes[i], NULL, 10));
        CHECK_INT(got.sum, r.sum);
    }
    asker a;
    CHECK_INT(save(&r, "/nothing", &a), 404);
    CHECK_INT(lseek(a.save, 0, SEEK_END), 0);
    CHECK_HAS(otr_buf_text(&a.body), "there is nothing at /nothing");
    close(a.save);
    otr_buf_deinit(&a.body);
    for (int i = 0; i < 5; i++) {
        otr_loop_step(r.loop, 1);
    }
    CHECK_INT(lowest_fd(), before);
}

/* ---- raw peers ---- */

static int dial(const rig *r)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    memcpy(at.sun_path, r->path, sizeof(r->path));
    if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at)) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* Sends until all is sent, the peer has closed, or nothing moves any more. */
static size_t say(rig *r, int fd, const char *text, size_t n)
{
    size_t sent = 0;
    uint64_t until =
        otr_now_ns() + (otr_alloc_failed() > 0 ? OOM_PATIENCE_MS : PATIENCE_MS) * OTR_NS_PER_MS;
    while (sent < n && otr_now_ns() < until) {
        ssize_t got = send(fd, text + sent, n - sent, MSG_NOSIGNAL);
        if (got < 0 && errno != EAGAIN) {
            break;
        }
        sent += got > 0 ? (size_t)got : 0;
        otr_loop_step(r->loop, 0);
    }
    return sent;
}

static bool is_closed(rig *r, int fd, uint64_t within_ms)
{
    char bytes[4096];
    uint64_t until = otr_now_ns() + within_ms * OTR_NS_PER_MS;
    while (otr_now_ns() < until) {
        ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            return true;
        }
        otr_loop_step(r->loop, 5);
    }
    return false;
}

#define HEAD "POST /up HTTP/1.1\r\nHost: localhost\r\n"

T(a_chunked_body_above_the_limit_is_refused_at_its_end)
{
    RIG(.on_loop = false);
    int fd = dial(&r);
    REQUIRE(fd >= 0);
    char *chunk = otr_alloc(1 << 20);
    bool ok = chunk != NULL;
    if (ok) {
        memset(chunk, 'x', 1 << 20);
    }
    static const char head[] = HEAD "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    (void)say(&r, fd, head, sizeof(head) - 1);
    for (int i = 0; ok && i < 4; i++) {
        (void)say(&r, fd, "100000\r\n", 8);
        ok = say(&r, fd, chunk, 1 << 20) == 1 << 20;
        (void)say(&r, fd, "\r\n", 2);
    }
    (void)say(&r, fd, "0\r\n\r\n", 5);
    otr_free(chunk);
    char answer[2048] = "";
    uint64_t until = otr_now_ns() + (otr_alloc_failed() > 0 ? 50 : PATIENCE_MS) * OTR_NS_PER_MS;
    while (answer[0] == '\0' && otr_now_ns() < until) {
        otr_loop_step(r.loop, 5);
        if (recv(fd, answer, sizeof(answer) - 1, 0) == 0) {
            break;
        }
    }
    close(fd);
    CHECK_HAS(answer, "413");
    CHECK_INT(r.calls, 0);
}

T(who_falls_silent_in_the_middle_is_cut)
{
    RIG(.request_ms = 30);
    int fd = dial(&r);
    REQUIRE(fd >= 0);
    static const char head[] = HEAD "Content-Length: 100000\r\n\r\nabc";
    (void)say(&r, fd, head, sizeof(head) - 1);
    bool closed = is_closed(&r, fd, PATIENCE_MS);
    close(fd);
    CHECK(closed);
    CHECK_INT(r.calls, 0);
}

T(a_server_that_ends_in_the_middle_of_uploads_leaves_nothing)
{
    RIG(.on_loop = false);
    enum { PEERS = 8, BYTES = 1 << 20 };
    int fds[PEERS];
    char *text = otr_alloc(BYTES);
    static const char head[] = HEAD "Content-Length: 2000000\r\n\r\n";
    if (text != NULL) {
        memset(text, 'x', BYTES);
    }
    for (int i = 0; i < PEERS; i++) {
        fds[i] = dial(&r);
        if (text != NULL && fds[i] >= 0) {
            (void)say(&r, fds[i], head, sizeof(head) - 1);
            (void)send(fds[i], text, BYTES, MSG_NOSIGNAL);
        }
    }
    otr_loop_step(r.loop, 0); /* some are written now, some wait for it */
    otr_http_server_free(r.server);
    r.server = NULL;
    for (int i = 0; i < PEERS; i++) {
        close(fds[i]);
    }
    otr_free(text);
    CHECK_INT(r.calls, 0);
}

T(who_goes_away_in_the_middle_leaves_nothing)
{
    RIG(.on_loop = false);
    int before = lowest_fd();
    for (int i = 0; i < 4; i++) {
        int fd = dial(&r);
        REQUIRE(fd >= 0);
        static const char head[] = HEAD "Content-Length: 2000000\r\n\r\nabc";
        (void)say(&r, fd, head, sizeof(head) - 1);
        close(fd);
    }
    uint64_t until = otr_now_ns() + PATIENCE_MS * OTR_NS_PER_MS;
    while (lowest_fd() != before && otr_now_ns() < until && otr_alloc_failed() == 0) {
        otr_loop_step(r.loop, 5);
    }
    CHECK_INT(lowest_fd(), before);
    CHECK_INT(r.calls, 0);
}
