//! Values that last from call to call.

use serde::{Serialize, de::DeserializeOwned};

use crate::ToolError;
#[cfg(not(target_family = "wasm"))]
use crate::fake::{Host, Opened};
#[cfg(target_family = "wasm")]
use crate::host::{Host, Opened};

/// A bucket: values as JSON, under keys of at most 256 bytes. No other module sees them.
///
/// ```
/// use fumehood::prelude::*;
///
/// let ctx = Ctx::fake();
/// let bucket = ctx.bucket("scores").unwrap();
/// bucket.set("ada", &7).unwrap();
/// assert_eq!(bucket.get::<u32>("ada").unwrap(), Some(7));
/// ```
#[derive(Debug)]
pub struct Bucket<'a> {
    opened: Opened<'a>,
}

impl<'a> Bucket<'a> {
    pub(crate) fn open(host: &'a Host, name: &str) -> Result<Self, ToolError> {
        Ok(Self { opened: Opened::open(host, name)? })
    }

    /// The value under `key`.
    ///
    /// # Errors
    ///
    /// When the bucket cannot be read, or holds something else there.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, ToolError> {
        let value = self.opened.get(key)?.map(|bytes| serde_json::from_slice(&bytes)).transpose();
        value.map_err(|error| ToolError::failed(format!("the value under `{key}` is not as it was kept: {error}")))
    }

    /// Keep `value` under `key`, in place of what was there.
    ///
    /// # Errors
    ///
    /// When it does not fit any more.
    pub fn set(&self, key: &str, value: &impl Serialize) -> Result<(), ToolError> {
        self.opened.set(key, serde_json::to_vec(value)?)
    }

    /// Forget `key`.
    ///
    /// # Errors
    ///
    /// When the bucket cannot be written.
    pub fn delete(&self, key: &str) -> Result<(), ToolError> {
        self.opened.delete(key)
    }

    /// All keys, in order.
    ///
    /// # Errors
    ///
    /// When the bucket cannot be read.
    pub fn keys(&self) -> Result<Vec<String>, ToolError> {
        self.opened.keys()
    }

    /// Add to the number under `key`, which is zero if nothing is there. Returns the sum. Nothing comes between.
    ///
    /// # Errors
    ///
    /// When something else is there, or the sum has more than 64 bits.
    pub fn add(&self, key: &str, delta: i64) -> Result<i64, ToolError> {
        self.opened.add(key, delta)
    }
}
