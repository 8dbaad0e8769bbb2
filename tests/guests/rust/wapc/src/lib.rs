//! The conformance guest (see tests/guests/README.md) on the public waPC guest crate for Rust.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::atomic::{AtomicU64, Ordering};
use wapc_guest as wapc;
use wapc_guest::CallResult;

const OPERATIONS: &[(&str, fn(&[u8]) -> CallResult)] = &[
    ("info", info),
    ("subscriptions", subscriptions),
    ("init", init),
    ("process", process),
    ("reconfigure", init),
    ("close", |_| wapc::host_call("outrider", "log", "info", b"closed")),
    ("host", host),
    ("echo", |input| Ok(input.to_vec())),
    ("fail", |_| Err("asked to fail".into())),
    ("config", |key| wapc::host_call("outrider", "config", "get", key)),
    ("note", |text| wapc::host_call("outrider", "log", "info", text)),
    ("count", count),
    ("trap", |_| core::arch::wasm32::unreachable()),
];

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

static COUNT: AtomicU64 = AtomicU64::new(0);

#[no_mangle]
pub extern "C" fn wapc_init() {
    for (name, operation) in OPERATIONS {
        wapc::register_function(name, *operation);
    }
}

fn info(_: &[u8]) -> CallResult {
    let names: Vec<&str> = OPERATIONS.iter().map(|(name, _)| *name).collect();
    Ok(format!(
        r#"{{"name":"rust-wapc","version":"1.0.0","api":"1","operations":{}}}"#,
        serde_json::to_string(&names)?
    )
    .into_bytes())
}

fn subscriptions(_: &[u8]) -> CallResult {
    Ok(br#"{"topics":[{"pattern":"test.ping","kind":"event"}]}"#.to_vec())
}

fn init(config: &[u8]) -> CallResult {
    let _: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(config)?;
    Ok(Vec::new())
}

fn process(message: &[u8]) -> CallResult {
    let envelope: Envelope = serde_json::from_slice(message)?;
    let payload = format!(r#"{{"topic":"test.echo","data":{}}}"#, envelope.data.get());
    wapc::host_call("outrider", "bus", "publish", payload.as_bytes())?;
    Ok(Vec::new())
}

/* "namespace.operation", a line break, the payload. */
fn host(input: &[u8]) -> CallResult {
    let at = input.iter().position(|b| *b == b'\n').ok_or("no operation")?;
    let name = std::str::from_utf8(&input[..at])?;
    let (space, operation) = name.split_once('.').ok_or("no namespace")?;
    wapc::host_call("outrider", space, operation, &input[at + 1..])
}

fn count(_: &[u8]) -> CallResult {
    Ok((COUNT.fetch_add(1, Ordering::Relaxed) + 1).to_string().into_bytes())
}
