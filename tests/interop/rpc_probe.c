/*
 * Our gRPC layer as a program, for tests against other implementations.
 *
 *     rpc_probe server listen=ADDRESS [cert= key= ca=] [limits…]
 *     rpc_probe client target=TARGET [ca= cert= key= name= skip=1 | tls=1] [token=] [proxy= …]
 *
 * Commands come as lines on standard input: words, the first names the command, the others are
 * key=value. What happens goes to standard output: lines of fields with tabs between them, values
 * with %XX for what is not printable.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "loop/loop.h"
#include "net/rpc/channel.h"
#include "net/rpc/server.h"
#include "net/rpc/text.h"

enum { WORDS = 64, LINE = 8192 };

static otr_loop *loop;
static otr_rpc_channel *channel;
static otr_rpc_server *server;
static otr_tls *tls, *proxy_tls;
static otr_rpc_token *token;
static bool quiet;

/* ---- words ---- */

typedef struct words {
    size_t n;
    char *all[WORDS];
} words;

static const char *text_of(const words *w, const char *key, const char *otherwise)
{
    size_t n = strlen(key);
    for (size_t i = 0; i < w->n; i++) {
        if (strncmp(w->all[i], key, n) == 0 && w->all[i][n] == '=') {
            return w->all[i] + n + 1;
        }
    }
    return otherwise;
}

