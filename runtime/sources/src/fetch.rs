use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use fumehood_model::{ByteSize, Digest};
use ureq::http::Method;

use crate::{
    Config, Kept, Reference, Source, SourceError,
    manifest::Layer,
    registry::Registry,
    web::{Ask, Web},
};

/// What every component begins with.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// What is said of what does not.
const NO_COMPONENT: &str = "it does not begin as a WebAssembly component does";

/// Fetches components, and publishes them.
pub struct Sources {
    pub(crate) web: Web,
    max_size: ByteSize,
}

/// A component that was fetched.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Its bytes.
    pub component: Vec<u8>,
    /// Their digest.
    pub digest: Digest,
    /// The artifact that it came in, if it came from a registry.
    pub artifact: Option<Artifact>,
}

/// An artifact of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its reference, pinned: what is signed, and what is referred to, is the manifest of this digest.
    pub reference: Reference,
    /// The digest of its manifest.
    pub manifest: Digest,
    /// Whether wassette's policy stands beside the component. It is not applied.
    pub has_policy: bool,
}

impl Sources {
    /// What fetches components of at most `max_size`.
    ///
    /// # Errors
    ///
    /// When a file of certificates in `config` cannot be used.
    pub fn new(config: &Config, max_size: ByteSize) -> Result<Self, SourceError> {
        Ok(Self { web: Web::new(config)?, max_size })
    }

    /// The component of `source`. Blocking.
    ///
    /// # Errors
    ///
    /// When it cannot be had, is too large, or is not the one whose digest was named.
    pub fn fetch(&self, source: &Source) -> Result<Fetched, SourceError> {
        let fetched = self.bytes(source)?;
        if matches!(source, Source::File(_)) || fetched.component.starts_with(COMPONENT) {
            return Ok(fetched);
        }
        // A page that says what went wrong, with a status that says nothing did.
        let why = NO_COMPONENT.to_owned();
        Err(SourceError::NotUsable { what: source.to_string(), why })
    }

    fn bytes(&self, source: &Source) -> Result<Fetched, SourceError> {
        match source {
            Source::File(path) => Ok(Fetched::of(self.read(path)?)),
            Source::Web { url, digest } => {
                let fetched = Fetched::of(self.download(url)?);
                match digest {
                    Some(expected) if *expected != fetched.digest => Err(SourceError::DigestMismatch {
                        what: url.clone(),
                        expected: *expected,
                        actual: fetched.digest,
                    }),
                    _ => Ok(fetched),
                }
            }
            Source::Registry(reference) => {
                let mut registry = Registry::to_read(&self.web, reference)?;
                let (artifact, layer) = self.artifact(&mut registry, reference)?;
                self.pulled(&mut registry, artifact, &layer)
            }
        }
    }

    /// The component of `source`, unless it is the one that is `kept`. Blocking.
    ///
    /// # Errors
    ///
    /// As [`Sources::fetch`].
    pub fn fetch_anew(&self, source: &Source, kept: &Kept) -> Result<Option<Fetched>, SourceError> {
        // A tag costs one small answer; only what it names now may cost more.
        if let Source::Registry(reference) = source {
            let mut registry = Registry::to_read(&self.web, reference)?;
            let (artifact, layer) = self.artifact(&mut registry, reference)?;
            if kept.manifest == Some(artifact.manifest) && kept.digest == layer.digest {
                return Ok(None);
            }
            return self.pulled(&mut registry, artifact, &layer).map(Some);
        }
        Ok(Some(self.fetch(source)?).filter(|fetched| fetched.digest != kept.digest))
    }

    fn artifact(&self, registry: &mut Registry<'_>, reference: &Reference) -> Result<(Artifact, Layer), SourceError> {
        let (manifest, bytes) = registry.manifest()?;
        let layer = Layer::of(&reference.to_string(), &bytes, self.max_size)?;
        let reference = reference.pinned(manifest);
        Ok((Artifact { reference, manifest, has_policy: layer.has_policy }, layer))
    }

    fn pulled(&self, registry: &mut Registry<'_>, artifact: Artifact, layer: &Layer) -> Result<Fetched, SourceError> {
        let component = registry.component(layer)?;
        if !component.starts_with(COMPONENT) {
            let (what, why) = (artifact.reference.to_string(), NO_COMPONENT.to_owned());
            return Err(SourceError::NotUsable { what, why });
        }
        Ok(Fetched { component, digest: layer.digest, artifact: Some(artifact) })
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, SourceError> {
        let unreadable = |source| SourceError::File { path: path.to_owned(), doing: "read", source };
        // A pipe would be waited for, for ever.
        if !fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(unreadable(io::Error::other("it is not a file")));
        }
        let mut bytes = Vec::new();
        let file = fs::File::open(path).map_err(unreadable)?;
        file.take(self.max_size.0 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > self.max_size.0 {
            return Err(SourceError::TooLarge { what: path.display().to_string(), allowed: self.max_size });
        }
        Ok(bytes)
    }

    fn download(&self, url: &str) -> Result<Vec<u8>, SourceError> {
        let uri = url.parse().map_err(|_| SourceError::NotASource { text: url.to_owned(), why: "it is no address" })?;
        let answer = self.web.send(&Ask::new(Method::GET, uri))?;
        match answer.status {
            200 => answer.read(url, self.max_size),
            _ => Err(answer.refused(url)),
        }
    }
}

impl Fetched {
    fn of(component: Vec<u8>) -> Self {
        let digest = Digest::of(&component);
        Self { component, digest, artifact: None }
    }
}
