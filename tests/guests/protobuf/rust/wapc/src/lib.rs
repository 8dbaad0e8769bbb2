//! The conformance guest (see tests/guests/README.md) on the public waPC guest crate for Rust, in protobuf.

use messages::{Message, Publish};
use prost_types::Value;
use std::sync::atomic::{AtomicU64, Ordering};
use wapc_guest as wapc;
use wapc_guest::CallResult;

struct Bound;

impl messages::Host for Bound {
    fn publish(&self, topic: &str, data: &Value) -> Result<(), String> {
        let message = Publish { topic: topic.into(), data: Some(data.clone()) };
        wapc::host_call("outrider", "bus", "publish", &message.encode_to_vec())
            .map(|_| ())
            .map_err(|e| e.to_string())
    }

    fn call(&self, operation: &str, question: &[u8]) -> Result<Vec<u8>, String> {
        let (space, name) = operation.split_once('.').ok_or("an operation has a dot")?;
        wapc::host_call("outrider", space, name, question).map_err(|e| e.to_string())
    }
}

const OPERATIONS: &[(&str, fn(&[u8]) -> CallResult)] = &[
    ("info", info),
    ("subscriptions", |_| Ok(messages::subscriptions())),
    ("init", |config| messages::init(config).map(|_| Vec::new()).map_err(Into::into)),
    ("process", |m| messages::process(&Bound, m).map(|_| Vec::new()).map_err(Into::into)),
    ("services", |_| messages::services(&Bound).map(String::into_bytes).map_err(Into::into)),
    ("echo", |input| Ok(input.to_vec())),
    ("fail", |_| Err("asked to fail".into())),
    ("config", |key| wapc::host_call("outrider", "config", "get", key)),
    ("note", |text| wapc::host_call("outrider", "log", "info", text)),
    ("count", |_| Ok((COUNT.fetch_add(1, Ordering::Relaxed) + 1).to_string().into_bytes())),
    ("trap", |_| core::arch::wasm32::unreachable()),
];

static COUNT: AtomicU64 = AtomicU64::new(0);

#[no_mangle]
pub extern "C" fn wapc_init() {
    for (name, operation) in OPERATIONS {
        wapc::register_function(name, *operation);
    }
}

fn info(_: &[u8]) -> CallResult {
    let names: Vec<&str> = OPERATIONS.iter().map(|(name, _)| *name).collect();
    Ok(messages::info("rust-protobuf-wapc", &names))
}
