/*
 * Real guests with bits flipped, bytes changed, cut off and spliced: loading, inspecting, starting
 * and asking each ends in an answer or in an error with a text, and nothing is left behind. The
 * nightly run makes 10,000 of them; see tests/README.md.
 */
#include <stdlib.h>
#include <unistd.h>

#include "unit/wasm/guest_files.h"

enum { CALL_MS = 100, SEED = 20260801, NIGHTLY = 10000, DAILY = 200, HOUR_S = 3600 };

/* Their share of all mutations: the small ones compile in milliseconds, Go takes a second. */
static const struct source {
    const char *name;
    unsigned share; /* of a thousand */
} sources[] = {
    { "c-extism", 200 }, { "c-wapc", 200 },   { "zig-extism", 150 }, { "zig-wapc", 100 },
    { "as-extism", 80 }, { "as-wapc", 70 },   { "cpp-extism", 60 },  { "c-wasi-extism", 40 },
    { "c-wit", 60 },     { "rust-wapc", 15 }, { "rust-wit", 15 },    { "rust-extism", 8 },
    { "go-extism", 1 },  { "js-wit", 1 },
};

static uint64_t next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* One to four edits of `data`; returns its new size, which is not larger. */
static size_t mutate(uint8_t *data, size_t size, uint64_t *dice)
{
    for (uint64_t left = 1 + next(dice) % 4; left > 0 && size > 0; left--) {
        size_t at = (size_t)(next(dice) % size);
        switch (next(dice) % 8) {
        case 0: /* cut off */
            size = next(dice) % 4 == 0 ? at : size - (size_t)(next(dice) % (size < 9 ? size : 9));
            break;
        case 1: /* another place's bytes */
        {
            size_t from = (size_t)(next(dice) % size), n = (size_t)(next(dice) % 64);
            n = n < size - at ? n : size - at;
            memmove(data + at, data + from, n < size - from ? n : size - from);
            break;
        }
        case 2:
            data[at] = (uint8_t)next(dice);
            break;
        default:
            data[at] ^= (uint8_t)(1U << (next(dice) % 8));
        }
    }
    return size;
}

/* How far each of them came. */
typedef struct tally {
    unsigned refused, loaded, started, answered;
} tally;

static void ask(guest_file *f, tally *t)
{
    otr_err err = { 0 };
    if (guest_file_start(f, &err) != OTR_OK) {
        CHECK(err.msg[0] != '\0');
        return;
    }
    t->started++;
    if (guest_file_ask(f, "info", "", CALL_MS, &err) == OTR_OK &&
        guest_file_ask(f, "process", "{\"data\":{}}", CALL_MS, &err) == OTR_OK) {
        t->answered++;
    }
    CHECK(t->answered > 0 || err.msg[0] != '\0');
}

static void try_one(otr_engine *engine, otr_bytes wasm, tally *t)
{
    static const char *const required[] = { "info", "subscriptions", "process", NULL };
    const otr_load_spec spec = {
        .name = "mutated", .wasm = wasm, .operations = required, .rewrite = wasm.n % 2 == 0
    };
    otr_err err = { 0 };
    GUEST_FILE(f);
    otr_buf text;
    otr_buf_init(&text, 64 * (size_t)OTR_MIB);
    guest_file_prepare(&f);
    if (otr_guest_load(engine, &spec, &f.code, &err) == OTR_OK) {
        t->loaded++;
        ask(&f, t);
    } else {
        CHECK(err.msg[0] != '\0');
        t->refused++;
    }
    /* Inspecting compiles as well; what loads is inspected often enough. */
    if (f.code == NULL || t->loaded % 8 == 0) {
        CHECK(otr_guest_inspect(engine, &spec, &text, &err) != OTR_OK || text.n > 0);
    }
    otr_buf_deinit(&text);
}

static void mutate_source(otr_engine *engine, const struct source *s, unsigned runs, tally *t)
{
    char path[1024];
    otr_err err = { 0 };
    OTR_CLEANUP(otr_buf_deinit) otr_buf wasm;
    otr_buf_init(&wasm, OTR_LIMIT_PLUGIN_FILE_BYTES);
    (void)snprintf(path, sizeof path, "%s/tests/guests/%s.wasm", OTR_BINARY_DIR, s->name);
    otr_code rc = otr_buf_read_file(&wasm, path, &err);
    if (rc == OTR_ENOTFOUND) {
        return; /* OTR_GUESTS=fast */
    }
    REQUIRE_OK(rc, err);
    tally whole = { .refused = 0 };
    try_one(engine, otr_buf_bytes(&wasm), &whole); /* makes what all guests of its ABI share */
    CHECK_INT(whole.answered, 1);
    long blocks = otr_alloc_live();
    uint64_t dice = SEED ^ (wasm.n * 0x9e3779b97f4a7c15U);
    for (unsigned i = 0; i < runs; i++) {
        /* A block of its own and of the very size: the sanitizer sees a read past its end. */
        uint8_t *copy = otr_alloc(wasm.n);
        REQUIRE(copy != NULL);
        memcpy(copy, wasm.p, wasm.n);
        size_t n = mutate(copy, wasm.n, &dice);
        uint8_t *exact = otr_realloc(copy, n > 0 ? n : 1);
        try_one(engine, (otr_bytes){ exact != NULL ? exact : copy, n }, t);
        otr_free(exact != NULL ? exact : copy);
    }
    CHECK_INT(otr_alloc_live(), blocks);
}

T_NO_OOM(a_mutated_guest_is_refused_or_contained)
{
    otr_err err = { 0 };
    ENGINE(engine);
    tally t = { .refused = 0 };
    unsigned total = DAILY, done = 0;
    if (getenv("OTR_NIGHTLY") != NULL) {
        total = NIGHTLY;
        alarm(HOUR_S); /* the harness allows minutes */
    }
    REQUIRE_OK(open_engine(&engine, &err), err);
    for (size_t i = 0; i < OTR_COUNT(sources); i++) {
#ifdef ON_WASMI
        if (strstr(sources[i].name, "-wit") != NULL) {
            continue;
        }
#endif
        unsigned runs = total * sources[i].share / 1000; /* none of Go by day */
        if (runs > 0) {
            mutate_source(engine, &sources[i], runs, &t);
        }
        done += runs;
    }
    printf("# %u mutations: %u refused, %u loaded, %u started, %u answered\n", done, t.refused,
           t.loaded, t.started, t.answered);
    CHECK(t.refused > 0 && t.loaded > 0 && t.answered > 0);

    GUEST_FILE(good);
    REQUIRE_OK(guest_file_load(&good, engine, "tests/guests/c-extism.wasm", NULL, &err), err);
    REQUIRE_OK(guest_file_start(&good, &err), err);
    REQUIRE_OK(guest_file_ask(&good, "echo", "alive", 1000, &err), err);
    CHECK_STR(otr_buf_text(&good.out), "alive");
}
