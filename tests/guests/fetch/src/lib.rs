//! What a guest can ask of the outside over HTTP, for the tests of what a server lets through.

wit_bindgen::generate!({ path: "wit", world: "fetch" });

use exports::test::fetch::outside::{Guest, Response};
use wasip2::clocks::monotonic_clock;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions,
    Scheme,
};
use wasip2::io::poll::poll;
use wasip2::io::streams::StreamError;

/// The most that one write of a body takes.
const WRITE: usize = 4096;

/// How much of an answer is read at a time.
const READ: u64 = 64 * 1024;

struct Fetch;

impl Guest for Fetch {
    fn fetch(method: String, url: String, headers: Vec<(String, String)>, body: String) -> Result<Response, String> {
        let fields = fields(&headers)?;
        let request = request(&method, &url, fields)?;
        let sent = send(request, body.as_bytes(), None)?;
        read(answer(&sent)?)
    }

    fn fetch_within(url: String, nanoseconds: u64) -> Result<Response, String> {
        let options = RequestOptions::new();
        let refused = "the limit was refused";
        options.set_connect_timeout(Some(nanoseconds)).map_err(|()| refused)?;
        options.set_first_byte_timeout(Some(nanoseconds)).map_err(|()| refused)?;
        options.set_between_bytes_timeout(Some(nanoseconds)).map_err(|()| refused)?;
        let request = request("GET", &url, Fields::new())?;
        let sent = send(request, &[], Some(options))?;
        read(answer(&sent)?)
    }

    fn fetch_or_sleep(url: String, nanoseconds: u64) -> Result<Option<u16>, String> {
        let sent = send(request("GET", &url, Fields::new())?, &[], None)?;
        let (came, passed) = (sent.subscribe(), monotonic_clock::subscribe_duration(nanoseconds));
        // The sleep stands first: it must not be over before the answer is looked at.
        let ready = poll(&[&passed, &came]);
        if ready.contains(&1) { Ok(Some(answer(&sent)?.status())) } else { Ok(None) }
    }

    fn follow(url: String, most: u32) -> Result<Vec<(String, u16)>, String> {
        let mut way = Vec::new();
        let mut url = url;
        for _ in 0..=most {
            let request = request("GET", &url, Fields::new())?;
            let response = read(answer(&send(request, &[], None)?)?)?;
            way.push((url, response.status));
            let next = response.headers.into_iter().find(|(name, _)| name == "location");
            match next {
                Some((_, location)) => url = location,
                None => break,
            }
        }
        Ok(way)
    }

    fn fetch_all(url: String, count: u32) -> Vec<Result<u16, String>> {
        let sent: Vec<_> = (0..count).map(|_| send(request("GET", &url, Fields::new())?, &[], None)).collect();
        sent.into_iter().map(|sent| Ok(answer(&sent?)?.status())).collect()
    }

    fn hold_fields(count: u32, bytes: u32) -> u32 {
        let value = vec![b'x'; bytes as usize];
        let held: Vec<_> = (0..count).map_while(|_| Fields::from_list(&[("a".into(), value.clone())]).ok()).collect();
        held.len() as u32
    }

    fn make_fields(count: u32, bytes: u32) -> u32 {
        let value = vec![b'x'; bytes as usize];
        (0..count).filter(|_| Fields::from_list(&[("a".into(), value.clone())]).is_ok()).count() as u32
    }

    fn hold_requests(count: u32, bytes: u32) -> u32 {
        let name = "x".repeat(bytes as usize);
        let mut held = Vec::new();
        let mut taken = 0;
        for _ in 0..count {
            let request = OutgoingRequest::new(Fields::new());
            taken += u32::from(request.set_authority(Some(&name)).is_ok());
            held.push(request);
        }
        taken
    }

