//! `wasi:http`, as far as a plugin can use it: every name is there, so that what kits import by default loads, and
//! requests go out as those of `outrider:plugin/http`, under the same grants.
//!
//! A request is sent when its body is finished, at once when it has none; the answer is then there in whole. Nothing
//! comes in, so an incoming request never exists.
use std::ffi::CStr;
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use crate::component::{answer, ask, def, may, text, Cx, Host, State, DENIED, OK, TIMEOUT};
use crate::http_types::{ErrorCode, HeaderError, Method, Scheme};
use crate::services::response;
use crate::values::{put, Blob, Text};
use wasmtime_c_api::wasmtime::component::{
    ComponentType, Lift, Linker, LinkerInstance, Lower, Resource, ResourceType,
};
use wasmtime_c_api::wasmtime::{bail, format_err, Result};
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::p2::{
    subscribe, DynInputStream, DynOutputStream, DynPollable, InputStream, IoError, OutputStream, Pollable, StreamError,
    StreamResult,
};

/// Of all that an instance keeps of headers and bodies; a body beyond it needs the grant.
const MOST_HELD: usize = 512 << 10;
const MOST_GRANTED: usize = 32 << 20;
const MOST_WRITE: usize = 64 << 10;
const OPERATION: &CStr = c"http.request";
/// The newest version: Wasmtime finds it for an import of any 0.2.
const TYPES: &str = "wasi:http/types@0.2.12";
const HANDLER: &str = "wasi:http/outgoing-handler@0.2.12";

type Code<T> = std::result::Result<T, ErrorCode>;
type Header<T> = std::result::Result<T, HeaderError>;
type Plain<T> = std::result::Result<T, ()>;
type Entries = Vec<(String, Vec<u8>)>;

// ---- what an instance keeps ----

/// A share of what an instance may keep, given back when it is dropped.
pub(crate) struct Held {
    total: Arc<AtomicUsize>,
    n: usize,
}

impl Held {
    fn new(total: &Arc<AtomicUsize>) -> Held {
        Held { total: total.clone(), n: 0 }
    }
    fn add(&mut self, n: usize, most: usize) -> bool {
        if self.total.load(Ordering::Relaxed).saturating_add(n) > most {
            return false;
        }
        self.total.fetch_add(n, Ordering::Relaxed);
        self.n += n;
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.total.fetch_sub(self.n, Ordering::Relaxed);
    }
}

struct Fields {
    list: Entries,
    held: Held,
    immutable: bool,
}

/// What an entry costs beside its bytes.
const ENTRY_BYTES: usize = 96;

impl Fields {
    fn new(total: &Arc<AtomicUsize>) -> Fields {
        Fields { list: Vec::new(), held: Held::new(total), immutable: false }
    }
    fn push(&mut self, name: &str, value: &[u8]) -> Result<()> {
        if !self.held.add(name.len() + value.len() + ENTRY_BYTES, MOST_HELD) {
            bail!("more than {MOST_HELD} bytes of HTTP headers and bodies at once");
        }
        self.list.push((name.to_string(), value.to_vec()));
        Ok(())
    }
    fn remove(&mut self, name: &str) {
        let held = &mut self.held;
        self.list.retain(|(n, v)| {
            let keep = !n.eq_ignore_ascii_case(name);
            if !keep {
                let size = n.len() + v.len() + ENTRY_BYTES;
                held.n -= size;
                held.total.fetch_sub(size, Ordering::Relaxed);
            }
            keep
        });
    }
    fn copy(&self, immutable: bool) -> Result<Fields> {
        let mut made = Fields::new(&self.held.total);
        for (name, value) in &self.list {
            made.push(name, value)?;
        }
        made.immutable = immutable;
        Ok(made)
    }
}

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// None until the request was sent and answered.
type Outcome = Arc<Mutex<Option<Code<Answer>>>>;

struct Body {
    data: Vec<u8>,
    held: Held,
    most: usize,
    streamed: bool,
    finished: bool,
    /// What is sent when the body is finished.
    request: Option<(Vec<u8>, Outcome)>,
}

