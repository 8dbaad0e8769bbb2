/*
 * What engines/ adds to the engines' own C APIs.
 *
 * Thread: any.
 */
#ifndef OUTRIDER_ENGINES_H
#define OUTRIDER_ENGINES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Turns the calls of an Extism guest (a binary module) to load_*, store_*, input_load_*,
 * input_length and input_offset into plain memory instructions on the kernel's memory, which the
 * new module imports beside its own. Every result, trap and bound stays the same.
 *
 * Returns 1 and the new module in `*ret`, to be released with otr_engines_free(); or 0 and, in
 * `why` (`cap` bytes, NUL-terminated, cut to fit), the reason why this one stays as it is. Any
 * bytes are fine as input. */
int otr_engines_rewrite_extism(const uint8_t *wasm, size_t n, uint8_t **ret, size_t *ret_n,
                               char *why, size_t cap);

/* `p` and `n` as they were returned; NULL is fine. */
void otr_engines_free(uint8_t *p, size_t n);

typedef struct otr_slice { /* borrowed */
    const uint8_t *p;
    size_t n;
} otr_slice;

/* Receives bytes: an answer, or the text of an error. When a call fails after it has answered, both
 * come: the last counts. */
typedef void otr_sink(void *arg, const uint8_t *p, size_t n);

/* ---- what a module brings ---- */

typedef struct otr_survey {    /* what is imported does not count */
    uint32_t memories, tables; /* a component's: of all its modules together */
    uint64_t memory_bytes;     /* what they begin with, together */
    uint64_t table_elements;   /* what the largest table begins with */
    uint8_t shared;            /* a memory, also an imported one, is shared between threads */
} otr_survey;

/* Of a binary module or component; any bytes are fine. */
void otr_engines_survey(otr_slice wasm, otr_survey *ret);
/* Why the engine (`wasmi` 0: Wasmtime) refused a module: 1 and a sentence in `sink` that names the
 * proposals that it uses and the engine lacks; 0 when it uses none, or is malformed. */
int32_t otr_engines_lacking(otr_slice wasm, int32_t wasmi, otr_sink *sink, void *arg);

/* ---- one account for all memories and tables of a sandbox ---- */

typedef struct otr_limiter {
    /* Of all memories and tables together. An element of a table has 8; the first 64 KiB of tables
     * are free. */
    size_t max_bytes;
    size_t max_elements; /* of each table */
    size_t max_instances, max_memories, max_tables;
    size_t used_bytes;
    size_t refused_bytes; /* what the latest refused growth would have led to; 0: none was */
    size_t private[4];
} otr_limiter;

struct wasmtime_store;
/* `limiter` outlives the store and belongs to its thread. */
void otr_limiter_attach(struct wasmtime_store *store, otr_limiter *limiter);

/* ---- WIT components: bytes are copied once each way ---- */

enum { /* of otr_component_host.call; each but the first has its text in `sink` */
       OTR_COMPONENT_HOST_OK,
       OTR_COMPONENT_HOST_ABSENT, /* no such thing */
       OTR_COMPONENT_HOST_ERROR,
       OTR_COMPONENT_HOST_DENIED,  /* no grant covers it */
       OTR_COMPONENT_HOST_TIMEOUT, /* past its time */
};

typedef struct otr_component_host {
    void *user;
    /* A host operation with up to two inputs, borrowed, often from the guest's memory: its answer,
     * or the text of its error, goes to `sink`. On the thread of the call. Three are between us:
     * "print": a is the byte 1 or 2 (standard output or error), b what the guest writes there;
     * "may": does a grant cover operation a? OK or DENIED, without a text; "log.write": a is the
     * level, b the line. */
    int32_t (*call)(void *user, const char *op, otr_slice a, otr_slice b, otr_sink *sink,
                    void *arg);
    /* Not 0: the guest is to be stopped. Asked at each tick and behind each host operation. */
    int32_t (*overdue)(void *user);
} otr_component_host;

typedef struct otr_components otr_components;                 /* an engine */
typedef struct otr_component otr_component;                   /* compiled code */
typedef struct otr_component_instance otr_component_instance; /* one sandbox */
typedef struct otr_component_func otr_component_func;         /* a handle, of one instance */

/* NULL on failure, with its text in `sink`; so do all that return a pointer. Any thread. */
otr_components *otr_components_open(otr_sink *sink, void *arg);
void otr_components_close(otr_components *cs);      /* after all that came from it */
void otr_components_tick(const otr_components *cs); /* any thread */

otr_component *otr_component_compile(const otr_components *cs, otr_slice wasm, otr_sink *sink,
                                     void *arg);
/* Compiled code as bytes, and back; `code` must be trusted as code is. 0: ok. */
int32_t otr_component_save(const otr_component *c, otr_sink *sink, void *arg);
otr_component *otr_component_restore(const otr_components *cs, otr_slice code, otr_sink *sink,
                                     void *arg);
/* Lines "import NAME", "export NAME", "export INTERFACE#NAME", and "missing TEXT" when an import is
 * not offered: it then cannot be spawned. */
void otr_component_describe(const otr_components *cs, const otr_component *c, otr_sink *sink,
                            void *arg);
void otr_component_free(otr_component *c);

typedef struct otr_component_folder { /* UTF-8 */
    const char *host, *guest;
    int32_t writable;
} otr_component_folder;

typedef struct otr_component_spec {
    otr_component_host host;
    size_t max_memory; /* of all memories of the instance together */
    /* WASI p2 has these variables and folders, and nothing else: no arguments, no sockets. Borrowed
     * until the return. */
    const char *const *env; /* "NAME=value", NULL-terminated; or NULL */
    const otr_component_folder *folders;
    size_t n_folders;
} otr_component_spec;

otr_component_instance *otr_component_spawn(const otr_components *cs, const otr_component *c,
                                            const otr_component_spec *spec, otr_sink *sink,
                                            void *arg);
void otr_component_drop(otr_component_instance *i);
size_t otr_component_memory(const otr_component_instance *i);

/* `interface` may be empty: a function of the world itself. NULL: no such export, or of a shape
 * that is not bytes or text in and out. */
otr_component_func *otr_component_func_get(otr_component_instance *i, otr_slice interface,
                                           otr_slice name);
void otr_component_func_free(otr_component_func *f);

/* Of otr_component_call(). Each but the first has its text in `sink`. */
enum {
    OTR_COMPONENT_OK,
    OTR_COMPONENT_ERROR, /* the guest answered with an error; it lives on */
    OTR_COMPONENT_TRAP,  /* this and those below end the instance */
    OTR_COMPONENT_OVERDUE,
    OTR_COMPONENT_MEMORY,
};
int32_t otr_component_call(otr_component_instance *i, const otr_component_func *f, otr_slice input,
                           otr_sink *sink, void *arg);

#ifdef __cplusplus
}
#endif

#endif
