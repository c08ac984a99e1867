use std::{collections::HashSet, ptr};

use http::HeaderMap;
use wasmtime::component::ResourceTable;
use wasmtime_wasi_http::{
    FieldMap,
    p2::types::{HostIncomingResponse, HostOutgoingRequest, HostOutgoingResponse},
};

use super::guest::CHUNK;

/// What each header takes in memory beside its name and value, with the unused room of the map.
const EACH: usize = 160;

/// What a guest makes us hold in headers, URLs and unsent pieces of bodies.
///
/// The handles are bounded in number, but a thousand of the largest sets of headers would be four times what one call
/// may make us hold. What is added is counted; whenever that comes to a part of what is allowed, all that is there is
/// weighed, so that what the guest has dropped need not be followed.
pub(crate) struct Fields {
    most: usize,
    added: usize,
}

/// A guest makes us hold more of `wasi:http` than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the headers and URLs that it holds are larger than allowed")]
pub struct TooMuchHeld;

impl Fields {
    pub(crate) fn up_to(most: usize) -> Self {
        Self { most, added: 0 }
    }

    /// Count `bytes` that were added to what is in `table`.
    pub(crate) fn add(&mut self, table: &mut ResourceTable, bytes: usize) -> Result<(), TooMuchHeld> {
        self.added = self.added.saturating_add(bytes);
        if self.added <= self.most / 4 {
            return Ok(());
        }
        self.added = 0;
        let fits = held(table) <= self.most - self.most / 4;
        fits.then_some(()).ok_or(TooMuchHeld)
    }
}

/// What a set of headers takes in memory, about.
pub(crate) fn weight(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + EACH).sum()
}

/// What everything of `wasi:http` in `table` takes in memory, about.
fn held(table: &mut ResourceTable) -> usize {
    // Handles share their headers until one of them changes its own.
    let mut seen = HashSet::new();
    let mut once = |fields: &FieldMap| {
        let map: &HeaderMap = fields;
        if seen.insert(ptr::from_ref(map)) { weight(map) } else { 0 }
    };
    let mut bytes = 0;
    for entry in table.iter_mut() {
        if let Some(fields) = entry.downcast_ref::<FieldMap>() {
            bytes += once(fields);
        } else if let Some(request) = entry.downcast_ref::<HostOutgoingRequest>() {
            let texts = [&request.authority, &request.path_with_query];
            bytes += texts.into_iter().flatten().map(String::len).sum::<usize>();
            bytes += once(&request.headers) + if request.body.is_some() { 2 * CHUNK } else { 0 };
        } else if let Some(response) = entry.downcast_ref::<HostIncomingResponse>() {
            bytes += once(&response.headers);
        } else if let Some(response) = entry.downcast_ref::<HostOutgoingResponse>() {
            bytes += once(&response.headers) + if response.body.is_some() { 2 * CHUNK } else { 0 };
        }
    }
    bytes
}