type Shared = Arc<Mutex<Body>>;

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(|e| e.into_inner())
}

struct OutgoingBody(Shared);

impl Drop for OutgoingBody {
    fn drop(&mut self) {
        let mut body = lock(&self.0);
        if !body.finished {
            if let Some((_, outcome)) = body.request.take() {
                let code = ErrorCode::InternalError(Some("the request's body was dropped unfinished".into()));
                *lock(&outcome) = Some(Err(code));
            }
        }
    }
}

struct OutgoingRequest {
    method: Method,
    scheme: Option<Scheme>,
    authority: Option<String>,
    path: Option<String>,
    headers: Fields,
    body: Option<Shared>,
}

struct OutgoingResponse {
    status: u16,
    headers: Fields,
    body: Option<Shared>,
}

struct FutureResponse {
    outcome: Outcome,
    taken: bool,
}

struct IncomingResponse {
    status: u16,
    headers: Fields,
    body: Option<Vec<u8>>,
}

struct IncomingBody(Option<Vec<u8>>);
struct FutureTrailers(bool);
struct Options;
struct IncomingRequest;
struct Outparam;

#[wasmtime_wasi::async_trait]
impl Pollable for FutureResponse {
    async fn ready(&mut self) {
        let outcome = &self.outcome;
        // Nothing wakes it: who waits looks again each millisecond.
        poll_fn(|_| if lock(outcome).is_some() { Poll::Ready(()) } else { Poll::Pending }).await
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for FutureTrailers {
    async fn ready(&mut self) {}
}

struct BodyStream(Shared);

#[wasmtime_wasi::async_trait]
impl Pollable for BodyStream {
    async fn ready(&mut self) {}
}

impl OutputStream for BodyStream {
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        let mut body = lock(&self.0);
        if body.finished {
            return Err(StreamError::Closed);
        }
        let most = body.most;
        if !body.held.add(bytes.len(), most) {
            return Err(StreamError::LastOperationFailed(format_err!("a request's body of more than {most} bytes")));
        }
        body.data.extend_from_slice(&bytes);
        Ok(())
    }
    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }
    fn check_write(&mut self) -> StreamResult<usize> {
        if lock(&self.0).finished { Err(StreamError::Closed) } else { Ok(MOST_WRITE) }
    }
}

// ---- sending ----

