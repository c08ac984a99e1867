use std::{fmt, str::FromStr};

use fumehood_model::Digest;

use crate::SourceError;

/// Longest name of a repository, and longest tag: what the distribution specification of OCI allows.
const REPOSITORY_MAX: usize = 255;
const TAG_MAX: usize = 128;

/// The tag of a reference that names neither tag nor digest.
const LATEST: &str = "latest";

/// Where Docker's own registry answers, which is not where it says it is.
const DOCKER: &str = "docker.io";
const DOCKER_ENDPOINT: &str = "registry-1.docker.io";

/// An artifact of a registry: `ghcr.io/acme/weather:1.2`, `ghcr.io/acme/weather@sha256:…`, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The host, and its port if it has one.
    pub registry: String,
    /// The repository in it.
    pub repository: String,
    /// The tag. It is not asked for where a digest is known.
    pub tag: Option<String>,
    /// The digest of the manifest.
    pub digest: Option<Digest>,
}

impl Reference {
    /// This reference with the manifest of this digest, whatever its tag names tomorrow.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }

    /// The host that is asked.
    pub(crate) fn endpoint(&self) -> &str {
        if self.registry == DOCKER { DOCKER_ENDPOINT } else { &self.registry }
    }

    /// What the manifest is asked for by: its digest, or else its tag.
    pub(crate) fn by(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => LATEST.to_owned(),
        }
    }
}

impl FromStr for Reference {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = |why| SourceError::NotASource { text: text.chars().take(300).collect(), why };
        let (named, digest) = match text.split_once('@') {
            Some((named, digest)) if digest.starts_with("sha256:") => {
                (named, Some(digest.parse().map_err(|_| refused("its digest is not sha256: and 64 digits"))?))
            }
            Some(_) => return Err(refused("behind the @ stands no digest, which begins with sha256:")),
            None => (text, None),
        };
        let (registry, path) = named.split_once('/').ok_or_else(|| refused("it names a registry and no repository"))?;
        let (path, tag) = match path.split_once(':') {
            Some((path, tag)) => (path, Some(tag.to_owned())),
            None => (path, None),
        };
        if !is_host(registry) {
            return Err(refused("it does not begin with the host of a registry, such as ghcr.io/"));
        }
        if path.len() > REPOSITORY_MAX || !path.split('/').all(is_part) {
            return Err(refused("the name of a repository holds a-z, 0-9, and `.`, `_`, `-` between them"));
        }
        if tag.as_deref().is_some_and(|tag| !is_tag(tag)) {
            return Err(refused("a tag has at most 128 letters, digits, `.`, `_` and `-`"));
        }
        let is_official = registry == DOCKER && !path.contains('/');
        let repository = if is_official { format!("library/{path}") } else { path.to_owned() };
        Ok(Self { registry: registry.to_owned(), repository, tag, digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

/// A name with a dot, `localhost`, or either with a port; an address of IPv6 stands in brackets.
pub(crate) fn is_host(text: &str) -> bool {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !text.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    let is_name = |name: &str| {
        (name == "localhost" || name.contains('.') || port.is_some())
            && !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
    };
    let is_literal = |name: &str| {
        let inside = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        inside.is_some_and(|inside| inside.parse::<std::net::Ipv6Addr>().is_ok())
    };
    port.is_none_or(|port| port.parse::<u16>().is_ok()) && (is_name(name) || is_literal(name))
}

/// A part of the name of a repository.
fn is_part(part: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let (Some(first), Some(last)) = (part.bytes().next(), part.bytes().last()) else { return false };
    is_inner(first) && is_inner(last) && part.bytes().all(|byte| is_inner(byte) || b"._-".contains(&byte))
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= TAG_MAX
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || b".-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn references_are_read_and_written_back() {
        for text in [
            "ghcr.io/acme/weather:1.2",
            "localhost/x",
            "127.0.0.1:5000/a/b_c/d-e:Latest.1_2-3",
            "[::1]:5000/x",
            &format!("ghcr.io/acme/weather@{DIGEST}"),
            &format!("ghcr.io/acme/weather:1@{DIGEST}"),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_could_name_another_place_is_refused() {
        for text in [
            "",
            "weather",
            "weather:1",
            "acme/weather",
            "ghcr.io/",
            "ghcr.io/Acme/x",
            "ghcr.io/../x",
            "ghcr.io/a//b",
            "ghcr.io/x:",
            "ghcr.io/x:a/b",
            "ghcr.io/x:-a",
            "ghcr.io/x@sha256:00",
            "ghcr.io/x@md5:00",
            "user@ghcr.io/x",
            "ghcr.io:port/x",
            "ghcr.io?x/y",
            "ghcr.io/x?y",
            "ghcr.io/x y",
            "a/b\r\nc:1/x",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_digest_is_asked_for_before_a_tag_and_a_tag_before_the_latest() {
        let by = |text: &str| text.parse::<Reference>().unwrap().by();

        assert_eq!(by(&format!("ghcr.io/x:1@{DIGEST}")), DIGEST);
        assert_eq!((by("ghcr.io/x:1"), by("ghcr.io/x")), ("1".to_owned(), "latest".to_owned()));
    }

    #[test]
    fn dockers_own_registry_answers_elsewhere() {
        let reference: Reference = "docker.io/weather".parse().unwrap();

        assert_eq!((reference.endpoint(), &*reference.repository), ("registry-1.docker.io", "library/weather"));
    }
}
