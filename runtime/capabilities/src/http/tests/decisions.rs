//! Which requests leave, and as what.

use std::time::Duration;

use fumehood_model::ByteSize;
use fumehood_policy::{Credential, Grant, HostPattern, HttpGrant, Limits, Scheme};
use serde_bytes::ByteBuf;

use super::{
    get,
    peer::{Canary, Does, Peer},
    stage::{Stage, grant},
};
use crate::http::{Config, Refused, Request};

const EMPTY: &str = "HTTP/1.1 204 No Content\r\n\r\n";

fn with_headers(mut request: Request, headers: &[(&str, &str)]) -> Request {
    request.headers =
        headers.iter().map(|(name, value)| ((*name).to_owned(), ByteBuf::from(value.as_bytes()))).collect();
    request
}

fn with_credential(grant: HttpGrant, path: &str) -> HttpGrant {
    let credential = Credential { header: "authorization".into(), prefix: "Bearer ".into(), secret: "TOKEN".into() };
    HttpGrant { path: path.into(), credential: Some(credential), ..grant }
}

#[tokio::test]
async fn without_a_grant_no_name_is_looked_up() {
    let canary = Canary::new();
    let stage = Stage::new(Vec::new()).name("api.test", &["127.0.0.1"]);

    let answer = stage.ask(get(&format!("http://api.test:{}/secret?token=1", canary.port))).await;

    let narrowest = HttpGrant { methods: vec!["GET".into()], ..grant("api.test", canary.port, &[]) };
    assert_eq!(answer.err(), Some(Refused::Denied));
    assert_eq!(stage.names.asked(), Vec::<String>::new());
    assert_eq!(stage.denied(), [Grant::Http(narrowest)]);
    canary.assert_unseen("a request without a grant");
}

#[tokio::test]
async fn a_grant_covers_its_own_scheme_port_method_and_path_only() {
    let peer = Peer::saying(EMPTY).await;
    let port = peer.port;
    let own = HttpGrant { methods: vec!["GET".into()], path: "/v1".into(), ..grant("127.0.0.1", port, &[]) };
    let stage = Stage::new(vec![own]);

    let post = Request { method: "POST".into(), ..get(&format!("http://127.0.0.1:{port}/v1")) };
    for other in [
        post,
        get(&format!("https://127.0.0.1:{port}/v1")),
        get("http://127.0.0.1/v1"),
        get(&format!("http://127.0.0.1:{port}/v2")),
        get(&format!("http://127.0.0.1:{port}/v1/%2e%2e/v2")),
        get(&format!("http://127.0.0.2:{port}/v1")),
    ] {
        assert_eq!(stage.ask(other.clone()).await.err(), Some(Refused::Denied), "{other:?}");
    }
    assert_eq!(stage.ask(get(&format!("http://127.0.0.1:{port}/v1/x?y=z"))).await.unwrap().status, 204);
    assert_eq!(peer.heard().len(), 1);
}

#[tokio::test]
async fn hosts_are_compared_in_one_form() {
    let peer = Peer::saying(EMPTY).await;
    let port = peer.port;
    let stage = Stage::new(vec![grant("ok.test", port, &["127.0.0.1/32"])]).name("ok.test", &["127.0.0.1"]);

    for other in ["ok.test@evil.test", "ok.test\\evil.test", "evil.test\\@ok.test", "\u{43e}k.test"] {
        assert_eq!(stage.ask(get(&format!("http://{other}:{port}/"))).await.err(), Some(Refused::BadUrl), "{other}");
    }
    for other in ["ok.test.evil.test", "xn--k-jtb.test", "notok.test", "sub.ok.test"] {
        assert_eq!(stage.ask(get(&format!("http://{other}:{port}/"))).await.err(), Some(Refused::Denied), "{other}");
    }
    assert_eq!(stage.ask(get(&format!("http://OK.Test.:{port}/"))).await.unwrap().status, 204);
    assert!(peer.heard()[0].contains(&format!("host: ok.test:{port}\r\n")), "{:?}", peer.heard());
}

#[tokio::test]
async fn a_prohibited_address_is_noted_with_the_grant_that_would_allow_it() {
    let stage = Stage::new(vec![grant("intern.test", 80, &[])]).name("intern.test", &["10.1.2.3"]);

    let answer = stage.ask(get("http://intern.test/")).await;

    let missing = HttpGrant { methods: vec!["GET".into()], ..grant("intern.test", 80, &["10.1.2.3/32"]) };
    assert_eq!(answer.err(), Some(Refused::AddressProhibited));
    assert_eq!(stage.notes.all(), [(Grant::Http(missing), false)]);
}

#[tokio::test]
async fn a_use_is_noted_without_path_query_or_credential() {
    let peer = Peer::saying(EMPTY).await;
    let stage = Stage::new(vec![grant("127.0.0.1", peer.port, &[])]);

    stage.ask(get(&format!("http://127.0.0.1:{}/a/b?c=d", peer.port))).await.unwrap();

    let used = HttpGrant { methods: vec!["GET".into()], ..grant("127.0.0.1", peer.port, &[]) };
    assert_eq!(stage.notes.all(), [(Grant::Http(used), true)]);
}

