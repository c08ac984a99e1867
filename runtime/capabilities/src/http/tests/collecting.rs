//! The guest side: what it collects, holds and hands out.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use fumehood_model::ByteSize;
use http_body_util::{BodyExt, Full};
use tokio::sync::Semaphore;
use wasmtime::{Engine, component::Linker};
use wasmtime_wasi_http::{Error, WasiBody, WasiHttpView};

use crate::{
    Ask, Cancelled, Granted, Guest, Heard, Host, Reply, Setup,
    http::{Bounds, Refused, Response},
};

/// A host that answers every request with as many bytes as its body says, when it is let.
struct Echo {
    lets: Semaphore,
    under_way: AtomicUsize,
    most: AtomicUsize,
}

impl Echo {
    fn new(lets: usize) -> Arc<Self> {
        Arc::new(Self { lets: Semaphore::new(lets), under_way: AtomicUsize::new(0), most: AtomicUsize::new(0) })
    }
}

impl Host for Echo {
    fn ask(&self, ask: Ask) -> Pin<Box<dyn Future<Output = Reply> + Send + '_>> {
        Box::pin(async move {
            let request = match ask {
                Ask::Http(request) => request,
                Ask::BodyTooLarge => return Reply::Progress,
                other => panic!("{other:?}"),
            };
            let now = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            self.lets.acquire().await.unwrap().forget();
            self.under_way.fetch_sub(1, Ordering::SeqCst);
            if request.path == "/denied" {
                return Reply::Http(Err(Refused::Denied));
            }
            let headers = vec![("x-length".to_owned(), serde_bytes::ByteBuf::from(b"1"))];
            Reply::Http(Ok(Response { status: 200, headers, body: request.body }))
        })
    }
}

fn guest(host: Arc<dyn Host>, bounds: Bounds) -> Guest<()> {
    let setup = Setup {
        bounds: crate::Bounds { http: bounds, ..(&fumehood_policy::Limits::default()).into() },
        granted: Granted::default(),
        host,
        deadline: Instant::now() + Duration::from_secs(20),
        cancelled: Cancelled::default(),
        heard: Heard::default(),
    };
    Guest::new(setup, ())
}

type Answer = Result<http::Response<WasiBody>, Error>;

fn send(guest: &mut Guest<()>, path: &str, body: usize) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
    let body = Full::new(Bytes::from(vec![1; body])).map_err(|never| match never {}).boxed_unsync();
    let request = http::Request::post(format!("http://a.test{path}")).body(body).unwrap();
    let sending = Pin::from(guest.http().hooks.send_request(request, None, Box::new(async { Ok(()) })));
    Box::pin(async { sending.await.map(|(answer, _)| answer) })
}

fn bounds(host_memory: ByteSize, http_body: ByteSize) -> Bounds {
    Bounds { host_memory, http_body }
}

#[tokio::test]
async fn a_body_goes_out_and_comes_back() {
    let mut guest = guest(Echo::new(1), Bounds::default());

    let answer = send(&mut guest, "/", 200_000).await.unwrap();

    assert_eq!(answer.headers()["x-length"], "1");
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes().len(), 200_000);
}

#[tokio::test]
async fn a_refusal_becomes_the_error_code_of_the_interface() {
    let mut guest = guest(Echo::new(1), Bounds::default());

    let answer = send(&mut guest, "/denied", 0).await;

    assert!(matches!(answer, Err(Error::HttpRequestDenied)), "{answer:?}");
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_not_collected() {
    let mut guest = guest(Echo::new(1), bounds(ByteSize::mib(16), ByteSize::kib(1)));

    let answer = send(&mut guest, "/", 1025).await;

    assert!(matches!(answer, Err(Error::HttpRequestBodySize(Some(1024)))), "{answer:?}");
}

#[tokio::test]
async fn six_requests_are_under_way_at_a_time_and_the_others_wait() {
    let host = Echo::new(0);
    let mut guest = guest(Arc::clone(&host) as Arc<dyn Host>, Bounds::default());
    let sending: Vec<_> = (0..10).map(|_| tokio::spawn(send(&mut guest, "/", 1))).collect();
    while host.under_way.load(Ordering::SeqCst) < 6 {
        tokio::task::yield_now().await;
    }

    host.lets.add_permits(10);
    for sent in sending {
        assert_eq!(sent.await.unwrap().unwrap().status(), 200);
    }

    assert_eq!(host.most.load(Ordering::SeqCst), 6);
}

#[tokio::test]
async fn answers_that_nobody_reads_are_held_within_the_bound_and_no_longer_than_they_are_read() {
    let mut guest = guest(Echo::new(10), bounds(ByteSize::mib(4), ByteSize::mib(8)));
    let unread = send(&mut guest, "/", 1400 << 10).await.unwrap();
    let second = send(&mut guest, "/", 1400 << 10).await.unwrap();

    let third = send(&mut guest, "/", 1400 << 10).await;
    drop(unread);
    let fourth = send(&mut guest, "/", 1400 << 10).await;

    assert!(matches!(third, Err(Error::HttpRequestBodySize(_))), "{third:?}");
    assert_eq!(fourth.unwrap().status(), 200);
    assert_eq!(second.into_body().collect().await.unwrap().to_bytes().len(), 1400 << 10);
}

#[tokio::test]
async fn requests_that_wait_are_bounded_too() {
    let mut guest = guest(Echo::new(0), bounds(ByteSize::mib(1), ByteSize::kib(1)));
    // Each may have two pieces of its body waiting: 32 KiB of three quarters of a mebibyte.
    let waiting: Vec<_> = (0..24).map(|_| send(&mut guest, "/", 1)).collect();

    let one_more = send(&mut guest, "/", 1).await;

    assert!(matches!(one_more, Err(Error::ConnectionLimitReached)), "{one_more:?}");
    drop(waiting);
}

#[tokio::test]
async fn dropping_a_request_gives_it_up() {
    let host = Echo::new(0);
    let mut guest = guest(Arc::clone(&host) as Arc<dyn Host>, bounds(ByteSize::kib(64), ByteSize::kib(1)));

    for _ in 0..100 {
        let mut sending = send(&mut guest, "/", 1);
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(sending.as_mut().poll(cx).is_pending())).await;
        assert!(polled);
    }
}

#[test]
fn everything_is_linked_once() {
    let mut linker = Linker::<Guest<()>>::new(&Engine::default());

    crate::link(&mut linker).unwrap();

    let again = crate::link(&mut linker);
    assert!(again.is_err());
}
