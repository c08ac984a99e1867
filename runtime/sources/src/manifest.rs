//! The manifest of an artifact, as OCI's image specification 1.1 has it, as far as it is about one component.

use fumehood_model::{ByteSize, Digest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::SourceError;

/// The type of a manifest.
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The type of what describes a component beside it.
pub(crate) const CONFIG: &str = "application/vnd.wasm.config.v0+json";

/// The type of a component.
pub(crate) const COMPONENT: &str = "application/wasm";

/// The manifests that are asked for. Indexes too, so that what comes can be told.
pub(crate) const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";

/// The types under which a component is accepted: today's, and the one that came before it.
const COMPONENTS: [&str; 2] = [COMPONENT, "application/vnd.wasm.content.layer.v1+wasm"];

/// What wassette puts beside a component. It is not applied: what a module may do is granted here.
const POLICIES: [&str; 2] = ["application/vnd.wasm.policy.v1+yaml", "application/vnd.wassette.policy+yaml"];

/// The title of a file, in annotations.
const TITLE: &str = "org.opencontainers.image.title";

/// Something in a registry, by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: i64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u64,
    #[serde(default)]
    layers: Vec<Descriptor>,
    #[serde(default)]
    manifests: Option<Vec<Value>>,
}

/// The one component of a manifest: its digest and its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    /// Whether a policy of wassette's stands beside it.
    pub(crate) has_policy: bool,
}

impl Layer {
    /// The component that the manifest `bytes` of `what` names.
    ///
    /// # Errors
    ///
    /// When it names none, several, or something beside it that nobody here knows.
    pub(crate) fn of(what: &str, bytes: &[u8], allowed: ByteSize) -> Result<Self, SourceError> {
        let refused = |why: String| SourceError::NotUsable { what: what.to_owned(), why };
        let manifest: Manifest = serde_json::from_slice(bytes)
            .map_err(|error| refused(format!("its manifest is not one of OCI: {error}")))?;
        if manifest.manifests.is_some() {
            return Err(refused("it is an index of several artifacts: name one of them by its digest".to_owned()));
        }
        if manifest.schema_version != 2 {
            return Err(refused(format!("its manifest has version {}, and not 2", manifest.schema_version)));
        }
        let (policies, layers): (Vec<_>, Vec<_>) =
            manifest.layers.iter().partition(|layer| POLICIES.contains(&layer.media_type.as_str()));
        if let Some(other) = layers.iter().find(|layer| !COMPONENTS.contains(&layer.media_type.as_str())) {
            let kind: String = other.media_type.chars().take(100).collect();
            return Err(refused(format!(
                "it holds a layer of type `{}`, and a component has one of type {COMPONENT}",
                kind.escape_debug()
            )));
        }
        let [layer] = layers[..] else {
            return Err(refused(format!("it holds {} components, and not one", layers.len())));
        };
        let digest = layer.digest.parse().map_err(|error| refused(format!("the digest of its layer: {error}")))?;
        let size = u64::try_from(layer.size).map_err(|_| refused("the size of its layer is negative".to_owned()))?;
        if size > allowed.0 {
            return Err(SourceError::TooLarge { what: what.to_owned(), allowed });
        }
        Ok(Self { digest, size, has_policy: !policies.is_empty() })
    }
}

/// The manifest of a component, byte for byte as `wkg oci push` writes it: members in order of their names, no spaces.
pub(crate) fn written(config: &[u8], component: &[u8], title: &str) -> Vec<u8> {
    let descriptor = |kind: &str, bytes: &[u8]| {
        let digest = Digest::of(bytes).to_string();
        json!({ "digest": digest, "mediaType": kind, "size": bytes.len() })
    };
    let mut layer = Map::new();
    layer.insert("annotations".to_owned(), json!({ TITLE: title }));
    if let Value::Object(rest) = descriptor(COMPONENT, component) {
        layer.extend(rest);
    }
    let manifest = json!({
        "config": descriptor(CONFIG, config), "layers": [layer], "mediaType": MANIFEST, "schemaVersion": 2,
    });
    manifest.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWED: ByteSize = ByteSize::kib(1);

    fn of(layers: &Value) -> Result<Layer, String> {
        let manifest = json!({ "schemaVersion": 2, "layers": layers });
        Layer::of("x", manifest.to_string().as_bytes(), ALLOWED).map_err(|error| error.to_string())
    }

    fn layer(kind: &str) -> Value {
        json!({ "mediaType": kind, "digest": Digest::of(b"abc").to_string(), "size": 3 })
    }

    #[test]
    fn one_component_is_taken_and_a_policy_of_wassettes_is_left() {
        for kind in COMPONENTS {
            assert_eq!(of(&json!([layer(kind)])).unwrap().digest, Digest::of(b"abc"));
        }
        let both = of(&json!([layer(COMPONENT), layer(POLICIES[0])])).unwrap();
        assert!(both.has_policy);
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        let gzip = "application/vnd.oci.image.layer.v1.tar+gzip";
        assert!(of(&json!([layer(gzip)])).unwrap_err().contains(gzip));
        assert!(of(&json!([])).unwrap_err().contains("0 components"));
        assert!(of(&json!([layer(COMPONENT), layer(COMPONENT)])).unwrap_err().contains("2 components"));
        let sized =
            |size: i64| json!([{ "mediaType": COMPONENT, "digest": Digest::of(b"").to_string(), "size": size }]);
        assert!(of(&sized(-1)).is_err() && of(&sized(1025)).unwrap_err().contains("1 KiB"));
        assert!(of(&json!([{ "mediaType": COMPONENT, "digest": "sha512:00", "size": 1 }])).is_err());
        for text in ["", "[]", r#"{"schemaVersion": 1}"#, r#"{"schemaVersion": 2, "manifests": []}"#] {
            assert!(Layer::of("x", text.as_bytes(), ALLOWED).is_err(), "{text}");
        }
    }

    #[test]
    fn a_manifest_is_written_as_wkg_writes_it() {
        let expected = concat!(
            r#"{"config":{"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","#,
            r#""mediaType":"application/vnd.wasm.config.v0+json","size":2},"#,
            r#""layers":[{"annotations":{"org.opencontainers.image.title":"abc.wasm"},"#,
            r#""digest":"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","#,
            r#""mediaType":"application/wasm","size":3}],"#,
            r#""mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}"#,
        );

        assert_eq!(String::from_utf8(written(b"{}", b"abc", "abc.wasm")).unwrap(), expected);
    }
}
