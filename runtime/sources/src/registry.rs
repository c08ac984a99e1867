//! Talking to a registry, as OCI's distribution specification 1.1 has it, with the tokens that Docker's came with.

use base64::{Engine, prelude::BASE64_STANDARD};
use fumehood_model::{ByteSize, Digest};
use serde::Deserialize;
use ureq::http::{HeaderValue, Method, Uri, header};

use crate::{
    Reference, SourceError,
    challenge::Challenge,
    credentials::{Credential, Credentials},
    manifest::{ACCEPTED, COMPONENT, Layer, MANIFEST},
    web::{Answer, Ask, Web, host_of, resolved, speaks_no_tls},
};

/// Largest manifest. One of a component has less than a thousand bytes.
const MAX_MANIFEST: ByteSize = ByteSize::mib(1);

/// Largest answer with a token.
const MAX_TOKEN: ByteSize = ByteSize::kib(64);

/// What the registry says is the digest of what it answers with.
const CONTENT_DIGEST: &str = "docker-content-digest";

/// One repository of a registry, and what it lets us do.
pub(crate) struct Registry<'a> {
    web: &'a Web,
    reference: &'a Reference,
    scheme: &'static str,
    actions: &'static str,
    authorization: Option<HeaderValue>,
    /// Looked for when the registry asks for them.
    credentials: Option<Credentials>,
}

/// What gives out tokens answers.
#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
}

impl<'a> Registry<'a> {
    /// The repository of `reference`, for reading.
    pub(crate) fn to_read(web: &'a Web, reference: &'a Reference) -> Result<Self, SourceError> {
        Self::open(web, reference, "pull")
    }

    /// The repository of `reference`, for writing.
    pub(crate) fn to_write(web: &'a Web, reference: &'a Reference) -> Result<Self, SourceError> {
        Self::open(web, reference, "pull,push")
    }

    fn open(web: &'a Web, reference: &'a Reference, actions: &'static str) -> Result<Self, SourceError> {
        let host = reference.endpoint();
        let mut registry = Self { web, reference, scheme: "https", actions, authorization: None, credentials: None };
        if web.is_plain(host) {
            registry.scheme = "http";
        } else if web.allows_plain(host) {
            // On this machine many have no certificate: whether this one has is seen before anything is sent.
            match web.send(&Ask::new(Method::GET, registry.url("/v2/")?)) {
                Err(error) if speaks_no_tls(&error) => registry.scheme = "http",
                answered => drop(answered?),
            }
        }
        Ok(registry)
    }

    /// The manifest, and its digest.
    ///
    /// # Errors
    ///
    /// When it is not there, not for us, or not the one that was asked for.
    pub(crate) fn manifest(&mut self) -> Result<(Digest, Vec<u8>), SourceError> {
        let what = self.what();
        let url = self.in_repository(&format!("manifests/{}", self.reference.by()))?;
        let answer = self.send(Ask::new(Method::GET, url).accept(ACCEPTED))?;
        let answer = self.good(answer, &[200], &what)?;
        let said = answer.headers.get(CONTENT_DIGEST).and_then(|said| said.to_str().ok()?.parse::<Digest>().ok());
        let bytes = answer.read(&format!("the manifest of {what}"), MAX_MANIFEST)?;
        let actual = Digest::of(&bytes);
        match self.reference.digest.or(said) {
            Some(expected) if expected != actual => Err(SourceError::DigestMismatch { what, expected, actual }),
            _ => Ok((actual, bytes)),
        }
    }

    /// The bytes of a component.
    ///
    /// # Errors
    ///
    /// When it is not there, or its bytes are not those that the manifest names.
    pub(crate) fn component(&mut self, layer: &Layer) -> Result<Vec<u8>, SourceError> {
        let what = format!("the component of {}", self.what());
        let url = self.in_repository(&format!("blobs/{}", layer.digest))?;
        let answer = self.send(Ask::new(Method::GET, url))?;
        let answer = self.good(answer, &[200], &what)?;
        let bytes = answer.read(&what, ByteSize(layer.size))?;
        let actual = Digest::of(&bytes);
        if actual == layer.digest {
            Ok(bytes)
        } else {
            Err(SourceError::DigestMismatch { what, expected: layer.digest, actual })
        }
    }

    /// Put `bytes` there, unless they are there already.
    pub(crate) fn put_blob(&mut self, bytes: &[u8]) -> Result<(), SourceError> {
        let (what, digest) = (self.what(), Digest::of(bytes));
        let url = self.in_repository(&format!("blobs/{digest}"))?;
        if self.send(Ask::new(Method::HEAD, url))?.status == 200 {
            return Ok(());
        }
        let start = self.in_repository("blobs/uploads/")?;
        let answer = self.send(Ask::new(Method::POST, start.clone()).body(COMPONENT, &[]))?;
        let answer = self.good(answer, &[202], &what)?;
        let place = answer.headers.get(header::LOCATION).and_then(|place| resolved(&start, place.to_str().ok()?));
        let Some(place) = place else {
            let why = "the registry takes an upload, and does not say where".to_owned();
            return Err(SourceError::NotUsable { what, why });
        };
        if place.scheme() != start.scheme() && self.scheme == "https" {
            return Err(SourceError::Plain { host: host_of(&place) });
        }
        let join = if place.query().is_some() { '&' } else { '?' };
        let place = self.parsed(&format!("{place}{join}digest={digest}"))?;
        let answer = self.send(Ask::new(Method::PUT, place).body("application/octet-stream", bytes))?;
        self.good(answer, &[201], &what).map(drop)
    }

