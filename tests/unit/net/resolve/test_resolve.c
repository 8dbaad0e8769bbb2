#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "net/curl/pin.h"
#include "net/resolve/resolve.h"
#include "support/test.h"

/* ---- the name server: "slow…" waits for the gate, "no…" there is not, all else there is ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
static bool open_gate;
static unsigned asked, inside;

static void wait_at_the_gate(void)
{
    pthread_mutex_lock(&lock);
    inside++;
    while (!open_gate) {
        pthread_cond_wait(&opened, &lock);
    }
    inside--;
    pthread_mutex_unlock(&lock);
}

static void set_gate(bool open)
{
    pthread_mutex_lock(&lock);
    open_gate = open;
    pthread_cond_broadcast(&opened);
    pthread_mutex_unlock(&lock);
}

static unsigned read_count(const unsigned *n)
{
    pthread_mutex_lock(&lock);
    unsigned now = *n;
    pthread_mutex_unlock(&lock);
    return now;
}

typedef struct made_address { /* look-ups run side by side: each has its own */
    struct addrinfo info;
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } at;
} made_address;

static struct addrinfo *address(int family, struct addrinfo *next)
{
    made_address *made = calloc(1, sizeof *made);
    if (made == NULL) {
        abort();
    }
    made->at.any.sa_family = (sa_family_t)family;
    if (family == AF_INET) {
        made->at.four.sin_addr.s_addr = htonl(0x01020304);
    } else {
        made->at.six.sin6_addr.s6_addr[15] = 1;
    }
    made->info = (struct addrinfo){ .ai_family = family,
                                    .ai_addr = &made->at.any,
                                    .ai_addrlen = family == AF_INET ? sizeof made->at.four
                                                                    : sizeof made->at.six,
                                    .ai_next = next };
    return &made->info;
}

/* In place of the C library's. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret)
{
    (void)service;
    (void)hints;
    pthread_mutex_lock(&lock);
    asked++;
    pthread_mutex_unlock(&lock);
    if (strncmp(name, "slow", 4) == 0) {
        wait_at_the_gate();
    }
    if (strncmp(name, "no", 2) == 0) {
        return EAI_NONAME;
    }
    *ret = address(AF_INET6, address(AF_INET, NULL));
    return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
    while (list != NULL) {
        struct addrinfo *next = list->ai_next;
        free(list);
        list = next;
    }
}

/* ---- tests ---- */

static otr_code resolve(const char *host, const char *owner, uint64_t ms, char *ret, otr_err *err)
{
    const otr_resolve_spec spec = { host, owner, otr_now_ns() + ms * OTR_NS_PER_MS, NULL };
    return otr_resolve(&spec, ret, err);
}

T_NO_OOM(a_name_gives_its_addresses_and_is_remembered)
{
    char found[OTR_RESOLVED_BYTES] = "";
    otr_err err = { 0 };
    unsigned before = read_count(&asked);
    for (int i = 0; i < 3; i++) {
        REQUIRE_OK(resolve(i == 1 ? "FINE.example" : "fine.example", "p", 20000, found, &err), err);
        CHECK_STR(found, "[::1],1.2.3.4");
    }
    CHECK_INT(read_count(&asked) - before, 1);
}

T_NO_OOM(a_name_that_is_not_there_says_so_and_is_asked_for_again)
{
    char found[OTR_RESOLVED_BYTES] = "";
    otr_err err = { 0 };
    unsigned before = read_count(&asked);
    CHECK_INT(resolve("no.example", "p", 20000, found, &err), OTR_EIO);
    CHECK_HAS(err.msg, "cannot resolve the name: ");
    CHECK_INT(resolve("no.example", "p", 20000, found, &err), OTR_EIO);
    CHECK_INT(read_count(&asked) - before, 2);
    char long_name[OTR_RESOLVE_HOST_BYTES + 1];
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    CHECK_INT(resolve(long_name, "p", 20000, found, &err), OTR_EIO);
}

T_NO_OOM(who_asks_leaves_at_the_deadline_and_the_answer_serves_the_next)
{
    char found[OTR_RESOLVED_BYTES] = "";
    otr_err err = { 0 };
    set_gate(false);
    unsigned before = read_count(&asked);
    uint64_t begin = otr_now_ns();
    CHECK_INT(resolve("slow.example", "p", 30, found, &err), OTR_ETIMEOUT);
    CHECK_INT(resolve("slow.example", "q", 30, found, &err), OTR_ETIMEOUT);
    CHECK(otr_now_ns() - begin < 10 * OTR_NS_PER_S);
    CHECK_HAS(err.msg, "not resolved within the call's time");
    set_gate(true);
    REQUIRE_OK(resolve("slow.example", "p", 20000, found, &err), err);
    CHECK_INT(read_count(&asked) - before, 1); /* one look-up for all */
}

