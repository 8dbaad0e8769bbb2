//! What a module brings and what it needs of WebAssembly, from its bytes alone: how many memories and tables, and which
//! proposals an engine lacks that refused it. Functions are described in include/outrider_engines.h.
use std::ffi::c_void;
use wasmparser::{Parser, Payload, Validator, WasmFeatures as F};

type Sink = unsafe extern "C" fn(*mut c_void, *const u8, usize);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Slice {
    p: *const u8,
    n: usize,
}

/// A proposal that an engine may lack: the name that a user knows, and whether Wasmtime and wasmi have it as they are
/// opened here (src/wasm/engine/wasmtime_config.c, interpreter.rs). tests/unit/wasm/test_proposals.c tries each one.
const PROPOSALS: [(&str, F, bool, bool); 16] = [
    ("GC", F::GC, true, false),
    ("typed function references", F::FUNCTION_REFERENCES, true, false),
    ("exceptions", F::EXCEPTIONS, true, false),
    ("legacy exceptions", F::LEGACY_EXCEPTIONS, false, false),
    ("threads", F::THREADS, true, false),
    ("shared-everything threads", F::SHARED_EVERYTHING_THREADS, false, false),
    ("stack switching", F::STACK_SWITCHING, false, false),
    ("custom page sizes", F::CUSTOM_PAGE_SIZES, false, false),
    ("memory control", F::MEMORY_CONTROL, false, false),
    ("custom descriptors", F::CUSTOM_DESCRIPTORS, false, false),
    ("compact imports", F::COMPACT_IMPORTS, false, false),
    ("memory64", F::MEMORY64, true, true),
    ("wide arithmetic", F::WIDE_ARITHMETIC, true, true),
    ("extended constant expressions", F::EXTENDED_CONST, true, true),
    ("relaxed SIMD", F::RELAXED_SIMD, true, true),
    ("multiple memories", F::MULTI_MEMORY, true, true),
];

/// What the rewriter may meet: all that compiled code may use.
pub fn offered() -> F {
    PROPOSALS.iter().fold(F::all(), |all, p| if p.2 { all } else { all - p.1 })
}

#[repr(C)]
#[derive(Default)]
pub struct Survey {
    memories: u32,
    tables: u32,
    memory_bytes: u64,
    table_elements: u64,
    shared: u8,
}

fn survey(wasm: &[u8]) -> Survey {
    let mut s = Survey::default();
    for p in Parser::new(0).parse_all(wasm) {
        match p {
            Ok(Payload::MemorySection(list)) => {
                for m in list.into_iter().flatten() {
                    let page = 1u64.checked_shl(m.page_size_log2.unwrap_or(16)).unwrap_or(u64::MAX);
                    s.memories += 1;
                    s.memory_bytes = s.memory_bytes.saturating_add(m.initial.saturating_mul(page));
                    s.shared |= m.shared as u8;
                }
            }
            Ok(Payload::TableSection(list)) => {
                for t in list.into_iter().flatten() {
                    s.tables += 1;
                    s.table_elements = s.table_elements.max(t.ty.initial);
                }
            }
            Ok(Payload::ImportSection(list)) => {
                for i in list.into_imports().flatten() {
                    s.shared |= matches!(i.ty, wasmparser::TypeRef::Memory(m) if m.shared) as u8;
                }
            }
            Ok(_) => {}
            Err(_) => break, // compiling it says what is wrong
        }
    }
    s
}

fn valid(wasm: &[u8], features: F) -> bool {
    Validator::new_with_features(features).validate_all(wasm).is_ok()
}

/// None when the module is malformed, or lacks nothing.
fn lacking(wasm: &[u8], wasmi: bool) -> Option<String> {
    if !valid(wasm, F::all()) {
        return None;
    }
    let mut elsewhere = true; // Wasmtime has all that is lacking here
    let mut names: Vec<&str> = Vec::new();
    for (name, flag, in_wasmtime, in_wasmi) in PROPOSALS {
        let here = if wasmi { in_wasmi } else { in_wasmtime };
        let implied = flag == F::FUNCTION_REFERENCES && names.contains(&"GC");
        if here || implied || valid(wasm, F::all() - flag) {
            continue;
        }
        elsewhere &= in_wasmtime;
        names.push(name);
    }
    if survey(wasm).shared != 0 {
        names.retain(|n| *n != "threads");
        names.push("shared memory (threads)");
        elsewhere = false;
    }
    let list = match names[..] {
        [one] => format!("the {one} proposal"),
        _ => format!("the proposals {}", names.join(", ")),
    };
    match (names.is_empty(), elsewhere) {
        (true, _) => None,
        (_, true) => Some(format!("uses {list}, which the engine wasmi does not have: use engine: wasmtime")),
        _ => Some(format!("uses {list}, which no engine here has")),
    }
}

unsafe fn view<'a>(s: Slice) -> &'a [u8] {
    if s.n == 0 { &[] } else { std::slice::from_raw_parts(s.p, s.n) }
}

/// # Safety
/// `wasm` is valid.
#[no_mangle]
pub unsafe extern "C" fn otr_engines_survey(wasm: Slice, ret: &mut Survey) {
    *ret = survey(view(wasm));
}

/// # Safety
/// `wasm` is valid; `sink` takes `arg`.
#[no_mangle]
pub unsafe extern "C" fn otr_engines_lacking(wasm: Slice, wasmi: i32, sink: Sink, arg: *mut c_void) -> i32 {
    match lacking(view(wasm), wasmi != 0) {
        Some(t) => {
            sink(arg, t.as_ptr(), t.len());
            1
        }
        None => 0,
    }
}
