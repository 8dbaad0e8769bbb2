/* A writer that is killed before each statement that it makes: what it was told is done stays. */
#include <signal.h>
#include <sys/wait.h>

#include "nginx/history/internal.h"
#include "unit/nginx/history/store.h"

enum { ROUNDS = 3 };

typedef struct trap {
    int left; /* statements until the end */
} trap;

static int on_statement(unsigned type, void *arg, void *a, void *b)
{
    trap *t = arg;
    (void)type;
    (void)a;
    (void)b;
    if (--t->left == 0) {
        (void)kill(getpid(), SIGKILL);
    }
    return 0;
}

static void text_of(int i, char *to, size_t cap)
{
    (void)snprintf(to, cap, "# round %d\n", i);
}

static otr_code one_round(store *s, int i, otr_err *err)
{
    char id[16], text[32], version[OTR_HISTORY_ID_BYTES];
    (void)snprintf(id, sizeof(id), "t%d", i);
    text_of(i, text, sizeof(text));
    const text_file files[] = { { "/etc/nginx/nginx.conf", text, 0644 },
                                { "/etc/nginx/same.conf", "# same\n", 0644 } };
    otr_history_entry e = { .id = id, .instance = "one", .n_items = 0 };
    otr_code rc = otr_history_begin(s->h, &e, err);
    rc = rc == OTR_OK ? store_version(s, "one", files, 2, version, err) : rc;
    otr_history_end end = { .result = "applied", .version_after = version, .good = true };
    rc = rc == OTR_OK ? otr_history_finish(s->h, &e, &end, err) : rc;
    uint64_t gone = 0;
    const otr_history_bounds bounds = { .transactions = 2 };
    return rc == OTR_OK ? otr_history_prune(s->h, &bounds, 1, &gone, err) : rc;
}

/* Tells the number of each round that was done. */
static void write_until_killed(store *s, int statements, int to)
{
    trap t = { .left = statements };
    otr_err err = { 0 };
    if (store_open(s, &err) != OTR_OK) {
        _exit(2);
    }
    sqlite3_trace_v2(s->h->db, SQLITE_TRACE_STMT, on_statement, &t);
    for (int i = 1; i <= ROUNDS; i++) {
        char done = (char)i;
        if (one_round(s, i, &err) != OTR_OK || write(to, &done, 1) != 1) {
            _exit(3);
        }
    }
    _exit(0);
}

typedef struct look {
    store *s;
    int done;
    size_t rows;
} look;

/* Each that has ended has its version whole. */
static bool look_at(void *arg, const otr_history_row *row)
{
    look *l = arg;
    l->rows++;
    int i = row->entry.id[1] - '0';
    CHECK(row->end.result[0] != '\0' || i > l->done);
    if (row->end.result[0] != '\0') {
        char text[32], version[OTR_HISTORY_ID_BYTES];
        text_of(i, text, sizeof(text));
        memcpy(version, row->end.version_after, sizeof(version));
        CHECK(store_text_is(l->s, version, "/etc/nginx/nginx.conf", text));
        CHECK(store_text_is(l->s, version, "/etc/nginx/same.conf", "# same\n"));
    }
    return true;
}

/* Returns false once the writer came to its end. */
static bool kill_after(int statements)
{
    OTR_CLEANUP(store_close) store s = { .h = NULL };
    otr_err err = { 0 };
    int ends[2], status = 0;
    if (!otr_test_check(store_open(&s, &err) == OTR_OK && pipe(ends) == 0, __FILE__, __LINE__,
                        "open")) {
        return false;
    }
    otr_history_close(s.h);
    s.h = NULL;
    pid_t pid = fork();
    if (pid == 0) {
        write_until_killed(&s, statements, ends[1]);
    }
    close(ends[1]);
    char n = 0, done = 0;
    while (read(ends[0], &n, 1) == 1) {
        done = n;
    }
    close(ends[0]);
    (void)waitpid(pid, &status, 0);
    CHECK(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
    if (store_open(&s, &err) == OTR_OK) {
        look l = { .s = &s, .done = done };
        const otr_history_query all = { .limit = 0 };
        CHECK(otr_history_remark(s.h) == NULL);
        CHECK_INT(otr_history_list(s.h, &all, look_at, &l, &err), OTR_OK);
        CHECK(l.rows >= (done < 2 ? (size_t)done : 2));
        CHECK_INT(one_round(&s, 100, &err), OTR_OK);
    } else {
        CHECK_STR(err.msg, "");
    }
    return WIFSIGNALED(status);
}

T_NO_OOM(what_was_told_survives_a_kill_before_any_statement) /* processes of their own */
{
    int n = 1;
    while (n < 1000 && kill_after(n)) {
        n++;
    }
    CHECK(n > 50 && n < 1000);
    (void)printf("# killed at %d statements\n", n - 1);
}
