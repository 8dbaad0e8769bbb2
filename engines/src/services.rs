//! The typed host services of outrider:plugin 1.1: each becomes a host operation whose input and output are bytes.
//! Lists go as fields (length as u32 little-endian, bytes), which src/wasm/abi/wit_services.c reads and writes.
use std::ffi::CStr;
use crate::component::{answer, ask, def, may, name, text, Host, State, NOT_FOUND, OK};
use crate::values::{put, Blob, Pairs, Text, Told};
use wasmtime_c_api::wasmtime::component::{ComponentType, Linker, Lower};
use wasmtime_c_api::wasmtime::{bail, Result};

#[derive(ComponentType, Lower)]
#[component(record)]
#[component(wasmtime_crate = wasmtime_c_api::wasmtime)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

fn take<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (head, rest) = from.split_first_chunk::<4>()?;
    let (field, rest) = rest.split_at_checked(u32::from_le_bytes(*head) as usize)?;
    *from = rest;
    Some(field)
}

/// Status (u16), the number of headers (u32), their names and values as fields, the body as the rest.
pub(crate) fn response(bytes: &[u8]) -> Option<Response> {
    let (status, rest) = bytes.split_first_chunk::<2>()?;
    let (n, mut rest) = rest.split_first_chunk::<4>()?;
    let mut headers = Vec::new();
    for _ in 0..u32::from_le_bytes(*n) {
        let (key, value) = (take(&mut rest)?, take(&mut rest)?);
        headers.push((text(key.to_vec()), text(value.to_vec())));
    }
    Some(Response { status: u16::from_le_bytes(*status), headers, body: rest.to_vec() })
}

/// Why `op` is refused, before a byte of the guest's was copied for it; None: it may run.
fn refused(host: Host, op: &CStr) -> Result<Option<String>> {
    if may(host, op)? {
        return Ok(None);
    }
    Ok(answer(ask(host, op, &[], &[])?).err()) // the gate's own words; it counts and logs the denial
}

/// Appends texts as fields.
fn put_texts(to: &mut Vec<u8>, texts: &[&Text]) -> Result<Told<()>> {
    for text in texts {
        match text.get()? {
            Ok(text) => put(to, text.as_bytes()),
            Err(why) => return Ok(Err(why)),
        }
    }
    Ok(Ok(()))
}

type Request = (Text, Text, Pairs, Blob);

fn request(host: Host, (method, url, headers, body): &Request) -> Result<Told<Response>> {
    if let Some(why) = refused(host, c"http.request")? {
        return Ok(Err(why));
    }
    let mut head = Vec::new();
    if let Err(why) = put_texts(&mut head, &[method, url])?.and(headers.put("headers", &mut head)?) {
        return Ok(Err(why));
    }
    let got = answer(ask(host, c"wit.http", &head, body.get())?);
    Ok(got.and_then(|b| response(&b).ok_or_else(|| "the answer cannot be read".into())))
}

fn http(linker: &mut Linker<State>) -> Result<()> {
    def(&mut linker.instance(&name("http"))?, "request", |cx, all: Request| Ok((request(cx.data().host, &all)?,)))
}

type Sample = (Text, f64, Pairs);

fn sample(host: Host, op: &CStr, wit: &CStr, (metric, value, labels): &Sample) -> Result<Told<()>> {
    if let Some(why) = refused(host, op)? {
        return Ok(Err(why));
    }
    let mut head = value.to_le_bytes().to_vec();
    if let Err(why) = put_texts(&mut head, &[metric])?.and(labels.put("labels", &mut head)?) {
        return Ok(Err(why));
    }
    Ok(answer(ask(host, wit, &head, &[])?).map(|_| ()))
}

fn metrics(linker: &mut Linker<State>) -> Result<()> {
    let mut l = linker.instance(&name("metrics"))?;
    for (function, op, wit) in [
        ("counter", c"metric.counter", c"wit.counter"),
        ("gauge", c"metric.gauge", c"wit.gauge"),
        ("histogram", c"metric.histogram", c"wit.histogram"),
    ] {
        def(&mut l, function, move |cx, all: Sample| Ok((sample(cx.data().host, op, wit, &all)?,)))?;
    }
    Ok(())
}

fn clock(linker: &mut Linker<State>) -> Result<()> {
    let mut l = linker.instance(&name("clock"))?;
    for (wit, op) in [("unix-ns", c"wit.unix-ns"), ("monotonic-ns", c"wit.monotonic-ns")] {
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
        Ok((answer(ask(cx.data().host, c"instances.list", &[], &[])?).map(text),))
    })?;
    def(&mut linker.instance(&name("random"))?, "bytes", |cx, (n,): (u32,)| {
        Ok((answer(ask(cx.data().host, c"random.bytes", n.to_string().as_bytes(), &[])?),))
    })?;
    def(&mut linker.instance(&name("env"))?, "get", |cx, (key,): (Text,)| {
        let host = cx.data().host;
        Ok((key.with(|key| {
            let (status, out) = ask(host, c"env.get", key.as_bytes(), &[])?;
            Ok(if status == NOT_FOUND { Ok(None) } else { answer((status, out)).map(|b| Some(text(b))) })
        })?,))
    })?;
    def(&mut linker.instance(&name("secrets"))?, "get", |cx, (key,): (Text,)| {
        let host = cx.data().host;
        Ok((key.with(|key| Ok(answer(ask(host, c"secret.get", key.as_bytes(), &[])?)))?,))
    })
}
