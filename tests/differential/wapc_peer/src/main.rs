//! waPC's own host with its Wasmtime engine, driven as ../driver.c is: the same commands, the same answers.
//!
//! "load PATH", "fresh", "call OPERATION-HEX INPUT-HEX"; "ok HEX -" or "fail CLASS HEX -". A guest that makes the host
//! panic (waPC does not check every range) is a trap of that guest.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, Write};
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd;
use std::panic::{catch_unwind, set_hook, AssertUnwindSafe};
use std::{fs, str};
use wapc::WapcHost;
use wasmtime_provider::{WasmtimeEngineProviderBuilder, WasmtimeEngineProviderPre};

const NO_TEXT: [&str; 2] = [
    "No error message set for call failure",
    "No error message OR response set for call success",
];

extern "C" {
    fn dup(fd: i32) -> i32;
    fn dup2(from: i32, to: i32) -> i32;
}

fn unhex(text: &str) -> Vec<u8> {
    if text == "-" {
        return Vec::new();
    }
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("hex")).collect()
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    if bytes.is_empty() {
        return "-".into();
    }
    let text = bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]).collect();
    String::from_utf8(text).expect("digits")
}

/// What ../driver.c answers, too.
fn operation(
    _: u64,
    binding: &str,
    space: &str,
    name: &str,
    input: &[u8],
) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
    match name {
        "echo" => Ok(input.to_vec()),
        "names" => Ok(format!("{binding}/{space}/{name}").into_bytes()),
        "empty" => Ok(Vec::new()),
        "fail" => Err(String::from_utf8_lossy(input).into_owned().into()),
        _ => Err(format!("no operation {name}").into()),
    }
}

#[derive(Clone)]
struct Failure(&'static str, String);

fn compile(wasm: &[u8]) -> Result<WasmtimeEngineProviderPre, Failure> {
    WasmtimeEngineProviderBuilder::new().module_bytes(wasm).build_pre().map_err(|e| Failure("load", e.to_string()))
}

fn start(code: &WasmtimeEngineProviderPre) -> Result<WapcHost, Failure> {
    let made = catch_unwind(AssertUnwindSafe(|| {
        let engine = code.rehydrate(None).map_err(|e| e.to_string())?;
        WapcHost::new(Box::new(engine), Some(Box::new(operation))).map_err(|e| e.to_string())
    }));
    match made {
        Ok(Ok(host)) => Ok(host),
        Ok(Err(text)) => Err(Failure("load", text)),
        Err(_) => Err(Failure("load", "panic".into())),
    }
}

fn call(host: &WapcHost, operation: &[u8], input: &[u8]) -> Result<Vec<u8>, Failure> {
    let name = str::from_utf8(operation).map_err(|e| Failure("host", e.to_string()))?;
    match catch_unwind(AssertUnwindSafe(|| host.call(name, input))) {
        Err(_) => Err(Failure("trap", "panic".into())),
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => {
            let text = match &error {
                wapc::errors::Error::GuestCallFailure(text) => text.clone(),
                other => other.to_string(),
            };
            if NO_TEXT.contains(&text.as_str()) {
                return Err(Failure("silent", text));
            }
            // What the engine fails with becomes the guest's error: it has a backtrace, which a guest's text has not.
            let trap = text.contains("error while executing at wasm backtrace");
            Err(Failure(if trap { "trap" } else { "guest" }, text))
        }
    }
}

fn main() {
    // What a guest prints must not come between our answers.
    let mut out = unsafe {
        let out = ManuallyDrop::new(File::from_raw_fd(dup(1)));
        dup2(2, 1);
        out
    };
    set_hook(Box::new(|_| {}));
    let (mut code, mut host) = (Err(Failure("load", "nothing is loaded".into())), None);
    for line in io::stdin().lock().lines() {
        let line = line.expect("a line");
        let words: Vec<&str> = line.split(' ').collect();
        let answer = match words[0] {
            "load" | "fresh" => {
                host = None;
                if words[0] == "load" {
                    code = compile(&fs::read(words[1]).expect("a file"));
                }
                code.as_ref().map_err(Clone::clone).and_then(start).map(|made| {
                    host = Some(made);
                    Vec::new()
                })
            }
            "call" => match &host {
                Some(host) => call(host, &unhex(words[1]), &unhex(words[2])),
                None => Err(Failure("host", "nothing is loaded".into())),
            },
            other => panic!("{other} is no command"),
        };
        match answer {
            Ok(bytes) => writeln!(out, "ok {} -", hex(&bytes)),
            Err(Failure(class, text)) => writeln!(out, "fail {class} {} -", hex(text.as_bytes())),
        }
        .expect("standard output");
    }
}
