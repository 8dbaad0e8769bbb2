/*
 * wasmi with what its own C API leaves out: fuel, a limit on memory, the reason of a refusal.
 *
 * A store holds the parts of one sandbox: modules instantiated one after the other, each of which
 * may import from the earlier ones. Guest code runs in slices of fuel; between two of them the host
 * is asked whether it may go on.
 *
 * Thread: engine and module, any; a store, one thread at a time.
 */
#ifndef OUTRIDER_WASMI_H
#define OUTRIDER_WASMI_H

#include <stddef.h>
#include <stdint.h>

#include "outrider_engines.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct otr_wasmi_engine otr_wasmi_engine;
typedef struct otr_wasmi_module otr_wasmi_module;
typedef struct otr_wasmi_store otr_wasmi_store;
typedef struct otr_wasmi_func otr_wasmi_func; /* of one store; released before it */

typedef struct otr_wasmi_val { /* the first bytes hold an i32, i64, f32 or f64 */
    uint64_t bits, unused;
} otr_wasmi_val;

enum { OTR_WASMI_FUNC, OTR_WASMI_MEMORY_KIND, OTR_WASMI_TABLE, OTR_WASMI_GLOBAL };

typedef struct otr_wasmi_extern { /* borrowed */
    otr_slice module;             /* imports only */
    otr_slice name;
    uint64_t memory_bytes; /* a memory's minimum */
    uint8_t kind;
    uint8_t import;
    otr_slice args, results; /* a function's: i32, i64, f32, f64 are 0 to 3; 4 is any other type */
} otr_wasmi_extern;

otr_wasmi_engine *otr_wasmi_open(void);
void otr_wasmi_close(otr_wasmi_engine *e); /* after all that came from it */

/* A binary core module; any bytes are fine. NULL on failure, with its text in `sink`. */
otr_wasmi_module *otr_wasmi_compile(const otr_wasmi_engine *e, otr_slice wasm, otr_sink *sink,
                                    void *arg);
/* All imports in their order, then all exports sorted by name. Ends with the first result of `each`
 * that is not 0, and returns it. */
int32_t otr_wasmi_describe(const otr_wasmi_module *m,
                           int32_t (*each)(void *arg, const otr_wasmi_extern *x), void *arg);
void otr_wasmi_module_free(otr_wasmi_module *m);

typedef struct otr_wasmi_host {
    void *user;
    /* A host function: `data` is the item's; `vals` has 16 places: arguments in, results out. Not 0
     * ends the guest. */
    int32_t (*call)(void *user, const void *data, otr_wasmi_val *vals);
    int32_t (*overdue)(void *user); /* asked between slices; not 0 ends the guest */
    otr_limiter *limiter;           /* outlives the store */
} otr_wasmi_host;

typedef struct otr_wasmi_item { /* what satisfies an import */
    int32_t part;               /* the export `name` of this part, or -1: a host function */
    otr_slice name;
    const void *data;
} otr_wasmi_item;

enum { /* how guest code ended; unless OK a text is in `sink` and the store is only good to be freed
        */
       OTR_WASMI_OK,
       OTR_WASMI_TRAP,
       OTR_WASMI_OVERDUE, /* no text */
       OTR_WASMI_HOST,    /* a host function said so; no text */
       OTR_WASMI_MEMORY,  /* gave up by `unreachable` after memory was denied */
       OTR_WASMI_LIMIT,   /* an instance could not be made */
};

otr_wasmi_store *otr_wasmi_store_new(const otr_wasmi_engine *e, const otr_wasmi_host *host);
void otr_wasmi_store_free(otr_wasmi_store *s);
/* Makes the next part and runs its start function. One item for each import. */
int32_t otr_wasmi_instantiate(otr_wasmi_store *s, const otr_wasmi_module *m,
                              const otr_wasmi_item *items, size_t n, otr_sink *sink, void *arg);
/* NULL when `part` exports no such function. At most 16 arguments and 4 results. */
otr_wasmi_func *otr_wasmi_func_get(otr_wasmi_store *s, size_t part, otr_slice name);
void otr_wasmi_func_free(otr_wasmi_func *f);
/* Also from within a host function. */
int32_t otr_wasmi_call(otr_wasmi_store *s, const otr_wasmi_func *f, otr_wasmi_val *vals,
                       otr_sink *sink, void *arg);
/* The memory that `part` exports as "memory", until the guest runs again; NULL: none. Within a host
 * function, a part that does not exist stands for the one that called it. */
uint8_t *otr_wasmi_memory(otr_wasmi_store *s, size_t part, size_t *ret_n);

#ifdef __cplusplus
}
#endif

#endif
