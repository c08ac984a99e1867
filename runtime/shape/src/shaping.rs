use serde_json::{Map, Value};

use crate::{
    bounds::MAX_LIMIT,
    filter::{FILTER_PREFIX, Filters, fields},
    mistake::{Collected, Mistakes, kind_of, shown},
    path::FieldPath,
    rules::Rules,
    sorting::Sorting,
};

/// What a caller may ask for beside filters.
pub(crate) const NAMES: [&str; 8] = ["fields", "limit", "offset", "cursor", "sort", "order", "summary", "no_optimize"];

/// Farthest that a page may begin.
const MAX_OFFSET: usize = 1_000_000_000;

/// Which summary a caller wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SummaryKind {
    /// How many there are.
    Count,
    /// How many there are of each status and type, and the first three.
    Stats,
    /// What looks like a failure, up to ten.
    ErrorsOnly,
    /// No summary, also not of a long list: it is cut.
    None,
}

/// How a caller wants the answer: taken out of the arguments before the tool sees them.
#[derive(Debug, Clone, Default)]
pub struct Shaping {
    pub(crate) filters: Filters,
    pub(crate) fields: Vec<FieldPath>,
    pub(crate) sorting: Option<Sorting>,
    pub(crate) limit: Option<usize>,
    pub(crate) offset: Option<usize>,
    pub(crate) summary: Option<SummaryKind>,
    pub(crate) is_opted_out: bool,
}

impl Shaping {
    /// Take the shaping parameters out of `arguments`, which keep what belongs to the tool, in its order.
    ///
    /// `declares` tells whether the tool itself takes a parameter of that name; it then stays the tool's.
    ///
    /// # Errors
    /// Everything that is wrong with them; the call must then be refused, before anything runs.
    pub fn take(
        arguments: &mut Map<String, Value>,
        rules: &Rules,
        declares: impl Fn(&str) -> bool,
    ) -> Result<Self, Mistakes> {
        let is_ours = |key: &str| (key.starts_with(FILTER_PREFIX) || NAMES.contains(&key)) && !declares(key);
        let (ours, theirs): (Map<_, _>, Map<_, _>) =
            std::mem::take(arguments).into_iter().partition(|(key, _)| is_ours(key));
        *arguments = theirs;
        Self::parse(ours, rules, "")
    }

    /// Read them from an object that has nothing else, which is at `base`.
    pub(crate) fn parse(given: Map<String, Value>, rules: &Rules, base: &str) -> Result<Self, Mistakes> {
        let mut mistakes = Collected::default();
        let (filters, named): (Map<_, _>, Map<_, _>) =
            given.into_iter().partition(|(key, _)| key.starts_with(FILTER_PREFIX));
        let mut shaping = Self { filters: Filters::parse(&filters, base, &mut mistakes), ..Self::default() };
        for (key, value) in &named {
            if let Err(message) = shaping.read(key, value, rules) {
                mistakes.add(base, key, message);
            }
        }
        shaping.read_order(&named, base, &mut mistakes);
        if named.contains_key("offset") && named.contains_key("cursor") {
            mistakes.add(base, "cursor", "expected either `offset` or `cursor`, found both");
        }
        mistakes.into_result(shaping)
    }

    fn read(&mut self, key: &str, value: &Value, rules: &Rules) -> Result<(), String> {
        match key {
            "fields" => self.fields = expanded(value, rules)?,
            "limit" => self.limit = Some(whole(value, 1, MAX_LIMIT)?),
            "offset" => self.offset = Some(whole(value, 0, MAX_OFFSET)?),
            "cursor" => self.offset = Some(cursor(value)?),
            "sort" => self.sorting = Some(Sorting::parse(text(value)?)?),
            "summary" => self.summary = Some(summary(value)?),
            "no_optimize" => self.is_opted_out = boolean(value)? && rules.may_opt_out,
            // Read when `sort` is known.
            "order" => {}
            other => return Err(format!("`{}` is not known here", shown(other))),
        }
        Ok(())
    }

