//! WIT components for C, bytes copied once: what the public C API cannot do for `list<u8>`.
//! Every function is described in include/outrider_engines.h.
use std::ffi::{c_char, c_void, CStr, CString};
use std::sync::atomic::AtomicUsize;
use std::sync::Arc;
use crate::values::{Blob, Failed, Given, Said, Sink, Text, Told, TAKER};
use crate::{files, http, limiter::Limiter, missing, services, wasi};
use wasmtime_c_api::wasmtime::component::{
    Component, ComponentExportIndex, ComponentNamedList, Func, Instance, InstancePre, Lift, Linker, LinkerInstance,
    Lower, ResourceTable, TypedFunc,
};
use wasmtime_c_api::wasmtime::{
    bail, AsContext, Config, Engine, Error, InstanceAllocationStrategy, PoolingAllocationConfig, Result,
    Store, StoreContextMut, Trap, UpdateDeadline,
};
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxBuilder};

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Slice {
    p: *const u8,
    n: usize,
}

/// What C gives: one function for every host operation, one that is asked at each tick.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Host {
    user: *mut c_void,
    call: unsafe extern "C" fn(*mut c_void, *const c_char, Slice, Slice, Sink, *mut c_void) -> i32,
    overdue: unsafe extern "C" fn(*mut c_void) -> i32,
}
unsafe impl Send for Host {} // used on the thread of the call only
unsafe impl Sync for Host {}

impl Host {
    pub(crate) fn is_overdue(&self) -> bool {
        unsafe { (self.overdue)(self.user) != 0 }
    }
}

pub(crate) const PACKAGE: &str = "outrider:plugin";
/// The newest version of the world that is served: an import of an older 1.x finds it, too.
pub(crate) const VERSION: &str = "1.1.0";
pub(crate) const OK: i32 = 0;
pub(crate) const NOT_FOUND: i32 = 1;
pub(crate) const DENIED: i32 = 3;
pub(crate) const TIMEOUT: i32 = 4;

pub(crate) struct State {
    pub(crate) host: Host,
    pub(crate) wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    /// Bytes of HTTP headers and bodies.
    pub(crate) held: Arc<AtomicUsize>,
    limiter: Limiter,
}

fn slice(b: &[u8]) -> Slice {
    Slice { p: b.as_ptr(), n: b.len() }
}

unsafe fn view<'a>(s: Slice) -> &'a [u8] {
    if s.n == 0 { &[] } else { std::slice::from_raw_parts(s.p, s.n) }
}

unsafe extern "C" fn append(to: *mut c_void, p: *const u8, n: usize) {
    (*to.cast::<Vec<u8>>()).extend_from_slice(view(Slice { p, n }));
}

/// One host operation: its status and its bytes, or the text of its error.
pub(crate) fn ask(host: Host, op: &CStr, a: &[u8], b: &[u8]) -> Result<(i32, Vec<u8>)> {
    let mut out = Vec::new();
    let to: *mut Vec<u8> = &mut out;
    let status = unsafe { (host.call)(host.user, op.as_ptr(), slice(a), slice(b), append, to.cast()) };
    if host.is_overdue() {
        bail!(Trap::Interrupt);
    }
    Ok((status, out))
}

/// Does a grant cover `op`? Asked before anything of the guest's is copied for it.
pub(crate) fn may(host: Host, op: &CStr) -> Result<bool> {
    Ok(ask(host, c"may", op.to_bytes(), &[])?.0 == OK)
}

pub(crate) fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

pub(crate) fn answer((status, out): (i32, Vec<u8>)) -> Told<Vec<u8>> {
    if status == OK { Ok(out) } else { Err(text(out)) }
}

pub(crate) type Cx<'a> = StoreContextMut<'a, State>;