static unsigned long long number_of(const words *w, const char *key, unsigned long long otherwise)
{
    const char *text = text_of(w, key, NULL);
    return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static void say_text(const char *key, otr_bytes value)
{
    otr_buf out;
    otr_buf_init(&out, 1 << 20);
    if (otr_rpc_percent_add(value, &out, NULL) == OTR_OK) {
        printf("\t%s=%s", key, otr_buf_text(&out));
    }
    otr_buf_deinit(&out);
}

static void say_metadata(const char *prefix, const otr_rpc_metadata *md)
{
    char key[512];
    for (size_t i = 0; i < md->n; i++) {
        snprintf(key, sizeof key, "%s%s", prefix, md->items[i].name);
        say_text(key, md->items[i].value);
    }
}

static void end_line(void)
{
    printf("\n");
    fflush(stdout);
}

static long rss_kb(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f != NULL) {
        if (fscanf(f, "%*s %ld", &pages) != 1) {
            pages = 0;
        }
        fclose(f);
    }
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* ---- the server's methods ---- */

typedef struct serving {
    otr_rpc_call *call;
    char kind; /* first letter of the method */
    unsigned long long count, size, bytes;
    bool ended;
    otr_timer *timer;
} serving;

static void serving_free(serving *s)
{
    otr_timer_free(s->timer);
    otr_rpc_call_free(s->call);
    otr_free(s);
}

static void pour(serving *s)
{
    uint8_t *data = calloc(1, s->size + 1);
    while (s->count > 0 && !otr_rpc_call_full(s->call)) {
        if (otr_rpc_call_send(s->call, (otr_bytes){ data, s->size }, NULL) != OTR_OK) {
            break;
        }
        s->count--;
    }
    free(data);
    if (s->count == 0 && !s->ended) {
        s->ended = true;
        otr_rpc_call_end(s->call, OTR_RPC_OK, NULL, NULL);
    }
}

static void read_on(void *arg)
{
    serving *s = arg;
    otr_rpc_call_resume(s->call);
}

static void served_status(serving *s, otr_bytes message)
{
    char text[256];
    snprintf(text, sizeof text, "%.*s", (int)message.n, (const char *)message.p);
    char *rest = NULL;
    unsigned long code = strtoul(text, &rest, 10);
    otr_rpc_metadata md;
    otr_rpc_metadata_init(&md, 65536);
    (void)!otr_rpc_metadata_adds(&md, "x-why", "asked", NULL);
    (void)!otr_rpc_metadata_add(&md, "x-raw-bin", (otr_bytes){ (const uint8_t *)"\0\1\xff", 3 },
                                NULL);
    otr_rpc_call_end(s->call, (otr_rpc_status)code, *rest == ' ' ? rest + 1 : rest, &md);
    otr_rpc_metadata_deinit(&md);
}

static void on_message(void *arg, otr_rpc_call *call, otr_bytes message)
{
    serving *s = arg;
    char text[64];
    s->bytes += message.n;
    switch (s->kind) {
    case 'E': /* Echo */
        if (otr_rpc_call_send(call, message, NULL) != OTR_OK) {
            otr_rpc_call_end(call, OTR_RPC_RESOURCE_EXHAUSTED, "the queue is full", NULL);
        } else if (otr_rpc_call_full(call)) {
            otr_rpc_call_pause(call);
        }
        break;
    case 'P': /* Pour: "count size" */
        snprintf(text, sizeof text, "%.*s", (int)message.n, (const char *)message.p);
        (void)sscanf(text, "%llu %llu", &s->count, &s->size);
        pour(s);
        break;
    case 'S': /* Status: "code text" */
        served_status(s, message);
        break;
    case 'L': /* Lazy: reads one message, then none for a while */
        otr_rpc_call_pause(call);
        otr_timer_start(s->timer, 300, 0);
        break;
    default:
        break;
    }
}

static void on_finished(void *arg, otr_rpc_call *call)
{
    serving *s = arg;
    char text[64];
    if (s->kind == 'E') {
        otr_rpc_call_end(call, OTR_RPC_OK, NULL, NULL);
    } else if (s->kind == 'C' || s->kind == 'L') { /* Count: the bytes that came */
        snprintf(text, sizeof text, "%llu", s->bytes);
        (void)!otr_rpc_call_send(call, otr_bytes_of(text), NULL);
        otr_rpc_call_end(call, OTR_RPC_OK, NULL, NULL);
    }
}

static void on_writable(void *arg, otr_rpc_call *call)
{
    serving *s = arg;
    if (s->kind == 'P') {
        pour(s);
    } else {
        otr_rpc_call_resume(call);
    }
}

static void on_served(void *arg, otr_rpc_call *call, const otr_rpc_end *end)
{
    (void)call;
    if (!quiet) {
        printf("served\tstatus=%d", end->status);
        say_text("message", otr_bytes_of(end->message));
        end_line();
    }
    serving_free(arg);
}

static const otr_rpc_call_ops serving_ops = {
    .message = on_message,
    .finished = on_finished,
    .writable = on_writable,
    .closed = on_served,
};

/* Metadata: what came goes back, before and after. */
static void serve_metadata(serving *s)
{
    otr_rpc_metadata md;
    otr_tls_peer peer;
    otr_rpc_metadata_init(&md, 65536);
    const otr_rpc_metadata *got = otr_rpc_call_metadata(s->call);
    for (size_t i = 0; i < got->n; i++) {
        if (strncmp(got->items[i].name, "x-", 2) == 0) {
            (void)!otr_rpc_metadata_add(&md, got->items[i].name, got->items[i].value, NULL);
        }
    }
    (void)!otr_rpc_metadata_adds(&md, "seen-authorization",
                                 otr_rpc_metadata_text(got, "authorization"), NULL);
    (void)!otr_rpc_metadata_adds(&md, "seen-user-agent", otr_rpc_metadata_text(got, "user-agent"),
                                 NULL);
    (void)!otr_rpc_metadata_adds(&md, "seen-authority", otr_rpc_call_authority(s->call), NULL);
    (void)!otr_rpc_metadata_adds(&md, "seen-peer", otr_rpc_call_peer(s->call), NULL);
    if (otr_rpc_call_peer_tls(s->call, &peer)) {
        (void)!otr_rpc_metadata_adds(&md, "seen-subject", peer.subject, NULL);
    }
    (void)!otr_rpc_call_headers(s->call, &md, NULL);
    otr_rpc_call_end(s->call, OTR_RPC_OK, NULL, &md);
    otr_rpc_metadata_deinit(&md);
}

static void on_call(void *arg, otr_rpc_call *call)
{
    static const char service[] = "/t.S/";
    (void)arg;
    const char *path = otr_rpc_call_path(call);
    if (strncmp(path, service, sizeof service - 1) != 0 ||
        strchr("EPSLCHM", path[sizeof service - 1]) == NULL) {
        return; /* nobody serves it: the peer hears the status UNIMPLEMENTED */
    }
    serving *s = otr_zalloc(sizeof *s);
    if (s == NULL) {
        return;
    }
    s->call = call;
    s->kind = path[sizeof service - 1];
    otr_rpc_call_accept(call, &serving_ops, s);
    if (otr_timer_new(loop, read_on, s, &s->timer, NULL) == OTR_OK && s->kind == 'M') {
        serve_metadata(s);
    }
}

/* ---- the client's calls ---- */

typedef struct batch { /* calls of one command */
    unsigned long long left, under_way, begun, most;
    unsigned long long messages, bytes, ok;
    uint64_t start_ns;
    words w;
    char line[LINE];
    char id[64];
} batch;

typedef struct calling {
    otr_rpc_call *call;
    batch *batch;
    unsigned long long to_send, size, got, got_bytes, pause_ms, cancel_got;
    const char *text;
    bool finish, finished, headers;
    otr_timer *timer, *cancel;
} calling;

static void begin_more(batch *b);

static void feed(calling *c)
{
    uint8_t *data = calloc(1, c->size + 1);
    while (c->to_send > 0 && !otr_rpc_call_full(c->call)) {
        otr_err err = { 0 };
        otr_bytes message = c->text != NULL ? otr_bytes_of(c->text) : (otr_bytes){ data, c->size };
        if (otr_rpc_call_send(c->call, message, &err) != OTR_OK) {
            printf("refused");
            say_text("message", otr_bytes_of(err.msg));
            end_line();
            c->to_send = 0;
            break;
        }
        c->to_send--;
    }
    free(data);
    if (c->to_send == 0 && c->finish && !c->finished) {
        c->finished = true;
        otr_rpc_call_finish(c->call);
    }
}

static void on_answer_headers(void *arg, otr_rpc_call *call, const otr_rpc_metadata *md)
{
    calling *c = arg;
    (void)call;
    c->headers = true;
    if (!quiet) {
        printf("headers\tid=%s", c->batch->id);
        say_metadata("h:", md);
        end_line();
    }
}

static void read_again(void *arg)
{
    calling *c = arg;
    otr_rpc_call_resume(c->call);
}

static void cancel_now(void *arg)
{
    calling *c = arg;
    otr_rpc_call_cancel(c->call);
}

static void on_answer(void *arg, otr_rpc_call *call, otr_bytes message)
{
    calling *c = arg;
    c->got++;
    c->got_bytes += message.n;
    if (!quiet && message.n <= 64) {
        printf("message\tid=%s", c->batch->id);
        say_text("data", message);
        end_line();
    }
    if (c->pause_ms > 0) {
        otr_rpc_call_pause(call);
        otr_timer_start(c->timer, c->pause_ms, 0);
    }
    if (c->got == c->cancel_got) {
        otr_rpc_call_cancel(call);
    }
}

static void on_can_write(void *arg, otr_rpc_call *call)
{
    (void)call;
    feed(arg);
}

static void on_closed(void *arg, otr_rpc_call *call, const otr_rpc_end *end)
{
    calling *c = arg;
    batch *b = c->batch;
    (void)call;
    b->messages += c->got;
    b->bytes += c->got_bytes;
    b->ok += end->status == OTR_RPC_OK;
    if (!quiet || end->status != OTR_RPC_OK) {
        printf("closed\tid=%s\tstatus=%d\tanswered=%d\tgot=%llu\tbytes=%llu\theaders=%d", b->id,
               end->status, end->answered, c->got, c->got_bytes, c->headers);
        say_text("message", otr_bytes_of(end->message));
        say_metadata("t:", end->trailers);
        end_line();
    }
    otr_timer_free(c->timer);
    otr_timer_free(c->cancel);
    otr_rpc_call_free(c->call);
    otr_free(c);
    b->under_way--;
    begin_more(b);
}

static const otr_rpc_call_ops calling_ops = {
    .headers = on_answer_headers,
    .message = on_answer,
    .writable = on_can_write,
    .closed = on_closed,
};

static otr_code begin(batch *b, otr_err *err)
{
    otr_rpc_metadata md;
    calling *c = otr_zalloc(sizeof *c);
    if (c == NULL) {
        return otr_fail_nomem(err);
    }
    c->batch = b;
    c->to_send = number_of(&b->w, "count", 1);
    c->size = number_of(&b->w, "size", 0);
    c->text = text_of(&b->w, "text", NULL);
    c->pause_ms = number_of(&b->w, "pause", 0);
    c->cancel_got = number_of(&b->w, "cancel_got", 0);
    c->finish = number_of(&b->w, "finish", 1) != 0;
    otr_rpc_metadata_init(&md, 65536);
    otr_code rc = OTR_OK;
    for (size_t i = 0; i < b->w.n && rc == OTR_OK; i++) { /* m:name=value */
        char *at = strncmp(b->w.all[i], "m:", 2) == 0 ? strchr(b->w.all[i], '=') : NULL;
        if (at != NULL) {
            char name[128];
            snprintf(name, sizeof name, "%.*s", (int)(at - b->w.all[i] - 2), b->w.all[i] + 2);
            rc = otr_rpc_metadata_adds(&md, name, at + 1, err);
        }
    }
    const otr_rpc_call_spec spec = {
        .path = text_of(&b->w, "path", "/t.S/Echo"),
        .metadata = &md,
        .timeout_ms = number_of(&b->w, "timeout", 0),
        .wait = number_of(&b->w, "wait", 0) != 0 ? OTR_RPC_WAIT_FOR_READY : OTR_RPC_FAIL_FAST,
        .ops = &calling_ops,
        .arg = c,
    };
    rc = rc == OTR_OK ? otr_rpc_call_start(channel, &spec, &c->call, err) : rc;
    otr_rpc_metadata_deinit(&md);
    if (rc != OTR_OK) {
        otr_free(c);
        return rc;
    }
    (void)!otr_timer_new(loop, read_again, c, &c->timer, NULL);
    (void)!otr_timer_new(loop, cancel_now, c, &c->cancel, NULL);
    if (text_of(&b->w, "cancel", NULL) != NULL) {
        otr_timer_start(c->cancel, number_of(&b->w, "cancel", 0), 0);
    }
    feed(c);
    return OTR_OK;
}

static void begin_more(batch *b)
{
    otr_err err = { 0 };
    while (b->left > 0 && b->under_way < b->most) {
        b->left--;
        b->under_way++;
        if (begin(b, &err) != OTR_OK) {
            printf("error");
            say_text("message", otr_bytes_of(err.msg));
            end_line();
            b->under_way--;
        }
    }
    if (b->left == 0 && b->under_way == 0) {
        printf("done\tid=%s\tok=%llu\tmessages=%llu\tbytes=%llu\tms=%llu\trss=%ld", b->id, b->ok,
               b->messages, b->bytes,
               (unsigned long long)((otr_now_ns() - b->start_ns) / OTR_NS_PER_MS), rss_kb());
        end_line();
        otr_free(b);
    }
}

/* ---- commands ---- */

static void split(char *line, words *w)
{
    w->n = 0;
    for (char *p = line; *p != '\0' && w->n < WORDS;) {
        p += strspn(p, " \n");
        if (*p != '\0') {
            w->all[w->n++] = p;
            p += strcspn(p, " \n");
            if (*p != '\0') {
                *p++ = '\0';
            }
        }
    }
}

static void do_call(const char *line)
{
    batch *b = otr_zalloc(sizeof *b);
    if (b == NULL) {
        exit(1);
    }
    snprintf(b->line, sizeof b->line, "%s", line);
    split(b->line, &b->w);
    snprintf(b->id, sizeof b->id, "%s", text_of(&b->w, "id", "0"));
    b->left = number_of(&b->w, "calls", 1);
    b->most = number_of(&b->w, "at_once", 1);
    b->start_ns = otr_now_ns();
    begin_more(b);
}

static void do_info(void)
{
    printf("info\trss=%ld", rss_kb());
    if (channel != NULL) {
        otr_rpc_channel_info info;
        otr_rpc_channel_read(channel, &info);
        printf("\tstate=%s\tconnects=%llu\tattempts=%u\tcalls=%zu\twaiting=%zu\ttls=%s",
               otr_rpc_state_name(info.state), (unsigned long long)info.connects, info.attempts,
               info.calls, info.waiting, info.peer.version);
        say_text("error", otr_bytes_of(info.last_error));
    }
    if (server != NULL) {
        otr_rpc_server_info info;
        otr_rpc_server_read(server, &info);
        printf("\tconnections=%zu\tcalls=%zu\taccepted=%llu\trefused=%llu", info.connections,
               info.calls, (unsigned long long)info.accepted, (unsigned long long)info.refused);
        say_text("error", otr_bytes_of(info.last_error));
    }
    end_line();
}

static void on_stopped(void *arg)
{
    (void)arg;
    printf("stopped");
    end_line();
    otr_loop_stop(loop);
}

static void obey(const char *line)
{
    char copy[LINE];
    words w;
    snprintf(copy, sizeof copy, "%s", line);
    split(copy, &w);
    if (w.n == 0) {
        return;
    }
    if (strcmp(w.all[0], "call") == 0 && channel != NULL) {
        do_call(line);
    } else if (strcmp(w.all[0], "info") == 0) {
        do_info();
    } else if (strcmp(w.all[0], "connect") == 0 && channel != NULL) {
        otr_rpc_channel_connect(channel);
    } else if (strcmp(w.all[0], "renew") == 0 && channel != NULL) {
        otr_rpc_channel_renew(channel);
    } else if (strcmp(w.all[0], "stop") == 0 && server != NULL) {
        otr_rpc_server_stop(server, number_of(&w, "ms", 5000), on_stopped, NULL);
    } else if (strcmp(w.all[0], "quit") == 0) {
        otr_loop_stop(loop);
    } else {
        printf("unknown");
        end_line();
    }
}

static otr_watch *input;

static void on_input(void *arg, int events)
{
    static otr_buf line;
    char bytes[4096];
    (void)arg;
    (void)events;
    if (line.max_bytes == 0) {
        otr_buf_init(&line, 1 << 20);
    }
    ssize_t n = read(0, bytes, sizeof bytes);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    for (ssize_t i = 0; i < n; i++) {
        if (bytes[i] == '\n') {
            obey(otr_buf_text(&line));
            otr_buf_clear(&line);
        } else if (otr_buf_addc(&line, bytes[i], NULL) != OTR_OK) {
            exit(1);
        }
    }
    if (n <= 0) {
        otr_watch_stop(input);
        otr_buf_deinit(&line);
        otr_loop_stop(loop);
    }
}

/* ---- start ---- */

static void on_state(void *arg, otr_rpc_state state, const char *why)
{
    (void)arg;
    printf("state\tstate=%s", otr_rpc_state_name(state));
    say_text("why", otr_bytes_of(why));
    end_line();
}

static void on_files(void *arg, otr_tls_change change, const char *why)
{
    (void)arg;
    printf("files\tchange=%s", change == OTR_TLS_TAKEN ? "taken" : "refused");
    say_text("why", otr_bytes_of(why));
    end_line();
    if (change == OTR_TLS_TAKEN) {
        otr_rpc_channel_renew(channel);
    }
}

static const otr_rpc_channel_ops channel_ops = { .state = on_state, .files = on_files };

static otr_rpc_limits limits_of(const words *w)
{
    return (otr_rpc_limits){
        .max_recv_bytes = number_of(w, "max_recv", 0),
        .max_send_bytes = number_of(w, "max_send", 0),
        .max_streams = (unsigned)number_of(w, "streams", 0),
        .sent_bytes = number_of(w, "sent", 0),
        .held_bytes = number_of(w, "held", 0),
        .header_bytes = number_of(w, "header_bytes", 0),
        .keepalive_ms = number_of(w, "keepalive", 0),
        .keepalive_timeout_ms = number_of(w, "keepalive_timeout", 0),
        .keepalive_idle = number_of(w, "keepalive_idle", 1) != 0,
        .min_ping_ms = number_of(w, "min_ping", 0),
        .handshake_ms = number_of(w, "handshake", 0),
    };
}

static otr_code make_tls(const words *w, const char *prefix, otr_tls_role role, otr_tls **ret,
                         otr_err *err)
{
    char key[5][32];
    static const char *const names[] = { "ca", "cert", "key", "name", "skip" };
    for (size_t i = 0; i < 5; i++) {
        snprintf(key[i], sizeof key[i], "%s%s", prefix, names[i]);
    }
    const char *ca = text_of(w, key[0], "");
    bool none = role == OTR_TLS_SERVER ? ca[0] == '\0' : number_of(w, key[4], 0) != 0;
    const otr_tls_spec spec = {
        .role = role,
        .check = none ? OTR_TLS_CHECK_NONE : OTR_TLS_CHECK,
        .alpn = prefix[0] == '\0' ? OTR_TLS_ALPN_H2 : OTR_TLS_ALPN_NONE,
        .ca = ca,
        .cert = text_of(w, key[1], ""),
        .key = text_of(w, key[2], ""),
        .server_name = text_of(w, key[3], ""),
    };
    return otr_tls_new(&spec, ret, err);
}

static otr_code start_client(const words *w, otr_err *err)
{
    otr_code rc = OTR_OK;
    if (text_of(w, "tls", NULL) != NULL) {
        rc = make_tls(w, "", OTR_TLS_CLIENT, &tls, err);
    }
    if (rc == OTR_OK && text_of(w, "proxy_tls", NULL) != NULL) {
        rc = make_tls(w, "proxy_", OTR_TLS_CLIENT, &proxy_tls, err);
    }
    if (rc == OTR_OK && text_of(w, "token", NULL) != NULL) {
        const otr_rpc_token_spec spec = { .path = text_of(w, "token", NULL),
                                          .scheme = text_of(w, "scheme", NULL) };
        rc = otr_rpc_token_new(&spec, &token, err);
    }
    const char *auth = text_of(w, "proxy_auth", "");
    const otr_rpc_proxy_spec proxy = {
        .url = text_of(w, "proxy", ""),
        .auth = strcmp(auth, "basic") == 0    ? OTR_RPC_PROXY_BASIC
                : strcmp(auth, "bearer") == 0 ? OTR_RPC_PROXY_BEARER
                                              : OTR_RPC_PROXY_NONE,
        .user = text_of(w, "proxy_user", ""),
        .password = text_of(w, "proxy_password", ""),
        .token = text_of(w, "proxy_token", ""),
        .no_proxy = text_of(w, "no_proxy", ""),
        .tls = proxy_tls,
        .timeout_ms = number_of(w, "proxy_timeout", 0),
    };
    const otr_rpc_channel_spec spec = {
        .target = text_of(w, "target", ""),
        .authority = text_of(w, "authority", ""),
        .tls = tls,
        .token = token,
        .proxy = proxy.url[0] != '\0' ? &proxy : NULL,
        .backoff = { .initial_ms = number_of(w, "backoff", 0),
                     .max_ms = number_of(w, "backoff_max", 0),
                     .multiplier = 2,
                     .randomization = 0.2 },
        .limits = limits_of(w),
        .connect_timeout_ms = number_of(w, "connect_timeout", 0),
        .refresh_ms = number_of(w, "refresh", 0),
        .ops = &channel_ops,
    };
    return rc == OTR_OK ? otr_rpc_channel_new(loop, &spec, &channel, err) : rc;
}

static otr_code start_server(const words *w, otr_err *err)
{
    otr_code rc = OTR_OK;
    char bound[OTR_RPC_BOUND_BYTES];
    if (text_of(w, "cert", NULL) != NULL) {
        rc = make_tls(w, "", OTR_TLS_SERVER, &tls, err);
    }
    const otr_rpc_server_spec spec = {
        .limits = limits_of(w),
        .max_connections = number_of(w, "connections", 0),
        .max_age_ms = number_of(w, "age", 0),
        .max_grace_ms = number_of(w, "grace", 0),
        .call = on_call,
    };
    rc = rc == OTR_OK ? otr_rpc_server_new(loop, &spec, &server, err) : rc;
    rc = rc == OTR_OK
             ? otr_rpc_server_listen(server, text_of(w, "listen", "127.0.0.1:0"), tls, bound, err)
             : rc;
    if (rc == OTR_OK) {
        printf("listening\taddress=%s", bound);
        end_line();
    }
    return rc;
}

int main(int argc, char **argv)
{
    otr_err err = { 0 };
    words w = { 0 };
    for (int i = 2; i < argc && w.n < WORDS; i++) {
        w.all[w.n++] = argv[i];
    }
    quiet = number_of(&w, "quiet", 0) != 0;
    otr_code rc = otr_loop_new(&loop, &err);
    rc = rc == OTR_OK && argc > 1 && strcmp(argv[1], "server") == 0 ? start_server(&w, &err)
         : rc == OTR_OK                                             ? start_client(&w, &err)
                                                                    : rc;
    rc = rc == OTR_OK ? otr_watch_new(loop, 0, OTR_WATCH_READ, on_input, NULL, &input, &err) : rc;
    if (rc != OTR_OK) {
        printf("error");
        say_text("message", otr_bytes_of(err.msg));
        end_line();
    } else {
        otr_loop_run(loop);
    }
    otr_rpc_channel_free(channel);
    otr_rpc_server_free(server);
    otr_watch_free(input);
    for (int i = 0; i < 8; i++) { /* calls tell their end */
        otr_loop_step(loop, 0);
    }
    otr_rpc_token_free(token);
    otr_tls_free(tls);
    otr_tls_free(proxy_tls);
    otr_loop_free(loop);
    return rc == OTR_OK ? 0 : 1;
}
