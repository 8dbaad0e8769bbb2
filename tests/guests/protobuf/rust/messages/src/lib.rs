//! What the conformance guest (see tests/guests/README.md) does in protobuf, whatever its ABI is.
#![no_std]

extern crate alloc;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
pub use prost::Message;
use prost_types::value::Kind;
use prost_types::{Struct, Value};

include!(concat!(env!("OUT_DIR"), "/outrider.plugin.v1.rs"));

/// What a guest asks of its host; the error is a text.
pub trait Host {
    fn publish(&self, topic: &str, data: &Value) -> Result<(), String>;
    fn call(&self, operation: &str, question: &[u8]) -> Result<Vec<u8>, String>;
}

pub fn info(name: &str, operations: &[&str]) -> Vec<u8> {
    Info {
        name: name.into(),
        version: "1.0.0".into(),
        api: "1".into(),
        operations: operations.iter().map(|o| o.to_string()).collect(),
    }
    .encode_to_vec()
}

pub fn subscriptions() -> Vec<u8> {
    let ping = Subscription {
        pattern: "test.ping".into(),
        kind: subscription::Kind::Event.into(),
    };
    Subscriptions { topics: alloc::vec![ping] }.encode_to_vec()
}

pub fn init(config: &[u8]) -> Result<(), String> {
    Struct::decode(config).map(|_| ()).map_err(|e| e.to_string())
}

fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

fn number(n: u64) -> Value {
    value(Kind::NumberValue(n as f64))
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    let fields: BTreeMap<String, Value> =
        members.into_iter().map(|(k, v)| (k.to_string(), v)).collect();
    value(Kind::StructValue(Struct { fields }))
}

/// The data of a message under test.echo; of a sample of metrics, what can be compared.
pub fn process(host: &impl Host, message: &[u8]) -> Result<(), String> {
    use envelope::Payload;
    let envelope = Envelope::decode(message).map_err(|e| e.to_string())?;
    let data = match envelope.payload {
        Some(Payload::Data(data)) => data,
        Some(Payload::Metrics(m)) => object([
            ("id", value(Kind::StringValue(m.id))),
            ("cause", number(envelope.id)),
            ("status_ok", value(Kind::BoolValue(m.status_ok))),
            ("active", number(m.active)),
            ("requests", number(m.requests)),
            ("requests_per_second", value(Kind::NumberValue(m.requests_per_second))),
            (
                "responses",
                value(Kind::StructValue(Struct {
                    fields: m.responses.into_iter().map(|(k, n)| (k, number(n))).collect(),
                })),
            ),
        ]),
        Some(_) => return Err(format!("{}: not asked for", envelope.topic)),
        None => return Err("the message has no data".into()),
    };
    host.publish("test.echo", &data)
}

fn ask<A: Message + Default>(host: &impl Host, op: &str, question: &[u8]) -> Result<A, String> {
    A::decode(host.call(op, question)?.as_slice()).map_err(|e| format!("{op}: {e}"))
}

fn expect(what: &str, ok: bool) -> Result<(), String> {
    if ok { Ok(()) } else { Err(format!("{what}: not what was expected")) }
}

/// Goes through the host operations that have messages; the answer is text.
pub fn services(host: &impl Host) -> Result<String, String> {
    let kept = object([("n", number(7))]);
    let set = |key: &str, stored| {
        let question = KvSet { key: key.into(), stored: Some(stored) };
        host.call("kv.set", &question.encode_to_vec())
    };
    set("pb.json", kv_set::Stored::Value(kept.clone()))?;
    set("pb.raw", kv_set::Stored::Raw(alloc::vec![0xff, 0]))?;
    let json: KvGetAnswer = ask(host, "kv.get", b"pb.json")?;
    expect("kv.get of JSON", json.stored == Some(kv_get_answer::Stored::Value(kept)))?;
    let raw: KvGetAnswer = ask(host, "kv.get", b"pb.raw")?;
    expect("kv.get of bytes", raw.stored == Some(kv_get_answer::Stored::Raw(alloc::vec![0xff, 0])))?;
    let list: KvListAnswer = ask(host, "kv.list", b"pb.")?;
    expect("kv.list", list.keys == ["pb.json", "pb.raw"])?;
    for (key, found) in [("pb.json", true), ("pb.raw", true), ("pb.raw", false)] {
        let gone: KvDeleteAnswer = ask(host, "kv.delete", key.as_bytes())?;
        expect("kv.delete", gone.found == found)?;
    }
    let metric = Metric {
        name: "seen".into(),
        value: 2.5,
        labels: BTreeMap::from([("kind".into(), "a".into())]),
    };
    host.call("metric.counter", &metric.encode_to_vec())?;
    let clock: ClockAnswer = ask(host, "clock.now", b"")?;
    expect("clock.now", clock.unix_ns > 1_500_000_000_000_000_000 && clock.monotonic_ns > 0)?;
    Ok("all services answered".into())
}
