/*
 * Random histories of processes on a /proc of our own, against a model of which instances there
 * are.
 *
 * After every step the inventory surveys twice. What must hold: a survey of an unchanged host tells
 * nothing; no two instances have one id; what is told of an instance names a master that lives and
 * belongs to it, with its user and namespace; each instance begins once, keeps its id, and ends
 * once and only when all of its masters have ended. A history that fails prints its seed: run it
 * alone with OTR_HISTORY=<seed>.
 */
#include "base/clock.h"
#include "nginx/instance/inventory.h"
#include "unit/nginx/instance/fake_proc.h"

enum { PROCESSES = 14, LIVES = 96, STEPS = 14, SETTLE = 8, HISTORIES = 1000 };

typedef enum kind { NOTHING, MASTER, WORKER, OTHER, ZOMBIE } kind;

typedef struct process {
    kind kind;
    int pid, ppid, life; /* of a master */
    unsigned ticks, uid, ns, conf;
    bool angie, closed; /* another executable; /proc/<pid> may not be looked into */
} process;

typedef struct life {
    bool begun, ended;
    char id[OTR_NGINX_ID_BYTES];
} life;

typedef struct world {
    tree t;
    otr_loop *loop;
    otr_pool *pool;
    otr_inventory *inventory;
    char nginx[160], angie[160], other[160];
    process all[PROCESSES];
    life lives[LIVES];
    int n_lives, next_pid;
    unsigned ticks, surveys, events, seed;
    uint64_t random;
    bool wrong, held; /* a master without workers, which may be told of later */
} world;

static unsigned roll(world *w, unsigned n)
{
    w->random = w->random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)(w->random >> 33) % n;
}

static void complain(world *w, const char *what, int pid)
{
    printf("# history %u: %s (pid %d)\n", w->seed, what, pid);
    w->wrong = true;
}

/* ---- the model ---- */

static process *by_pid(world *w, int pid)
{
    for (size_t i = 0; i < PROCESSES; i++) {
        if (w->all[i].kind != NOTHING && w->all[i].pid == pid) {
            return &w->all[i];
        }
    }
    return NULL;
}

static process *spare(world *w)
{
    for (size_t i = 0; i < PROCESSES; i++) {
        if (w->all[i].kind == NOTHING) {
            return &w->all[i];
        }
    }
    return NULL;
}

static size_t masters_of(const world *w, int its)
{
    size_t n = 0;
    for (size_t i = 0; i < PROCESSES; i++) {
        n += w->all[i].kind == MASTER && w->all[i].life == its;
    }
    return n;
}

static size_t workers_of(const world *w, int pid)
{
    size_t n = 0;
    for (size_t i = 0; i < PROCESSES; i++) {
        n += w->all[i].kind == WORKER && w->all[i].ppid == pid;
    }
    return n;
}

/* An upgrade and what it upgrades. */
static bool related(const process *a, const process *b)
{
    return a != b && a->kind == MASTER && b->kind == MASTER &&
           (a->pid == b->ppid || b->pid == a->ppid) && a->uid == b->uid && a->ns == b->ns &&
           a->conf == b->conf;
}

/* The life of a process that has just become what it is: that of a relative, or one of its own. */
static void give_life(world *w, process *p)
{
    for (size_t i = 0; i < PROCESSES; i++) {
        if (related(&w->all[i], p)) {
            p->life = w->all[i].life;
            return;
        }
    }
    p->life = w->n_lives < LIVES ? w->n_lives++ : LIVES - 1;
}

/* With relatives of two lives nobody could say whose it is. */
static bool has_two_families(const world *w, const process *p)
{
    int seen = -1;
    for (size_t i = 0; i < PROCESSES; i++) {
        if (related(&w->all[i], p)) {
            if (seen >= 0 && w->all[i].life != seen) {
                return true;
            }
            seen = w->all[i].life;
        }
    }
    return false;
}

/* ---- the model on the disk ---- */