fn token(s: &str) -> bool {
    !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn visible(s: &str) -> bool {
    s.bytes().all(|b| b > b' ' && b != 0x7f)
}

/// Of the connection, not of the request: libcurl's or ours.
fn forbidden(name: &str) -> bool {
    const NAMES: [&str; 9] = [
        "connection", "host", "http2-settings", "keep-alive", "proxy-authenticate", "proxy-authorization",
        "proxy-connection", "transfer-encoding", "upgrade",
    ];
    NAMES.iter().any(|n| n.eq_ignore_ascii_case(name))
}

fn method_name(m: &Method) -> &str {
    match m {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(name) => name,
    }
}

/// Method, URL and headers as the operation wants them.
fn head_of(r: &OutgoingRequest) -> Code<Vec<u8>> {
    let scheme = match &r.scheme {
        Some(Scheme::Http) => "http",
        Some(Scheme::Https) | None => "https",
        Some(Scheme::Other(_)) => return Err(ErrorCode::RequestUriInvalid),
    };
    let authority = r.authority.as_deref().filter(|a| !a.is_empty()).ok_or(ErrorCode::RequestUriInvalid)?;
    let path = r.path.as_deref().unwrap_or("/");
    let slash = if path.starts_with('/') { "" } else { "/" };
    let mut head = Vec::new();
    put(&mut head, method_name(&r.method).as_bytes());
    put(&mut head, format!("{scheme}://{authority}{slash}{path}").as_bytes());
    for (name, value) in &r.headers.list {
        if std::str::from_utf8(value).is_err() {
            return Err(ErrorCode::InternalError(Some(format!("the value of the header {name} is not UTF-8"))));
        }
        put(&mut head, name.as_bytes());
        put(&mut head, value);
    }
    Ok(head)
}

fn send(host: Host, head: &[u8], body: &[u8]) -> Result<Code<Answer>> {
    let (status, out) = ask(host, c"wit.http", head, body)?;
    Ok(match status {
        OK => match response(&out) {
            Some(r) => Ok(Answer { status: r.status, headers: r.headers, body: r.body }),
            None => Err(ErrorCode::ProtocolError),
        },
        DENIED => Err(ErrorCode::RequestDenied),
        TIMEOUT => Err(ErrorCode::ResponseTimeout),
        _ => Err(ErrorCode::InternalError(Some(text(out)))),
    })
}

/// The refusal is the gate's: it counts and logs it.
fn denied(host: Host) -> Result<Option<Code<Resource<FutureResponse>>>> {
    if may(host, OPERATION)? {
        return Ok(None);
    }
    answer(ask(host, OPERATION, &[], &[])?).ok();
    Ok(Some(Err(ErrorCode::RequestDenied)))
}

fn handle(mut cx: Cx<'_>, request: Resource<OutgoingRequest>) -> Result<Code<Resource<FutureResponse>>> {
    let (host, table) = (cx.data().host, &mut cx.data_mut().table);
    let request = table.delete(request)?;
    if let Some(refused) = denied(host)? {
        return Ok(refused);
    }
    let head = match head_of(&request) {
        Ok(head) => head,
        Err(code) => return Ok(Err(code)),
    };
    let outcome = Outcome::default();
    let now = match &request.body {
        None => true,
        Some(body) => {
            let mut body = lock(body);
            if !body.finished {
                body.request = Some((head.clone(), outcome.clone()));
            }
            body.finished
        }
    };
    if now {
        let body = request.body.as_ref().map(|b| std::mem::take(&mut lock(b).data)).unwrap_or_default();
        *lock(&outcome) = Some(send(host, &head, &body)?);
    }
    Ok(Ok(table.push(FutureResponse { outcome, taken: false })?))
}

fn finish(mut cx: Cx<'_>, this: Resource<OutgoingBody>, trailers: Option<Resource<Fields>>) -> Result<Code<()>> {
    let (host, table) = (cx.data().host, &mut cx.data_mut().table);
    let body = table.delete(this)?.0.clone();
    let trailers = trailers.map(|t| table.delete(t)).transpose()?;
    let (data, waiting) = {
        let mut body = lock(&body);
        body.finished = true;
        let waiting = body.request.take();
        (if waiting.is_some() { std::mem::take(&mut body.data) } else { Vec::new() }, waiting)
    };
    if trailers.is_some_and(|t| !t.list.is_empty()) {
        let code = ErrorCode::InternalError(Some("trailers are not sent".into()));
        if let Some((_, outcome)) = waiting {
            *lock(&outcome) = Some(Err(code.clone()));
        }
        return Ok(Err(code));
    }
    if let Some((head, outcome)) = waiting {
        *lock(&outcome) = Some(send(host, &head, &data)?);
    }
    Ok(Ok(()))
}

fn received(cx: &mut Cx<'_>, answer: Answer) -> Result<Resource<IncomingResponse>> {
    // The service has bounded it; it does not count with what the guest makes.
    let mut headers = Fields::new(&Arc::default());
    for (name, value) in &answer.headers {
        headers.push(name, value.as_bytes())?;
    }
    headers.immutable = true;
    Ok(cx.data_mut().table.push(IncomingResponse { status: answer.status, headers, body: Some(answer.body) })?)
}

type Got = Option<Plain<Code<Resource<IncomingResponse>>>>;

fn get(mut cx: Cx<'_>, this: Resource<FutureResponse>) -> Result<Got> {
    let future = cx.data_mut().table.get_mut(&this)?;
    if future.taken {
        return Ok(Some(Err(())));
    }
    let Some(outcome) = lock(&future.outcome).take() else {
        return Ok(None);
    };
    future.taken = true;
    *lock(&future.outcome) = Some(Err(ErrorCode::ProtocolError)); // stays ready
    Ok(Some(Ok(match outcome {
        Ok(answer) => Ok(received(&mut cx, answer)?),
        Err(code) => Err(code),
    })))
}

// ---- the interfaces ----

fn kind<T: Send + 'static>(l: &mut LinkerInstance<'_, State>, name: &str) -> Result<()> {
    l.resource(name, ResourceType::host::<T>(), |mut cx, rep| {
        cx.data_mut().table.delete(Resource::<T>::new_own(rep))?;
        Ok(())
    })
}

