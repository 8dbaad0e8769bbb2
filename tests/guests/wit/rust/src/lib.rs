//! The conformance guest (see tests/guests/README.md) on wit-bindgen for Rust.

use outrider::plugin::{bus, config, host, kv, log};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::atomic::{AtomicU64, Ordering};

wit_bindgen::generate!({ world: "guest", path: "../wit", generate_all });

const INFO: u8 = 2;

struct Plugin;
export!(Plugin);

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

fn take_config(text: &str) -> Result<(), String> {
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text)
        .map(|_| ())
        .map_err(|e| e.to_string())
}

impl exports::outrider::plugin::lifecycle::Guest for Plugin {
    fn info() -> String {
        r#"{"name":"rust-wit","version":"1.0.0","api":"1"}"#.into()
    }

    fn subscriptions() -> String {
        r#"{"topics":[{"pattern":"test.ping","kind":"event"}]}"#.into()
    }

    fn init(text: String) -> Result<(), String> {
        take_config(&text)
    }

    fn process(message: Vec<u8>) -> Result<Vec<u8>, String> {
        let envelope: Envelope = serde_json::from_slice(&message).map_err(|e| e.to_string())?;
        bus::publish("test.echo", envelope.data.get().as_bytes())?;
        Ok(Vec::new())
    }

    fn reconfigure(text: String) -> Result<(), String> {
        take_config(&text)
    }

    fn close() {
        log::write(INFO, "closed");
    }
}

fn text(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|e| e.to_string())
}

/* kv by its typed functions, everything else by name. */
fn ask(operation: &str, input: &[u8]) -> Result<Vec<u8>, String> {
    let key = || text(input.to_vec());
    match operation {
        "kv.get" => kv::get(&key()?)?.ok_or_else(|| "no such key".into()),
        "kv.put" => {
            let end = 4 + u32::from_le_bytes(input[..4].try_into().unwrap()) as usize;
            kv::set(&text(input[4..end].to_vec())?, &input[end..]).map(|()| Vec::new())
        }
        "kv.delete" => kv::delete(&key()?).map(String::into_bytes),
        "kv.list" => kv::list(&key()?).map(String::into_bytes),
        _ => host::call(operation, input),
    }
}

static COUNT: AtomicU64 = AtomicU64::new(0);

impl Guest for Plugin {
    fn echo(input: Vec<u8>) -> Vec<u8> {
        input
    }

    fn fail(_: Vec<u8>) -> Result<Vec<u8>, String> {
        Err("asked to fail".into())
    }

    fn config(key: Vec<u8>) -> Result<Vec<u8>, String> {
        config::get(&text(key)?).map(String::into_bytes).ok_or_else(|| "no such key".into())
    }

    fn host(input: Vec<u8>) -> Result<Vec<u8>, String> {
        let at = input.iter().position(|b| *b == b'\n').ok_or("no operation")?;
        ask(&text(input[..at].to_vec())?, &input[at + 1..])
    }

    fn note(line: Vec<u8>) -> Result<Vec<u8>, String> {
        log::write(INFO, &text(line)?);
        Ok(Vec::new())
    }

    fn count(_: Vec<u8>) -> Result<Vec<u8>, String> {
        Ok((COUNT.fetch_add(1, Ordering::Relaxed) + 1).to_string().into_bytes())
    }

    fn trap(_: Vec<u8>) -> Vec<u8> {
        core::arch::wasm32::unreachable()
    }
}
