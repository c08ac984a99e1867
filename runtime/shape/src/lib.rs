//! Answers that a model can afford.
//!
//! A tool may answer with ten thousand items where its caller, a model, wanted the three that failed. [`Shaping::take`]
//! takes what the caller says of that out of the arguments, before the tool sees them. [`Shaping::apply`] filters, sorts
//! and projects what the tool answered, and then cuts it, or puts a summary in its place, as the [`Rules`] say. The whole
//! is kept elsewhere, and [`Search`] answers questions about it. What was done is said in the answer, under the names
//! that croit's server uses; [`extend_input`] and [`extend_output`] make the schemas fit.
//!
//! Everything here is a function of its arguments. This crate knows nothing of HTTP, MCP, engines, ids or where answers
//! are kept. What callers ask for has bounds, and takes time linear in the answer (sorting aside); what tools answer may
//! be anything.
//!
//! ```
//! use fumehood_shape::{Form, Kept, Rules, Search, Shaping};
//! use serde_json::{Map, Value, json};
//!
//! // A caller wants the pools that failed, of a tool that knows no such parameter.
//! let Value::Object(mut arguments) = json!({"cluster": "a", "_filter_status": "error", "fields": ["id"]}) else { unreachable!() };
//! let rules = Rules::default();
//! let shaping = Shaping::take(&mut arguments, &rules, |name| name == "cluster")?;
//! assert_eq!(Value::Object(arguments), json!({"cluster": "a"}));
//!
//! let pools: Value = (0..100).map(|n| json!({"id": n, "status": if n == 7 { "error" } else { "ok" }})).collect();
//! let shaped = shaping.apply(pools.clone(), &rules).finish(None);
//! assert_eq!(shaped.value["data"], json!([{"id": 7}]));
//! assert!(shaped.report.tokens_saved() > 500);
//!
//! // Another says nothing, and gets a summary. The whole is kept, and can be asked about.
//! let cut = Shaping::default().apply(pools.clone(), &rules);
//! assert!(cut.wants_keeping());
//! let kept = Kept { id: "f6a7dece".to_owned(), uri: None };
//! let shaped = cut.finish(Some(&kept));
//! assert_eq!(shaped.form, Form::Summary);
//! assert_eq!(shaped.value["by_status"], json!({"ok": 99, "error": 1}));
//!
//! let question = json!({"response_id": "f6a7dece", "filters": {"id__gte": 98}});
//! let search = Search::parse(question.as_object().cloned().unwrap_or_default(), &rules)?;
//! let found = search.run(&pools, &kept, &rules)?;
//! assert_eq!(found.value["matched_count"], 2);
//! # Ok::<(), fumehood_shape::Mistakes>(())
//! ```

mod bounds;
mod comparison;
mod cut;
mod filter;
mod kept;
mod kind;
mod mistake;
mod notes;
mod number;
mod path;
mod pattern;
mod place;
mod projection;
mod report;
mod rules;
mod schema;
mod search;
mod shaping;
mod sorting;
mod summary;
mod trim;

pub use bounds::{
    MAX_COMPARISONS, MAX_DEPTH, MAX_FIELDS, MAX_FILTERS, MAX_LIMIT, MAX_PATH_BYTES, MAX_PATTERN_BYTES,
    MAX_PATTERN_WORK_BYTES, MAX_STEPS, MAX_TEXT_BYTES,
};
pub use cut::{Cut, Form, Shaped};
pub use filter::FILTER_PREFIX;
pub use kept::{Kept, SEARCH, nothing_kept};
pub use kind::{Kind, is_list_like};
pub use mistake::{Mistake, Mistakes};
pub use report::{BYTES_PER_TOKEN, Report, size_of};
pub use rules::{Rules, RulesError};
pub use schema::{extend_input, extend_output};
pub use search::Search;
pub use shaping::Shaping;