fn new_body(cx: &Cx<'_>) -> Result<Shared> {
    let state = cx.data();
    let most = if may(state.host, OPERATION)? { MOST_GRANTED } else { MOST_HELD };
    let held = Held::new(&state.held);
    Ok(Arc::new(Mutex::new(Body { data: Vec::new(), held, most, streamed: false, finished: false, request: None })))
}

fn check(fields: &Fields, name: &str, value: Option<&[u8]>) -> Header<()> {
    if fields.immutable {
        return Err(HeaderError::Immutable);
    }
    if !token(name) || value.is_some_and(|v| v.iter().any(|b| b"\0\r\n".contains(b))) {
        return Err(HeaderError::InvalidSyntax);
    }
    if forbidden(name) { Err(HeaderError::Forbidden) } else { Ok(()) }
}

fn name_of(name: &Text) -> Result<&str> {
    match name.get()? {
        Ok(name) => Ok(name),
        Err(why) => bail!("a header's name: {why}"),
    }
}

fn values(list: &Entries, name: &str) -> Vec<Vec<u8>> {
    list.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone()).collect()
}

type F = Resource<Fields>;

fn from_list(mut cx: Cx<'_>, list: Entries) -> Result<Header<F>> {
    let mut made = Fields::new(&cx.data().held);
    for (name, value) in list {
        if let Err(e) = check(&made, &name, Some(&value)) {
            return Ok(Err(e));
        }
        made.push(&name, &value)?;
    }
    Ok(Ok(cx.data_mut().table.push(made)?))
}

fn define_fields(l: &mut LinkerInstance<'_, State>) -> Result<()> {
    kind::<Fields>(l, "fields")?;
    def(l, "[constructor]fields", |mut cx, ()| {
        let made = Fields::new(&cx.data().held);
        Ok((cx.data_mut().table.push(made)?,))
    })?;
    def(l, "[static]fields.from-list", |cx, (list,): (Entries,)| Ok((from_list(cx, list)?,)))?;
    def(l, "[method]fields.get", |cx, (this, name): (F, Text)| {
        Ok((values(&cx.data().table.get(&this)?.list, name_of(&name)?),))
    })?;
    def(l, "[method]fields.has", |cx, (this, name): (F, Text)| {
        let name = name_of(&name)?;
        Ok((cx.data().table.get(&this)?.list.iter().any(|(n, _)| n.eq_ignore_ascii_case(name)),))
    })?;
    def(l, "[method]fields.set", |mut cx, (this, name, list): (F, Text, Vec<Vec<u8>>)| {
        let (name, fields) = (name_of(&name)?, cx.data_mut().table.get_mut(&this)?);
        let ok = check(fields, name, None).and_then(|()| list.iter().try_for_each(|v| check(fields, name, Some(v))));
        if ok.is_ok() {
            fields.remove(name);
            list.iter().try_for_each(|v| fields.push(name, v))?;
        }
        Ok((ok,))
    })?;
    def(l, "[method]fields.delete", |mut cx, (this, name): (F, Text)| {
        let (name, fields) = (name_of(&name)?, cx.data_mut().table.get_mut(&this)?);
        let ok = check(fields, name, None);
        if ok.is_ok() {
            fields.remove(name);
        }
        Ok((ok,))
    })?;
    def(l, "[method]fields.append", |mut cx, (this, name, value): (F, Text, Blob)| {
        let (name, fields) = (name_of(&name)?, cx.data_mut().table.get_mut(&this)?);
        let ok = check(fields, name, Some(value.get()));
        if ok.is_ok() {
            fields.push(name, value.get())?;
        }
        Ok((ok,))
    })?;
    def(l, "[method]fields.entries", |cx, (this,): (F,)| Ok((cx.data().table.get(&this)?.list.clone(),)))?;
    def(l, "[method]fields.clone", |mut cx, (this,): (F,)| {
        let made = cx.data().table.get(&this)?.copy(false)?;
        Ok((cx.data_mut().table.push(made)?,))
    })
}