static void show(world *w, const process *p)
{
    char title[512], children[128] = "";
    size_t n = 0;
    for (size_t i = 0; i < PROCESSES; i++) {
        if (w->all[i].kind != NOTHING && w->all[i].ppid == p->pid) {
            n += (size_t)snprintf(children + n, sizeof(children) - n, "%d ", w->all[i].pid);
        }
    }
    snprintf(title, sizeof(title), "nginx: master process nginx -c %s/etc/%u.conf", w->t.dir,
             p->conf);
    fake_process f = { .pid = p->pid,
                       .ppid = p->ppid,
                       .ticks = p->ticks,
                       .comm = "nginx",
                       .title = title,
                       .exe = p->angie ? w->angie : w->nginx,
                       .cwd = "/",
                       .children = children,
                       .uid = p->uid,
                       .ns = p->ns };
    if (p->kind == WORKER) {
        f.title = "nginx: worker process";
    } else if (p->kind == OTHER) {
        f.title = "sleep 1000";
        f.exe = w->other;
    } else if (p->kind == ZOMBIE) {
        f.title = "";
        f.state = 'Z';
        f.exe = NULL;
    }
    if (p->closed) {
        f.exe = f.cwd = NULL;
        f.root = "";
        f.no_ns = true;
    }
    fake_add(&w->t, &f);
}

static void show_pid(world *w, int pid)
{
    const process *p = by_pid(w, pid);
    if (p != NULL) {
        show(w, p);
    }
}

/* Whom a process leaves behind goes to init. */
static void orphan(world *w, int pid)
{
    for (size_t i = 0; i < PROCESSES; i++) {
        if (w->all[i].kind != NOTHING && w->all[i].ppid == pid) {
            w->all[i].ppid = 1;
            show(w, &w->all[i]);
        }
    }
}

static void vanish(world *w, process *p)
{
    int parent = p->ppid;
    fake_remove(&w->t, p->pid);
    p->kind = NOTHING;
    orphan(w, p->pid);
    show_pid(w, parent);
}

static process *born(world *w, kind what, const process *parent)
{
    process *p = spare(w);
    if (p == NULL) {
        return NULL;
    }
    *p = parent != NULL ? *parent : (process){ .ppid = 1 };
    p->kind = what;
    p->pid = w->next_pid++;
    p->ppid = parent != NULL ? parent->pid : 1;
    p->ticks = w->ticks++;
    return p;
}

static void show_with_parent(world *w, const process *p)
{
    show(w, p);
    show_pid(w, p->ppid);
}

/* ---- what may happen ---- */

static void add_worker(world *w, const process *master)
{
    process *p = born(w, WORKER, master);
    if (p != NULL) {
        show_with_parent(w, p);
    }
}

static void start(world *w)
{
    static const unsigned uids[] = { 0, 0, 0, 65534, 1234 }, spaces[] = { 0, 0, 0, 5, 6 };
    process *p = born(w, MASTER, NULL);
    if (p == NULL) {
        return;
    }
    p->uid = uids[roll(w, OTR_COUNT(uids))];
    p->ns = spaces[roll(w, OTR_COUNT(spaces))];
    p->conf = roll(w, 2);
    p->angie = roll(w, 5) == 0;
    p->closed = roll(w, 6) == 0;
    give_life(w, p);
    show(w, p);
    if (roll(w, 4) != 0) {
        add_worker(w, p);
    }
}

static void upgrade(world *w, process *old)
{
    process *p = masters_of(w, old->life) < 4 ? born(w, MASTER, old) : NULL;
    if (p == NULL) {
        return;
    }
    p->angie = roll(w, 4) == 0;
    if (!p->closed && roll(w, 5) == 0) { /* started into another place: no upgrade */
        p->ns = p->ns == 5 ? 6 : 5;
        give_life(w, p);
    }
    show_with_parent(w, p);
    if (roll(w, 3) != 0) {
        add_worker(w, p);
    }
}

