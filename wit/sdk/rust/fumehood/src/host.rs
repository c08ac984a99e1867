//! The host on WebAssembly.

use std::{marker::PhantomData, time::Duration};

use wasip2::{
    http::{
        outgoing_handler,
        types::{self as wire, ErrorCode, Fields, OutgoingBody, OutgoingRequest, Scheme},
    },
    io::streams::StreamError,
};

use crate::{
    Level, Method, Question, Response, ToolError,
    bindings::{
        fumehood::host::{call, invoke, job, secrets},
        wasi::{
            keyvalue::{atomics, store},
            logging::logging,
        },
    },
    http::Parts,
};

/// The most that one write of a body takes.
const WRITE: usize = 4096;

/// How much of an answer is read at a time.
const READ: u64 = 64 * 1024;

/// Stands for the host, of which there is one.
#[derive(Debug)]
pub(crate) struct Host;

#[expect(clippy::unused_self, reason = "the host that pretends has something to remember")]
impl Host {
    pub(crate) fn progress(&self, done: f64, total: f64, message: &str) {
        call::progress(done, total.is_finite().then_some(total), (!message.is_empty()).then_some(message));
    }

    pub(crate) fn cancelled(&self) -> bool {
        call::cancelled()
    }

    pub(crate) fn remaining(&self) -> Duration {
        Duration::from_millis(call::remaining_ms())
    }

    pub(crate) fn log(&self, level: Level, message: &str) {
        let level = match level {
            Level::Debug => logging::Level::Debug,
            Level::Info => logging::Level::Info,
            Level::Warn => logging::Level::Warn,
            Level::Error => logging::Level::Error,
        };
        logging::log(level, "", message);
    }

    pub(crate) fn attempt(&self) -> u32 {
        job::attempt()
    }

    pub(crate) fn checkpoint(&self, state: &[u8]) -> Result<(), ToolError> {
        match job::checkpoint(state) {
            Ok(()) | Err(job::Error::NotAJob) => Ok(()),
            Err(job::Error::TooLarge) => Err(ToolError::failed("the checkpoint has more than 1 MiB")),
            Err(job::Error::Unavailable) => Err(ToolError::unavailable("the checkpoint could not be kept")),
        }
    }

    pub(crate) fn resumed(&self) -> Option<Vec<u8>> {
        job::resumed()
    }

    pub(crate) fn asked(&self, _question: &Question) {}

    pub(crate) fn secret(&self, name: &str) -> Result<String, ToolError> {
        secrets::get(name).map_err(|error| match error {
            secrets::Error::NotGranted => ToolError::denied(format!("the tool may not read the secret `{name}`")),
            secrets::Error::NotSet => ToolError::unavailable(format!("the secret `{name}` is not set")),
            secrets::Error::Unavailable => ToolError::unavailable(format!("the secret `{name}` cannot be read")),
        })
    }

    pub(crate) fn call(&self, tool: &str, arguments: &str) -> Result<String, ToolError> {
        invoke::call(tool, arguments).map_err(|error| match error {
            invoke::Error::Denied => ToolError::denied(format!("the tool may not call `{tool}`")),
            invoke::Error::NotFound => ToolError::not_found(format!("there is no tool `{tool}`")),
            invoke::Error::BadArguments(why) => ToolError::failed(format!("`{tool}` refused its arguments: {why}")),
            invoke::Error::ToolError(said) => ToolError::failed(format!("`{tool}` said no: {said}")),
            invoke::Error::Stopped(why) => ToolError::failed(format!("`{tool}` was stopped: {why}")),
            invoke::Error::TooDeep => ToolError::failed("tools call tools too deep"),
            invoke::Error::Unavailable => ToolError::unavailable(format!("`{tool}` cannot be called now")),
        })
    }

    pub(crate) fn send(&self, parts: Parts) -> Result<Response, ToolError> {
        let url = parts.url.clone();
        let told = |error: Failure| match error {
            Failure::Code(ErrorCode::HttpRequestDenied) => ToolError::denied(format!("the tool may not ask {url}")),
            Failure::Code(code) => ToolError::unavailable(format!("{url} cannot be reached: {code:?}")),
            Failure::Said(what) => ToolError::failed(format!("{url} cannot be asked: {what}")),
        };
        answer_to(parts).map_err(told)
    }
}

/// Why there is no answer.
enum Failure {
    Code(ErrorCode),
    Said(&'static str),
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        Self::Code(code)
    }
}

