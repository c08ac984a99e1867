//! What is sent to become a module: a component alone, or a form with a `tool.toml` beside it.

use axum::extract::Request;
use bytes::Bytes;
use fumehood_dispatch::Upload;
use fumehood_http::{Body, Problem};
use fumehood_model::{ByteSize, Code};
use http::{HeaderMap, header};
use multer::{Constraints, Multipart};
use utoipa::ToSchema;

/// Beyond the component: manifest and signature, which have bounds of their own, and the lines of the form.
const FORM: u64 = 192 << 10;

/// A form with a component, its `tool.toml` and its signature.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its description is used: the body is read as a stream")]
pub(crate) struct MultipartUpload {
    /// The component.
    #[schema(value_type = String, format = Binary)]
    component: Vec<u8>,
    /// The `tool.toml`.
    manifest: Option<String>,
    /// The signature of the component, as `cosign sign-blob` writes it: base64, or a bundle of Sigstore.
    signature: Option<String>,
}

/// How an upload is sent.
pub(crate) enum Kind {
    /// The bytes of a component.
    Component,
    /// A form, with the boundary between its parts.
    Form(String),
}

impl Kind {
    /// What the headers announce.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = given.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("multipart/form-data") {
            let boundary = multer::parse_boundary(given);
            return boundary.map(Self::Form).map_err(|_| malformed("the form does not name its boundary"));
        }
        // Clients that do not know the type send none, the one for "some bytes", or, like curl, the one for forms.
        let taken = ["", "application/wasm", "application/octet-stream", "application/x-www-form-urlencoded"];
        if taken.contains(&kind) {
            return Ok(Self::Component);
        }
        let message = format!("a component is sent as application/wasm, not as {}", given.escape_debug());
        Err(Problem::new(Code::UnsupportedMediaType, message))
    }

    /// The whole upload, whose component has at most `most` bytes.
    pub(crate) async fn read(self, request: Request, most: ByteSize) -> Result<Upload, Problem> {
        match self {
            Self::Component => {
                let Body(component) = Body::read(request, most).await?;
                Ok(Upload { component, manifest: None, signature: None })
            }
            Self::Form(boundary) => {
                let Body(form) = Body::read(request, ByteSize(most.0.saturating_add(FORM))).await?;
                parts(form, boundary).await
            }
        }
    }
}

async fn parts(form: Bytes, boundary: String) -> Result<Upload, Problem> {
    let whole = futures::stream::once(std::future::ready(Ok::<_, std::convert::Infallible>(form)));
    let constraints = Constraints::new().allowed_fields(vec!["component", "manifest", "signature"]);
    let mut form = Multipart::with_constraints(whole, boundary, constraints);
    let (mut component, mut manifest, mut signature) = (None, None, None);
    while let Some(field) = form.next_field().await.map_err(|error| unreadable(&error))? {
        let slot = match field.name() {
            Some("component") => &mut component,
            Some("signature") => &mut signature,
            _ => &mut manifest,
        };
        let bytes = field.bytes().await.map_err(|error| unreadable(&error))?;
        if slot.replace(bytes).is_some() {
            return Err(malformed(
                "the form has a part twice: it takes one `component`, one `manifest` and one `signature`",
            ));
        }
    }
    let component = component.ok_or_else(|| malformed("the form has no part `component`"))?;
    let (manifest, signature) = (text("manifest", manifest)?, text("signature", signature)?);
    Ok(Upload { component, manifest, signature })
}

fn text(part: &str, bytes: Option<Bytes>) -> Result<Option<String>, Problem> {
    let text = bytes.map(|bytes| String::from_utf8(bytes.into())).transpose();
    text.map_err(|_| malformed(&format!("the part `{part}` is not UTF-8 text")))
}

fn unreadable(error: &multer::Error) -> Problem {
    match error {
        multer::Error::UnknownField { .. } => {
            malformed("the form takes the parts `component`, `manifest` and `signature` only")
        }
        _ => malformed("the form cannot be read: its parts are not what its boundary says"),
    }
}

fn malformed(message: &str) -> Problem {
    Problem::new(Code::Malformed, message)
}