/* A reload: other workers. */
static void reload(world *w, const process *master)
{
    for (size_t i = 0; i < PROCESSES; i++) {
        if (w->all[i].kind == WORKER && w->all[i].ppid == master->pid) {
            vanish(w, &w->all[i]);
        }
    }
    add_worker(w, master);
}

static void turn_zombie(world *w, process *p)
{
    p->kind = ZOMBIE;
    p->closed = false;
    orphan(w, p->pid);
    show(w, p);
}

static void change_user(world *w, process *p)
{
    process as = *p;
    as.uid = p->uid == 0 ? 65534 : 0;
    process was = *p;
    *p = as;
    if (has_two_families(w, p)) {
        *p = was;
        return;
    }
    give_life(w, p);
    show(w, p);
}

static void exec_other(world *w, process *p)
{
    if (!p->closed) { /* else nobody could tell */
        p->kind = OTHER;
        show(w, p);
    }
}

static void exec_nginx(world *w, process *p)
{
    process was = *p;
    p->angie = !p->angie;
    if (p->closed || has_two_families(w, p)) {
        *p = was;
        return;
    }
    give_life(w, p);
    show(w, p);
}

/* Its pid is given to another one before anybody looked. */
static void use_again(world *w, process *p)
{
    int pid = p->pid;
    vanish(w, p);
    process *next = born(w, MASTER, NULL);
    if (next != NULL) {
        next->pid = pid;
        next->conf = roll(w, 2);
        give_life(w, next);
        show(w, next);
        add_worker(w, next);
    }
}

static void act_on(world *w, process *p)
{
    switch (p->kind == MASTER ? roll(w, 12) : 12) {
    case 0:
    case 1:
        upgrade(w, p);
        break;
    case 2:
        reload(w, p);
        break;
    case 3:
    case 4:
        vanish(w, p);
        break;
    case 5:
    case 6:
        turn_zombie(w, p);
        break;
    case 7:
        change_user(w, p);
        break;
    case 8:
        exec_other(w, p);
        break;
    case 9:
        exec_nginx(w, p);
        break;
    case 10:
        use_again(w, p);
        break;
    case 11:
        add_worker(w, p);
        break;
    default: /* no master: it goes */
        vanish(w, p);
        break;
    }
}

static void step(world *w)
{
    process *p = &w->all[roll(w, PROCESSES)];
    if (p->kind == NOTHING) {
        start(w);
    } else {
        act_on(w, p);
    }
}

/* ---- what is told ---- */

static int life_of_id(const world *w, const char *id)
{
    for (int i = 0; i < w->n_lives; i++) {
        if (w->lives[i].begun && !w->lives[i].ended && strcmp(w->lives[i].id, id) == 0) {
            return i;
        }
    }
    return -1;
}

static void on_alive(world *w, otr_inventory_event event, const otr_nginx_instance *i)
{
    const process *p = by_pid(w, i->pid);
    int known = life_of_id(w, i->id);
    if (p == NULL || p->kind != MASTER || p->ticks != i->started_ticks) {
        complain(w, "told of a master that does not live", i->pid);
        return;
    }
    life *l = &w->lives[p->life];
    if (p->uid != i->uid || (!p->closed && i->net_ns != (p->ns != 0 ? p->ns : FAKE_OWN_NS)) ||
        (p->closed && (i->own_net || i->net_ns != 0))) {
        complain(w, "user or namespace is another one's", i->pid);
    }
    if (event == OTR_INSTANCE_STARTED) {
        if (l->begun || known >= 0) {
            complain(w, l->begun ? "begun twice" : "two of one id", i->pid);
        }
        l->begun = true;
        memcpy(l->id, i->id, sizeof(l->id));
    } else if (known != p->life) {
        complain(w, "changed under another id, or into another instance", i->pid);
    }
}

