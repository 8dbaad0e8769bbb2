//! Values of a guest that stay in its memory: nothing is copied before the host knows that it may be and how much.
//!
//! Wasmtime lifts every argument before the host function runs, 16 bytes of the guest's becoming as much as it has
//! memory, for each item of a list anew. These types keep the place instead. A place is good while the host function
//! runs, as the guest does not.
use std::cell::Cell;
use std::ffi::c_void;
use wasmtime_c_api::wasmtime::component::__internal::wasmtime_environ::component::StringEncoding;
use wasmtime_c_api::wasmtime::component::__internal::{CanonicalAbiInfo, InstanceType, InterfaceType, LiftContext};
use wasmtime_c_api::wasmtime::component::{ComponentType, Lift, WasmList};
use wasmtime_c_api::wasmtime::{bail, Result, ValRaw};

pub(crate) type Sink = unsafe extern "C" fn(*mut c_void, *const u8, usize);
/// What a host function answers: the text of an error becomes the guest's `err`.
pub(crate) type Told<T> = std::result::Result<T, String>;
type Both = (String, String);

/// Of a topic, a key, a URL, the name of an operation.
const MOST_TEXT: usize = 64 << 10;
/// Of all labels or headers of one call.
const MOST_PAIRS: usize = 256 << 10;
/// Of an error text that a guest returns; what is shown of it is shorter.
const MOST_ERROR: usize = 4 << 10;
const PAIR_BYTES: usize = 16;

fn flat(src: &[ValRaw; 2]) -> (usize, usize) {
    (src[0].get_u32() as usize, src[1].get_u32() as usize)
}

fn word(b: &[u8], at: usize) -> usize {
    u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]) as usize
}

fn inside(memory: &[u8], at: usize, n: usize) -> Result<&[u8]> {
    match memory.get(at..).and_then(|m| m.get(..n)) {
        Some(bytes) => Ok(bytes),
        None => bail!("pointer/length out of bounds of memory"),
    }
}

fn is_utf8(cx: &LiftContext<'_>) -> bool {
    cx.options().string_encoding == StringEncoding::Utf8
}

fn utf8(bytes: &[u8]) -> Result<&str> {
    Ok(std::str::from_utf8(bytes)?)
}

/// The longest beginning of `bytes` that is no longer than `most` and does not end within a character.
fn cut(bytes: &[u8], most: usize) -> &[u8] {
    let mut n = bytes.len().min(most);
    while n < bytes.len() && n > 0 && bytes[n] & 0xc0 == 0x80 {
        n -= 1;
    }
    &bytes[..n]
}

/// A `list<u8>`.
pub(crate) struct Blob(*const u8, usize);
unsafe impl Send for Blob {} // used on the thread of the call only
unsafe impl Sync for Blob {}

impl Blob {
    fn new(bytes: &[u8]) -> Blob {
        Blob(bytes.as_ptr(), bytes.len())
    }
    pub(crate) fn get(&self) -> &[u8] {
        unsafe { std::slice::from_raw_parts(self.0, self.1) }
    }
}

/// A `string`. One that is not UTF-8 in the guest is copied, within the store's hostcall fuel.
pub(crate) enum Text {
    Lent(Blob),
    Own(String),
}

impl Text {
    fn bytes(&self) -> &[u8] {
        match self {
            Text::Lent(b) => b.get(),
            Text::Own(s) => s.as_bytes(),
        }
    }
    /// Traps when it is not UTF-8, as Wasmtime does.
    pub(crate) fn get(&self) -> Result<Told<&str>> {
        let bytes = self.bytes();
        if bytes.len() > MOST_TEXT {
            return Ok(Err(format!("a text of {} bytes; the limit is {MOST_TEXT}", bytes.len())));
        }
        utf8(bytes).map(Ok)
    }
    /// Its beginning, when it is longer than a text may be.
    pub(crate) fn start(&self) -> Result<&str> {
        utf8(cut(self.bytes(), MOST_TEXT))
    }
    pub(crate) fn with<T>(&self, f: impl FnOnce(&str) -> Result<Told<T>>) -> Result<Told<T>> {
        match self.get()? {
            Ok(text) => f(text),
            Err(why) => Ok(Err(why)),
        }
    }
}

/// A `list<tuple<string, string>>`.
pub(crate) enum Pairs {
    Lent { memory: Blob, at: usize, n: usize },
    Own(Vec<Both>),
}

pub(crate) fn put(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    to.extend_from_slice(bytes);
}

struct Room<'a> {
    to: &'a mut Vec<u8>,
    left: usize,
}

impl Room<'_> {
    /// False: it is full.
    fn put(&mut self, bytes: &[u8]) -> Result<bool> {
        let n = bytes.len().saturating_add(4);
        if n > self.left {
            return Ok(false);
        }
        put(self.to, utf8(bytes)?.as_bytes());
        self.left -= n;
        Ok(true)
    }
}