/// The headers of what is in the table, as a copy that stays as it is.
fn headers<T: 'static>(
    l: &mut LinkerInstance<'_, State>,
    name: &str,
    of: impl Fn(&T) -> &Fields + Send + Sync + 'static,
) -> Result<()> {
    def(l, name, move |mut cx, (this,): (Resource<T>,)| {
        let made = of(cx.data().table.get(&this)?).copy(true)?;
        Ok((cx.data_mut().table.push(made)?,))
    })
}

fn put_body<T: 'static>(
    l: &mut LinkerInstance<'_, State>,
    name: &str,
    of: impl Fn(&mut T) -> &mut Option<Shared> + Send + Sync + 'static,
) -> Result<()> {
    def(l, name, move |mut cx, (this,): (Resource<T>,)| {
        let made = new_body(&cx)?;
        let table = &mut cx.data_mut().table;
        let place = of(table.get_mut(&this)?);
        if place.is_some() {
            return Ok((Plain::Err(()),));
        }
        *place = Some(made.clone());
        Ok((Ok(table.push(OutgoingBody(made))?),))
    })
}

/// A getter and a setter of one part of a request.
fn part<V: ComponentType + Lift + Lower + Clone + Send + Sync + 'static>(
    l: &mut LinkerInstance<'_, State>,
    name: &str,
    of: fn(&mut OutgoingRequest) -> &mut V,
    size: fn(&V) -> usize,
    fits: fn(&V) -> bool,
) -> Result<()> {
    def(l, &format!("[method]outgoing-request.{name}"), move |mut cx, (this,): (Resource<OutgoingRequest>,)| {
        Ok((of(cx.data_mut().table.get_mut(&this)?).clone(),))
    })?;
    let set = move |mut cx: Cx<'_>, (this, value): (Resource<OutgoingRequest>, V)| {
        let request = cx.data_mut().table.get_mut(&this)?;
        if !fits(&value) {
            return Ok((Plain::Err(()),));
        }
        let (old, new) = (size(of(request)), size(&value));
        let held = &mut request.headers.held;
        if new > old && !held.add(new - old, MOST_HELD) {
            bail!("more than {MOST_HELD} bytes of HTTP headers and bodies at once");
        }
        *of(request) = value;
        Ok((Ok(()),))
    };
    def(l, &format!("[method]outgoing-request.set-{name}"), set)
}

fn text_size(v: &Option<String>) -> usize {
    v.as_ref().map_or(0, String::len)
}