static void on_event(void *arg, otr_inventory_event event, const otr_nginx_instance *i)
{
    world *w = arg;
    w->events++;
    if (event != OTR_INSTANCE_STOPPED) {
        on_alive(w, event, i);
        return;
    }
    int its = life_of_id(w, i->id);
    if (its < 0) {
        complain(w, "ended without having begun, or twice", i->pid);
        return;
    }
    if (masters_of(w, its) > 0) {
        complain(w, "ended while it lives", i->pid);
    }
    w->lives[its].ended = true;
}

static void on_surveyed(void *arg)
{
    ((world *)arg)->surveys++;
}

/* Asks for one and waits for it: none runs while the host changes. */
static void survey(world *w)
{
    unsigned before = w->surveys;
    otr_inventory_refresh(w->inventory);
    for (int i = 0; i < 1000 && w->surveys == before; i++) {
        otr_loop_step(w->loop, 20);
    }
    if (w->surveys == before) {
        complain(w, "no survey", 0);
    }
}

static void look_twice(world *w)
{
    survey(w);
    w->held = false;
    for (size_t i = 0; i < PROCESSES; i++) {
        const process *p = &w->all[i];
        w->held |= p->kind == MASTER && workers_of(w, p->pid) == 0;
        if (p->kind == MASTER && workers_of(w, p->pid) > 0 && !w->lives[p->life].begun) {
            complain(w, "not told of", p->pid);
        }
    }
    for (int i = 0; i < w->n_lives; i++) {
        if (w->lives[i].begun && !w->lives[i].ended && masters_of(w, i) == 0) {
            complain(w, "its end is not told", 0);
        }
    }
    unsigned before = w->events;
    survey(w);
    if (w->events != before && !w->held) {
        complain(w, "something is told of an unchanged host", 0);
    }
}

static void settle(world *w)
{
    for (int i = 0; i < SETTLE; i++) {
        survey(w);
    }
    unsigned before = w->events;
    survey(w);
    if (w->events != before) {
        complain(w, "something is told of an unchanged host, at last", 0);
    }
    for (size_t i = 0; i < PROCESSES; i++) {
        if (w->all[i].kind == MASTER && !w->lives[w->all[i].life].begun) {
            complain(w, "not told of at last", w->all[i].pid);
        }
    }
}

/* ---- histories ---- */

static void empty(world *w)
{
    for (size_t i = 0; i < PROCESSES; i++) {
        if (w->all[i].kind != NOTHING) {
            fake_remove(&w->t, w->all[i].pid);
            w->all[i].kind = NOTHING;
        }
    }
}

static void world_deinit(world *w)
{
    otr_inventory_free(w->inventory);
    otr_pool_free(w->pool);
    otr_loop_free(w->loop);
    tree_deinit(&w->t);
}

static bool world_init(world *w)
{
    memset(w, 0, sizeof(*w));
    if (!fake_tree_init(&w->t)) {
        return false;
    }
    fake_self(&w->t);
    snprintf(w->nginx, sizeof(w->nginx), "%s/bin/nginx", w->t.dir);
    snprintf(w->angie, sizeof(w->angie), "%s/bin/angie", w->t.dir);
    snprintf(w->other, sizeof(w->other), "%s/bin/other", w->t.dir);
    bool ok = fake_program(&w->t, "bin/nginx", "nginx version: nginx/1.25.3\n") &&
              fake_program(&w->t, "bin/angie", "Angie version: Angie/1.7.0\n") &&
              fake_program(&w->t, "bin/other", NULL) &&
              tree_write(&w->t, "etc/0.conf", "http { access_log off; }") &&
              tree_write(&w->t, "etc/1.conf", "http { access_log off; }");
    return ok && otr_loop_new(&w->loop, NULL) == OTR_OK &&
           otr_pool_new(w->loop, 1, &w->pool, NULL) == OTR_OK;
}

