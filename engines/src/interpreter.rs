//! wasmi for C. Its own C API has no limits, no usable fuel and no reason for a refusal, so this speaks to the crate.
//! Every function is described in include/outrider_wasmi.h.
use std::ffi::c_void;
use std::ptr::null_mut;
use wasm_encoder::{ExportKind, ExportSection, Module as Encoder, RawSection};
use wasmi_c_api::wasmi::{
    AsContext, AsContextMut, Caller, CompilationMode, Config, CustomFuelCosts, Engine, Error, Extern, ExternType, Func,
    FuncType, Instance, Memory, Module, ResumableCall, Store, StoreContextMut, TrapCode, Val, ValType, F32, F64,
};
use crate::limiter::Limiter;

type Sink = unsafe extern "C" fn(*mut c_void, *const u8, usize);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Slice {
    p: *const u8,
    n: usize,
}

unsafe fn view<'a>(s: Slice) -> &'a [u8] {
    if s.n == 0 { &[] } else { std::slice::from_raw_parts(s.p, s.n) }
}

/// Work between two looks at the clock: 0.1 to 0.5 ms.
const SLICE: u64 = 100_000;
const START: &str = "outrider:start";
const STACK_BYTES: usize = 1 << 20;
const DEPTH: usize = 16_384;

const OK: i32 = 0;
const TRAP: i32 = 1;
const OVERDUE: i32 = 2;
const HOST: i32 = 3;
const MEMORY: i32 = 4;
const LIMIT: i32 = 5;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Slot {
    bits: u64,
    unused: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Host {
    user: *mut c_void,
    call: unsafe extern "C" fn(*mut c_void, *const c_void, *mut Slot) -> i32,
    overdue: unsafe extern "C" fn(*mut c_void) -> i32,
    limiter: *mut Limiter,
}
unsafe impl Send for Host {}

#[repr(C)]
pub struct Item {
    part: i32,
    name: Slice,
    data: *const c_void,
}

#[repr(C)]
pub struct Described {
    module: Slice,
    name: Slice,
    memory: u64,
    kind: u8,
    import: u8,
    args: Slice,
    results: Slice,
}

pub struct Code {
    module: Module,
    starts: bool,
}

struct State {
    host: Host,
}

pub struct Running {
    store: Store<State>,
    parts: Vec<(Instance, Option<Memory>)>,
    caller: *mut c_void, // the innermost host call's, through which alone the store may then be used
}

pub struct Handle {
    func: Func,
    args: Vec<ValType>,
    results: Vec<ValType>,
}

unsafe fn context<'a>(r: *mut Running) -> StoreContextMut<'a, State> {
    match (*r).caller.is_null() {
        true => (*(&raw mut (*r).store)).as_context_mut(),
        false => (*(*r).caller.cast::<Caller<'a, State>>()).as_context_mut(),
    }
}

fn load(slot: &Slot, ty: ValType) -> Val {
    match ty {
        ValType::I32 => Val::I32(slot.bits as i32),
        ValType::I64 => Val::I64(slot.bits as i64),
        ValType::F32 => Val::F32(F32::from_bits(slot.bits as u32)),
        ValType::F64 => Val::F64(F64::from_bits(slot.bits)),
        other => Val::default_for_ty(other),
    }
}

fn store(val: &Val) -> Slot {
    let bits = match val {
        Val::I32(v) => *v as u32 as u64,
        Val::I64(v) => *v as u64,
        Val::F32(v) => v.to_bits() as u64,
        Val::F64(v) => v.to_bits(),
        _ => 0,
    };
    Slot { bits, unused: 0 }
}

fn text(b: Slice) -> &'static str {
    std::str::from_utf8(unsafe { view(b) }).unwrap_or("\u{fffd}")
}

fn slice(b: &[u8]) -> Slice {
    Slice { p: b.as_ptr(), n: b.len() }
}

// ---- engine and module ----

#[no_mangle]
pub extern "C" fn otr_wasmi_open() -> *mut Engine {
    let mut c = Config::default();
    let free = CustomFuelCosts { bytes_copied_per_fuel: 64, fuel_per_bytes_translated: 0, fuel_per_bytes_validated: 0 };
    c.consume_fuel(true).fuel_cost(free).ignore_custom_sections(true);
    c.wasm_memory64(true).wasm_wide_arithmetic(true);
    c.compilation_mode(CompilationMode::LazyTranslation);
    c.set_max_stack_height(STACK_BYTES).set_max_recursion_depth(DEPTH);
    Box::into_raw(Box::new(Engine::new(&c)))
}

#[no_mangle]
pub unsafe extern "C" fn otr_wasmi_close(e: *mut Engine) {
    drop(Box::from_raw(e));
}

/// A start function runs to its end inside wasmi's instantiation. As an export it runs in slices like any call.
fn lift_start(wasm: &[u8]) -> Result<Option<Vec<u8>>, wasmparser::BinaryReaderError> {
    use wasmparser::{ExternalKind, Parser, Payload};
    let mut start = None;
    for p in Parser::new(0).parse_all(wasm) {
        if let Payload::StartSection { func, .. } = p? {
            start = Some(func);
        }
    }
    let Some(start) = start else { return Ok(None) };
    let (mut out, mut exports, mut done) = (Encoder::new(), ExportSection::new(), false);
    for p in Parser::new(0).parse_all(wasm) {
        let p = p?;
        match &p {
            Payload::ExportSection(list) => {
                for e in list.clone() {
                    let e = e?;
                    let kind = match e.kind {
                        ExternalKind::Table => ExportKind::Table,
                        ExternalKind::Memory => ExportKind::Memory,
                        ExternalKind::Global => ExportKind::Global,
                        ExternalKind::Tag => ExportKind::Tag,
                        _ => ExportKind::Func,
                    };
                    exports.export(e.name, kind, e.index);
                }
            }
            Payload::StartSection { .. } if !done => {
                exports.export(START, ExportKind::Func, start);
                out.section(&exports);
                done = true;
            }
            _ => if let Some((id, range)) = p.as_section() {
                out.section(&RawSection { id, data: &wasm[range] });
            }
        }
    }
    Ok(Some(out.finish()))
}

fn compile(e: &Engine, wasm: &[u8]) -> Result<Code, Error> {
    let lifted = lift_start(wasm).map_err(|e| Error::new(e.to_string()))?;
    if lifted.is_some() {
        Module::validate(e, wasm)?;
    }
    let module = Module::new(e, lifted.as_deref().unwrap_or(wasm))?;
    Ok(Code { module, starts: lifted.is_some() })
}

#[no_mangle]
pub unsafe extern "C" fn otr_wasmi_compile(e: &Engine, wasm: Slice, sink: Sink, arg: *mut c_void) -> *mut Code {
    match compile(e, view(wasm)) {
        Ok(code) => Box::into_raw(Box::new(code)),
        Err(e) => {
            let t = e.to_string();
            sink(arg, t.as_ptr(), t.len());
            null_mut()
        }
    }
}

#[no_mangle]
pub unsafe extern "C" fn otr_wasmi_module_free(c: *mut Code) {
    drop(Box::from_raw(c));
}

fn types(list: &[ValType]) -> Vec<u8> {
    let code = |t: &ValType| match t {
        ValType::I32 => 0,
        ValType::I64 => 1,
        ValType::F32 => 2,
        ValType::F64 => 3,
        _ => 4,
    };
    list.iter().map(code).collect()
}

#[no_mangle]
pub unsafe extern "C" fn otr_wasmi_describe(
    c: &Code, each: unsafe extern "C" fn(*mut c_void, &Described) -> i32, arg: *mut c_void,
) -> i32 {
    let tell = |module: &str, name: &str, ty: &ExternType, import: u8| {
        let (mut args, mut results, mut memory) = (Vec::new(), Vec::new(), 0);
        let kind = match ty {
            ExternType::Func(f) => {
                (args, results) = (types(f.params()), types(f.results()));
                0
            }
            ExternType::Memory(m) => {
                memory = m.minimum() << 16;
                1
            }
            ExternType::Table(_) => 2,
            ExternType::Global(_) => 3,
        };
        let (module, name) = (slice(module.as_bytes()), slice(name.as_bytes()));
        each(arg, &Described { module, name, memory, kind, import, args: slice(&args), results: slice(&results) })
    };
    for i in c.module.imports() {
        let rc = tell(i.module(), i.name(), i.ty(), 1);
        if rc != OK {
            return rc;
        }
    }
    for e in c.module.exports().filter(|e| !(c.starts && e.name() == START)) {
        let rc = tell("", e.name(), e.ty(), 0);
        if rc != OK {
            return rc;
        }
    }
    OK
}

// ---- instance ----

#[no_mangle]
pub unsafe extern "C" fn otr_wasmi_store_new(e: &Engine, host: &Host) -> *mut Running {
    let mut store = Store::new(e, State { host: *host });
    store.limiter(|s| unsafe { &mut *s.host.limiter });
    Box::into_raw(Box::new(Running { store, parts: Vec::new(), caller: null_mut() }))
}

#[no_mangle]
pub unsafe extern "C" fn otr_wasmi_store_free(r: *mut Running) {
    drop(Box::from_raw(r));
}

/// A function of the host: `data` goes back to it. Its failure is told by C, not by the error made here.
unsafe fn host_func(r: *mut Running, ty: &FuncType, data: *const c_void) -> Func {
    let (at, data) = (r as usize, data as usize);
    Func::new(context(r), ty.clone(), move |mut caller: Caller<'_, State>, args: &[Val], results: &mut [Val]| {
        let (r, host) = (at as *mut Running, caller.data().host);
        let mut slots = [Slot { bits: 0, unused: 0 }; 16];
        slots.iter_mut().zip(args).for_each(|(s, v)| *s = store(v));
        let status = unsafe {
            let outer = std::mem::replace(&mut (*r).caller, (&raw mut caller).cast());
            let status = (host.call)(host.user, data as *const c_void, slots.as_mut_ptr());
            (*r).caller = outer;
            status
        };
        results.iter_mut().zip(&slots).for_each(|(v, s)| *v = load(s, v.ty()));
        if status == OK { Ok(()) } else { Err(Error::new("stopped by the host")) }
    })
}