T_NO_OOM(a_cancelled_call_leaves_at_once)
{
    char found[OTR_RESOLVED_BYTES] = "";
    otr_err err = { 0 };
    atomic_bool ended = true;
    set_gate(false);
    const otr_resolve_spec spec = { "slow.cancelled", "p", otr_now_ns() + 3600 * OTR_NS_PER_S,
                                    &ended };
    CHECK_INT(otr_resolve(&spec, found, &err), OTR_ETIMEOUT);
    CHECK_HAS(err.msg, "cancelled");
    set_gate(true);
}

T_NO_OOM(names_that_nobody_answers_for_are_bounded_for_each_owner)
{
    char found[OTR_RESOLVED_BYTES] = "", name[32];
    otr_err err = { 0 };
    set_gate(false);
    for (int i = 0; i < OTR_LIMIT_RESOLVES_OWNER; i++) {
        (void)snprintf(name, sizeof name, "slow%d.example", i);
        CHECK_INT(resolve(name, "flooder", 1, found, &err), OTR_ETIMEOUT);
    }
    CHECK_INT(resolve("fine.new", "flooder", 1, found, &err), OTR_ETIMEOUT);
    CHECK_HAS(err.msg, "no name could be looked up");
    REQUIRE_OK(resolve("fine.new", "honest", 20000, found, &err), err);
    REQUIRE_OK(resolve("fine.new", "flooder", 1, found, &err), err); /* known by now */
    set_gate(true);
    REQUIRE_OK(resolve("fine.newer", "flooder", 20000, found, &err), err); /* when others end */
}

T_NO_OOM(many_names_make_room_for_each_other)
{
    char found[OTR_RESOLVED_BYTES] = "", name[32];
    otr_err err = { 0 };
    set_gate(true);
    for (int i = 0; i < OTR_LIMIT_RESOLVES + 40; i++) {
        (void)snprintf(name, sizeof name, "n%d.example", i);
        REQUIRE_OK(resolve(name, "p", 20000, found, &err), err);
    }
}

T_NO_OOM(who_cannot_wait_asks_again_until_it_is_over)
{
    char found[OTR_RESOLVED_BYTES] = "";
    otr_err err = { 0 };
    const otr_resolve_spec spec = { .host = "slow.lookup", .owner = "loop" };
    otr_lookup *first = NULL, *second = NULL;
    set_gate(false);
    unsigned before = read_count(&asked);
    REQUIRE_OK(otr_lookup_begin(&spec, &first, &err), err);
    REQUIRE_OK(otr_lookup_begin(&spec, &second, &err), err);
    CHECK(!otr_lookup_over(first));
    CHECK_INT(otr_lookup_end(second, found, &err), OTR_ETIMEOUT);
    set_gate(true);
    while (!otr_lookup_over(first)) {
        (void)usleep(1000);
    }
    REQUIRE_OK(otr_lookup_end(first, found, &err), err);
    CHECK_STR(found, "[::1],1.2.3.4");
    CHECK_INT(read_count(&asked) - before, 1);
    const otr_resolve_spec none = { .host = "no.lookup", .owner = "loop" };
    REQUIRE_OK(otr_lookup_begin(&none, &first, &err), err);
    while (!otr_lookup_over(first)) {
        (void)usleep(1000);
    }
    CHECK_INT(otr_lookup_end(first, found, &err), OTR_EIO);
    CHECK_HAS(err.msg, "cannot resolve the name: ");
}

T_NO_OOM(what_libcurl_is_told_is_a_name_with_its_addresses)
{
    const otr_curl *curl = NULL;
    struct curl_slist *list = NULL;
    otr_err err = { 0 };
    otr_resolve_spec spec = { "fine.pinned", "p", otr_now_ns() + 20 * OTR_NS_PER_S, NULL };
    REQUIRE_OK(otr_curl_open(&curl, &err), err);
    REQUIRE_OK(otr_resolve_pin(curl, &spec, 8080, &list, &err), err);
    CHECK_STR(list->data, "fine.pinned:8080:[::1],1.2.3.4");
    curl->slist_free_all(list);
    static const char *const addresses[] = { "127.0.0.1", "[::1]" };
    for (size_t i = 0; i < OTR_COUNT(addresses); i++) {
        spec.host = addresses[i];
        REQUIRE_OK(otr_resolve_pin(curl, &spec, 80, &list, &err), err);
        CHECK(list == NULL);
    }
    spec.host = "no.address";
    CHECK_INT(otr_resolve_pin(curl, &spec, 80, &list, &err), OTR_EIO);
    CHECK(list == NULL);
}
