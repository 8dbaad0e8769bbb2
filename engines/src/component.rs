//! WIT components for C, bytes copied once: what the public C API cannot do for `list<u8>`.
//! Every function is described in include/outrider_engines.h.
use std::cell::Cell;
use std::ffi::c_void;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;
use crate::{files, limiter::Limiter, services};
use wasmtime_c_api::wasmtime::component::__internal::{CanonicalAbiInfo, InstanceType, InterfaceType, LiftContext};
use wasmtime_c_api::wasmtime::component::{
    Component, ComponentExportIndex, ComponentNamedList, ComponentType, Func, HasData, Instance, InstancePre, Lift, Linker,
    LinkerInstance, Lower, Resource, ResourceTable, TypedFunc, WasmList, WasmStr,
};
use wasmtime_c_api::wasmtime::{
    bail, AsContext, Config, Engine, Error, InstanceAllocationStrategy, PoolingAllocationConfig, Result,
    Store, StoreContextMut, Trap, UpdateDeadline, ValRaw,
};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::bindings::{io::poll as waiting, sync::io::poll};
use wasmtime_wasi::p2::{DynPollable, OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::runtime::{poll_noop, with_ambient_tokio_runtime};
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

type Sink = unsafe extern "C" fn(*mut c_void, *const u8, usize);
pub(crate) type Bytes = std::result::Result<Vec<u8>, String>;

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
    call: unsafe extern "C" fn(*mut c_void, Slice, Slice, Slice, Sink, *mut c_void) -> i32,
    overdue: unsafe extern "C" fn(*mut c_void) -> i32,
}
unsafe impl Send for Host {} // used on the thread of the call only
unsafe impl Sync for Host {}

const INTERFACE: &str = "outrider:plugin/";
/// The newest version of the world that is served: an import of an older 1.x finds it, too.
const VERSION: &str = "1.1.0";
pub(crate) const OK: i32 = 0;
pub(crate) const NOT_FOUND: i32 = 1;

pub(crate) struct State {
    pub(crate) host: Host,
    wasi: WasiCtx,
    table: ResourceTable,
    limiter: Limiter,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
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
pub(crate) fn ask(host: Host, op: &str, a: &[u8], b: &[u8]) -> Result<(i32, Vec<u8>)> {
    let mut out = Vec::new();
    let to: *mut Vec<u8> = &mut out;
    let status = unsafe { (host.call)(host.user, slice(op.as_bytes()), slice(a), slice(b), append, to.cast()) };
    if unsafe { (host.overdue)(host.user) } != 0 {
        bail!(Trap::Interrupt);
    }
    Ok((status, out))
}

pub(crate) fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

pub(crate) fn answer((status, out): (i32, Vec<u8>)) -> Bytes {
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
    format!("{INTERFACE}{interface}@{VERSION}")
}

/// The imported interfaces; wit/world.wit says what each function means.
fn define(linker: &mut Linker<State>) -> Result<()> {
    wasmtime_wasi::p2::add_to_linker_sync(linker)?;
    let mut l = linker.instance(&name("bus"))?;
    def(&mut l, "publish", |cx, (topic, data): (WasmStr, WasmList<u8>)| {
        let (h, topic) = (cx.data().host, topic.to_str(&cx)?);
        Ok((answer(ask(h, "bus.publish", topic.as_bytes(), data.as_le_slice(&cx))?).map(|_| ()),))
    })?;
    let mut l = linker.instance(&name("log"))?;
    def(&mut l, "write", |cx, (level, line): (u8, WasmStr)| {
        ask(cx.data().host, "log.write", &[level], line.to_str(&cx)?.as_bytes()).map(|_| ())
    })?;
    let mut l = linker.instance(&name("config"))?;
    def(&mut l, "get", |cx, (key,): (WasmStr,)| {
        let (status, out) = ask(cx.data().host, "config.get", key.to_str(&cx)?.as_bytes(), &[])?;
        Ok(((status == OK).then(|| text(out)),))
    })?;
    let mut l = linker.instance(&name("kv"))?;
    def(&mut l, "get", |cx, (key,): (WasmStr,)| {
        let (status, out) = ask(cx.data().host, "kv.get", key.to_str(&cx)?.as_bytes(), &[])?;
        Ok((if status == NOT_FOUND { Ok(None) } else { answer((status, out)).map(Some) },))
    })?;
    def(&mut l, "set", |cx, (key, value): (WasmStr, WasmList<u8>)| {
        let key = key.to_str(&cx)?;
        Ok((answer(ask(cx.data().host, "kv.put", key.as_bytes(), value.as_le_slice(&cx))?).map(|_| ()),))
    })?;
    for (wit, op) in [("delete", "kv.delete"), ("list", "kv.list")] {
        def(&mut l, wit, move |cx, (key,): (WasmStr,)| {
            Ok((answer(ask(cx.data().host, op, key.to_str(&cx)?.as_bytes(), &[])?).map(text),))
        })?;
    }
    let mut l = linker.instance(&name("host"))?;
    def(&mut l, "call", |cx, (op, input): (WasmStr, WasmList<u8>)| {
        Ok((answer(ask(cx.data().host, &op.to_str(&cx)?, input.as_le_slice(&cx), &[])?),))
    })?;
    services::define(linker)
}

// ---- WASI: what could wait or print ----

/// `wasi:io/poll` that ends at the deadline: Wasmtime's own sleeps for as long as the guest wants.
struct Waits<'a> {
    table: &'a mut ResourceTable,
    host: Host,
}

