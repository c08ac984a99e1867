//! Other sides, on this machine.

use std::{
    future::pending,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener as StdListener},
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// What a peer does with a request.
pub(crate) enum Does {
    /// Answer with these bytes and close.
    Say(Vec<u8>),
    /// Say this, and then nothing more, without closing.
    Stall(Vec<u8>),
    /// Say this, and then zeros without end.
    Flood(Vec<u8>),
}

/// A server that says what it is told to and remembers what it was asked.
pub(crate) struct Peer {
    pub(crate) port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Peer {
    /// A server that does the same for every request.
    pub(crate) async fn saying(answer: impl AsRef<[u8]>) -> Self {
        let answer = answer.as_ref().to_vec();
        Self::doing(move |_| Does::Say(answer.clone())).await
    }

    /// A server that does what `does` says for each request.
    pub(crate) async fn doing(does: impl Fn(&str) -> Does + Send + Sync + 'static) -> Self {
        Self::serve(does, None).await
    }

    /// The same over TLS, as `secure.test`.
    pub(crate) async fn secure(answer: impl AsRef<[u8]>) -> Self {
        let answer = answer.as_ref().to_vec();
        let certificate = CertificateDer::from_pem_slice(include_bytes!("tls/certificate.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/key.pem")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate], key).unwrap()));
        Self::serve(move |_| Does::Say(answer.clone()), Some(acceptor)).await
    }

    async fn serve(does: impl Fn(&str) -> Does + Send + Sync + 'static, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (does, hears) = (Arc::new(does), Arc::clone(&heard));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (does, hears, tls) = (Arc::clone(&does), Arc::clone(&hears), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => converse(stream, &*does, &hears).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                converse(stream, &*does, &hears).await;
                            }
                        }
                    }
                });
            }
        });
        Self { port, heard }
    }

    /// The requests so far, head and body.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    does: &(impl Fn(&str) -> Does + Sync),
    hears: &Mutex<Vec<String>>,
) {
    let Some(request) = whole(&mut stream).await else { return };
    hears.lock().unwrap().push(request.clone());
    // Whoever asked may have gone: that is what some tests are about.
    match does(&request) {
        Does::Say(answer) => {
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
        }
        Does::Stall(answer) => {
            let _ = stream.write_all(&answer).await;
            let _ = stream.flush().await;
            pending::<()>().await;
        }
        Does::Flood(answer) => {
            let mut sent = stream.write_all(&answer).await;
            while sent.is_ok() {
                sent = stream.write_all(&[0; 16 << 10]).await;
            }
        }
    }
}

async fn whole(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(text.into_owned());
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// Something that nobody may connect to.
pub(crate) struct Canary {
    pub(crate) port: u16,
    listeners: Vec<StdListener>,
}

impl Canary {
    /// On one port of the loopback addresses of both families.
    pub(crate) fn new() -> Self {
        let four = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = four.local_addr().unwrap().port();
        let others: [IpAddr; 2] = [Ipv6Addr::LOCALHOST.into(), Ipv4Addr::new(127, 0, 0, 2).into()];
        // Not every machine has both, nor is the port always free on both.
        let others = others.into_iter().filter_map(|address| StdListener::bind((address, port)).ok());
        let listeners: Vec<_> = [four].into_iter().chain(others).collect();
        listeners.iter().for_each(|listener| listener.set_nonblocking(true).unwrap());
        Self { port, listeners }
    }

    /// Assert that nobody has connected. The system takes connections by itself, so nothing is missed.
    pub(crate) fn assert_unseen(&self, after: &str) {
        for listener in &self.listeners {
            match listener.accept() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                other => panic!("{after} led to {other:?}"),
            }
        }
    }
}
