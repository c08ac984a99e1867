use fumehood_model::{Digest, Timestamp};
use serde::Serialize;

use crate::{Reference, SourceError, Sources, manifest, registry::Registry};

/// A component that is about to be published, and what is said of it beside it.
#[derive(Debug, Clone)]
pub struct Publication {
    /// Its bytes, which are published as they are.
    pub component: Vec<u8>,
    /// The name that tools give the file when they write it.
    pub title: String,
    /// What it exports, by name.
    pub exports: Vec<String>,
    /// What it imports, by name.
    pub imports: Vec<String>,
    /// When it is published.
    pub created: Timestamp,
}

/// A component that was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its reference, pinned.
    pub reference: Reference,
    /// The digest of its manifest.
    pub manifest: Digest,
    /// The digest of the component.
    pub digest: Digest,
}

/// What stands beside a component: the configuration that `wkg` writes, member for member.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Described<'a> {
    created: Timestamp,
    author: Option<&'a str>,
    architecture: &'static str,
    os: &'static str,
    layer_digests: [Digest; 1],
    component: Interfaces<'a>,
}

#[derive(Serialize)]
struct Interfaces<'a> {
    exports: &'a [String],
    imports: &'a [String],
    target: Option<&'a str>,
}

impl Sources {
    /// Publish a component under the tag of `reference`. Blocking.
    ///
    /// # Errors
    ///
    /// When the reference has a digest, or the registry does not take it.
    pub fn publish(&self, reference: &Reference, publication: &Publication) -> Result<Published, SourceError> {
        if reference.digest.is_some() {
            let why = "what is published gets its digest, and is named by a tag";
            return Err(SourceError::NotASource { text: reference.to_string(), why });
        }
        let Publication { component, title, exports, imports, created } = publication;
        let digest = Digest::of(component);
        let described = Described {
            created: *created,
            author: None,
            architecture: "wasm",
            os: "wasip2",
            layer_digests: [digest],
            component: Interfaces { exports, imports, target: None },
        };
        let config = serde_json::to_vec(&described).expect("texts and lists are JSON");
        let mut registry = Registry::to_write(&self.web, reference)?;
        registry.put_blob(component)?;
        registry.put_blob(&config)?;
        let manifest = registry.put_manifest(&manifest::written(&config, component, title))?;
        Ok(Published { reference: reference.pinned(manifest), manifest, digest })
    }
}
