//! The tools of each address, a page after the other, written once for everybody who asks.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use bytes::Bytes;
use fumehood_dispatch::Catalogue;
use rmcp::model::{CacheScope, ListToolsResult};

use crate::{
    handler::{LIST_TTL, millis},
    page::{self, PAGE},
    shaped,
    view::Profile,
};

/// What the addresses list of the catalogue that was last asked for. Cloning is cheap.
#[derive(Clone, Default)]
pub(crate) struct Pages(Arc<Mutex<HashMap<String, Written>>>);

/// All pages of one address.
struct Written {
    /// Of which catalogue. It is not held: old versions of modules are let go when nobody uses them.
    catalogue: Weak<Catalogue>,
    pages: Arc<[Page]>,
}

struct Page {
    /// The name after which it begins.
    start: String,
    result: Bytes,
}

impl Pages {
    /// The page that begins after `start`, as JSON without `resultType`; none if no page begins there. `profile` is the one that
    /// the operator calls `name`, and what has none shows everything.
    pub(crate) fn get(&self, profile: &Profile, name: &str, catalogue: &Arc<Catalogue>, start: &str) -> Option<Bytes> {
        let pages = self.written(name, catalogue).unwrap_or_else(|| self.write(profile, name, catalogue));
        let at = pages.binary_search_by(|page| page.start.as_str().cmp(start)).ok()?;
        Some(pages[at].result.clone())
    }

    fn written(&self, name: &str, catalogue: &Arc<Catalogue>) -> Option<Arc<[Page]>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let written = all.get(name)?;
        std::ptr::eq(written.catalogue.as_ptr(), Arc::as_ptr(catalogue)).then(|| Arc::clone(&written.pages))
    }

    fn write(&self, profile: &Profile, name: &str, catalogue: &Arc<Catalogue>) -> Arc<[Page]> {
        let (mut pages, mut next) = (Vec::new(), Some(String::new()));
        while let Some(start) = next {
            let (mut listed, end) = profile.list_tools(catalogue, &start);
            listed.result_type = None;
            let result = serde_json::to_vec(&listed).expect("all keys are texts").into();
            pages.push(Page { start, result });
            next = end;
        }
        let pages: Arc<[Page]> = pages.into();
        let written = Written { catalogue: Arc::downgrade(catalogue), pages: Arc::clone(&pages) };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), written);
        pages
    }
}

impl Profile {
    /// The tools that are listed after `start`, and after which the next page begins.
    pub(crate) fn list_tools(&self, catalogue: &Catalogue, start: &str) -> (ListToolsResult, Option<String>) {
        let (mut tools, end) = if let Some(few) = self.list.tools(self, catalogue) {
            (few.into_iter().filter(|tool| *tool.name > *start).collect(), None)
        } else {
            let named = self.tools_after(catalogue, start);
            let end = named.get(PAGE).and(named.get(PAGE - 1)).map(|(name, _)| (*name).to_owned());
            let listed = named.into_iter().take(PAGE).map(|(name, tool)| {
                let listed = self.listed(name, tool);
                if self.shapes(tool) { shaped::listed(listed) } else { listed }
            });
            (listed.collect::<Vec<_>>(), end)
        };
        if self.may_shape() && end.is_none() {
            tools.push(shaped::search_tool());
        }
        let mut result = ListToolsResult::with_all_items(tools);
        result.next_cursor = end.as_deref().map(page::after);
        result.ttl_ms = Some(millis(LIST_TTL));
        // No cache between us and a client may give it to another one.
        result.cache_scope = Some(CacheScope::Private);
        (result, end)
    }
}
