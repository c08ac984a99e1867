//! What comes back, and what does not.

use std::{
    net::{Ipv4Addr, TcpListener},
    time::{Duration, Instant},
};

use fumehood_model::ByteSize;
use fumehood_policy::Limits;

use super::{
    get,
    peer::{Does, Peer},
    stage::{Stage, grant},
};
use crate::http::{Config, Refused, Request, Response};

/// What a guest gets of a peer, when answers may have 10,000 bytes.
async fn answer_of(peer: &Peer) -> Result<Response, Refused> {
    let limits = Limits { http_body: ByteSize(10_000), ..Limits::default() };
    let grants = vec![grant("127.0.0.1", peer.port, &[])];
    let stage = Stage::within(grants, limits, Duration::from_secs(20), &Config::default());
    stage.ask(get(&format!("http://127.0.0.1:{}/", peer.port))).await
}

async fn refusal_of(answer: impl AsRef<[u8]>) -> Option<Refused> {
    answer_of(&Peer::saying(answer).await).await.err()
}

#[tokio::test]
async fn an_answer_arrives_whole_without_what_concerns_the_connection() {
    let peer = Peer::saying(
        "HTTP/1.1 418 Teapot\r\nTransfer-Encoding: chunked\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nSet-Cookie: a=b\r\n\r\n\
         3\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: t\r\n\r\n",
    );

    let answer = answer_of(&peer.await).await.unwrap();

    assert_eq!(answer.status, 418);
    assert_eq!(answer.headers, [("set-cookie".to_owned(), serde_bytes::ByteBuf::from(b"a=b"))]);
    assert_eq!(answer.body, b"abcde");
}

#[tokio::test]
async fn interim_answers_are_passed_over_and_an_upgrade_is_refused() {
    let hinted =
        Peer::saying("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx").await;

    assert_eq!(answer_of(&hinted).await.unwrap().status, 200);
    let upgrade = refusal_of("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n").await;
    assert_eq!(upgrade, Some(Refused::Upgrade));
}

#[tokio::test]
async fn what_is_not_http_or_not_whole_is_told_apart() {
    assert_eq!(refusal_of("SSH-2.0-OpenSSH_9.9\r\n").await, Some(Refused::NotHttp));
    assert_eq!(
        refusal_of("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx").await,
        Some(Refused::NotHttp)
    );
    assert_eq!(refusal_of("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort").await, Some(Refused::Broken));
    assert_eq!(refusal_of("").await, Some(Refused::Broken));
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_given_up() {
    let header = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(70 << 10));
    let headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(101));
    let announced = "HTTP/1.1 200 OK\r\ncontent-length: 10001\r\n\r\n";
    let flood = Peer::doing(|_| Does::Flood(b"HTTP/1.1 200 OK\r\n\r\n".to_vec())).await;

    assert_eq!(refusal_of(header).await, Some(Refused::ResponseHeadersTooLarge));
    assert_eq!(refusal_of(headers).await, Some(Refused::ResponseHeadersTooLarge));
    assert_eq!(refusal_of(announced).await, Some(Refused::ResponseTooLarge));
    assert_eq!(answer_of(&flood).await.err(), Some(Refused::ResponseTooLarge));
}

#[tokio::test]
async fn what_is_compressed_stays_so() {
    let bomb = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0];
    let mut text = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n".to_vec();
    text.extend(bomb);

    assert_eq!(answer_of(&Peer::saying(text).await).await.unwrap().body, bomb);
}

#[tokio::test]
async fn who_answers_too_slowly_is_given_up() {
    let silent = Peer::doing(|_| Does::Stall(Vec::new())).await;
    let dripping = Peer::doing(|_| Does::Stall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nx".to_vec())).await;
    let stage = Stage::new(vec![grant("127.0.0.1", silent.port, &[]), grant("127.0.0.1", dripping.port, &[])]);

    let url = |peer: &Peer| format!("http://127.0.0.1:{}/", peer.port);
    let first_byte = Request { first_byte_ms: Some(50), ..get(&url(&silent)) };
    let between_bytes = Request { between_bytes_ms: Some(50), ..get(&url(&dripping)) };

    assert_eq!(stage.ask(first_byte).await.err(), Some(Refused::TimedOut));
    assert_eq!(stage.ask(between_bytes).await.err(), Some(Refused::TimedOut));
}

#[tokio::test]
async fn nothing_outlasts_the_deadline_of_the_call() {
    let dripping = Peer::doing(|_| Does::Stall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nx".to_vec())).await;
    let grants = vec![grant("127.0.0.1", dripping.port, &[])];
    let stage = Stage::within(grants, Limits::default(), Duration::from_millis(100), &Config::default());
    let started = Instant::now();
    let patient = Request {
        first_byte_ms: Some(u64::MAX),
        between_bytes_ms: Some(u64::MAX),
        ..get(&format!("http://127.0.0.1:{}/", dripping.port))
    };

    let answer = stage.ask(patient).await;

    assert_eq!(answer.err(), Some(Refused::TimedOut));
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[tokio::test]
async fn where_nobody_listens_and_where_there_is_no_name_is_told_apart() {
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    let stage = Stage::new(vec![grant("127.0.0.1", port, &[]), grant("nowhere.test", 80, &[])]);

    assert_eq!(stage.ask(get(&format!("http://127.0.0.1:{port}/"))).await.err(), Some(Refused::NotReached));
    assert_eq!(stage.ask(get("http://nowhere.test/")).await.err(), Some(Refused::NotResolved));
}

#[tokio::test]
async fn answers_of_one_call_are_held_within_its_memory_together() {
    let peer = Peer::saying(format!("HTTP/1.1 200 OK\r\ncontent-length: 6000\r\n\r\n{}", "x".repeat(6000))).await;
    let limits = Limits { http_body: ByteSize(10_000), host_memory: ByteSize(5_000), ..Limits::default() };
    let grants = vec![grant("127.0.0.1", peer.port, &[])];
    let stage = Stage::within(grants, limits, Duration::from_secs(20), &Config::default());

    let answer = stage.ask(get(&format!("http://127.0.0.1:{}/", peer.port))).await;

    assert_eq!(answer.err(), Some(Refused::ResponseTooLarge));
}