fn define_outgoing(l: &mut LinkerInstance<'_, State>) -> Result<()> {
    kind::<OutgoingRequest>(l, "outgoing-request")?;
    def(l, "[constructor]outgoing-request", |mut cx, (headers,): (F,)| {
        let table = &mut cx.data_mut().table;
        let headers = table.delete(headers)?;
        let made = OutgoingRequest { method: Method::Get, scheme: None, authority: None, path: None, headers, body: None };
        Ok((table.push(made)?,))
    })?;
    part(l, "method", |r| &mut r.method, |m| method_name(m).len(), |m| token(method_name(m)))?;
    part(l, "scheme", |r| &mut r.scheme, |_| 0, |s| !matches!(s, Some(Scheme::Other(o)) if !token(o) || o.len() > 64))?;
    part(l, "path-with-query", |r| &mut r.path, text_size, |p| p.as_deref().is_none_or(visible))?;
    part(l, "authority", |r| &mut r.authority, text_size, |a| {
        a.as_deref().is_none_or(|a| visible(a) && !a.contains(['/', '?', '#', '@', '\\']))
    })?;
    headers(l, "[method]outgoing-request.headers", |r: &OutgoingRequest| &r.headers)?;
    put_body(l, "[method]outgoing-request.body", |r: &mut OutgoingRequest| &mut r.body)?;

    kind::<OutgoingBody>(l, "outgoing-body")?;
    def(l, "[method]outgoing-body.write", |mut cx, (this,): (Resource<OutgoingBody>,)| {
        let table = &mut cx.data_mut().table;
        let body = table.get(&this)?.0.clone();
        if std::mem::replace(&mut lock(&body).streamed, true) {
            return Ok((Plain::Err(()),));
        }
        let stream: DynOutputStream = Box::new(BodyStream(body));
        Ok((Ok(table.push(stream)?),))
    })?;
    def(l, "[static]outgoing-body.finish", |cx, (this, trailers): (Resource<OutgoingBody>, Option<F>)| {
        Ok((finish(cx, this, trailers)?,))
    })?;

    kind::<OutgoingResponse>(l, "outgoing-response")?;
    def(l, "[constructor]outgoing-response", |mut cx, (headers,): (F,)| {
        let table = &mut cx.data_mut().table;
        let headers = table.delete(headers)?;
        Ok((table.push(OutgoingResponse { status: 200, headers, body: None })?,))
    })?;
    def(l, "[method]outgoing-response.status-code", |cx, (this,): (Resource<OutgoingResponse>,)| {
        Ok((cx.data().table.get(&this)?.status,))
    })?;
    def(l, "[method]outgoing-response.set-status-code", |mut cx, (this, code): (Resource<OutgoingResponse>, u16)| {
        let fits = (100..=999).contains(&code);
        if fits {
            cx.data_mut().table.get_mut(&this)?.status = code;
        }
        Ok((if fits { Ok(()) } else { Plain::Err(()) },))
    })?;
    headers(l, "[method]outgoing-response.headers", |r: &OutgoingResponse| &r.headers)?;
    put_body(l, "[method]outgoing-response.body", |r: &mut OutgoingResponse| &mut r.body)
}

fn define_options(l: &mut LinkerInstance<'_, State>) -> Result<()> {
    kind::<Options>(l, "request-options")?;
    def(l, "[constructor]request-options", |mut cx, ()| Ok((cx.data_mut().table.push(Options)?,)))?;
    for name in ["connect-timeout", "first-byte-timeout", "between-bytes-timeout"] {
        def(l, &format!("[method]request-options.{name}"), |_, _: (Resource<Options>,)| Ok((Option::<u64>::None,)))?;
        // The time of the call is the only one that counts: an error is how the interface says so.
        def(l, &format!("[method]request-options.set-{name}"), |_, (_, ns): (Resource<Options>, Option<u64>)| {
            Ok((if ns.is_none() { Ok(()) } else { Plain::Err(()) },))
        })?;
    }
    Ok(())
}

