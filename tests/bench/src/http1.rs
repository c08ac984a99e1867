//! Reading HTTP/1.1 responses, as much of it as a benchmark's client needs.

use std::ops::Range;

use anyhow::{Context as _, Result, bail, ensure};

/// A response that has arrived in full.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// The status code.
    pub(crate) status: u16,
    /// How long the status line and the headers are.
    pub(crate) head: usize,
    /// The body.
    pub(crate) body: Body,
}

/// Where the body is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// It stands in the received bytes as it is.
    Whole(Range<usize>),
    /// It came in chunks and was put together.
    Joined(Vec<u8>),
}

/// How the end of the body is told.
#[derive(Debug, Clone, Copy)]
enum Framing {
    Length(usize),
    Chunked,
}

/// Read one response from all bytes received so far; `None` means that more must come.
///
/// # Errors
///
/// When the bytes are not a response, or go on after it: nothing is ever asked before the last answer came.
pub(crate) fn parse(received: &[u8]) -> Result<Option<Parsed>> {
    let Some((status, framing, body_start)) = parse_head(received)? else {
        return Ok(None);
    };
    let body = match framing {
        Framing::Length(length) => whole(received, body_start, length),
        Framing::Chunked => join_chunks(received, body_start)?,
    };
    let Some((body, end)) = body else {
        return Ok(None);
    };
    ensure!(end == received.len(), "{} bytes follow the response", received.len() - end);
    Ok(Some(Parsed { status, head: body_start, body }))
}

/// The value of a header in the head of a response; its name is given in lower case and with its colon.
pub(crate) fn header<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|&byte| byte == b'\n').find_map(|line| value_of(line, name))
}

/// The status, the framing, and where the body starts.
fn parse_head(received: &[u8]) -> Result<Option<(u16, Framing, usize)>> {
    let Some((status_line, mut position)) = line(received, 0) else {
        return Ok(None);
    };
    let status = parse_status(status_line)?;
    // RFC 9110 §15.3.5: a 204 response ends with its header section.
    let mut framing = (status == 204).then_some(Framing::Length(0));
    loop {
        let Some((header, next)) = line(received, position) else {
            return Ok(None);
        };
        position = next;
        if header.is_empty() {
            let framing = framing.context("the response tells neither its length nor that it is chunked")?;
            return Ok(Some((status, framing, position)));
        }
        if let Some(value) = value_of(header, b"content-length:") {
            framing = Some(Framing::Length(parse_number(value, 10)?));
        } else if let Some(value) = value_of(header, b"transfer-encoding:") {
            ensure!(value.eq_ignore_ascii_case(b"chunked"), "unknown transfer encoding");
            framing = Some(Framing::Chunked);
        }
    }
}

/// The line that starts at the position, without its end, and where the next one starts.
fn line(received: &[u8], start: usize) -> Option<(&[u8], usize)> {
    let rest = &received[start..];
    let length = rest.iter().position(|&byte| byte == b'\n')?;
    let line = &rest[..length];
    Some((line.strip_suffix(b"\r").unwrap_or(line), start + length + 1))
}

fn parse_status(line: &[u8]) -> Result<u16> {
    let code = line.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3));
    let Some(code) = code else {
        bail!("not an HTTP/1.1 response: {}", String::from_utf8_lossy(line));
    };
    Ok(u16::try_from(parse_number(code, 10)?).expect("three digits fit"))
}

/// The value of the header if it has this name, which is given in lower case and with its colon.
fn value_of<'a>(header: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, value) = header.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

fn parse_number(digits: &[u8], radix: u32) -> Result<usize> {
    let text = std::str::from_utf8(digits).context("a number that is not text")?;
    usize::from_str_radix(text, radix).with_context(|| format!("not a number: {text}"))
}

fn whole(received: &[u8], start: usize, length: usize) -> Option<(Body, usize)> {
    let end = start.checked_add(length)?;
    (end <= received.len()).then_some((Body::Whole(start..end), end))
}

/// RFC 9112 §7.1: chunks of a hexadecimal length, the last of which is empty, then trailers up to an empty line.
fn join_chunks(received: &[u8], start: usize) -> Result<Option<(Body, usize)>> {
    let mut joined = Vec::new();
    let mut position = start;
    loop {
        let Some((size, data)) = line(received, position) else {
            return Ok(None);
        };
        let size = size.split(|&byte| byte == b';').next().unwrap_or_default();
        let size = parse_number(size.trim_ascii(), 16)?;
        if size == 0 {
            return Ok(skip_trailers(received, data).map(|end| (Body::Joined(joined), end)));
        }
        let end = data.checked_add(size).context("a chunk without end")?;
        let Some(chunk) = received.get(data..end) else {
            return Ok(None);
        };
        joined.extend_from_slice(chunk);
        let Some((after, next)) = line(received, end) else {
            return Ok(None);
        };
        ensure!(after.is_empty(), "a chunk is longer than it said");
        position = next;
    }
}

fn skip_trailers(received: &[u8], mut position: usize) -> Option<usize> {
    loop {
        let (trailer, next) = line(received, position)?;
        if trailer.is_empty() {
            return Some(next);
        }
        position = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\ndate: x\r\n\r\n42";
    const CHUNKED: &[u8] =
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\nA;x=y\r\n0123456789\r\n0\r\nt: v\r\n\r\n";

    #[test]
    fn a_body_with_a_length_is_found() {
        let parsed = parse(WHOLE).expect("it is well-formed").expect("it is complete");

        assert_eq!(parsed.status, 200);
        assert_eq!(parsed.body, Body::Whole(WHOLE.len() - 2..WHOLE.len()));
    }

    #[test]
    fn a_body_in_chunks_is_joined() {
        let parsed = parse(CHUNKED).expect("it is well-formed").expect("it is complete");

        assert_eq!(parsed.body, Body::Joined(b"ab0123456789".to_vec()));
    }

    #[test]
    fn a_response_without_content_ends_with_its_head() {
        let parsed = parse(b"HTTP/1.1 204 No Content\r\n\r\n").expect("it is well-formed").expect("it is complete");

        assert_eq!(parsed.status, 204);
        assert_eq!(parsed.body, Body::Whole(27..27));
    }

    #[test]
    fn every_shorter_piece_asks_for_more() {
        for response in [WHOLE, CHUNKED] {
            for length in 0..response.len() {
                assert_eq!(parse(&response[..length]).expect("it is well-formed"), None, "{length}");
            }
        }
    }

    #[test]
    fn what_follows_a_response_is_refused() {
        let twice = [WHOLE, WHOLE].concat();

        assert!(parse(&twice).is_err());
    }

    #[test]
    fn a_response_without_an_end_is_refused() {
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n42").is_err());
    }
}
