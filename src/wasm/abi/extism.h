/*
 * What the files of the Extism adapter share. Internal to src/wasm/abi/extism*.c.
 *
 * A handle is the offset of a block in the kernel's memory (extism_kernel.wat); 0 is none. What
 * lies in that memory is the guest's: every offset and length read from it is checked anew.
 *
 * Thread: that of the guest.
 */
#ifndef OTR_WASM_ABI_EXTISM_H
#define OTR_WASM_ABI_EXTISM_H

#include <string.h>

#include "base/buf.h"
#include "wasm/abi/abi.h"

typedef struct otr_extism_var {
    char *bytes; /* key, then value */
    size_t key_n, value_n;
} otr_extism_var;

typedef struct otr_extism_vars { /* sorted by key; kept for the instance's life */
    otr_extism_var *items;
    size_t n, cap;
    uint64_t bytes; /* as the quota counts them */
} otr_extism_vars;

/* Counted beside key and value for each variable, as other hosts do. */
enum { OTR_EXTISM_VAR_OVERHEAD = 48 };

/* The value, or false: no such variable. The view holds until the next change. */
bool otr_extism_vars_get(const otr_extism_vars *vars, otr_bytes key, otr_bytes *ret);
/* OTR_EQUOTA when all variables together would pass `max_bytes`; nothing is changed then. */
otr_code otr_extism_vars_set(otr_extism_vars *vars, otr_bytes key, otr_bytes value,
                             uint64_t max_bytes, otr_err *err);
void otr_extism_vars_remove(otr_extism_vars *vars, otr_bytes key);
void otr_extism_vars_deinit(otr_extism_vars *vars);

enum { OTR_EXTISM_OPERATIONS = 16, OTR_EXTISM_OPERATION_BYTES = 48 };

typedef struct otr_extism_call {
    const otr_func *func;
    bool answers; /* with a result code */
    bool start;   /* _start: the instance is used up afterwards */
} otr_extism_call;

typedef struct otr_extism_operation {
    char name[OTR_EXTISM_OPERATION_BYTES];
    otr_extism_call call;
} otr_extism_operation;

typedef struct otr_extism {
    const otr_func *alloc; /* of the kernel; NULL: not asked for yet */
    const otr_func *take;  /* of the kernel; NULL: not asked for yet */
    uint64_t room_bytes;   /* the kernel's memory has at least these */
    uint8_t *base;         /* of the kernel's memory when that stays where it is; else NULL */
    uint64_t clean_at;     /* the last answer lay here and is zeroed; 0: none is */
    uint64_t clean_bytes;
    uint64_t peak;        /* the most that a call had allocated since the last rest() */
    uint64_t key;         /* of the running call, see the kernel's word 7 */
    uint64_t deadline_ns; /* of the running call */
    otr_extism_operation operations[OTR_EXTISM_OPERATIONS]; /* those asked so far */
    size_t n_operations;
    bool used_up; /* _start ran */
    otr_extism_vars vars;
    int32_t http_status;
    otr_buf http_headers;
    char last_error[OTR_ERR_MSG_BYTES]; /* of outrider_call() */
} otr_extism;

/* Words of the kernel's root block. */
enum {
    OTR_EXTISM_INPUT_OFFSET = 1,
    OTR_EXTISM_INPUT_LENGTH = 2,
    OTR_EXTISM_OUTPUT_OFFSET = 3,
    OTR_EXTISM_OUTPUT_LENGTH = 4,
    OTR_EXTISM_ERROR = 5,
    OTR_EXTISM_INPUT_LIMIT = 6,
    OTR_EXTISM_KEY = 7,
    OTR_EXTISM_TOP = 8,
    OTR_EXTISM_LISTS = 9,
    OTR_EXTISM_HIGH = 10,
};
enum { OTR_EXTISM_ROOT_BYTES = 512, OTR_EXTISM_HEADER_BYTES = 16, OTR_EXTISM_KERNEL = 0 };

/* Wasm is little-endian whatever we run on. */
static inline uint64_t otr_extism_load(const uint8_t *p)
{
    uint64_t value;
    memcpy(&value, p, sizeof(value));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

static inline void otr_extism_store(uint8_t *p, uint64_t value)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    memcpy(p, &value, sizeof(value));
}

static inline uint64_t otr_extism_word(const uint8_t *root, size_t k)
{
    return otr_extism_load(root + 8 * k);
}

/* The kernel's alloc(); NULL when memory is out. */
const otr_func *otr_extism_alloc(otr_extism *x, otr_instance *inst);
/* The block behind `handle`; the view holds until Wasm runs. Handle 0 is an empty view. A value
 * that is no handle: OTR_EINVAL, and the text calls it `what`. */
otr_code otr_extism_view(otr_instance *inst, uint64_t handle, const char *what, otr_bytes *ret,
                         otr_err *err) OTR_MUST_CHECK;
/* What the guest's error_set left as the text of the call's failure; a block that was freed since
 * counts. False: nothing, or a value that stands for no text. */
bool otr_extism_error_text(otr_instance *inst, uint64_t handle, otr_bytes *ret);
/* Frees the block `handle`: what a guest gives to a host function belongs to the host. 0 and what
 * is no handle are ignored. */
otr_code otr_extism_take(otr_guest *g, otr_instance *inst, uint64_t handle, otr_err *err)
    OTR_MUST_CHECK;
/* Copies `bytes` into a new block. No bytes: handle 0. OTR_EQUOTA when memory is used up. */
otr_code otr_extism_give(otr_guest *g, otr_instance *inst, otr_bytes bytes, uint64_t *ret,
                         otr_err *err) OTR_MUST_CHECK;
/* Makes `text` the error of the running call: it fails with it unless the guest clears it. */
otr_code otr_extism_set_error(otr_guest *g, otr_instance *inst, const char *text, otr_err *err)
    OTR_MUST_CHECK;

/* extism_host.c */
const otr_import *otr_extism_imports(size_t *ret_n);

/* extism_check.c: those of otr_abi_ops */
bool otr_extism_match(const otr_module_info *info);
bool otr_extism_has(const otr_module_info *info, const char *operation);
otr_code otr_extism_check(const otr_module_info *info, const char *const *operations,
                          otr_buf *missing, otr_err *err) OTR_MUST_CHECK;

#endif
