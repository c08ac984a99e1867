use std::{fmt, path::PathBuf, str::FromStr};

use fumehood_model::Digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ureq::http::Uri;

use crate::{Reference, SourceError};

/// Longest address.
const URL_MAX: usize = 8 << 10;

/// What begins the name of an artifact of a registry.
const REGISTRY: &str = "oci://";

/// Where a component comes from: a file, `https://…`, or `oci://…`.
///
/// An address may end with `#sha256:…`, the digest that the component must have. It is not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file of this machine.
    File(PathBuf),
    /// A web server.
    Web {
        /// The address, without the digest.
        url: String,
        /// The digest that the component must have.
        digest: Option<Digest>,
    },
    /// A registry.
    Registry(Reference),
}

impl Source {
    /// Whether it names one component for ever, by its digest.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        match self {
            Self::File(_) => false,
            Self::Web { digest, .. } => digest.is_some(),
            Self::Registry(reference) => reference.digest.is_some(),
        }
    }

    /// What a component from here is probably called: the last part of the path, without an ending.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            Self::Web { url, .. } => {
                let path = url.split(['?', '#']).next().unwrap_or_default();
                let last = path.rsplit('/').next().unwrap_or_default();
                last.strip_suffix(".wasm").unwrap_or(last).to_owned()
            }
            Self::Registry(reference) => reference.repository.rsplit('/').next().unwrap_or_default().to_owned(),
        }
    }
}

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = |why| SourceError::NotASource { text: text.chars().take(300).collect(), why };
        if let Some(reference) = text.strip_prefix(REGISTRY) {
            return reference.parse().map(Self::Registry);
        }
        if text.starts_with("https://") || text.starts_with("http://") {
            let (url, digest) = match text.split_once('#') {
                Some((url, digest)) if digest.starts_with("sha256:") => {
                    (url, Some(digest.parse().map_err(|_| refused("its digest is not sha256: and 64 digits"))?))
                }
                Some(_) => return Err(refused("behind the # stands no digest, which begins with sha256:")),
                None => (text, None),
            };
            let uri: Uri = url.parse().map_err(|_| refused("it is no address"))?;
            if url.len() > URL_MAX {
                return Err(refused("it is longer than 8 KiB"));
            }
            if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
                return Err(refused("an address has a host, and no name and password"));
            }
            return Ok(Self::Web { url: url.to_owned(), digest });
        }
        match text.split_once("://") {
            Some(("file", path)) if path.starts_with('/') => Ok(Self::File(path.into())),
            Some(("file", _)) => Err(refused("a path behind file:// begins with /")),
            Some(_) => Err(refused("it is none of a path, https:// and oci://")),
            None if text.is_empty() => Err(refused("it is empty")),
            None => Ok(Self::File(text.into())),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Web { url, digest: None } => f.write_str(url),
            Self::Web { url, digest: Some(digest) } => write!(f, "{url}#{digest}"),
            Self::Registry(reference) => write!(f, "{REGISTRY}{reference}"),
        }
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn sources_are_told_apart_by_what_they_begin_with() {
        let kind = |text: &str| match text.parse().unwrap() {
            Source::File(_) => "file",
            Source::Web { .. } => "web",
            Source::Registry(_) => "registry",
        };

        assert_eq!(["./a.wasm", "a b.wasm", "file:///a.wasm"].map(kind), ["file"; 3]);
        assert_eq!(["https://x.y/z.wasm", "http://localhost:1/z"].map(kind), ["web"; 2]);
        assert_eq!(kind("oci://ghcr.io/a/b"), "registry");
    }

    #[test]
    fn what_is_written_reads_back() {
        for text in ["a.wasm".to_owned(), format!("https://x.y/z?q#{DIGEST}"), "oci://ghcr.io/a/b:1".to_owned()] {
            assert_eq!(text.parse::<Source>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn passwords_fragments_and_other_schemes_are_refused() {
        for text in
            ["", "ftp://x/y", "https://a:b@x/y", "https://x/y#part", "https://", "file://x", "oci://x", "s3://a/b"]
        {
            assert!(text.parse::<Source>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_component_is_named_after_the_end_of_its_source() {
        let name = |text: &str| text.parse::<Source>().unwrap().name();

        assert_eq!(name("dir/Text_Stats.wasm"), "Text_Stats");
        assert_eq!(name("https://x.y/a/weather.wasm?v=1"), "weather");
        assert_eq!(name("oci://ghcr.io/acme/weather:1.2"), "weather");
    }
}