impl From<&'static str> for Failure {
    fn from(what: &'static str) -> Self {
        Self::Said(what)
    }
}

fn answer_to(parts: Parts) -> Result<Response, Failure> {
    let sent = outgoing_handler::handle(request(&parts)?, None)?;
    sent.subscribe().block();
    let answer = sent.get().ok_or("there is no answer")?.map_err(|()| "the answer was taken")??;
    let headers = answer.headers().entries();
    let headers = headers.into_iter().map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned()));
    let headers = headers.collect();
    let incoming = answer.consume().map_err(|()| "the body was taken")?;
    let stream = incoming.stream().map_err(|()| "the body was taken")?;
    let mut body = Vec::new();
    loop {
        match stream.blocking_read(READ) {
            Ok(piece) => body.extend(piece),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(_)) => return Err("the answer broke off".into()),
        }
    }
    Ok(Response { status: answer.status(), headers, body })
}

/// The request with its body, which the host keeps until it is sent.
fn request(Parts { method, url, headers, body }: &Parts) -> Result<OutgoingRequest, Failure> {
    let (scheme, rest) = url.split_once("://").ok_or("the URL has no scheme")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return Err("a URL begins with http or https".into()),
    };
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let entries: Vec<_> = headers.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect();
    let fields = Fields::from_list(&entries).map_err(|_| "a header was refused")?;
    let request = OutgoingRequest::new(fields);
    request.set_method(&wire_method(*method)).map_err(|()| "the method was refused")?;
    request.set_scheme(Some(&scheme)).map_err(|()| "the scheme was refused")?;
    request.set_authority(Some(authority)).map_err(|()| "the host was refused")?;
    request.set_path_with_query(Some(&path)).map_err(|()| "the path was refused")?;
    let outgoing = request.body().map_err(|()| "the body was taken")?;
    if !body.is_empty() {
        let stream = outgoing.write().map_err(|()| "the body cannot be written")?;
        for piece in body.chunks(WRITE) {
            stream.blocking_write_and_flush(piece).map_err(|_| "the body is too large")?;
        }
    }
    OutgoingBody::finish(outgoing, None)?;
    Ok(request)
}

fn wire_method(method: Method) -> wire::Method {
    match method {
        Method::Get => wire::Method::Get,
        Method::Head => wire::Method::Head,
        Method::Post => wire::Method::Post,
        Method::Put => wire::Method::Put,
        Method::Patch => wire::Method::Patch,
        Method::Delete => wire::Method::Delete,
    }
}

/// A bucket of the host.
#[derive(Debug)]
pub(crate) struct Opened<'a> {
    bucket: store::Bucket,
    call: PhantomData<&'a Host>,
}

impl<'a> Opened<'a> {
    pub(crate) fn open(_host: &'a Host, name: &str) -> Result<Self, ToolError> {
        let bucket = store::open(name).map_err(|error| match error {
            store::Error::AccessDenied | store::Error::NoSuchStore => {
                ToolError::denied(format!("the tool may not use the bucket `{name}`"))
            }
            store::Error::Other(what) => ToolError::unavailable(format!("the bucket `{name}`: {what}")),
        })?;
        Ok(Self { bucket, call: PhantomData })
    }

    pub(crate) fn get(&self, key: &str) -> Result<Option<Vec<u8>>, ToolError> {
        self.bucket.get(key).map_err(told)
    }

    pub(crate) fn set(&self, key: &str, value: Vec<u8>) -> Result<(), ToolError> {
        self.bucket.set(key, &value).map_err(told)
    }

    pub(crate) fn delete(&self, key: &str) -> Result<(), ToolError> {
        self.bucket.delete(key).map_err(told)
    }

    pub(crate) fn keys(&self) -> Result<Vec<String>, ToolError> {
        let mut keys = Vec::new();
        let mut cursor = None;
        loop {
            let page = self.bucket.list_keys(cursor.as_deref()).map_err(told)?;
            keys.extend(page.keys);
            cursor = page.cursor;
            if cursor.is_none() {
                return Ok(keys);
            }
        }
    }

    pub(crate) fn add(&self, key: &str, delta: i64) -> Result<i64, ToolError> {
        atomics::increment(&self.bucket, key, delta).map_err(told)
    }
}

fn told(error: store::Error) -> ToolError {
    match error {
        store::Error::AccessDenied | store::Error::NoSuchStore => ToolError::denied("the tool may not use the bucket"),
        store::Error::Other(what) => ToolError::failed(format!("the bucket: {what}")),
    }
}
