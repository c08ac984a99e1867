use serde_json::{Map, Value, json};

use crate::{
    bounds::{MAX_NAME_CHARS, MAX_NAMES},
    mistake::{escaped, kind_of, shown},
    report::size_of,
    rules::Rules,
    trim,
};

/// Statuses that are counted by name; the others are counted together.
const MAX_STATUSES: usize = 20;

/// Items that are looked at for the names of fields.
const LOOKED_AT: usize = 10;

/// Longest text in a sample, in characters.
const SAMPLE_TEXT_CHARS: usize = 200;

/// Names under which statuses beyond [`MAX_STATUSES`] and absent ones are counted.
const OTHER: &str = "(other)";
const UNKNOWN: &str = "unknown";

const CRITICAL: [&str; 4] = ["error", "failed", "down", "critical"];

/// What a long list comes to: how many of what status, what looks like a failure, and a few samples.
pub(crate) fn smart(items: &[Value], rules: &Rules) -> Map<String, Value> {
    let sample = Sampler::new(rules);
    let mut told = Told::new(format!("Found {} items", items.len()));
    told.add("total_count", items.len());
    if !items.iter().any(Value::is_object) {
        told.add("sample_items", sample.first(items.iter(), 5));
        return told.0;
    }
    told.add_counts("by_status", items, "status");
    let critical = || items.iter().filter(|item| has_status(item, &CRITICAL));
    if critical().next().is_some() {
        told.add("critical_items", sample.first(critical(), 5));
        told.add("critical_count", critical().count());
    }
    let errors = || items.iter().filter(|item| is_failure(item));
    if errors().next().is_some() {
        told.add("errors_found", errors().count());
        told.add("error_samples", sample.first(errors(), 3));
    }
    told.add("sample_items", sample.first(items.iter(), 3));
    told.add("available_fields", fields(items));
    told.0
}

/// How many there are.
pub(crate) fn count(items: &[Value]) -> Map<String, Value> {
    let mut told = Told::new(format!("Found {} items", items.len()));
    told.add("total_count", items.len());
    told.add("summary_type", "count");
    told.0
}

/// How many there are of each status and type, and the first three.
pub(crate) fn stats(items: &[Value], rules: &Rules) -> Map<String, Value> {
    let mut told = Told::new(format!("Found {} items", items.len()));
    told.add("total_count", items.len());
    told.add("summary_type", "stats");
    told.add("sample", Sampler::new(rules).first(items.iter(), 3));
    told.add_counts("status_distribution", items, "status");
    told.add_counts("type_distribution", items, "type");
    told.0
}

/// What looks like a failure, up to ten.
pub(crate) fn errors_only(items: &[Value], rules: &Rules) -> Map<String, Value> {
    let errors: Vec<_> = items.iter().filter(|item| is_failure(item)).collect();
    let mut told = Told::new(format!("Found {} errors in {} items", errors.len(), items.len()));
    told.add("total_count", items.len());
    told.add("summary_type", "errors_only");
    told.add("error_count", errors.len());
    told.add("errors", Sampler::new(rules).first(errors.into_iter(), 10));
    told.0
}

/// What a large answer without a list has, and where: `paths` are JSON pointers for drilling down.
pub(crate) fn object(members: &Map<String, Value>) -> Map<String, Value> {
    let mut told = Told::new(format!("Large object with {} members", members.len()));
    let paths: Map<_, _> = members
        .iter()
        .filter(|(name, _)| name.len() <= MAX_NAME_CHARS)
        .take(MAX_NAMES)
        .map(|(name, member)| (format!("/{}", escaped(name)), described(member).into()))
        .collect();
    told.add("paths", paths);
    told.0
}

fn described(value: &Value) -> String {
    match value {
        Value::Array(list) => format!("a list of {} items, {} bytes", list.len(), size_of(value)),
        Value::Object(members) => format!("an object of {} members, {} bytes", members.len(), size_of(value)),
        Value::String(text) => format!("a text of {} bytes", text.len()),
        value => kind_of(value).to_owned(),
    }
}

struct Told(Map<String, Value>);

impl Told {
    fn new(summary: String) -> Self {
        Self(Map::from_iter([("_summary".to_owned(), summary.into())]))
    }

