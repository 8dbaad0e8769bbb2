/*
 * WASI preview 1's errno: what its functions answer with.
 *
 * Thread: any.
 */
#ifndef OTR_WASM_WASI_ERRNO_H
#define OTR_WASM_WASI_ERRNO_H

enum {
    WASI_OK = 0,
    WASI_BADF = 8,
    WASI_EXIST = 20,
    WASI_FAULT = 21,
    WASI_ILSEQ = 25,
    WASI_INVAL = 28,
    WASI_IO = 29,
    WASI_ISDIR = 31,
    WASI_MFILE = 33,
    WASI_NAMETOOLONG = 37,
    WASI_NOENT = 44,
    WASI_NOMEM = 48,
    WASI_NOSYS = 52,
    WASI_NOTDIR = 54,
    WASI_NOTSUP = 58,
    WASI_PERM = 63,
    WASI_SPIPE = 70,
};

#endif
