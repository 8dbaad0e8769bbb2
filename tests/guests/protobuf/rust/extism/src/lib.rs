//! The conformance guest (see tests/guests/README.md) on the public Extism PDK for Rust, in protobuf.

use extism_pdk::*;
use messages::Message;
use prost_types::Value;
use std::sync::atomic::{AtomicU64, Ordering};

#[link(wasm_import_module = "extism:host/user")]
extern "C" {
    fn outrider_publish(topic: u64, data: u64) -> u64;
    fn outrider_call(operation: u64, input: u64) -> u64;
    fn outrider_error() -> u64;
}

struct User;

fn bytes(handle: u64) -> Vec<u8> {
    Memory::find(handle).map(|m| m.to_vec()).unwrap_or_default()
}

fn text(handle: u64) -> String {
    String::from_utf8_lossy(&bytes(handle)).into_owned()
}

fn memory(from: &[u8]) -> Result<Memory, String> {
    Memory::from_bytes(from).map_err(|e| e.to_string())
}

impl messages::Host for User {
    fn publish(&self, topic: &str, data: &Value) -> Result<(), String> {
        let topic = memory(topic.as_bytes())?;
        let data = memory(&data.encode_to_vec())?;
        match unsafe { outrider_publish(topic.offset(), data.offset()) } {
            0 => Ok(()),
            handle => Err(text(handle)),
        }
    }

    fn call(&self, operation: &str, question: &[u8]) -> Result<Vec<u8>, String> {
        let operation = memory(operation.as_bytes())?;
        let question = memory(question)?;
        let answer = unsafe { outrider_call(operation.offset(), question.offset()) };
        match unsafe { outrider_error() } {
            0 => Ok(bytes(answer)),
            handle => Err(text(handle)),
        }
    }
}

#[plugin_fn]
pub fn info() -> FnResult<Vec<u8>> {
    Ok(messages::info("rust-protobuf-extism", &[]))
}

#[plugin_fn]
pub fn subscriptions() -> FnResult<Vec<u8>> {
    Ok(messages::subscriptions())
}

#[plugin_fn]
pub fn init(config: Vec<u8>) -> FnResult<()> {
    Ok(messages::init(&config).map_err(Error::msg)?)
}

#[plugin_fn]
pub fn process(message: Vec<u8>) -> FnResult<()> {
    Ok(messages::process(&User, &message).map_err(Error::msg)?)
}

#[plugin_fn]
pub fn services() -> FnResult<String> {
    Ok(messages::services(&User).map_err(Error::msg)?)
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
pub fn trap() -> FnResult<()> {
    core::arch::wasm32::unreachable()
}
