//! What is sent to become a module: a component alone, or a form with a `tool.toml` beside it.

use axum::extract::Request;
use bytes::Bytes;
use fumehood_dispatch::Upload;
use fumehood_http::{Body, Problem};
use fumehood_model::{ByteSize, Code};
use http::{HeaderMap, header};
use multer::{Constraints, Multipart};
use utoipa::ToSchema;

/// Beyond the component: the manifest, which has a bound of its own, and the lines of the form.
const FORM: u64 = 128 << 10;

/// A form with a component and its `tool.toml`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its description is used: the body is read as a stream")]
pub(crate) struct MultipartUpload {
    /// The component.
    #[schema(value_type = String, format = Binary)]
    component: Vec<u8>,
    /// The `tool.toml`.
    manifest: Option<String>,
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
                Ok(Upload { component, manifest: None })
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
    let constraints = Constraints::new().allowed_fields(vec!["component", "manifest"]);
    let mut form = Multipart::with_constraints(whole, boundary, constraints);
    let (mut component, mut manifest) = (None, None);
    while let Some(field) = form.next_field().await.map_err(|error| unreadable(&error))? {
        let is_component = field.name() == Some("component");
        let bytes = field.bytes().await.map_err(|error| unreadable(&error))?;
        let slot = if is_component { &mut component } else { &mut manifest };
        if slot.replace(bytes).is_some() {
            return Err(malformed("the form has a part twice: it takes one `component` and one `manifest`"));
        }
    }
    let component = component.ok_or_else(|| malformed("the form has no part `component`"))?;
    let manifest = manifest.map(|bytes| String::from_utf8(bytes.into()));
    let manifest = manifest.transpose().map_err(|_| malformed("the part `manifest` is not UTF-8 text"))?;
    Ok(Upload { component, manifest })
}

fn unreadable(error: &multer::Error) -> Problem {
    match error {
        multer::Error::UnknownField { .. } => malformed("the form takes the parts `component` and `manifest` only"),
        _ => malformed("the form cannot be read: its parts are not what its boundary says"),
    }
}

fn malformed(message: &str) -> Problem {
    Problem::new(Code::Malformed, message)
}
