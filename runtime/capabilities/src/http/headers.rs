use fumehood_policy::is_of_connection;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_bytes::ByteBuf;

use super::{MAX_HEADER_BYTES, MAX_HEADERS, Refused};

/// What a header costs beside its name and its value.
const EACH: usize = 32;

/// Whether a header is about the connection or the framing of the message, which are ours alone.
///
/// Grants have the same list: a header that would be taken away here cannot be granted a secret.
pub(crate) fn is_ours(name: &HeaderName) -> bool {
    is_of_connection(name.as_str())
}

/// The headers of a request that may leave, without ours.
pub(crate) fn outgoing(headers: &[(String, ByteBuf)]) -> Result<HeaderMap, Refused> {
    let bytes = headers.iter().map(|(name, value)| cost(name.len(), value.len())).sum();
    bounded(headers.len(), bytes).then_some(()).ok_or(Refused::HeadersTooLarge)?;
    mapped(headers, |name| !is_ours(name))
}

/// The headers of an answer as a map.
pub(crate) fn map(headers: &[(String, ByteBuf)]) -> Result<HeaderMap, Refused> {
    mapped(headers, |_| true)
}

fn mapped(headers: &[(String, ByteBuf)], passes: impl Fn(&HeaderName) -> bool) -> Result<HeaderMap, Refused> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Refused::BadHeader)?;
        // Refuses CR, LF and NUL, so that no value can end its line.
        let value = HeaderValue::from_bytes(value).map_err(|_| Refused::BadHeader)?;
        if passes(&name) {
            map.append(name, value);
        }
    }
    Ok(map)
}

/// The headers of an answer for the guest, without those that concern the connection, and how many bytes they have.
pub(crate) fn incoming(headers: &HeaderMap) -> Result<(Vec<(String, ByteBuf)>, usize), Refused> {
    let bytes = headers.iter().map(|(name, value)| cost(name.as_str().len(), value.len())).sum();
    bounded(headers.len(), bytes).then_some(()).ok_or(Refused::ResponseHeadersTooLarge)?;
    let named = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<_> = named.flat_map(|value| value.split(',')).map(str::trim).collect();
    let passes = |name: &HeaderName| {
        // How long the answer is, is of use to a guest that asked for nothing but the headers.
        let about_connection = is_ours(name) && *name != header::CONTENT_LENGTH;
        !about_connection && !named.iter().any(|other| other.eq_ignore_ascii_case(name.as_str()))
    };
    let passing = headers.iter().filter(|(name, _)| passes(name));
    Ok((passing.map(|(name, value)| (name.to_string(), ByteBuf::from(value.as_bytes()))).collect(), bytes))
}

fn cost(name: usize, value: usize) -> usize {
    name.saturating_add(value).saturating_add(EACH)
}

fn bounded(count: usize, bytes: usize) -> bool {
    count <= MAX_HEADERS && bytes <= MAX_HEADER_BYTES
}

#[cfg(test)]
mod tests {
    use fumehood_policy::Grant;

    use super::*;

    fn pairs(headers: &[(&str, &str)]) -> Vec<(String, ByteBuf)> {
        headers.iter().map(|(name, value)| ((*name).to_owned(), ByteBuf::from(value.as_bytes()))).collect()
    }

    const OURS: [&str; 13] = [
        "Connection",
        "Host",
        "Transfer-Encoding",
        "Content-Length",
        "Upgrade",
        "TE",
        "Trailer",
        "Keep-Alive",
        "Expect",
        "Proxy-Authorization",
        "Proxy-Connection",
        "Proxy-Anything",
        "HTTP2-Settings",
    ];

    #[test]
    fn what_does_not_leave_cannot_be_granted_a_secret_and_what_can_leaves() {
        let granted = |name: &str| format!("http:https://a.test,header.{name}=TOKEN").parse::<Grant>().is_ok();

        for name in OURS {
            assert!(!granted(name), "{name}");
        }
        for name in ["Authorization", "X-Api-Key", "Cookie", "Proxy", "TE-1"] {
            assert!(granted(name), "{name}");
            assert_eq!(outgoing(&pairs(&[(name, "x")])).unwrap().len(), 1, "{name}");
        }
    }

    #[test]
    fn what_concerns_the_connection_or_the_framing_does_not_leave() {
        for name in OURS {
            assert_eq!(outgoing(&pairs(&[(name, "x"), ("Accept", "y")])).unwrap().len(), 1, "{name}");
        }
    }

    #[test]
    fn a_value_cannot_end_its_line_and_a_name_cannot_be_two() {
        for (name, value) in [
            ("x", "a\r\nHost: evil"),
            ("x", "a\nb"),
            ("x", "a\0b"),
            ("x: y", "z"),
            ("x\r\ny", "z"),
            ("", "z"),
            ("h\u{f6}", "z"),
        ] {
            assert_eq!(outgoing(&pairs(&[(name, value)])), Err(Refused::BadHeader), "{name:?}: {value:?}");
        }
    }

    #[test]
    fn many_or_large_headers_are_refused() {
        let many = vec![("a".to_owned(), ByteBuf::from(b"b")); 100_000];
        let large = pairs(&[("a", &"x".repeat(1 << 20))]);

        assert_eq!(outgoing(&many), Err(Refused::HeadersTooLarge));
        assert_eq!(outgoing(&large), Err(Refused::HeadersTooLarge));
        assert_eq!(outgoing(&many[..100]).unwrap().len(), 100);
    }

    #[test]
    fn an_answer_loses_what_its_connection_header_names() {
        let map = outgoing(&pairs(&[("X-Hop", "1"), ("X-End", "2")])).map(|mut map| {
            map.insert(header::CONNECTION, HeaderValue::from_static("close, x-hop"));
            map.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            map.insert(header::CONTENT_LENGTH, HeaderValue::from_static("3"));
            map
        });

        let (headers, _) = incoming(&map.unwrap()).unwrap();

        assert_eq!(headers, pairs(&[("x-end", "2"), ("content-length", "3")]));
    }
}