    fn add(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    /// How many items have which value of `field`, if any has it.
    fn add_counts(&mut self, key: &str, items: &[Value], field: &str) {
        if !items.iter().any(|item| item.get(field).is_some()) {
            return;
        }
        let mut counts = Map::new();
        for item in items {
            let name = match item.get(field) {
                None | Some(Value::Null) => UNKNOWN.to_owned(),
                Some(Value::String(text)) => shown(text),
                Some(Value::Array(_) | Value::Object(_)) => OTHER.to_owned(),
                Some(scalar) => scalar.to_string(),
            };
            let is_known = counts.len() < MAX_STATUSES || counts.contains_key(&name);
            let count = counts.entry(if is_known { name } else { OTHER.to_owned() }).or_insert_with(|| json!(0));
            *count = json!(count.as_u64().unwrap_or_default() + 1);
        }
        self.add(key, counts);
    }
}

fn has_status(item: &Value, statuses: &[&str]) -> bool {
    let status = item.get("status").and_then(Value::as_str);
    status.is_some_and(|status| statuses.iter().any(|wanted| status.eq_ignore_ascii_case(wanted)))
}

fn is_failure(item: &Value) -> bool {
    has_status(item, &["error", "failed", "down"])
        || item.get("error").is_some_and(is_something)
        || item.get("has_error").is_some_and(is_something)
        || item.get("health").and_then(Value::as_str).is_some_and(|health| health.eq_ignore_ascii_case("error"))
}

fn is_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

/// The names of fields of the first items, sorted.
fn fields(items: &[Value]) -> Vec<String> {
    let names = items.iter().take(LOOKED_AT).filter_map(Value::as_object).flat_map(Map::keys);
    let names: std::collections::BTreeSet<_> = names.map(|name| shown(name)).collect();
    names.into_iter().take(MAX_NAMES).collect()
}

/// Copies items, made small enough for a summary.
struct Sampler {
    most_bytes: usize,
}

impl Sampler {
    /// Eleven samples at most take about half of what an answer may.
    fn new(rules: &Rules) -> Self {
        Self { most_bytes: (rules.max_bytes / 24).clamp(64, 2048) }
    }

    fn first<'v>(&self, items: impl Iterator<Item = &'v Value>, most: usize) -> Vec<Value> {
        items.take(most).map(|item| self.copy(item)).collect()
    }

    fn copy(&self, item: &Value) -> Value {
        let mut copy = item.clone();
        trim::texts(&mut copy, SAMPLE_TEXT_CHARS);
        trim::fit(&mut copy, self.most_bytes);
        copy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pools() -> Vec<Value> {
        (0..100).map(|n| json!({"id": n, "status": if n % 10 == 0 { "error" } else { "ok" }})).collect()
    }

    #[test]
    fn a_long_list_is_summed_up_with_the_keys_of_the_source() {
        let told = Value::Object(smart(&pools(), &Rules::default()));

        assert_eq!(told["_summary"], "Found 100 items");
        assert_eq!(told["total_count"], 100);
        assert_eq!(told["by_status"], json!({"error": 10, "ok": 90}));
        assert_eq!((told["critical_count"].clone(), told["errors_found"].clone()), (json!(10), json!(10)));
        assert_eq!(told["critical_items"].as_array().unwrap().len(), 5);
        assert_eq!(told["error_samples"].as_array().unwrap().len(), 3);
        assert_eq!(told["sample_items"].as_array().unwrap().len(), 3);
        assert_eq!(told["available_fields"], json!(["id", "status"]));
    }

    #[test]
    fn a_list_without_objects_has_only_samples() {
        let items: Vec<_> = (0..60).map(Value::from).collect();

        let told = smart(&items, &Rules::default());

        assert_eq!(told["sample_items"], json!([0, 1, 2, 3, 4]));
        assert!(!told.contains_key("by_status"));
    }

    #[test]
    fn statuses_without_end_are_counted_together() {
        let items: Vec<_> = (0..1000).map(|n| json!({"status": format!("s{n}")})).collect();

        let told = smart(&items, &Rules::default());

        let statuses = told["by_status"].as_object().unwrap();
        assert_eq!(statuses.len(), MAX_STATUSES + 1);
        assert_eq!(statuses[OTHER], 980);
    }

    #[test]
    fn a_summary_of_huge_items_is_small() {
        let items: Vec<_> = (0..60).map(|_| json!({"status": "error", "log": "x".repeat(100_000)})).collect();

        let told = Value::Object(smart(&items, &Rules { max_bytes: 8192, ..Rules::default() }));

        assert!(size_of(&told) < 8192, "{}", size_of(&told));
    }

    #[test]
    fn what_looks_like_a_failure_is_found_by_status_error_and_health() {
        for item in
            [json!({"status": "Down"}), json!({"error": "x"}), json!({"has_error": true}), json!({"health": "ERROR"})]
        {
            assert!(is_failure(&item), "{item}");
        }
        for item in [json!({"status": "ok"}), json!({"error": null}), json!({"error": ""}), json!(1)] {
            assert!(!is_failure(&item), "{item}");
        }
    }

    #[test]
    fn only_failures_are_told_up_to_ten() {
        let told = errors_only(&pools(), &Rules::default());

        assert_eq!(told["error_count"], 10);
        assert_eq!(told["errors"].as_array().unwrap().len(), 10);
    }

    #[test]
    fn an_object_is_told_by_its_paths() {
        let value = json!({"a/b": [1, 2], "c": "text"});

        let told = object(value.as_object().unwrap());

        assert_eq!(told["paths"], json!({"/a~1b": "a list of 2 items, 5 bytes", "/c": "a text of 4 bytes"}));
    }
}
