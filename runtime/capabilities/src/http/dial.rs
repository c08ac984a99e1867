use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

use super::{Refused, SetupError, target::Host};

/// How long one address is tried while there are others.
const PATIENCE_WITH_ONE: Duration = Duration::from_secs(3);

/// A connection to the first of `addresses` that answers.
pub(crate) async fn connect(addresses: &[SocketAddr], by: Instant) -> Result<TcpStream, Refused> {
    let mut refused = Refused::NotReached;
    for (index, address) in addresses.iter().enumerate() {
        let last = index + 1 == addresses.len();
        let until = if last { by } else { by.min(Instant::now() + PATIENCE_WITH_ONE) };
        match timeout_at(until, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(_)) => {}
            Err(_) => refused = Refused::ConnectTimedOut,
        }
    }
    Err(refused)
}

/// TLS with the other side, which must prove that it is `host`.
pub(crate) async fn secure(
    tls: &TlsConnector,
    stream: TcpStream,
    host: &Host,
    by: Instant,
) -> Result<TlsStream<TcpStream>, Refused> {
    let name = match host {
        Host::Name(name) => ServerName::try_from(name.clone()).map_err(|_| Refused::BadUrl)?,
        Host::Address(address) => ServerName::from(*address),
    };
    let secured = timeout_at(by, tls.connect(name, stream)).await.map_err(|_| Refused::ConnectTimedOut)?;
    secured.map_err(|_| Refused::NotTrusted)
}

/// What makes connections secure: the roots that browsers trust, and those in the files `extra_roots`.
pub(crate) fn tls(extra_roots: &[PathBuf]) -> Result<TlsConnector, SetupError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for path in extra_roots {
        add(&mut roots, path)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|source| SetupError::Tls { source })?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn add(roots: &mut RootCertStore, path: &Path) -> Result<(), SetupError> {
    let unreadable = |source| SetupError::Roots { path: path.to_owned(), source };
    let mut found = false;
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        let certificate = certificate.map_err(unreadable)?;
        roots.add(certificate).map_err(|source| SetupError::Root { path: path.to_owned(), source })?;
        found = true;
    }
    found.then_some(()).ok_or_else(|| SetupError::NoRoots { path: path.to_owned() })
}