impl Pairs {
    fn lent(cx: &LiftContext<'_>, at: usize, n: usize) -> Result<Pairs> {
        inside(cx.memory(), at, n.saturating_mul(PAIR_BYTES))?;
        if at % 4 != 0 {
            bail!("list pointer is not aligned");
        }
        Ok(Pairs::Lent { memory: Blob::new(cx.memory()), at, n })
    }
    fn copy(&self, room: &mut Room<'_>) -> Result<bool> {
        match self {
            Pairs::Own(list) => {
                for (a, b) in list {
                    if !(room.put(a.as_bytes())? && room.put(b.as_bytes())?) {
                        return Ok(false);
                    }
                }
            }
            Pairs::Lent { memory, at, n } => {
                let memory = memory.get();
                for item in inside(memory, *at, n * PAIR_BYTES)?.chunks_exact(PAIR_BYTES) {
                    let a = inside(memory, word(item, 0), word(item, 4))?;
                    let b = inside(memory, word(item, 8), word(item, 12))?;
                    if !(room.put(a)? && room.put(b)?) {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }
    /// Appends each name and value as a field.
    pub(crate) fn put(&self, what: &str, to: &mut Vec<u8>) -> Result<Told<()>> {
        let full = !self.copy(&mut Room { to, left: MOST_PAIRS })?;
        Ok(if full { Err(format!("{what} of more than {MOST_PAIRS} bytes")) } else { Ok(()) })
    }
}

macro_rules! lift {
    ($to:ty, $as:ty, $one:expr, $other:ty, $own:expr) => {
        // Layout and type are those of the type in Wasmtime for the same WIT type. Hidden API: checked with the pinned
        // version, by tests/unit/wasm/abi/test_wit.c and plugin/services/test_component_limits.c.
        unsafe impl ComponentType for $to {
            type Lower = [ValRaw; 2];
            const ABI: CanonicalAbiInfo = CanonicalAbiInfo::POINTER_PAIR;
            fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> Result<()> {
                <$as as ComponentType>::typecheck(ty, types)
            }
        }
        unsafe impl Lift for $to {
            fn linear_lift_from_flat(cx: &mut LiftContext<'_>, ty: InterfaceType, src: &[ValRaw; 2]) -> Result<Self> {
                if is_utf8(cx) {
                    let (at, n) = flat(src);
                    return $one(cx, at, n);
                }
                $own(<$other as Lift>::linear_lift_from_flat(cx, ty, src)?)
            }
            fn linear_lift_from_memory(cx: &mut LiftContext<'_>, ty: InterfaceType, b: &[u8]) -> Result<Self> {
                if is_utf8(cx) {
                    return $one(cx, word(b, 0), word(b, 4));
                }
                $own(<$other as Lift>::linear_lift_from_memory(cx, ty, b)?)
            }
        }
    };
}

macro_rules! lift_bytes {
    ($to:ty, $one:expr) => {
        unsafe impl ComponentType for $to {
            type Lower = [ValRaw; 2];
            const ABI: CanonicalAbiInfo = CanonicalAbiInfo::POINTER_PAIR;
            fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> Result<()> {
                WasmList::<u8>::typecheck(ty, types)
            }
        }
        unsafe impl Lift for $to {
            fn linear_lift_from_flat(cx: &mut LiftContext<'_>, _: InterfaceType, src: &[ValRaw; 2]) -> Result<Self> {
                let (at, n) = flat(src);
                $one(cx, at, n)
            }
            fn linear_lift_from_memory(cx: &mut LiftContext<'_>, _: InterfaceType, b: &[u8]) -> Result<Self> {
                $one(cx, word(b, 0), word(b, 4))
            }
        }
    };
}

fn lend(cx: &LiftContext<'_>, at: usize, n: usize) -> Result<Blob> {
    inside(cx.memory(), at, n).map(Blob::new)
}

fn lend_text(cx: &LiftContext<'_>, at: usize, n: usize) -> Result<Text> {
    lend(cx, at, n).map(Text::Lent)
}

lift_bytes!(Blob, lend);
lift!(Text, str, lend_text, String, |s| Ok(Text::Own(s)));
lift!(Pairs, [Both], Pairs::lent, Vec<Both>, |v| Ok(Pairs::Own(v)));

// ---- what a guest's operation returns ----

thread_local! {
    /// Takes the bytes of an answer as it is lifted: behind the call the guest has freed it (post-return).
    pub(crate) static TAKER: Cell<Option<(Sink, *mut c_void)>> = const { Cell::new(None) };
}

fn hand_over(bytes: &[u8]) {
    if let Some((sink, arg)) = TAKER.get() {
        unsafe { sink(arg, bytes.as_ptr(), bytes.len()) };
    }
}

/// A `list<u8>` that went to TAKER.
pub(crate) struct Given;
/// A `string` that went to TAKER.
pub(crate) struct Said;
/// The text of an error, of which the beginning went to TAKER.
pub(crate) struct Failed;

fn give(cx: &LiftContext<'_>, at: usize, n: usize) -> Result<Given> {
    hand_over(inside(cx.memory(), at, n)?);
    Ok(Given)
}

fn say(cx: &LiftContext<'_>, at: usize, n: usize) -> Result<Said> {
    hand_over(utf8(inside(cx.memory(), at, n)?)?.as_bytes());
    Ok(Said)
}

fn fail(cx: &LiftContext<'_>, at: usize, n: usize) -> Result<Failed> {
    hand_over(utf8(cut(inside(cx.memory(), at, n)?, MOST_ERROR))?.as_bytes());
    Ok(Failed)
}

lift_bytes!(Given, give);
lift!(Said, str, say, String, |s: String| {
    hand_over(s.as_bytes());
    Ok(Said)
});
lift!(Failed, str, fail, String, |s: String| {
    hand_over(cut(s.as_bytes(), MOST_ERROR));
    Ok(Failed)
});