/* A host on which nothing has run yet, with an inventory of its own. */
static bool begin(world *w, unsigned seed)
{
    otr_inventory_free(w->inventory);
    w->inventory = NULL;
    empty(w);
    memset(w->lives, 0, sizeof(w->lives));
    w->n_lives = 0;
    w->next_pid = 100;
    w->ticks = 1000;
    w->seed = seed;
    w->random = seed * 0x9e3779b97f4a7c15ULL + 1;
    w->wrong = false;
    w->events = 0;
    unsigned before = w->surveys;
    otr_inventory_spec spec = { .loop = w->loop,
                                .pool = w->pool,
                                .proc_root = w->t.dir,
                                .unhurried = true,
                                .event = on_event,
                                .surveyed = on_surveyed,
                                .arg = w };
    otr_inventory_settings settings = { .rescan_ms = 3600000, .status_url = "" };
    if (otr_inventory_new(&spec, &settings, &w->inventory, NULL) != OTR_OK) {
        return false;
    }
    otr_inventory_start(w->inventory);
    while (w->surveys == before) {
        otr_loop_step(w->loop, 20);
    }
    return true;
}

static bool history(world *w, unsigned seed)
{
    if (!begin(w, seed)) {
        return false;
    }
    for (int i = 0; i < STEPS && !w->wrong; i++) {
        step(w);
        look_twice(w);
    }
    settle(w);
    empty(w);
    look_twice(w);
    return !w->wrong;
}

T_NO_OOM(random_histories_agree_with_the_model)
{
    OTR_CLEANUP(world_deinit) world w;
    REQUIRE(world_init(&w));
    const char *one = getenv("OTR_HISTORY");
    if (one != NULL) {
        CHECK(history(&w, (unsigned)strtoul(one, NULL, 10)));
        return;
    }
    const char *many = getenv("OTR_HISTORIES");
    unsigned failed = 0, n = many != NULL ? (unsigned)strtoul(many, NULL, 10) : HISTORIES;
    for (unsigned seed = 1; seed <= n && failed < 3; seed++) {
        failed += !history(&w, seed);
    }
    CHECK_INT(failed, 0);
}

/* ---- histories that once went wrong ---- */

#define WORLD(w)                       \
    OTR_CLEANUP(world_deinit) world w; \
    REQUIRE(world_init(&(w)) && begin(&(w), 0))

static process *master_with_worker(world *w, unsigned uid)
{
    process *p = born(w, MASTER, NULL);
    p->uid = uid;
    give_life(w, p);
    show(w, p);
    add_worker(w, p);
    look_twice(w);
    return p;
}

T_NO_OOM(two_masters_that_nobody_waits_for_end_once_each)
{
    WORLD(w);
    turn_zombie(&w, master_with_worker(&w, 0));
    look_twice(&w);
    turn_zombie(&w, master_with_worker(&w, 0));
    look_twice(&w);
    master_with_worker(&w, 0);
    settle(&w);
    CHECK(!w.wrong);
    CHECK_INT(w.events, 5);
}

T_NO_OOM(look_alike_of_another_user_outlives_nothing)
{
    WORLD(w);
    process *ours = master_with_worker(&w, 0);
    master_with_worker(&w, 65534);
    vanish(&w, ours);
    look_twice(&w);
    settle(&w);
    CHECK(!w.wrong);
    CHECK_INT(w.events, 3);
}

T_NO_OOM(upgrade_goes_on_when_the_old_master_ends)
{
    WORLD(w);
    process *old = master_with_worker(&w, 0);
    process *fresh = born(&w, MASTER, old);
    show_with_parent(&w, fresh);
    add_worker(&w, fresh);
    look_twice(&w);
    turn_zombie(&w, old);
    look_twice(&w);
    settle(&w);
    CHECK(!w.wrong);
    CHECK(w.lives[0].begun && !w.lives[0].ended);
    CHECK_INT(w.n_lives, 1);
}

T_NO_OOM(pid_that_is_used_again_at_once_is_another_instance)
{
    WORLD(w);
    process *p = master_with_worker(&w, 0);
    use_again(&w, p);
    look_twice(&w);
    settle(&w);
    CHECK(!w.wrong);
    CHECK(w.lives[0].ended && w.lives[1].begun && !w.lives[1].ended);
}
