/*
 * Values that cross between host and guest, and the types of functions.
 *
 * Thread: any.
 */
#ifndef OTR_WASM_VALUE_VALUE_H
#define OTR_WASM_VALUE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum otr_wasm_type {
    OTR_WASM_I32,
    OTR_WASM_I64,
    OTR_WASM_F32,
    OTR_WASM_F64,
    OTR_WASM_OTHER
} otr_wasm_type;

typedef union otr_val { /* the type is known from the function's signature */
    int32_t i32;
    int64_t i64;
    float f32;
    double f64;
    uint8_t raw[16]; /* the size engines want for an unchecked slot */
} otr_val;

enum { OTR_WASM_MAX_ARGS = 16, OTR_WASM_MAX_RESULTS = 4 };

typedef struct otr_sig {
    uint8_t n_args, n_results;       /* 255: more than we handle */
    uint8_t args[OTR_WASM_MAX_ARGS]; /* otr_wasm_type */
    uint8_t results[OTR_WASM_MAX_RESULTS];
} otr_sig;

/* "(i64, i32) -> i32": into `out`, cut to fit; returns `out`. */
const char *otr_sig_text(const otr_sig *sig, char *out, size_t cap);
bool otr_sig_eq(const otr_sig *a, const otr_sig *b);

#endif