    fn read_order(&mut self, named: &Map<String, Value>, base: &str, mistakes: &mut Collected) {
        let Some(order) = named.get("order") else { return };
        let is_descending = match order.as_str() {
            Some("asc") => false,
            Some("desc") => true,
            _ => return mistakes.add(base, "order", "expected `asc` or `desc`"),
        };
        match &mut self.sorting {
            Some(sorting) => sorting.is_descending = is_descending,
            None if named.contains_key("sort") => {}
            None => mistakes.add(base, "order", "expected `sort` beside it, which says by which field"),
        }
    }

    /// Whether the caller asks for nothing, so that only the rules shape.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.selects() && !self.pages() && self.summary.is_none() && !self.is_opted_out
    }

    /// Whether the caller says which items and fields.
    pub(crate) fn selects(&self) -> bool {
        !self.filters.is_empty() || !self.fields.is_empty() || self.sorting.is_some()
    }

    /// Whether the caller says how many and from where.
    pub(crate) fn pages(&self) -> bool {
        self.limit.is_some() || self.offset.is_some()
    }
}

fn expanded(value: &Value, rules: &Rules) -> Result<Vec<FieldPath>, String> {
    let mut all: Vec<FieldPath> = Vec::new();
    for field in fields(value)? {
        let Some(set) = field.as_str().strip_prefix('@') else {
            all.push(field);
            continue;
        };
        let Some(names) = rules.field_sets.get(set) else {
            let known: Vec<_> = rules.field_sets.keys().map(|name| format!("`@{name}`")).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(format!("there is no set of fields `{}`; there is {known}", shown(field.as_str())));
        };
        for name in names {
            all.push(FieldPath::parse(name)?);
        }
    }
    Ok(all)
}

/// A whole number, also as text: in a query string everything is.
pub(crate) fn whole(value: &Value, least: usize, most: usize) -> Result<usize, String> {
    let number = match value {
        Value::Number(number) => number.as_u64().and_then(|number| usize::try_from(number).ok()),
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    };
    let is_right = |number: &usize| (least..=most).contains(number);
    number.filter(is_right).ok_or_else(|| format!("expected a whole number from {least} to {most}"))
}

fn cursor(value: &Value) -> Result<usize, String> {
    whole(value, 0, MAX_OFFSET).map_err(|_| "expected a `next_cursor` of an answer before".to_owned())
}

pub(crate) fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| format!("expected a text, found {}", kind_of(value)))
}

fn boolean(value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(value) => Ok(*value),
        Value::String(text) if text == "true" => Ok(true),
        Value::String(text) if text == "false" => Ok(false),
        value => Err(format!("expected `true` or `false`, found {}", kind_of(value))),
    }
}