#[tokio::test]
async fn what_leaves_is_framed_by_us_alone() {
    let peer = Peer::saying(EMPTY).await;
    let mut request = with_headers(
        get(&format!("http://127.0.0.1:{}/p?q=1", peer.port)),
        &[
            ("Host", "evil.test"),
            ("Content-Length", "3"),
            ("content-length", "5"),
            ("Transfer-Encoding", "chunked"),
            ("Connection", "keep-alive, x"),
            ("Proxy-Authorization", "x"),
            ("Expect", "100-continue"),
            ("Upgrade", "h2c"),
            ("Accept", "text/plain"),
        ],
    );
    request.method = "POST".into();
    request.body = b"hello".to_vec();

    Stage::new(vec![grant("127.0.0.1", peer.port, &[])]).ask(request).await.unwrap();

    let expected = format!(
        "POST /p?q=1 HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nconnection: close\r\naccept: text/plain\r\ncontent-length: 5\r\n\r\nhello",
        peer.port
    );
    assert_eq!(peer.heard(), [expected]);
}

#[tokio::test]
async fn a_request_that_could_be_read_in_two_ways_never_reaches_the_wire() {
    let canary = Canary::new();
    let base = format!("http://127.0.0.1:{}", canary.port);
    let stage = Stage::new(vec![grant("127.0.0.1", canary.port, &[])]);

    for path in ["/ HTTP/1.1\r\nHost: evil.test\r\n\r\nGET /", "/\r\nx: y", "/a b", "/a\0"] {
        let request = Request { path: path.into(), ..get(&base) };
        assert_eq!(stage.ask(request).await.err(), Some(Refused::BadUrl), "{path:?}");
    }
    let absolute = Request { path: "http://evil.test/".into(), ..get(&base) };
    assert_eq!(stage.ask(absolute).await.err(), Some(Refused::BadUrl));
    for (name, value) in [("x", "a\r\nhost: evil.test"), ("x: y\r\nz", "a"), ("host ", "evil.test")] {
        let request = with_headers(get(&base), &[(name, value)]);
        assert_eq!(stage.ask(request).await.err(), Some(Refused::BadHeader), "{name:?}: {value:?}");
    }
    for method in ["CONNECT", "TRACE", "GET /x HTTP/1.1\r\n\r\nGET", "PURGE"] {
        let request = Request { method: method.into(), ..get(&base) };
        assert_eq!(stage.ask(request).await.err(), Some(Refused::BadMethod), "{method:?}");
    }
    canary.assert_unseen("requests that are not valid");
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_zero_and_huge_waits_do_no_harm() {
    let canary = Canary::new();
    let base = format!("http://127.0.0.1:{}/", canary.port);
    let limits = Limits { http_body: ByteSize(10), ..Limits::default() };
    let stage =
        Stage::within(vec![grant("127.0.0.1", canary.port, &[])], limits, Duration::from_secs(20), &Config::default());

    let long = Request { path: format!("/{}", "x".repeat(10 << 20)), ..get(&base) };
    let many = Request { headers: vec![("a".into(), ByteBuf::from(b"b")); 100_000], ..get(&base) };
    let large = with_headers(get(&base), &[("a", &"x".repeat(1 << 20))]);
    let body = Request { body: vec![0; 11], ..get(&base) };
    assert_eq!(stage.ask(long).await.err(), Some(Refused::UrlTooLong));
    assert_eq!(stage.ask(many).await.err(), Some(Refused::HeadersTooLarge));
    assert_eq!(stage.ask(large).await.err(), Some(Refused::HeadersTooLarge));
    assert_eq!(stage.ask(body).await.err(), Some(Refused::BodyTooLarge));
    canary.assert_unseen("requests that are too large");

    let peer = Peer::saying(EMPTY).await;
    let url = format!("http://127.0.0.1:{}/", peer.port);
    let stage = Stage::new(vec![grant("127.0.0.1", peer.port, &[])]);
    let huge = Request {
        connect_ms: Some(u64::MAX),
        first_byte_ms: Some(u64::MAX),
        between_bytes_ms: Some(u64::MAX),
        ..get(&url)
    };
    assert_eq!(stage.ask(huge).await.unwrap().status, 204);
    let silent = Peer::doing(|_| Does::Stall(Vec::new())).await;
    let stage = Stage::new(vec![grant("127.0.0.1", silent.port, &[])]);
    let none = Request { first_byte_ms: Some(0), ..get(&format!("http://127.0.0.1:{}/", silent.port)) };
    assert_eq!(stage.ask(none).await.err(), Some(Refused::TimedOut));
}

#[tokio::test]
async fn a_call_makes_as_many_requests_as_it_may_and_refused_ones_count() {
    let peer = Peer::saying(EMPTY).await;
    let url = format!("http://127.0.0.1:{}/", peer.port);
    let limits = Limits { http_requests: 3, ..Limits::default() };
    let stage =
        Stage::within(vec![grant("127.0.0.1", peer.port, &[])], limits, Duration::from_secs(20), &Config::default());

    assert_eq!(stage.ask(get("http://other.test/")).await.err(), Some(Refused::Denied));
    assert_eq!(stage.ask(get(&url)).await.unwrap().status, 204);
    assert_eq!(stage.ask(get(&url)).await.unwrap().status, 204);
    assert_eq!(stage.ask(get(&url)).await.err(), Some(Refused::TooMany));
    assert_eq!(peer.heard().len(), 2);
}

#[tokio::test]
async fn a_credential_replaces_the_guests_own_header_where_its_grant_leads() {
    let peer = Peer::saying(EMPTY).await;
    let port = peer.port;
    let stage = Stage::new(vec![grant("127.0.0.1", port, &[]), with_credential(grant("127.0.0.1", port, &[]), "/v1")]);

    let mine = with_headers(get(&format!("http://127.0.0.1:{port}/v1/x")), &[("Authorization", "mine")]);
    stage.ask_with(mine, "hush").await.unwrap();
    stage.ask_with(get(&format!("http://127.0.0.1:{port}/v2")), "hush").await.unwrap();

    let heard = peer.heard();
    assert!(heard[0].contains("authorization: Bearer hush\r\n") && !heard[0].contains("mine"), "{heard:?}");
    assert!(!heard[1].contains("hush"), "{heard:?}");
}

#[tokio::test]
async fn a_credential_that_was_sent_is_struck_out_of_what_the_guest_prints() {
    let peer = Peer::saying(EMPTY).await;
    let url = |path: &str| format!("http://127.0.0.1:{}{path}", peer.port);
    let plain = grant("127.0.0.1", peer.port, &[]);
    let stage = Stage::new(vec![plain.clone(), with_credential(plain, "/v1")]);

    stage.ask_with(get(&url("/v2")), "hush").await.unwrap();
    assert_eq!(stage.struck(), Vec::<String>::new());
    stage.ask_with(get(&url("/v1")), "hush").await.unwrap();

    assert_eq!(stage.struck(), ["hush"]);
}

#[tokio::test]
async fn a_credential_that_is_not_there_or_no_header_stops_the_request() {
    let canary = Canary::new();
    let stage = Stage::new(vec![with_credential(grant("127.0.0.1", canary.port, &[]), "/")]);
    let url = format!("http://127.0.0.1:{}/", canary.port);

    assert_eq!(stage.ask(get(&url)).await.err(), Some(Refused::NoCredential));
    assert_eq!(stage.ask_with(get(&url), "two\r\nlines: x").await.err(), Some(Refused::NoCredential));
    canary.assert_unseen("requests without their credential");
}

#[tokio::test]
async fn tls_is_spoken_only_with_who_the_name_says() {
    let peer = Peer::secure("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
    let secure = |host: &str| HttpGrant { scheme: Scheme::Https, ..grant(host, peer.port, &["127.0.0.1/32"]) };
    let roots = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/tests/tls/authority.pem");
    let trusting = Config { extra_roots: vec![roots.into()], ..Config::default() };
    let ask = async |config: &Config, host: &str| {
        let stage = Stage::within(vec![secure(host)], Limits::default(), Duration::from_secs(20), config);
        let stage = stage.name(host, &["127.0.0.1"]);
        stage.ask(get(&format!("https://{host}:{}/", peer.port))).await.map(|answer| answer.body)
    };

    assert_eq!(ask(&trusting, "secure.test").await, Ok(b"hi".to_vec()));
    assert_eq!(ask(&trusting, "other.test").await, Err(Refused::NotTrusted));
    assert_eq!(ask(&Config::default(), "secure.test").await, Err(Refused::NotTrusted));
    assert_eq!(peer.heard().len(), 1);
}

#[tokio::test]
async fn a_name_below_a_wildcard_is_resolved_and_dialled() {
    let peer = Peer::saying(EMPTY).await;
    let below = HttpGrant { host: HostPattern::Below("ok.test".into()), ..grant("", peer.port, &["127.0.0.0/8"]) };
    let stage = Stage::new(vec![below]).name("a.ok.test", &["127.0.0.1"]);

    assert_eq!(stage.ask(get(&format!("http://a.ok.test:{}/", peer.port))).await.unwrap().status, 204);
    assert_eq!(stage.ask(get(&format!("http://ok.test:{}/", peer.port))).await.err(), Some(Refused::Denied));
}

#[test]
fn a_file_without_certificates_is_told() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = |path: &std::path::Path| Config { extra_roots: vec![path.to_owned()], ..Config::default() };

    let empty = crate::http::Egress::new(&config(file.path())).err().unwrap();
    let missing = crate::http::Egress::new(&config(std::path::Path::new("/nowhere.pem"))).err().unwrap();

    assert!(matches!(empty, crate::http::SetupError::NoRoots { .. }), "{empty}");
    assert!(matches!(missing, crate::http::SetupError::Roots { .. }), "{missing}");
}