type End = (i32, String);

fn reason(e: &Error) -> String {
    let known = match e.as_trap_code() {
        Some(TrapCode::TableOutOfBounds) => "undefined element: out of bounds table access",
        Some(TrapCode::IndirectCallToNull) => "uninitialized element",
        Some(TrapCode::BadConversionToInteger) => "invalid conversion to integer",
        Some(TrapCode::StackOverflow) => "call stack exhausted",
        _ => "",
    };
    if known.is_empty() { e.to_string() } else { known.to_string() }
}

/// Runs slice by slice; between two of them the host is asked whether to go on.
unsafe fn run(r: *mut Running, f: &Func, args: &[Val], results: &mut [Val]) -> Result<(), End> {
    let mut cx = context(r);
    let host = cx.data().host;
    let fuelled = |cx: &mut StoreContextMut<'_, State>, n| cx.set_fuel(n).map_err(|e| (TRAP, e.to_string()));
    fuelled(&mut cx, SLICE)?;
    let mut state = f.call_resumable(&mut cx, args, results);
    loop {
        state = match state {
            Ok(ResumableCall::Finished) => return Ok(()),
            Ok(ResumableCall::HostTrap(_)) => return Err((HOST, String::new())),
            Ok(ResumableCall::OutOfFuel(call)) => {
                if (host.overdue)(host.user) != 0 {
                    return Err((OVERDUE, String::new()));
                }
                fuelled(&mut cx, call.required_fuel().max(SLICE))?;
                call.resume(&mut cx, results)
            }
            Err(e) => {
                let gave_up = matches!(e.as_trap_code(), Some(TrapCode::UnreachableCodeReached)) && (*host.limiter).denied();
                return Err((if gave_up { MEMORY } else { TRAP }, reason(&e)));
            }
        }
    }
}

