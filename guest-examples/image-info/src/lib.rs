//! What the header of an image says: bytes in, a record out.
//!
//! Headers come from strangers, so nothing here indexes: every read says what happens when the bytes are not there.

mod bytes;
mod formats;

wit_bindgen::generate!({ path: "wit", world: "image-info" });

use exports::example::image_info::images::{Guest, ImageError, ImageInfo};

struct Inspector;

impl Guest for Inspector {
    fn inspect(image: Vec<u8>) -> Result<ImageInfo, ImageError> {
        formats::inspect(&image)
    }
}

export!(Inspector);
