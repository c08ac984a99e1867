//! Pieces of content, and the smallest image and sound there are.

use crate::fumehood::tool::types::{
    Content, EmbeddedResource, MediaContent, ResourceBody, ResourceContents, TextContent,
};

/// One red pixel.
pub(crate) const PNG: &[u8] = include_bytes!("pixel.png");

/// Eight samples of silence at 8 kHz, 8 bits, one channel.
pub(crate) const WAV: &[u8] = include_bytes!("silence.wav");

pub(crate) fn text(text: &str) -> Content {
    Content::Text(TextContent { text: text.to_owned(), annotations: None })
}

pub(crate) fn image() -> Content {
    Content::Image(MediaContent { data: PNG.to_vec(), mime_type: "image/png".to_owned(), annotations: None })
}

pub(crate) fn audio() -> Content {
    Content::Audio(MediaContent { data: WAV.to_vec(), mime_type: "audio/wav".to_owned(), annotations: None })
}

/// A resource inside of an answer or a prompt.
pub(crate) fn embedded(uri: &str, mime_type: &str, text: &str) -> Content {
    let contents = contents(uri, mime_type, ResourceBody::Text(text.to_owned()));
    Content::Resource(EmbeddedResource { contents, annotations: None })
}

pub(crate) fn contents(uri: &str, mime_type: &str, body: ResourceBody) -> ResourceContents {
    ResourceContents { uri: uri.to_owned(), mime_type: Some(mime_type.to_owned()), body, meta: None }
}
