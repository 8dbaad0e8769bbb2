/*
 * Wasmtime's account of a failure, made one line. For wasmtime*.c and component.c.
 *
 * Thread: any.
 */
#ifndef OTR_WASM_ENGINE_TRACE_H
#define OTR_WASM_ENGINE_TRACE_H

#include "base/base.h"

/* "<reason> at <function> (<file>:<line>) < <caller>" into `ret`, cut to `cap` bytes. `text` is an
 * error of Wasmtime with its backtrace, or without. */
void otr_wasmtime_shorten(otr_bytes text, char *ret, size_t cap);

#endif