    /// Put the manifest there, under the tag of the reference; its digest.
    pub(crate) fn put_manifest(&mut self, bytes: &[u8]) -> Result<Digest, SourceError> {
        let what = self.what();
        let url = self.in_repository(&format!("manifests/{}", self.reference.by()))?;
        let answer = self.send(Ask::new(Method::PUT, url).body(MANIFEST, bytes))?;
        self.good(answer, &[201], &what)?;
        Ok(Digest::of(bytes))
    }

    /// Ask, and once more with what the registry wants to see.
    fn send(&mut self, ask: Ask<'_>) -> Result<Answer, SourceError> {
        // Whoever else takes an upload gets no credentials of the registry's.
        let is_ours = host_of(&ask.url).eq_ignore_ascii_case(self.reference.endpoint());
        let authorization = || self.authorization.clone().filter(|_| is_ours);
        let answer = self.web.send(&ask.clone().authorization(authorization()))?;
        // Nor does whoever the registry sends us to.
        let is_theirs = !answer.host.eq_ignore_ascii_case(self.reference.endpoint());
        if answer.status != 401 || !is_ours || is_theirs {
            return Ok(answer);
        }
        let headers = answer.headers.get_all(header::WWW_AUTHENTICATE).iter();
        let Some(challenge) = headers.filter_map(|header| Challenge::parse(header.to_str().ok()?)).next() else {
            return Ok(answer);
        };
        match self.meet(&challenge)? {
            Some(authorization) => self.authorization = Some(authorization),
            None => return Ok(answer),
        }
        self.web.send(&ask.authorization(self.authorization.clone()))
    }

    /// What the registry wants to see, if we have it.
    fn meet(&mut self, challenge: &Challenge) -> Result<Option<HeaderValue>, SourceError> {
        if self.credentials.is_none() {
            self.credentials = Some(Credentials::find(&self.reference.registry)?);
        }
        let credential = self.credentials.as_ref().and_then(|credentials| credentials.found.clone());
        match (challenge, credential) {
            (Challenge::Basic, Some(Credential::Basic { name, password })) => Ok(basic(&name, &password)),
            (Challenge::Basic, _) => Ok(None),
            (Challenge::Bearer { realm, service }, credential) => {
                self.token(realm, service.as_deref(), credential.as_ref()).map(Some)
            }
        }
    }

    fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        credential: Option<&Credential>,
    ) -> Result<HeaderValue, SourceError> {
        let scope = format!("repository:{}:{}", self.reference.repository, self.actions);
        let mut pairs = vec![("scope", scope.as_str())];
        pairs.extend(service.map(|service| ("service", service)));
        let form;
        let ask = match credential {
            Some(Credential::Identity(token)) => {
                pairs.extend([("grant_type", "refresh_token"), ("client_id", "fumehood"), ("refresh_token", token)]);
                form = encoded(&pairs);
                let url = self.parsed(realm)?;
                Ask::new(Method::POST, url).body("application/x-www-form-urlencoded", form.as_bytes())
            }
            other => {
                let join = if realm.contains('?') { '&' } else { '?' };
                let url = self.parsed(&format!("{realm}{join}{}", encoded(&pairs)))?;
                let authorization = match other {
                    Some(Credential::Basic { name, password }) => basic(name, password),
                    _ => None,
                };
                Ask::new(Method::GET, url).authorization(authorization)
            }
        };
        if self.scheme == "https" && ask.url.scheme_str() != Some("https") {
            return Err(SourceError::Plain { host: host_of(&ask.url) });
        }
        let answer = self.web.send(&ask)?;
        let what = self.what();
        let answer = self.good(answer, &[200], &what)?;
        let host = answer.host.clone();
        let bytes = answer.read(&format!("the token of {host}"), MAX_TOKEN)?;
        let token: Option<Token> = serde_json::from_slice(&bytes).ok();
        let token = token.and_then(|token| token.token.or(token.access_token));
        let header = token.and_then(|token| HeaderValue::from_str(&format!("Bearer {token}")).ok());
        header.ok_or_else(|| SourceError::NotUsable { what, why: format!("{host} gives out no token") })
    }

    /// The answer, if it has one of these statuses.
    fn good(&self, answer: Answer, statuses: &[u16], what: &str) -> Result<Answer, SourceError> {
        match answer.status {
            status if statuses.contains(&status) => Ok(answer),
            status @ (401 | 403 | 404) => {
                let tried = match &self.credentials {
                    Some(credentials) => credentials.to_string(),
                    None => "without credentials, as the registry asked for none".to_owned(),
                };
                Err(SourceError::NotForUs { what: what.to_owned(), tried, status })
            }
            _ => Err(answer.refused(what)),
        }
    }

    fn what(&self) -> String {
        self.reference.to_string()
    }

    fn in_repository(&self, rest: &str) -> Result<Uri, SourceError> {
        self.url(&format!("/v2/{}/{rest}", self.reference.repository))
    }

    fn url(&self, path: &str) -> Result<Uri, SourceError> {
        self.parsed(&format!("{}://{}{path}", self.scheme, self.reference.endpoint()))
    }

    fn parsed(&self, url: &str) -> Result<Uri, SourceError> {
        url.parse().map_err(|_| SourceError::NotUsable {
            what: self.what(),
            why: format!("the registry names `{}`, which is no address", url.escape_debug()),
        })
    }
}

fn basic(name: &str, password: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}")))).ok()
}

/// Pairs as a query or a form.
fn encoded(pairs: &[(&str, &str)]) -> String {
    let one = |text: &str| {
        text.bytes().fold(String::new(), |mut encoded, byte| {
            // RFC 3986 §2.3: the unreserved characters.
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                encoded.push(char::from(byte));
            } else {
                encoded.push_str(&format!("%{byte:02X}"));
            }
            encoded
        })
    };
    pairs.iter().map(|(name, value)| format!("{}={}", one(name), one(value))).collect::<Vec<_>>().join("&")
}