fn define_incoming(l: &mut LinkerInstance<'_, State>) -> Result<()> {
    type Response = Resource<IncomingResponse>;
    kind::<IncomingResponse>(l, "incoming-response")?;
    def(l, "[method]incoming-response.status", |cx, (this,): (Response,)| Ok((cx.data().table.get(&this)?.status,)))?;
    headers(l, "[method]incoming-response.headers", |r: &IncomingResponse| &r.headers)?;
    def(l, "[method]incoming-response.consume", |mut cx, (this,): (Response,)| {
        let table = &mut cx.data_mut().table;
        Ok((match table.get_mut(&this)?.body.take() {
            Some(body) => Ok(table.push(IncomingBody(Some(body)))?),
            None => Plain::Err(()),
        },))
    })?;
    kind::<IncomingBody>(l, "incoming-body")?;
    def(l, "[method]incoming-body.stream", |mut cx, (this,): (Resource<IncomingBody>,)| {
        let table = &mut cx.data_mut().table;
        Ok((match table.get_mut(&this)?.0.take() {
            Some(bytes) => {
                let pipe: DynInputStream = Box::new(MemoryInputPipe::new(bytes)) as Box<dyn InputStream>;
                Ok(table.push(pipe)?)
            }
            None => Plain::Err(()),
        },))
    })?;
    kind::<FutureTrailers>(l, "future-trailers")?;
    def(l, "[static]incoming-body.finish", |mut cx, (this,): (Resource<IncomingBody>,)| {
        let table = &mut cx.data_mut().table;
        table.delete(this)?;
        Ok((table.push(FutureTrailers(false))?,))
    })?;
    def(l, "[method]future-trailers.subscribe", |mut cx, (this,): (Resource<FutureTrailers>,)| {
        Ok((subscribe(&mut cx.data_mut().table, this)?,))
    })?;
    def(l, "[method]future-trailers.get", |mut cx, (this,): (Resource<FutureTrailers>,)| {
        let taken = &mut cx.data_mut().table.get_mut(&this)?.0;
        let none: Plain<Code<Option<F>>> = if std::mem::replace(taken, true) { Err(()) } else { Ok(Ok(None)) };
        Ok((Some(none),))
    })?;
    kind::<FutureResponse>(l, "future-incoming-response")?;
    def(l, "[method]future-incoming-response.subscribe", |mut cx, (this,): (Resource<FutureResponse>,)| {
        let p: Resource<DynPollable> = subscribe(&mut cx.data_mut().table, this)?;
        Ok((p,))
    })?;
    def(l, "[method]future-incoming-response.get", |cx, (this,): (Resource<FutureResponse>,)| Ok((get(cx, this)?,)))
}

/// What a guest that serves requests imports; none is ever made, so none of these is reached.
fn define_served(l: &mut LinkerInstance<'_, State>) -> Result<()> {
    type Request = Resource<IncomingRequest>;
    type Answered = (Resource<Outparam>, Code<Resource<OutgoingResponse>>);
    fn never<R>() -> Result<R> {
        bail!("there is no incoming request")
    }
    kind::<IncomingRequest>(l, "incoming-request")?;
    kind::<Outparam>(l, "response-outparam")?;
    def(l, "[method]incoming-request.method", |_, _: (Request,)| never::<(Method,)>())?;
    def(l, "[method]incoming-request.path-with-query", |_, _: (Request,)| never::<(Option<String>,)>())?;
    def(l, "[method]incoming-request.scheme", |_, _: (Request,)| never::<(Option<Scheme>,)>())?;
    def(l, "[method]incoming-request.authority", |_, _: (Request,)| never::<(Option<String>,)>())?;
    def(l, "[method]incoming-request.headers", |_, _: (Request,)| never::<(F,)>())?;
    def(l, "[method]incoming-request.consume", |_, _: (Request,)| never::<(Plain<Resource<IncomingBody>>,)>())?;
    def(l, "[static]response-outparam.set", |mut cx, (to, _): Answered| {
        cx.data_mut().table.delete(to)?;
        Ok(())
    })
}

pub(crate) fn define(linker: &mut Linker<State>) -> Result<()> {
    let mut l = linker.instance(TYPES)?;
    define_fields(&mut l)?;
    define_outgoing(&mut l)?;
    define_options(&mut l)?;
    define_incoming(&mut l)?;
    define_served(&mut l)?;
    def(&mut l, "http-error-code", |_, _: (Resource<IoError>,)| Ok((Option::<ErrorCode>::None,)))?;
    let mut l = linker.instance(HANDLER)?;
    def(&mut l, "handle", |mut cx, (request, options): (Resource<OutgoingRequest>, Option<Resource<Options>>)| {
        if let Some(options) = options {
            cx.data_mut().table.delete(options)?;
        }
        Ok((handle(cx, request)?,))
    })
}
