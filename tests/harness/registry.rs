//! A real registry: Debian's `docker-registry`, which is Docker's own, on a free port of this machine.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use tempfile::TempDir;

use crate::skip;

/// How long a registry may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Longest that it lives, should nobody end it.
const LIFE: &str = "600";

/// The one user of a registry that asks for a password, and its password.
pub const USER: (&str, &str) = ("somebody", "open sesame");

/// The line of that user in a file of passwords: bcrypt, with a salt that is no secret.
const PASSWORDS: &str = "somebody:$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW\n";

/// A registry that is about to be started.
#[derive(Debug, Default, Clone)]
pub struct RegistrySetup {
    certificate: Option<(PathBuf, PathBuf)>,
    auth: String,
}

/// A running registry. Dropping it ends it.
#[derive(Debug)]
pub struct Registry {
    child: Child,
    address: String,
    scheme: &'static str,
    _place: TempDir,
}

/// An authority whose certificates nobody trusts who was not told to, and one of its certificates for this machine.
#[derive(Debug)]
pub struct Authority {
    place: TempDir,
}

impl RegistrySetup {
    /// With TLS, and this certificate.
    #[must_use]
    pub fn tls(mut self, authority: &Authority) -> Self {
        self.certificate = Some((authority.file("cert.pem"), authority.file("key.pem")));
        self
    }

    /// For [`USER`] only.
    #[must_use]
    pub fn password(mut self) -> Self {
        self.auth = "auth: {htpasswd: {realm: tests, path: PLACE/passwords}}\n".to_owned();
        self
    }

    /// For who has a token that is given out at `realm` and signed by the key of `authority`.
    #[must_use]
    pub fn tokens(mut self, realm: &str, authority: &Authority) -> Self {
        let bundle = authority.file("ca.pem");
        self.auth = format!(
            "auth: {{token: {{realm: \"{realm}\", service: tests, issuer: tests, rootcertbundle: {}}}}}\n",
            bundle.display()
        );
        self
    }

    /// Start it. Nothing, and loud words, where no registry is installed.
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    pub fn start(self) -> Option<Registry> {
        let place = tempfile::tempdir().expect("a temporary folder");
        let root = place.path().display().to_string();
        let mut config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {root}/data}}}}\n{}",
            self.auth.replace("PLACE", &root)
        );
        config.push_str("http:\n  addr: 127.0.0.1:0\n");
        if let Some((certificate, key)) = &self.certificate {
            let tls = format!("  tls: {{certificate: {}, key: {}}}\n", certificate.display(), key.display());
            config.push_str(&tls);
        }
        let file = place.path().join("config.yml");
        fs::write(&file, config).expect("the configuration can be written");
        fs::write(place.path().join("passwords"), PASSWORDS).expect("the passwords can be written");
        // Ended by `timeout` even where a test was killed.
        let mut command = Command::new("timeout");
        command.args([LIFE, "docker-registry", "serve"]).arg(&file);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        if !is_installed() {
            skip("sources in registries", "Debian's docker-registry is not installed");
            return None;
        }
        let mut child = command.spawn().expect("the registry starts");
        let (send, told) = mpsc::channel();
        let stderr = child.stderr.take().expect("it was asked to be piped");
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("listening on ") {
                    let end = address.find([',', '"', ' ']).unwrap_or(address.len());
                    drop(send.send(address[..end].to_owned()));
                }
            }
        });
        let address = told.recv_timeout(PATIENCE).expect("the registry tells where it listens");
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        Some(Registry { child, address, scheme, _place: place })
    }
}

impl Registry {
    /// A registry that is about to be started: of anybody, without TLS.
    #[must_use]
    pub fn setup() -> RegistrySetup {
        RegistrySetup::default()
    }

    /// Where it listens, as `host:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// An artifact in it, as a source.
    #[must_use]
    pub fn source(&self, name: &str) -> String {
        format!("oci://{}/{name}", self.address)
    }

    /// The address of a path in it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // `timeout` passes the signal on, and ends with what it has started.
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed()).expect("a process has an id");
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

impl Authority {
    /// One with keys of its own. Nothing, and loud words, where no `openssl` is installed.
    ///
    /// # Panics
    ///
    /// When its certificates cannot be made.
    #[must_use]
    pub fn new() -> Option<Self> {
        if Command::new("openssl").arg("version").output().is_err() {
            skip("sources behind TLS", "openssl is not installed");
            return None;
        }
        let place = tempfile::tempdir().expect("a temporary folder");
        let authority = Self { place };
        fs::write(authority.file("san"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").expect("it can be written");
        let own = "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=tests -keyout ca.key -out ca.pem";
        authority.openssl(own, b"");
        authority.openssl("req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key.pem -out asked", b"");
        let signed = "x509 -req -in asked -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile san -out cert.pem";
        authority.openssl(signed, b"");
        Some(authority)
    }

    /// One of its files: `ca.pem` is its own certificate; `cert.pem` and `key.pem` are for `127.0.0.1`.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// What `openssl` makes of `input`.
    ///
    /// # Panics
    ///
    /// When it fails.
    #[must_use]
    fn made(&self, arguments: &str, input: &[u8]) -> Vec<u8> {
        let mut command = Command::new("openssl");
        command.args(arguments.split(' ')).current_dir(self.place.path());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("openssl starts");
        // It may not want to read.
        let _ = std::io::Write::write_all(&mut child.stdin.take().expect("it was asked to be piped"), input);
        let output = child.wait_with_output().expect("openssl ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn openssl(&self, arguments: &str, input: &[u8]) {
        drop(self.made(arguments, input));
    }

    /// A token for a registry, as Docker's registry reads them: RFC 7519, with the certificate in its head.
    ///
    /// # Panics
    ///
    /// When it cannot be signed.
    #[must_use]
    pub fn token(&self, repository: &str, actions: &[&str]) -> String {
        let certificate = fs::read_to_string(self.file("ca.pem")).expect("it was made");
        let der: String = certificate.lines().filter(|line| !line.starts_with("-----")).collect();
        let head = serde_json::json!({ "typ": "JWT", "alg": "RS256", "x5c": [der] });
        let now =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is after 1970").as_secs();
        let access = serde_json::json!([{ "type": "repository", "name": repository, "actions": actions }]);
        let claims = serde_json::json!({
            "iss": "tests", "sub": "somebody", "aud": "tests", "jti": "1", "access": access,
            "nbf": now - 60, "iat": now - 60, "exp": now + 600,
        });
        let signed = format!("{}.{}", base64url(head.to_string().as_bytes()), base64url(claims.to_string().as_bytes()));
        let signature = self.made("dgst -sha256 -sign ca.key", signed.as_bytes());
        format!("{signed}.{}", base64url(&signature))
    }
}

fn is_installed() -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder: PathBuf| Path::new(&folder).join("docker-registry").is_file())
}

fn base64url(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
