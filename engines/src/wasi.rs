//! What WASI could wait for or print, and how much of the host it may hold.
use std::future::Future;
use std::pin::pin;
use std::time::Duration;
use crate::component::{ask, Host, State};
use wasmtime_c_api::wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_c_api::wasmtime::{bail, Result, Trap};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::bindings::{io::poll as waiting, sync::io::poll};
use wasmtime_wasi::p2::{DynPollable, OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::runtime::{poll_noop, with_ambient_tokio_runtime};
use wasmtime_wasi::{WasiCtxBuilder, WasiCtxView, WasiView};

/// Streams, pollables, files, requests of one instance.
pub(crate) const MOST_RESOURCES: usize = 2048;
/// Handles of all its parts to resources, those that it defines itself included.
pub(crate) const MOST_HANDLES: usize = 16 << 10;
/// What is copied for the arguments of one host call, or for one answer.
pub(crate) const MOST_COPIED: usize = 512 << 10;
/// The same, for who was granted folders: `descriptor.write` takes a whole buffer.
pub(crate) const MOST_COPIED_FILES: usize = 16 << 20;
const MOST_RANDOM: u64 = 64 << 10;
const MOST_WRITE: usize = 64 << 10;

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

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
        if host.is_overdue() {
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
        if text.len() > MOST_WRITE {
            return Err(StreamError::trap("more is written than check-write allows"));
        }
        ask(self.host, c"print", &[self.fd], &text).map(|_| ()).map_err(StreamError::Trap)
    }
    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }
    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MOST_WRITE)
    }
}

pub(crate) fn limit(to: &mut WasiCtxBuilder, host: Host) {
    to.stdout(Printer { host, fd: 1 }).stderr(Printer { host, fd: 2 });
    to.allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false).max_random_size(MOST_RANDOM);
}

/// Replaces `wasi:io/poll` where WASI is linked already.
pub(crate) fn define(linker: &mut Linker<State>) -> Result<()> {
    poll::add_to_linker::<State, Waits<'static>>(linker, |s| Waits { host: s.host, table: &mut s.table })
}