unsafe fn instantiate(r: *mut Running, c: &Code, items: &[Item]) -> Result<(), End> {
    let mut externs: Vec<Extern> = Vec::new();
    for (import, item) in c.module.imports().zip(items) {
        let found = match (import.ty(), usize::try_from(item.part)) {
            (_, Ok(part)) => (&(*r).parts)[part].0.get_export(context(r), text(item.name)),
            (ExternType::Func(ty), _) => Some(host_func(r, ty, item.data).into()),
            _ => None,
        };
        externs.push(found.ok_or((LIMIT, format!("import {}.{} is not offered", import.module(), import.name())))?);
    }
    let instance = Instance::new(context(r), &c.module, &externs).map_err(|e| match e.as_trap_code() {
        Some(_) => (TRAP, reason(&e)),
        None => (LIMIT, e.to_string()),
    })?;
    let memory = instance.get_memory(context(r), "memory");
    (*(&raw mut (*r).parts)).push((instance, memory));
    match instance.get_func(context(r), START) {
        Some(start) if c.starts => run(r, &start, &[], &mut []),
        _ => Ok(()),
    }
}

unsafe fn status(end: Result<(), End>, sink: Sink, arg: *mut c_void) -> i32 {
    match end {
        Ok(()) => OK,
        Err((code, t)) => {
            sink(arg, t.as_ptr(), t.len());
            code
        }
    }
}

