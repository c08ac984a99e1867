use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use ureq::http::{HeaderMap, HeaderName, HeaderValue};

use crate::Answer;

/// Longest wait for a server that should have said something or hung up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A bare connection to `address`, for what no HTTP client would send.
///
/// # Panics
///
/// When there is none.
#[must_use]
pub fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server accepts connections");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time that is not zero");
    stream.set_nodelay(true).expect("an option of every socket");
    stream
}

/// Send `request` over a connection of its own and read one answer.
///
/// # Panics
///
/// When there is none.
#[must_use]
pub fn exchange(address: &str, request: &[u8]) -> Answer {
    let mut stream = connect(address);
    stream.write_all(request).expect("the server reads");
    read_answer(&mut stream)
}

/// Read until `text` has come; everything that came until then.
///
/// # Panics
///
/// When the stream ends before.
pub fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(text) {
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).expect("the server goes on");
        assert_ne!(count, 0, "the stream ended before {text}: {seen}");
        seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    seen
}

/// Read one answer with a length from a connection that stays open.
///
/// # Panics
///
/// When the server hangs up before its end.
#[must_use]
pub fn read_answer(stream: &mut TcpStream) -> Answer {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the server answers");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("our headers are text");
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status line");
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        let name: HeaderName = name.parse().expect("a name of a header");
        headers.append(name, HeaderValue::from_str(value).expect("a value of a header"));
    }
    let length = headers
        .get("content-length")
        .map_or(0, |value| value.to_str().ok().and_then(|text| text.parse().ok()).expect("a length"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("the server sends what it has announced");
    Answer { status, headers, body }
}
