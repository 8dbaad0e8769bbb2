/*
 * What every Outrider plugin in C has, whichever ABI it speaks.
 *
 * Include outrider_extism.h or outrider_wapc.h, not this file: both offer the same functions, so a
 * plugin changes its ABI by changing that one line. Everything is freestanding C11 for
 * `clang --target=wasm32 -nostdlib -ffreestanding`: no libc, no start-up code, nothing to link.
 *
 * Memory: og_new() takes from one arena that is emptied before every operation, so nothing is ever
 * freed. What must outlive an operation lives in static variables; they last as long as the
 * instance (a guest that trapped or ran over its deadline is replaced by a fresh one).
 */
#ifndef OUTRIDER_GUEST_H
#define OUTRIDER_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* For what is called from many places: a copy at each would make plugins several times larger. */
#define OG_SHARED __attribute__((noinline, unused)) static

/* Text that is not NUL-terminated. `at` is NULL when there is none ("absent"); an empty text has
 * `at` set and `len` 0. */
typedef struct og_str {
    const char *at;
    size_t len;
} og_str;

#define OG_STR(literal) ((og_str){ ("" literal ""), sizeof(literal) - 1 })

/* The version of the plugin contract that these headers speak. */
#define OG_API "1"

/* What an operation returns: OG_OK, or anything else for failure. */
enum { OG_OK = 0, OG_FAILED = 1 };

typedef enum og_level {
    OG_LOG_TRACE,
    OG_LOG_DEBUG,
    OG_LOG_INFO,
    OG_LOG_WARN,
    OG_LOG_ERROR
} og_level;

OG_SHARED og_str og_text(const char *nul_terminated)
{
    og_str s = { nul_terminated, 0 };
    while (nul_terminated != NULL && nul_terminated[s.len] != '\0') {
        s.len++;
    }
    return s;
}

static inline bool og_str_eq(og_str a, og_str b)
{
    if (a.at == NULL || b.at == NULL || a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (a.at[i] != b.at[i]) {
            return false;
        }
    }
    return true;
}

OG_SHARED void og_copy(char *to, const char *from, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        to[i] = from[i];
    }
}

#ifdef __wasm__

#ifdef __wasi__
#include <stdlib.h> /* with a libc, its allocator owns the heap */
#else
/* clang may call these four for plain assignments and loops; weak, so that a libc's own win. */
#define OG_LIBC_ __attribute__((weak, no_builtin))

OG_LIBC_ void *memcpy(void *restrict to, const void *restrict from, size_t len)
{
    unsigned char *t = to;
    const unsigned char *f = from;
    while (len-- > 0) {
        *t++ = *f++;
    }
    return to;
}

OG_LIBC_ void *memmove(void *to, const void *from, size_t len)
{
    unsigned char *t = to;
    const unsigned char *f = from;
    if ((uintptr_t)t < (uintptr_t)f) {
        return memcpy(to, from, len);
    }
    while (len-- > 0) {
        t[len] = f[len];
    }
    return to;
}

OG_LIBC_ void *memset(void *to, int byte, size_t len)
{
    unsigned char *t = to;
    while (len-- > 0) {
        *t++ = (unsigned char)byte;
    }
    return to;
}

OG_LIBC_ int memcmp(const void *a, const void *b, size_t len)
{
    const unsigned char *x = a;
    const unsigned char *y = b;
    for (; len > 0; len--, x++, y++) {
        if (*x != *y) {
            return *x < *y ? -1 : 1;
        }
    }
    return 0;
}
#endif

/* State of the running operation. */
static struct {
#ifdef __wasi__
    union og_block_ {
        union og_block_ *next;
        uint64_t align[2];
    } *blocks;
#else
    uintptr_t arena; /* next free address; 0: nothing taken yet */
#endif
    og_str input;
    og_str error;
} og_;

#ifdef __wasi__
OG_SHARED void *og_new(size_t size)
{
    union og_block_ *block = size > SIZE_MAX - sizeof *block ? NULL : malloc(size + sizeof *block);
    if (block == NULL) {
        return NULL;
    }
    block->next = og_.blocks;
    og_.blocks = block;
    return block + 1;
}
#else
extern unsigned char __heap_base; /* set by wasm-ld: first address after stack and data */

/* `size` bytes, aligned to 8, not zeroed, valid until this operation returns. NULL: no memory. */
OG_SHARED void *og_new(size_t size)
{
    const size_t page = 65536;
    uintptr_t at = og_.arena != 0 ? og_.arena : (uintptr_t)&__heap_base;
    at = (at + 7) & ~(uintptr_t)7;
    if (size > SIZE_MAX - at - page) {
        return NULL;
    }
    size_t have = __builtin_wasm_memory_size(0) * page;
    size_t need = at + size;
    if (need > have &&
        __builtin_wasm_memory_grow(0, (need - have + page - 1) / page) == (size_t)-1) {
        return NULL;
    }
    og_.arena = at + size;
    return (void *)at;
}
#endif

/* Empties the arena: before every operation. */
static inline void og_begin_(void)
{
#ifdef __wasi__
    while (og_.blocks != NULL) {
        union og_block_ *next = og_.blocks->next;
        free(og_.blocks);
        og_.blocks = next;
    }
#else
    og_.arena = 0;
#endif
    og_.input = (og_str){ NULL, 0 };
    og_.error = (og_str){ NULL, 0 };
}

/* `a` and `b` in one piece, valid until this operation returns; absent when out of memory. */
OG_SHARED og_str og_concat(og_str a, og_str b)
{
    og_str none = { NULL, 0 };
    char *to = b.len > SIZE_MAX - a.len ? NULL : og_new(a.len + b.len);
    if (to == NULL) {
        return none;
    }
    og_copy(to, a.at, a.len);
    og_copy(to + a.len, b.at, b.len);
    return (og_str){ to, a.len + b.len };
}

/* The text of the last failure: of og_fail() or of a host function. Empty, never absent. */
static inline og_str og_error(void)
{
    return og_.error.at != NULL ? og_.error : OG_STR("");
}

/* Says why an operation fails: `return og_fail("config: threshold is missing");`. The text must
 * live until the operation returns. */
static inline int og_fail_str(og_str text)
{
    og_.error = text;
    return OG_FAILED;
}

static inline int og_fail(const char *text)
{
    return og_fail_str(og_text(text));
}

/* The host's side; outrider_extism.h and outrider_wapc.h implement it. */

/* What the host passed to this operation. Empty, never absent. */
static og_str og_input(void);

/* The operation's answer, copied at once; the last one counts. Non-zero: no memory. */
static int og_output(og_str bytes);

/* Publishes JSON text `data` under `topic`. Non-zero: refused (no grant, bad topic, bad JSON, a
 * limit); og_error() says why, and returning the value fails the operation with that text. */
static int og_publish(const char *topic, og_str data);

/* The value of a key of this plugin's configuration; absent when it is not set. */
static og_str og_config(const char *key);

static void og_log_str(og_level level, og_str text);

/* Any other host operation by name, for example og_call("kv.get", OG_STR("last")). Absent on
 * failure, see og_error(). There are kv.get, kv.set, kv.put, kv.delete, kv.list, http.request,
 * metric.counter, metric.gauge, metric.histogram, instances.list, nginx_config.get, env.get,
 * secret.get, clock.now and random.bytes; docs/abi/operations.md has what they take and answer. */
static og_str og_call(const char *operation, og_str input);

static inline void og_log(og_level level, const char *text)
{
    og_log_str(level, og_text(text));
}

#endif
#endif