impl HasData for Waits<'static> {
    type Data<'a> = Waits<'a>;
}

fn wait<T>(host: Host, f: impl Future<Output = Result<T>>) -> Result<T> {
    let mut f = pin!(f);
    with_ambient_tokio_runtime(|| loop {
        if let Some(r) = poll_noop(f.as_mut()) {
            return r;
        }
        if unsafe { (host.overdue)(host.user) } != 0 {
            bail!(Trap::Interrupt);
        }
        std::thread::sleep(Duration::from_millis(1));
    })
}

impl poll::Host for Waits<'_> {
    fn poll(&mut self, list: Vec<Resource<DynPollable>>) -> Result<Vec<u32>> {
        wait(self.host, waiting::Host::poll(self.table, list))
    }
}

impl poll::HostPollable for Waits<'_> {
    fn ready(&mut self, p: Resource<DynPollable>) -> Result<bool> {
        wait(self.host, waiting::HostPollable::ready(self.table, p))
    }
    fn block(&mut self, p: Resource<DynPollable>) -> Result<()> {
        wait(self.host, waiting::HostPollable::block(self.table, p))
    }
    fn drop(&mut self, p: Resource<DynPollable>) -> Result<()> {
        waiting::HostPollable::drop(self.table, p)
    }
}

/// Standard output (1) or error (2): each write is the host operation "print".
#[derive(Clone)]
struct Printer {
    host: Host,
    fd: u8,
}

impl IsTerminal for Printer {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Printer {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Printer {
    async fn ready(&mut self) {}
}

impl OutputStream for Printer {
    fn write(&mut self, text: bytes::Bytes) -> StreamResult<()> {
        ask(self.host, "print", &[self.fd], &text).map(|_| ()).map_err(StreamError::Trap)
    }
    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }
    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
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
    let ready = cs.linker.instantiate_pre(&component).map_err(|e| format!("{e:#}"));
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
        p.max_memories_per_module(8).max_tables_per_module(8);
        p.linear_memory_keep_resident(64 << 10).max_component_instance_size(4 << 20).max_core_instance_size(4 << 20);
        c.allocation_strategy(InstanceAllocationStrategy::Pooling(p));
    }
    let engine = Engine::new(&c)?;
    let mut linker = Linker::new(&engine);
    define(&mut linker)?;
    linker.allow_shadowing(true);
    files::define(&mut linker)?;
    poll::add_to_linker::<State, Waits<'static>>(&mut linker, |s| Waits { host: s.host, table: &mut s.table })?;
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
/// `missing TEXT` when an import is not offered.
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
    if let Err(text) = &c.ready {
        out += &format!("missing {}\n", text.replace('\n', " "));
    }
    sink(arg, out.as_ptr(), out.len());
}

#[no_mangle]
pub unsafe extern "C" fn otr_component_free(c: *mut Code) {
    drop(Box::from_raw(c));
}

// ---- instance ----

thread_local! {
    static TAKER: Cell<Option<(Sink, *mut c_void)>> = const { Cell::new(None) };
}

/// A `list<u8>` that went from the guest's memory to TAKER as it was lifted: behind the call, where a WasmList is
/// read, the guest has freed it (post-return).
struct Given;

