#include "net/resolve/resolve.h"

#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"
#include "base/limits.h"

enum {
    STACK_BYTES = 512 * 1024,
    LOOK_MS = 50,    /* how soon who waits sees that nobody wants the answer any more */
    KEPT_S = 30,     /* an answer serves others */
    ADDRESSES = 16,  /* of one name */
    TEXT_BYTES = 64, /* of one address */
};

typedef enum lookup_state { FREE, UNDER_WAY, FOUND, FAILED } lookup_state;

struct otr_lookup {
    lookup_state state;
    unsigned waiting; /* who wait for it */
    int why;          /* FAILED: of getaddrinfo() */
    uint64_t done_ns; /* FOUND */
    char host[OTR_RESOLVE_HOST_BYTES];
    char owner[OTR_RESOLVE_OWNER_BYTES]; /* who asked first */
    char addresses[OTR_RESOLVED_BYTES];
};

/* Static, as a look-up may outlive all else in the process. `n` is how many were ever in use. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t n;
    otr_lookup all[OTR_LIMIT_RESOLVES];
} table = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

/* ---- the look-up ---- */

static void add_address(char to[OTR_RESOLVED_BYTES], const struct addrinfo *at)
{
    char text[TEXT_BYTES];
    size_t n = strlen(to);
    if (getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof(text), NULL, 0, NI_NUMERICHOST) !=
        0) {
        return;
    }
    bool six = at->ai_family == AF_INET6;
    if (n + strlen(text) + 4 <= OTR_RESOLVED_BYTES) {
        (void)snprintf(to + n, OTR_RESOLVED_BYTES - n, "%s%s%s%s", n > 0 ? "," : "", six ? "[" : "",
                       text, six ? "]" : "");
    }
}

static void *look(void *arg)
{
    otr_lookup *l = arg;
    char addresses[OTR_RESOLVED_BYTES] = "";
    const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *list = NULL;
    int why = getaddrinfo(l->host, NULL, &hints, &list);
    unsigned n = 0;
    for (const struct addrinfo *at = why == 0 ? list : NULL; at != NULL && n < ADDRESSES; n++) {
        add_address(addresses, at);
        at = at->ai_next;
    }
    if (why == 0) {
        freeaddrinfo(list);
    }
    pthread_mutex_lock(&table.lock);
    memcpy(l->addresses, addresses, sizeof(addresses));
    l->why = why != 0 ? why : EAI_NONAME;
    l->done_ns = otr_now_ns();
    l->state = addresses[0] != '\0' ? FOUND : FAILED;
    if (l->waiting == 0 && l->state == FAILED) {
        l->state = FREE;
    }
    pthread_cond_broadcast(&table.changed);
    pthread_mutex_unlock(&table.lock);
    return NULL;
}

static bool start(otr_lookup *l)
{
    pthread_attr_t attr;
    pthread_t thread;
    if (pthread_attr_init(&attr) != 0) {
        return false;
    }
    bool ok = pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) == 0 &&
              pthread_attr_setstacksize(&attr, STACK_BYTES) == 0 &&
              pthread_create(&thread, &attr, look, l) == 0;
    (void)pthread_attr_destroy(&attr);
    return ok;
}

/* ---- the table: with its lock ---- */

static bool fresh(const otr_lookup *l, uint64_t now_ns)
{
    return l->state == UNDER_WAY || l->waiting > 0 ||
           (l->state == FOUND && now_ns - l->done_ns < KEPT_S * OTR_NS_PER_S);
}

static otr_lookup *find(const char *host, uint64_t now_ns)
{
    for (size_t i = 0; i < table.n; i++) {
        if (fresh(&table.all[i], now_ns) && strcasecmp(table.all[i].host, host) == 0) {
            return &table.all[i];
        }
    }
    return NULL;
}

/* Room for one more look-up of `owner`, or NULL: it has enough, or there is none. An answer that
 * nobody waits for makes room, the oldest first. */
static otr_lookup *room_for(const char *owner, uint64_t now_ns)
{
    size_t under_way = 0;
    otr_lookup *oldest = NULL;
    for (size_t i = 0; i < table.n; i++) {
        otr_lookup *l = &table.all[i];
        under_way += l->state == UNDER_WAY && strncmp(l->owner, owner, sizeof(l->owner) - 1) == 0;
        if (!fresh(l, now_ns)) {
            oldest = l;
        }
    }
    if (under_way >= OTR_LIMIT_RESOLVES_OWNER) {
        return NULL;
    }
    if (oldest == NULL && table.n < OTR_LIMIT_RESOLVES) {
        return &table.all[table.n++];
    }
    for (size_t i = 0; oldest == NULL && i < table.n; i++) {
        otr_lookup *l = &table.all[i];
        if (l->state != UNDER_WAY && l->waiting == 0) {
            oldest = l;
        }
    }
    return oldest;
}

