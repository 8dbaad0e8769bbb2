//! The typed host services of outrider:plugin 1.1: each becomes a host operation whose input and output are bytes.
//! Lists go as fields (length as u32 little-endian, bytes), which src/wasm/abi/wit_services.c reads and writes.
use crate::component::{answer, ask, def, name, text, Bytes, State, NOT_FOUND, OK};
use wasmtime_c_api::wasmtime::component::{ComponentType, Linker, Lower, WasmList, WasmStr};
use wasmtime_c_api::wasmtime::{bail, Result};

type Pairs = Vec<(String, String)>;

#[derive(ComponentType, Lower)]
#[component(record)]
#[component(wasmtime_crate = wasmtime_c_api::wasmtime)]
struct Response {
    status: u16,
    headers: Pairs,
    body: Vec<u8>,
}

fn put(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    to.extend_from_slice(bytes);
}

fn put_pairs(to: &mut Vec<u8>, pairs: &Pairs) {
    for (a, b) in pairs {
        put(to, a.as_bytes());
        put(to, b.as_bytes());
    }
}

fn take<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (head, rest) = from.split_first_chunk::<4>()?;
    let (field, rest) = rest.split_at_checked(u32::from_le_bytes(*head) as usize)?;
    *from = rest;
    Some(field)
}

/// Status (u16), the number of headers (u32), their names and values as fields, the body as the rest.
fn response(bytes: &[u8]) -> Option<Response> {
    let (status, rest) = bytes.split_first_chunk::<2>()?;
    let (n, mut rest) = rest.split_first_chunk::<4>()?;
    let mut headers = Pairs::new();
    for _ in 0..u32::from_le_bytes(*n) {
        let (key, value) = (take(&mut rest)?, take(&mut rest)?);
        headers.push((text(key.to_vec()), text(value.to_vec())));
    }
    Some(Response { status: u16::from_le_bytes(*status), headers, body: rest.to_vec() })
}

type Request<'a> = (WasmStr, WasmStr, Pairs, WasmList<u8>);

fn http(linker: &mut Linker<State>) -> Result<()> {
    def(&mut linker.instance(&name("http"))?, "request", |cx, (method, url, headers, body): Request| {
        let mut head = Vec::new();
        put(&mut head, method.to_str(&cx)?.as_bytes());
        put(&mut head, url.to_str(&cx)?.as_bytes());
        put_pairs(&mut head, &headers);
        let got: Bytes = answer(ask(cx.data().host, "wit.http", &head, body.as_le_slice(&cx))?);
        Ok((got.and_then(|b| response(&b).ok_or_else(|| "the answer cannot be read".into())),))
    })
}

fn metrics(linker: &mut Linker<State>) -> Result<()> {
    let mut l = linker.instance(&name("metrics"))?;
    for (wit, op) in [("counter", "wit.counter"), ("gauge", "wit.gauge"), ("histogram", "wit.histogram")] {
        def(&mut l, wit, move |cx, (metric, value, labels): (WasmStr, f64, Pairs)| {
            let mut head = value.to_le_bytes().to_vec();
            put(&mut head, metric.to_str(&cx)?.as_bytes());
            put_pairs(&mut head, &labels);
            Ok((answer(ask(cx.data().host, op, &head, &[])?).map(|_| ()),))
        })?;
    }
    Ok(())
}

fn clock(linker: &mut Linker<State>) -> Result<()> {
    let mut l = linker.instance(&name("clock"))?;
    for (wit, op) in [("unix-ns", "wit.unix-ns"), ("monotonic-ns", "wit.monotonic-ns")] {
        def(&mut l, wit, move |cx, ()| {
            let (status, out) = ask(cx.data().host, op, &[], &[])?;
            match <[u8; 8]>::try_from(out.as_slice()) {
                Ok(ns) if status == OK => Ok((u64::from_le_bytes(ns),)),
                _ => bail!("no time: {}", text(out)),
            }
        })?;
    }
    Ok(())
}

/// What is new in 1.1; wit/outrider-plugin/world.wit says what each function means.
pub(crate) fn define(linker: &mut Linker<State>) -> Result<()> {
    http(linker)?;
    metrics(linker)?;
    clock(linker)?;
    def(&mut linker.instance(&name("instances"))?, "list", |cx, ()| {
        Ok((answer(ask(cx.data().host, "instances.list", &[], &[])?).map(text),))
    })?;
    def(&mut linker.instance(&name("random"))?, "bytes", |cx, (n,): (u32,)| {
        Ok((answer(ask(cx.data().host, "random.bytes", n.to_string().as_bytes(), &[])?),))
    })?;
    def(&mut linker.instance(&name("env"))?, "get", |cx, (key,): (WasmStr,)| {
        let (status, out) = ask(cx.data().host, "env.get", key.to_str(&cx)?.as_bytes(), &[])?;
        Ok((if status == NOT_FOUND { Ok(None) } else { answer((status, out)).map(|b| Some(text(b))) },))
    })?;
    def(&mut linker.instance(&name("secrets"))?, "get", |cx, (key,): (WasmStr,)| {
        Ok((answer(ask(cx.data().host, "secret.get", key.to_str(&cx)?.as_bytes(), &[])?),))
    })
}