fn give(cx: &LiftContext<'_>, at: u32, n: u32) -> Result<Given> {
    let from = cx.memory().get(at as usize..).and_then(|m| m.get(..n as usize));
    let (Some(bytes), Some((sink, arg))) = (from, TAKER.get()) else {
        bail!("list pointer/length out of bounds of memory");
    };
    unsafe { sink(arg, bytes.as_ptr(), bytes.len()) };
    Ok(Given)
}

// Layout and type are those of WasmList<u8>, the functions read two 32-bit words as its own do. Hidden API: checked
// with the pinned version, by tests/unit/wasm/abi/test_wit.c.
unsafe impl ComponentType for Given {
    type Lower = [ValRaw; 2];
    const ABI: CanonicalAbiInfo = CanonicalAbiInfo::POINTER_PAIR;
    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> Result<()> {
        WasmList::<u8>::typecheck(ty, types)
    }
}

unsafe impl Lift for Given {
    fn linear_lift_from_flat(cx: &mut LiftContext<'_>, _: InterfaceType, src: &[ValRaw; 2]) -> Result<Given> {
        give(cx, src[0].get_u32(), src[1].get_u32())
    }
    fn linear_lift_from_memory(cx: &mut LiftContext<'_>, _: InterfaceType, b: &[u8]) -> Result<Given> {
        give(cx, u32::from_le_bytes([b[0], b[1], b[2], b[3]]), u32::from_le_bytes([b[4], b[5], b[6], b[7]]))
    }
}

/// The shapes of a guest operation that we can call.
enum Op {
    Checked(TypedFunc<(&'static [u8],), (std::result::Result<Given, String>,)>),
    Plain(TypedFunc<(&'static [u8],), (Given,)>),
    Told(TypedFunc<(&'static str,), (std::result::Result<(), String>,)>),
    Said(TypedFunc<(), (String,)>),
    Text(TypedFunc<(&'static str,), (std::result::Result<String, String>,)>),
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
    wasi.stdout(Printer { host, fd: 1 }).stderr(Printer { host, fd: 2 }).allow_tcp(false).allow_udp(false);
    files::grant(&mut wasi, &spec.grants)?;
    let wasi = wasi.build();
    let state = State { host, wasi, table: ResourceTable::new(), limiter: Limiter::of_component(max_memory) };
    let mut store = Store::new(&cs.engine, state);
    store.limiter(|s| &mut s.limiter);
    store.set_hostcall_fuel(1 << 30);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|cx| {
        let host = cx.data().host;
        if unsafe { (host.overdue)(host.user) } != 0 { bail!(Trap::Interrupt) } else { Ok(UpdateDeadline::Continue(1)) }
    });
    let instance = pre.instantiate(&mut store).map_err(|e| store.data().limiter.explain(e))?;
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

/// Calls, and hands the answer or the guest's error text to `sink`.
unsafe fn invoke(r: &mut Running, op: &Op, input: &'static [u8], sink: Sink, arg: *mut c_void) -> Result<i32> {
    let s = &mut r.store;
    let string = || std::str::from_utf8(input).map_err(|_| Error::msg("the input is not UTF-8 and the operation takes a string"));
    let tell = |b: String, status| { sink(arg, b.as_ptr(), b.len()); status };
    Ok(match op {
        Op::Checked(f) => f.call(&mut *s, (input,))?.0.map_or_else(|e| tell(e, GUEST_ERROR), |_| OK),
        Op::Plain(f) => { f.call(&mut *s, (input,))?; OK }
        Op::Told(f) => f.call(&mut *s, (string()?,))?.0.map_or_else(|e| tell(e, GUEST_ERROR), |_| OK),
        Op::Said(f) => tell(f.call(&mut *s, ())?.0, OK),
        Op::Text(f) => match f.call(&mut *s, (string()?,))?.0 {
            Ok(t) => tell(t, OK),
            Err(e) => tell(e, GUEST_ERROR),
        },
        Op::Bare(f) => { f.call(&mut *s, ())?; OK }
    })
}

#[no_mangle]
pub unsafe extern "C" fn otr_component_call(r: &mut Running, h: &Handle, input: Slice, sink: Sink, arg: *mut c_void) -> i32 {
    r.store.set_epoch_deadline(1);
    let outer = TAKER.replace(Some((sink, arg)));
    let done = invoke(r, &h.0, view(input), sink, arg);
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