/* The look-up to wait for; NULL: none can be begun now. */
static otr_lookup *join(const otr_resolve_spec *spec, uint64_t now_ns)
{
    otr_lookup *l = find(spec->host, now_ns);
    if (l != NULL) {
        return l;
    }
    l = room_for(spec->owner, now_ns);
    if (l == NULL) {
        return NULL;
    }
    *l = (otr_lookup){ .state = UNDER_WAY };
    (void)snprintf(l->host, sizeof(l->host), "%s", spec->host);
    (void)snprintf(l->owner, sizeof(l->owner), "%s", spec->owner);
    if (!start(l)) {
        l->state = FREE;
        return NULL;
    }
    return l;
}

/* A moment, or until something changed. */
static void wait_a_little(uint64_t left_ns)
{
    uint64_t ns = left_ns < LOOK_MS * OTR_NS_PER_MS ? left_ns : LOOK_MS * OTR_NS_PER_MS;
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    ns += (uint64_t)until.tv_nsec;
    until.tv_sec += (time_t)(ns / OTR_NS_PER_S);
    until.tv_nsec = (long)(ns % OTR_NS_PER_S);
    (void)pthread_cond_clockwait(&table.changed, &table.lock, CLOCK_MONOTONIC, &until);
}

static bool in_time(const otr_resolve_spec *spec, uint64_t now_ns)
{
    return now_ns < spec->until_ns && (spec->ended == NULL || !atomic_load(spec->ended));
}

/* Takes what `l` came to, or leaves it alone. */
static otr_code conclude(otr_lookup *l, const otr_resolve_spec *spec, char ret[OTR_RESOLVED_BYTES],
                         otr_err *err)
{
    switch (l->state) {
    case FOUND:
        memcpy(ret, l->addresses, OTR_RESOLVED_BYTES);
        return OTR_OK;
    case FAILED:
        return otr_fail(err, OTR_EIO, "cannot resolve the name: %s", gai_strerror(l->why));
    case UNDER_WAY:
    case FREE:
        break;
    }
    bool ended = spec->ended != NULL && atomic_load(spec->ended);
    return otr_fail(err, OTR_ETIMEOUT, "%s",
                    ended ? "the call was cancelled"
                          : "its name was not resolved within the call's time");
}

otr_code otr_resolve(const otr_resolve_spec *spec, char ret[OTR_RESOLVED_BYTES], otr_err *err)
{
    if (strlen(spec->host) >= OTR_RESOLVE_HOST_BYTES) {
        return otr_fail(err, OTR_EIO, "cannot resolve the name: it is too long");
    }
    otr_code rc;
    pthread_mutex_lock(&table.lock);
    uint64_t now_ns = otr_now_ns();
    otr_lookup *l = join(spec, now_ns);
    while (l == NULL && in_time(spec, now_ns)) { /* others are under way */
        wait_a_little(spec->until_ns - now_ns);
        now_ns = otr_now_ns();
        l = join(spec, now_ns);
    }
    if (l != NULL) {
        l->waiting++;
        while (l->state == UNDER_WAY && in_time(spec, now_ns)) {
            wait_a_little(spec->until_ns - now_ns);
            now_ns = otr_now_ns();
        }
        rc = conclude(l, spec, ret, err);
        if (--l->waiting == 0 && l->state == FAILED) {
            l->state = FREE; /* the next one asks anew */
        }
    } else {
        rc = otr_fail(err, OTR_ETIMEOUT,
                      "no name could be looked up within the call's time: %d of this plugin, or %d "
                      "of all, still are",
                      OTR_LIMIT_RESOLVES_OWNER, OTR_LIMIT_RESOLVES);
    }
    pthread_mutex_unlock(&table.lock);
    return rc;
}

otr_code otr_lookup_begin(const otr_resolve_spec *spec, otr_lookup **ret, otr_err *err)
{
    if (strlen(spec->host) >= OTR_RESOLVE_HOST_BYTES) {
        return otr_fail(err, OTR_EIO, "cannot resolve the name: it is too long");
    }
    pthread_mutex_lock(&table.lock);
    otr_lookup *l = join(spec, otr_now_ns());
    if (l != NULL) {
        l->waiting++;
    }
    pthread_mutex_unlock(&table.lock);
    if (l == NULL) {
        return otr_fail(err, OTR_EQUOTA, "cannot resolve the name: too many others are looked up");
    }
    *ret = l;
    return OTR_OK;
}

bool otr_lookup_over(const otr_lookup *lookup)
{
    pthread_mutex_lock(&table.lock);
    bool over = lookup->state != UNDER_WAY;
    pthread_mutex_unlock(&table.lock);
    return over;
}

otr_code otr_lookup_end(otr_lookup *lookup, char ret[OTR_RESOLVED_BYTES], otr_err *err)
{
    const otr_resolve_spec nobody = { .host = lookup->host };
    pthread_mutex_lock(&table.lock);
    otr_code rc = conclude(lookup, &nobody, ret, err);
    if (--lookup->waiting == 0 && lookup->state == FAILED) {
        lookup->state = FREE;
    }
    pthread_mutex_unlock(&table.lock);
    return rc;
}
