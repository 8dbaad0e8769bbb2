//! One static library with both engines' C APIs, so that C links a single archive.
extern crate wasmi_c_api as _;
extern crate wasmtime_c_api as _;

mod component;
mod debug;
mod files;
mod http;
mod http_types;
mod interpreter;
mod limiter;
mod missing;
mod rewrite;
mod services;
mod survey;
mod values;
mod wasi;

use std::ffi::{c_char, c_int};

/// # Safety
/// See include/outrider_engines.h: the pointers are valid for the lengths beside them.
#[no_mangle]
pub unsafe extern "C" fn otr_engines_rewrite_extism(
    wasm: *const u8,
    n: usize,
    ret: *mut *mut u8,
    ret_n: *mut usize,
    why: *mut c_char,
    cap: usize,
) -> c_int {
    let input = if n == 0 { &[] } else { std::slice::from_raw_parts(wasm, n) };
    match rewrite::rewrite_extism(input) {
        Ok(module) => {
            *ret_n = module.len();
            *ret = Box::into_raw(module.into_boxed_slice()).cast();
            1
        }
        Err(text) => {
            if cap > 0 {
                let kept = text.len().min(cap - 1);
                std::ptr::copy_nonoverlapping(text.as_ptr(), why.cast(), kept);
                *why.add(kept) = 0;
            }
            0
        }
    }
}

/// # Safety
/// `p` and `n` come from a function above, once; or `p` is null.
#[no_mangle]
pub unsafe extern "C" fn otr_engines_free(p: *mut u8, n: usize) {
    if !p.is_null() {
        drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(p, n)));
    }
}
