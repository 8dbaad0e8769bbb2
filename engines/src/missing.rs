//! What a component imports and this agent lacks, in words of who builds the component: wanted, there, what to do.
use crate::component::{State, PACKAGE, VERSION};
use wasmtime_c_api::wasmtime::component::types::ComponentItem;
use wasmtime_c_api::wasmtime::component::{Component, Linker};
use wasmtime_c_api::wasmtime::{Engine, Error};

/// Packages and their interfaces; the version is the newest that is served.
const WASI: &str = "0.2.12";
const OFFERS: [(&str, &str, &[&str]); 8] = [
    (PACKAGE, VERSION, &[
        "bus", "clock", "config", "env", "host", "http", "instances", "kv", "log", "metrics", "random", "secrets",
    ]),
    ("wasi:cli", WASI, &[
        "environment", "exit", "stderr", "stdin", "stdout", "terminal-input", "terminal-output", "terminal-stderr",
        "terminal-stdin", "terminal-stdout",
    ]),
    ("wasi:clocks", WASI, &["monotonic-clock", "wall-clock"]),
    ("wasi:filesystem", WASI, &["preopens", "types"]),
    ("wasi:http", WASI, &["outgoing-handler", "types"]),
    ("wasi:io", WASI, &["error", "poll", "streams"]),
    ("wasi:random", WASI, &["insecure", "insecure-seed", "random"]),
    ("wasi:sockets", WASI, &[
        "instance-network", "ip-name-lookup", "network", "tcp", "tcp-create-socket", "udp", "udp-create-socket",
    ]),
];

struct Name<'a> {
    package: &'a str,
    interface: &'a str,
    version: &'a str,
}

/// `namespace:package/interface@version`.
fn split(name: &str) -> Option<Name<'_>> {
    let (path, version) = name.split_once('@').unwrap_or((name, ""));
    let (package, interface) = path.split_once('/')?;
    Some(Name { package, interface, version })
}

/// The part of a version within which names keep their meaning: "1" of 1.4.2, "0.2" of 0.2.3, all of a draft.
fn track(version: &str) -> &str {
    if version.contains('-') {
        return version;
    }
    let dots = if version.starts_with("0.") { 2 } else { 1 };
    version.match_indices('.').nth(dots - 1).map_or(version, |(at, _)| &version[..at])
}

fn advice(n: &Name<'_>, there: &str) -> String {
    if n.package == PACKAGE {
        return format!("build the plugin against {PACKAGE}@{there} or an older 1.x, or take an agent that has {}", n.version);
    }
    match track(n.version) {
        "0.3" => format!("build the plugin for WASI 0.2 (wasip2), version {there} or older"),
        _ => format!("build the plugin against {}@{there} or an older 0.2.x", n.package),
    }
}

/// None: it is offered, as far as its name says.
fn judge(import: &str) -> Option<String> {
    let n = split(import)?;
    let (_, there, interfaces) = OFFERS.iter().find(|(p, ..)| *p == n.package)?;
    if track(n.version) != track(there) {
        let what = if n.version.is_empty() { "no version" } else { n.version };
        return Some(format!("import {import}: {what} is wanted, this agent has {there}: {}", advice(&n, there)));
    }
    if interfaces.contains(&n.interface) {
        return None;
    }
    let list = interfaces.join(", ");
    Some(format!("import {import}: {}@{there} of this agent has no such interface, only {list}: {}", n.package, advice(&n, there)))
}

fn packages() -> String {
    OFFERS.iter().map(|(p, v, _)| format!("{p}@{v}")).collect::<Vec<_>>().join(", ")
}

/// The text between the first two backquotes.
fn quoted(text: &str) -> Option<&str> {
    text.split('`').nth(1)
}

/// What Wasmtime says of an import whose name is offered: a function that is newer, or of another type.
fn of_type(import: &str, why: &str) -> String {
    let (n, there) = (split(import), quoted(why).unwrap_or("?"));
    let newest = n.as_ref().and_then(|n| OFFERS.iter().find(|(p, ..)| *p == n.package)).map_or("", |(_, v, _)| *v);
    let what = if why.contains("implementation is missing") { "is wanted and not there" } else { "is of another type here" };
    let todo = n.as_ref().map_or(String::new(), |n| advice(n, newest));
    format!("import {import}: its {there} {what}; this agent has {newest}: {todo}")
}

/// One line for each import that cannot be satisfied.
pub(crate) fn explain(engine: &Engine, linker: &Linker<State>, component: &Component, error: &Error) -> String {
    let (mut lines, mut foreign): (Vec<String>, Vec<&str>) = (Vec::new(), Vec::new());
    let ty = component.component_type();
    for (name, item) in ty.imports(engine) {
        // A type alone, or a part of Wasm, is nobody's to offer; what is unknown of them is in the last line.
        if matches!(item.ty, ComponentItem::ComponentInstance(_) | ComponentItem::ComponentFunc(_) | ComponentItem::Resource(_)) {
            match split(name).filter(|n| OFFERS.iter().any(|(p, ..)| *p == n.package)) {
                Some(_) => lines.extend(judge(name)),
                None => foreign.push(name),
            }
        }
    }
    if !foreign.is_empty() {
        let list = foreign.join(", ");
        lines.push(format!("import {list} is not offered by this agent, which has the interfaces of {}", packages()));
    }
    // With the unknown ones out of the way Wasmtime names the first whose functions do not fit.
    let mut known = linker.clone();
    let rest = match known.define_unknown_imports_as_traps(component) {
        Ok(()) => known.instantiate_pre(component).err(),
        Err(e) => Some(e),
    };
    if let Some(e) = rest.as_ref().or(lines.is_empty().then_some(error)) {
        let why: Vec<String> = e.chain().map(|part| part.to_string()).collect();
        let import = quoted(&why[0]).unwrap_or("?").to_string();
        if lines.is_empty() || !lines.iter().any(|line| line.contains(&import)) {
            let detail = why[1..].iter().map(|part| part.trim_start_matches("instance export ")).collect::<Vec<_>>().join(": ");
            lines.push(if detail.is_empty() { why[0].clone() } else { of_type(&import, &detail) });
        }
    }
    lines.iter().map(|line| line.replace('\n', " ")).collect::<Vec<_>>().join("\n")
}