    fn hold_bodies(count: u32, bytes: u32) -> u32 {
        let bytes = vec![b'x'; bytes as usize];
        let mut held = Vec::new();
        for _ in 0..count {
            let request = OutgoingRequest::new(Fields::new());
            {
                let Ok(body) = request.body() else { break };
                let Ok(stream) = body.write() else { break };
                // As much as is taken without anybody reading it.
                let room = stream.check_write().unwrap_or(0) as usize;
                if stream.write(&bytes[..bytes.len().min(room)]).is_err() {
                    break;
                }
                drop(stream);
            }
            held.push(request);
        }
        held.len() as u32
    }

    fn add_headers(count: u32, bytes: u32) -> u32 {
        let fields = Fields::new();
        let value = vec![b'x'; bytes as usize];
        (0..count).take_while(|index| fields.append(&format!("h{index}"), &value).is_ok()).count() as u32
    }

    fn set_header(name: String, value: String) -> Result<(), String> {
        Fields::new().set(&name, &[value.into_bytes()]).map_err(|error| error.to_string())
    }

    fn send_trailers(bytes: u32) -> Result<(), String> {
        let request = OutgoingRequest::new(Fields::new());
        let body = request.body().map_err(|()| "there is no body")?;
        let trailers = fields(&[("a".to_owned(), "x".repeat(bytes as usize))])?;
        OutgoingBody::finish(body, Some(trailers)).map_err(explain)
    }
}

fn fields(headers: &[(String, String)]) -> Result<Fields, String> {
    let entries: Vec<_> = headers.iter().map(|(name, value)| (name.clone(), value.clone().into_bytes())).collect();
    Fields::from_list(&entries).map_err(|error| error.to_string())
}

fn request(method: &str, url: &str, headers: Fields) -> Result<OutgoingRequest, String> {
    let (scheme, rest) = url.split_once("://").ok_or("the URL has no scheme")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    let request = OutgoingRequest::new(headers);
    request.set_method(&methods(method)).map_err(|()| "the method was refused")?;
    request.set_scheme(Some(&scheme)).map_err(|()| "the scheme was refused")?;
    request.set_authority(Some(authority)).map_err(|()| "the authority was refused")?;
    request.set_path_with_query(Some(path)).map_err(|()| "the path was refused")?;
    Ok(request)
}

fn methods(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "CONNECT" => Method::Connect,
        "OPTIONS" => Method::Options,
        "TRACE" => Method::Trace,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}

fn send(
    request: OutgoingRequest,
    bytes: &[u8],
    options: Option<RequestOptions>,
) -> Result<FutureIncomingResponse, String> {
    let body = request.body().map_err(|()| "there is no body")?;
    let sent = outgoing_handler::handle(request, options).map_err(explain)?;
    let stream = body.write().map_err(|()| "the body cannot be written")?;
    for piece in bytes.chunks(WRITE) {
        // A body that is not taken any more has an answer that tells why.
        if stream.blocking_write_and_flush(piece).is_err() {
            break;
        }
    }
    drop(stream);
    OutgoingBody::finish(body, None).map_err(explain)?;
    Ok(sent)
}

fn answer(sent: &FutureIncomingResponse) -> Result<IncomingResponse, String> {
    sent.subscribe().block();
    let answer = sent.get().ok_or("there is no answer")?;
    answer.map_err(|()| "the answer was taken before")?.map_err(explain)
}

fn read(response: IncomingResponse) -> Result<Response, String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = response.headers().entries();
    let headers = headers.into_iter().map(|(name, value)| (name, text(&value))).collect();
    let incoming = response.consume().map_err(|()| "the body was taken before")?;
    let stream = incoming.stream().map_err(|()| "the body cannot be read")?;
    let mut body = Vec::new();
    loop {
        match stream.blocking_read(READ) {
            Ok(piece) => body.extend(piece),
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(error)) => return Err(error.to_debug_string()),
        }
    }
    Ok(Response { status: response.status(), headers, body: text(&body) })
}

fn explain(code: ErrorCode) -> String {
    format!("{code:?}")
}

export!(Fetch);
