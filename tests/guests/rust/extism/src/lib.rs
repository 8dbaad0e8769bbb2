//! The conformance guest (see tests/guests/README.md) on the public Extism PDK for Rust.

use extism_pdk::*;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::atomic::{AtomicU64, Ordering};

#[link(wasm_import_module = "extism:host/user")]
extern "C" {
    fn outrider_publish(topic: u64, data: u64) -> u64;
    fn outrider_call(operation: u64, input: u64) -> u64;
    fn outrider_error() -> u64;
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

fn block(handle: u64) -> Vec<u8> {
    Memory::find(handle).map(|m| m.to_vec()).unwrap_or_default()
}

fn publish(topic: &str, data: &str) -> Result<(), Error> {
    let topic = Memory::from_bytes(topic)?;
    let data = Memory::from_bytes(data)?;
    match unsafe { outrider_publish(topic.offset(), data.offset()) } {
        0 => Ok(()),
        handle => Err(Error::msg(String::from_utf8_lossy(&block(handle)).into_owned())),
    }
}

#[plugin_fn]
pub fn info() -> FnResult<&'static str> {
    Ok(r#"{"name":"rust-extism","version":"1.0.0","api":"1"}"#)
}

#[plugin_fn]
pub fn subscriptions() -> FnResult<&'static str> {
    Ok(r#"{"topics":[{"pattern":"test.ping","kind":"event"}]}"#)
}

#[plugin_fn]
pub fn init(config: Vec<u8>) -> FnResult<()> {
    let _: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&config)?;
    Ok(())
}

#[plugin_fn]
pub fn reconfigure(config: Vec<u8>) -> FnResult<()> {
    let _: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&config)?;
    Ok(())
}

#[plugin_fn]
pub fn close() -> FnResult<()> {
    info!("closed");
    Ok(())
}

#[plugin_fn]
pub fn process(message: Vec<u8>) -> FnResult<()> {
    let envelope: Envelope = serde_json::from_slice(&message)?;
    publish("test.echo", envelope.data.get())?;
    Ok(())
}

#[plugin_fn]
pub fn echo(input: Vec<u8>) -> FnResult<Vec<u8>> {
    Ok(input)
}

#[plugin_fn]
pub fn fail() -> FnResult<()> {
    Err(WithReturnCode::new(Error::msg("asked to fail"), 1))
}

#[plugin_fn]
pub fn config(key: String) -> FnResult<String> {
    Ok(config::get(&key)?.ok_or_else(|| Error::msg("no such key"))?)
}

#[plugin_fn]
pub fn host(input: Vec<u8>) -> FnResult<Vec<u8>> {
    let at = input.iter().position(|b| *b == b'\n').ok_or_else(|| Error::msg("no operation"))?;
    let operation = Memory::from_bytes(&input[..at])?;
    let question = Memory::from_bytes(&input[at + 1..])?;
    match unsafe { outrider_call(operation.offset(), question.offset()) } {
        0 => match unsafe { outrider_error() } {
            0 => Ok(Vec::new()),
            text => Err(Error::msg(String::from_utf8_lossy(&block(text)).into_owned()).into()),
        },
        handle => Ok(block(handle)),
    }
}

#[plugin_fn]
pub fn http(url: String) -> FnResult<Vec<u8>> {
    let answer = http::request::<()>(&HttpRequest::new(url), None)?;
    let mut text = format!("{} ", answer.status_code()).into_bytes();
    text.extend(answer.body());
    Ok(text)
}

#[plugin_fn]
pub fn note(text: String) -> FnResult<()> {
    info!("{text}");
    Ok(())
}

static COUNT: AtomicU64 = AtomicU64::new(0);

#[plugin_fn]
pub fn count() -> FnResult<String> {
    Ok((COUNT.fetch_add(1, Ordering::Relaxed) + 1).to_string())
}

#[plugin_fn]
pub fn vars() -> FnResult<String> {
    let n = match var::get::<String>("n")? {
        Some(text) => text.parse::<u64>()?,
        None => 0,
    };
    let next = (n + 1).to_string();
    var::set("n", &next)?;
    Ok(next)
}

#[plugin_fn]
pub fn trap() -> FnResult<()> {
    core::arch::wasm32::unreachable()
}