#[no_mangle]
pub unsafe extern "C" fn otr_wasmi_instantiate(
    r: *mut Running, c: &Code, items: *const Item, n: usize, sink: Sink, arg: *mut c_void,
) -> i32 {
    let items = if n == 0 { &[] } else { std::slice::from_raw_parts(items, n) };
    status(instantiate(r, c, items), sink, arg)
}

#[no_mangle]
pub unsafe extern "C" fn otr_wasmi_func_get(r: *mut Running, part: usize, name: Slice) -> *mut Handle {
    let Some(func) = (&(*r).parts)[part].0.get_func(context(r), text(name)) else { return null_mut() };
    let ty = func.ty(context(r).as_context());
    Box::into_raw(Box::new(Handle { func, args: ty.params().to_vec(), results: ty.results().to_vec() }))
}

#[no_mangle]
pub unsafe extern "C" fn otr_wasmi_func_free(f: *mut Handle) {
    drop(Box::from_raw(f));
}

#[no_mangle]
pub unsafe extern "C" fn otr_wasmi_call(r: *mut Running, f: &Handle, vals: *mut Slot, sink: Sink, arg: *mut c_void) -> i32 {
    let mut all: [Val; 20] = [const { Val::I32(0) }; 20];
    let (args, results) = all.split_at_mut(16);
    let (n, m) = (f.args.len().min(16), f.results.len().min(4));
    (0..n).for_each(|i| args[i] = load(&*vals.add(i), f.args[i]));
    let end = run(r, &f.func, &args[..n], &mut results[..m]);
    if end.is_ok() {
        (0..m).for_each(|i| *vals.add(i) = store(&results[i]));
    }
    status(end, sink, arg)
}

/// Of `part`, or of the one whose call of the host is running when there is no such part.
#[no_mangle]
pub unsafe extern "C" fn otr_wasmi_memory(r: *mut Running, part: usize, ret_n: *mut usize) -> *mut u8 {
    let found = match (&(*r).parts).get(part) {
        Some(p) => p.1,
        None if (*r).caller.is_null() => None,
        None => (*(*r).caller.cast::<Caller<'_, State>>()).get_export("memory").and_then(Extern::into_memory),
    };
    match found {
        Some(memory) => {
            let cx = context(r);
            *ret_n = memory.data_size(&cx);
            memory.data_ptr(&cx)
        }
        None => null_mut(),
    }
}