fn summary(value: &Value) -> Result<SummaryKind, String> {
    match value.as_str() {
        Some("count") => Ok(SummaryKind::Count),
        Some("stats") => Ok(SummaryKind::Stats),
        Some("errors_only") => Ok(SummaryKind::ErrorsOnly),
        Some("none") => Ok(SummaryKind::None),
        _ => Err("expected `count`, `stats`, `errors_only` or `none`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn take(arguments: Value) -> Result<(Shaping, Value), Vec<(String, String)>> {
        let Value::Object(mut arguments) = arguments else { panic!("expected an object") };
        let rules = Rules::of(crate::Kind::Servers);
        match Shaping::take(&mut arguments, &rules, |name| name == "sort") {
            Ok(shaping) => Ok((shaping, Value::Object(arguments))),
            Err(error) => Err(error.mistakes.into_iter().map(|m| (m.pointer, m.message)).collect()),
        }
    }

    fn pointers(arguments: Value) -> Vec<String> {
        take(arguments).unwrap_err().into_iter().map(|(pointer, _)| pointer).collect()
    }

    #[test]
    fn what_is_for_shaping_is_taken_and_the_rest_keeps_its_order() {
        let arguments = json!({"z": 1, "_filter_status": "error", "y": 2, "limit": 5, "x": 3, "fields": ["id"]});

        let (shaping, rest) = take(arguments).unwrap();

        assert_eq!(rest.to_string(), r#"{"z":1,"y":2,"x":3}"#);
        assert_eq!(shaping.limit, Some(5));
        assert!(!shaping.filters.is_empty());
    }

    #[test]
    fn a_parameter_that_the_tool_declares_stays_the_tools() {
        let (shaping, rest) = take(json!({"sort": {"by": "name"}})).unwrap();

        assert_eq!(rest, json!({"sort": {"by": "name"}}));
        assert!(shaping.is_empty());
    }

    #[test]
    fn arguments_without_any_are_left_alone() {
        let (shaping, rest) = take(json!({"a": 1})).unwrap();

        assert!(shaping.is_empty());
        assert_eq!(rest, json!({"a": 1}));
    }

    #[test]
    fn every_mistake_is_reported_where_it_is() {
        let wrong = json!({
            "_filter_a/b": {}, "_filter_name": "~(", "limit": 0, "offset": -1, "fields": 7, "summary": "all",
            "no_optimize": "yes",
        });

        let expected = ["/_filter_a~1b", "/_filter_name", "/limit", "/offset", "/fields", "/summary", "/no_optimize"];
        assert_eq!(pointers(wrong), expected);
    }

    #[test]
    fn numbers_and_booleans_may_be_text_as_in_a_query_string() {
        let (shaping, _) =
            take(json!({"limit": "50", "offset": "100", "no_optimize": "true", "fields": "id,name"})).unwrap();

        assert_eq!((shaping.limit, shaping.offset, shaping.is_opted_out), (Some(50), Some(100), true));
        assert_eq!(shaping.fields.len(), 2);
    }

    #[test]
    fn a_limit_past_the_bound_is_told_the_bound() {
        let mistakes = take(json!({"limit": 100_000})).unwrap_err();

        assert_eq!(mistakes, [("/limit".to_owned(), "expected a whole number from 1 to 1000".to_owned())]);
    }

    #[test]
    fn more_filters_than_allowed_are_refused() {
        let many: Map<_, _> = (0..21).map(|n| (format!("_filter_f{n}"), json!(1))).collect();

        assert_eq!(pointers(Value::Object(many)), ["/_filter_f20"]);
    }

    #[test]
    fn more_values_than_allowed_are_refused_over_all_filters() {
        let values: Vec<_> = (0..40).collect();

        assert_eq!(pointers(json!({"_filter_a": values, "_filter_b": values})), ["/_filter_b"]);
    }

    #[test]
    fn a_set_of_fields_stands_for_its_names() {
        let (shaping, _) = take(json!({"fields": "@essential,uptime"})).unwrap();

        let names: Vec<_> = shaping.fields.iter().map(FieldPath::as_str).collect();
        assert_eq!(names, ["id", "hostname", "ip", "status", "role", "uptime"]);
    }

    #[test]
    fn a_set_that_is_not_there_is_refused_with_those_that_are() {
        let mistakes = take(json!({"fields": "@tiny"})).unwrap_err();

        assert_eq!(mistakes[0].1, "there is no set of fields `@tiny`; there is `@essential`");
    }

    #[test]
    fn a_cursor_and_an_offset_are_one_too_many() {
        assert_eq!(pointers(json!({"cursor": "25", "offset": 25})), ["/cursor"]);
    }

    #[test]
    fn opting_out_is_not_heard_where_it_is_not_allowed() {
        let mut arguments = Map::from_iter([("no_optimize".to_owned(), json!(true))]);
        let rules = Rules { may_opt_out: false, ..Rules::default() };

        let shaping = Shaping::take(&mut arguments, &rules, |_| false).unwrap();

        assert!(shaping.is_empty());
        assert!(arguments.is_empty());
    }
}
