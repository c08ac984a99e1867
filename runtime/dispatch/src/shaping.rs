//! Answers that are filtered, projected and cut as their callers want it; the whole is kept if anything is missing.

use bytes::Bytes;
use fumehood_model::Principal;
use fumehood_registry::Tool;
use fumehood_shape::{Kept, Kind, Mistakes, Rules, Search, Shaped, Shaping};
use serde_json::{Map, Value};

use crate::Dispatcher;

/// What a caller wants of an answer.
#[derive(Debug)]
pub struct Shape {
    shaping: Shaping,
    rules: Rules,
}

impl Shape {
    /// What is wanted, taken out of the arguments before `tool` sees them.
    ///
    /// # Errors
    ///
    /// With everything that cannot be wanted.
    pub fn take(tool: &Tool, arguments: &mut Map<String, Value>) -> Result<Self, Mistakes> {
        let rules = Rules::of(Kind::of_name(&tool.function));
        let properties = tool.input_schema.get("properties");
        let declares = |name: &str| properties.is_some_and(|properties| properties.get(name).is_some());
        Ok(Self { shaping: Shaping::take(arguments, &rules, declares)?, rules })
    }
}

impl Dispatcher {
    /// `answer` as its caller wants it.
    pub async fn shape(&self, principal: &Principal, answer: Value, wanted: Shape) -> Shaped {
        let Shape { shaping, mut rules } = wanted;
        let whole = Bytes::from(answer.to_string());
        // Keeping only fails where nothing can be kept; then nothing is summed up that could not be asked about.
        let can_keep = self.can_keep_results();
        rules.summaries &= can_keep;
        let cut = shaping.apply(answer, &rules);
        let kept = if cut.wants_keeping() && can_keep { self.keep_result(principal, whole).await.ok() } else { None };
        let kept = kept.map(|kept| kept_as(kept.id));
        cut.finish(kept.as_ref())
    }

    /// What `arguments` ask about an answer that was kept; nothing if there is none.
    ///
    /// # Errors
    ///
    /// With everything that cannot be asked.
    pub async fn search_kept(
        &self,
        principal: &Principal,
        arguments: Map<String, Value>,
    ) -> Result<Option<Shaped>, Mistakes> {
        let rules = Rules::default();
        let search = Search::parse(arguments, &rules)?;
        let Some(id) = search.response_id().map(ToOwned::to_owned) else { return Ok(None) };
        let Ok(whole) = self.result(principal, &id).await else { return Ok(None) };
        let Ok(whole) = serde_json::from_slice::<Value>(&whole) else { return Ok(None) };
        search.run(&whole, &kept_as(id), &rules).map(Some)
    }
}

fn kept_as(id: String) -> Kept {
    Kept { uri: Some(format!("/api/v1/results/{id}")), id }
}