pub(crate) fn def<P, R>(
    l: &mut LinkerInstance<'_, State>,
    name: &str,
    f: impl Fn(Cx<'_>, P) -> Result<R> + Send + Sync + 'static,
) -> Result<()>
where
    P: ComponentNamedList + Lift + 'static,
    R: ComponentNamedList + Lower + 'static,
{
    l.func_wrap(name, f)
}

pub(crate) fn name(interface: &str) -> String {
    format!("{PACKAGE}/{interface}@{VERSION}")
}

/// An operation with a name or key and perhaps bytes, whose answer is bytes.
fn run(cx: &Cx<'_>, op: &CStr, key: &Text, value: &[u8]) -> Result<Told<Vec<u8>>> {
    let host = cx.data().host;
    key.with(|key| Ok(answer(ask(host, op, key.as_bytes(), value)?)))
}

/// The imported interfaces; wit/world.wit says what each function means.
fn define(linker: &mut Linker<State>) -> Result<()> {
    wasmtime_wasi::p2::add_to_linker_sync(linker)?;
    let mut l = linker.instance(&name("bus"))?;
    def(&mut l, "publish", |cx, (topic, data): (Text, Blob)| {
        Ok((run(&cx, c"bus.publish", &topic, data.get())?.map(|_| ()),))
    })?;
    let mut l = linker.instance(&name("log"))?;
    def(&mut l, "write", |cx, (level, line): (u8, Text)| {
        ask(cx.data().host, c"log.write", &[level], line.start()?.as_bytes()).map(|_| ())
    })?;
    let mut l = linker.instance(&name("config"))?;
    def(&mut l, "get", |cx, (key,): (Text,)| Ok((run(&cx, c"config.get", &key, &[])?.ok().map(text),)))?;
    let mut l = linker.instance(&name("kv"))?;
    def(&mut l, "get", |cx, (key,): (Text,)| {
        let host = cx.data().host;
        Ok((key.with(|key| {
            let (status, out) = ask(host, c"kv.get", key.as_bytes(), &[])?;
            Ok(if status == NOT_FOUND { Ok(None) } else { answer((status, out)).map(Some) })
        })?,))
    })?;
    def(&mut l, "set", |cx, (key, value): (Text, Blob)| {
        Ok((run(&cx, c"kv.put", &key, value.get())?.map(|_| ()),))
    })?;
    for (wit, op) in [("delete", c"kv.delete"), ("list", c"kv.list")] {
        def(&mut l, wit, move |cx, (key,): (Text,)| Ok((run(&cx, op, &key, &[])?.map(text),)))?;
    }
    let mut l = linker.instance(&name("host"))?;
    def(&mut l, "call", |cx, (op, input): (Text, Blob)| {
        let host = cx.data().host;
        Ok((op.with(|op| match CString::new(op) {
            Ok(op) => Ok(answer(ask(host, &op, input.get(), &[])?)),
            Err(_) => Ok(Err("the operation's name has a NUL byte".into())),
        })?,))
    })?;
    services::define(linker)?;
    http::define(linker)
}

// ---- engine and component ----

pub struct Components {
    engine: Engine,
    linker: Linker<State>,
}

/// A component and all that its imports resolve to; or what is missing.
pub struct Code {
    component: Component,
    ready: std::result::Result<InstancePre<State>, String>,
}

fn link(cs: &Components, component: Component) -> Code {
    let ready = cs.linker.instantiate_pre(&component).map_err(|e| missing::explain(&cs.engine, &cs.linker, &component, &e));
    Code { component, ready }
}

fn open(pooling: bool) -> Result<Components> {
    let mut c = Config::new();
    c.wasm_component_model(true).wasm_wide_arithmetic(true).epoch_interruption(true).concurrency_support(false).parallel_compilation(false).max_wasm_stack(1 << 20);
    if pooling {
        let mut p = PoolingAllocationConfig::default();
        // 1,000 instances of up to two memories, some spare for those being replaced.
        p.total_memories(2080).total_tables(4160).total_core_instances(8320).total_component_instances(1040);
        p.max_memories_per_component(8).max_tables_per_component(8).max_core_instances_per_component(64);
        p.max_memories_per_module(8).max_tables_per_module(8).table_elements(100_000);
        p.linear_memory_keep_resident(64 << 10).max_component_instance_size(4 << 20).max_core_instance_size(4 << 20);
        c.allocation_strategy(InstanceAllocationStrategy::Pooling(p));
    }
    let engine = Engine::new(&c)?;
    let mut linker = Linker::new(&engine);
    define(&mut linker)?;
    linker.allow_shadowing(true);
    files::define(&mut linker)?;
    wasi::define(&mut linker)?;
    Ok(Components { engine, linker })
}

unsafe fn done<T>(r: Result<T>, sink: Sink, arg: *mut c_void) -> *mut T {
    match r {
        Ok(v) => Box::into_raw(Box::new(v)),
        Err(e) => {
            let t = format!("{e:?}");
            sink(arg, t.as_ptr(), t.len());
            std::ptr::null_mut()
        }
    }
}

#[no_mangle]
pub unsafe extern "C" fn otr_components_open(sink: Sink, arg: *mut c_void) -> *mut Components {
    done(open(true).or_else(|_| open(false)), sink, arg)
}

#[no_mangle]
pub unsafe extern "C" fn otr_components_close(c: *mut Components) {
    drop(Box::from_raw(c));
}

#[no_mangle]
pub unsafe extern "C" fn otr_components_tick(c: &Components) {
    c.engine.increment_epoch();
}

#[no_mangle]
pub unsafe extern "C" fn otr_component_compile(c: &Components, wasm: Slice, sink: Sink, arg: *mut c_void) -> *mut Code {
    done(Component::new(&c.engine, view(wasm)).map(|made| link(c, made)), sink, arg)
}

#[no_mangle]
pub unsafe extern "C" fn otr_component_save(c: &Code, sink: Sink, arg: *mut c_void) -> i32 {
    match c.component.serialize() {
        Ok(v) => { sink(arg, v.as_ptr(), v.len()); OK }
        Err(_) => NOT_FOUND,
    }
}

#[no_mangle]
pub unsafe extern "C" fn otr_component_restore(c: &Components, code: Slice, sink: Sink, arg: *mut c_void) -> *mut Code {
    done(Component::deserialize(&c.engine, view(code)).map(|made| link(c, made)), sink, arg)
}

/// One line each: `import NAME`, `export NAME`, `export INTERFACE#NAME` for what lies inside an instance, and
/// `missing TEXT` for each import that is not offered.
#[no_mangle]
pub unsafe extern "C" fn otr_component_describe(cs: &Components, c: &Code, sink: Sink, arg: *mut c_void) {
    use wasmtime_c_api::wasmtime::component::types::ComponentItem;
    let (ty, mut out) = (c.component.component_type(), String::new());
    for (name, _) in ty.imports(&cs.engine) {
        out += &format!("import {name}\n");
    }
    for (name, item) in ty.exports(&cs.engine) {
        out += &format!("export {name}\n");
        if let ComponentItem::ComponentInstance(i) = item.ty {
            i.exports(&cs.engine).for_each(|(f, _)| out += &format!("export {name}#{f}\n"));
        }
    }
    if let Err(lines) = &c.ready {
        lines.lines().for_each(|line| out += &format!("missing {line}\n"));
    }
    sink(arg, out.as_ptr(), out.len());
}

#[no_mangle]
pub unsafe extern "C" fn otr_component_free(c: *mut Code) {
    drop(Box::from_raw(c));
}

// ---- instance ----

/// The shapes of a guest operation that we can call.
enum Op {
    Checked(TypedFunc<(&'static [u8],), (std::result::Result<Given, Failed>,)>),
    Plain(TypedFunc<(&'static [u8],), (Given,)>),
    Told(TypedFunc<(&'static str,), (std::result::Result<(), Failed>,)>),
    Said(TypedFunc<(), (Said,)>),
    Text(TypedFunc<(&'static str,), (std::result::Result<Said, Failed>,)>),
    Bare(TypedFunc<(), ()>),
}

pub struct Running {
    store: Store<State>,
    instance: Instance,
    component: Component,
}

/// What an instance is given.
#[repr(C)]
pub struct Spec {
    host: Host,
    max_memory: usize,
    grants: files::Grants,
}

unsafe fn spawn(cs: &Components, c: &Code, spec: &Spec) -> Result<Running> {
    let (host, max_memory) = (spec.host, spec.max_memory);
    let pre = c.ready.as_ref().map_err(|text| Error::msg(text.clone()))?;
    let mut wasi = WasiCtxBuilder::new();
    wasi::limit(&mut wasi, host);
    files::grant(&mut wasi, &spec.grants)?;
    let wasi = wasi.build();
    let mut table = ResourceTable::new();
    table.set_max_capacity(wasi::MOST_RESOURCES);
    let state = State { host, wasi, table, held: Arc::default(), limiter: Limiter::of_component(max_memory) };
    let mut store = Store::new(&cs.engine, state);
    store.limiter(|s| &mut s.limiter);
    store.set_hostcall_fuel(if spec.grants.any_folder() { wasi::MOST_COPIED_FILES } else { wasi::MOST_COPIED });
    store.set_max_component_handles(wasi::MOST_HANDLES);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|cx| {
        let host = cx.data().host;
        if host.is_overdue() { bail!(Trap::Interrupt) } else { Ok(UpdateDeadline::Continue(1)) }
    });
    let instance = pre.instantiate(&mut store)?;
    Ok(Running { store, instance, component: c.component.clone() })
}

#[no_mangle]
pub unsafe extern "C" fn otr_component_spawn(
    cs: &Components, c: &Code, spec: &Spec, sink: Sink, arg: *mut c_void,
) -> *mut Running {
    done(spawn(cs, c, spec), sink, arg)
}

#[no_mangle]
pub unsafe extern "C" fn otr_component_drop(r: *mut Running) {
    drop(Box::from_raw(r));
}

#[no_mangle]
pub unsafe extern "C" fn otr_component_memory(r: &Running) -> usize {
    r.store.data().limiter.used
}

fn find(r: &mut Running, interface: &str, name: &str) -> Option<Func> {
    let index: ComponentExportIndex = if interface.is_empty() {
        r.component.get_export_index(None, name)?
    } else {
        let i = r.component.get_export_index(None, interface)?;
        r.component.get_export_index(Some(&i), name)?
    };
    r.instance.get_func(&mut r.store, index)
}

fn typed(f: Func, cx: impl AsContext) -> Result<Op> {
    let cx = cx.as_context();
    f.typed(&cx).map(Op::Checked)
        .or_else(|_| f.typed(&cx).map(Op::Plain))
        .or_else(|_| f.typed(&cx).map(Op::Told))
        .or_else(|_| f.typed(&cx).map(Op::Said))
        .or_else(|_| f.typed(&cx).map(Op::Text))
        .or_else(|_| f.typed(&cx).map(Op::Bare))
}

pub struct Handle(Op);

#[no_mangle]
pub unsafe extern "C" fn otr_component_func_get(r: &mut Running, interface: Slice, name: Slice) -> *mut Handle {
    let (Ok(i), Ok(n)) = (std::str::from_utf8(view(interface)), std::str::from_utf8(view(name))) else {
        return std::ptr::null_mut();
    };
    match find(r, i, n).and_then(|f| typed(f, &r.store).ok()) {
        Some(op) => Box::into_raw(Box::new(Handle(op))),
        None => std::ptr::null_mut(),
    }
}

#[no_mangle]
pub unsafe extern "C" fn otr_component_func_free(h: *mut Handle) {
    drop(Box::from_raw(h));
}

const GUEST_ERROR: i32 = 1;
const TRAP: i32 = 2;
const OVERDUE: i32 = 3;
const MEMORY: i32 = 4;

/// Calls; the answer or the guest's error text goes to TAKER.
unsafe fn invoke(r: &mut Running, op: &Op, input: &'static [u8]) -> Result<i32> {
    let s = &mut r.store;
    let string = || std::str::from_utf8(input).map_err(|_| Error::msg("the input is not UTF-8 and the operation takes a string"));
    fn status<T>(r: std::result::Result<T, Failed>) -> i32 {
        if r.is_ok() { OK } else { GUEST_ERROR }
    }
    Ok(match op {
        Op::Checked(f) => status(f.call(&mut *s, (input,))?.0),
        Op::Plain(f) => { f.call(&mut *s, (input,))?; OK }
        Op::Told(f) => status(f.call(&mut *s, (string()?,))?.0),
        Op::Said(f) => { f.call(&mut *s, ())?; OK }
        Op::Text(f) => status(f.call(&mut *s, (string()?,))?.0),
        Op::Bare(f) => { f.call(&mut *s, ())?; OK }
    })
}

#[no_mangle]
pub unsafe extern "C" fn otr_component_call(r: &mut Running, h: &Handle, input: Slice, sink: Sink, arg: *mut c_void) -> i32 {
    r.store.set_epoch_deadline(1);
    let outer = TAKER.replace(Some((sink, arg)));
    let done = invoke(r, &h.0, view(input));
    TAKER.set(outer);
    let e = match done {
        Ok(status) => return status,
        Err(e) => e,
    };
    let t = match e.downcast_ref::<I32Exit>() {
        Some(exit) => format!("the guest ended itself with exit code {}", exit.0),
        None => format!("{e:?}"),
    };
    sink(arg, t.as_ptr(), t.len());
    match e.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => OVERDUE,
        _ if r.store.data().limiter.denied() => MEMORY,
        _ => TRAP,
    }
}
