use serde_json::{Map, Value, json};

use crate::{
    bounds::{MAX_PATH_BYTES, MAX_STEPS},
    cut::{Form, Shaped, cut_texts, fit_list},
    filter::{FILTER_PREFIX, Filters},
    kept::Kept,
    mistake::{Collected, Mistakes, kind_of, shown},
    notes::{Notes, Page, Truncation},
    place::Place,
    projection::{self, Projection},
    report::{Report, size_of},
    rules::Rules,
    shaping::{Shaping, text, whole},
    trim,
};

/// Items that a search gives when its caller does not say.
const DEFAULT_LIMIT: usize = 100;

/// Longest part of a text that a search gives, in characters.
const MAX_TEXT_LIMIT: usize = 100_000;

/// A question about an answer that is kept: what [`SEARCH`](crate::SEARCH) takes.
#[derive(Debug)]
pub struct Search {
    response_id: Option<String>,
    steps: Vec<String>,
    filters: Filters,
    shaping: Shaping,
    limit: Option<usize>,
}

impl Search {
    /// Read the arguments: `response_id`, `path`, `filters`, and `fields`, `sort`, `order`, `limit`, `offset`, `cursor`
    /// as in any call.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn parse(mut arguments: Map<String, Value>, rules: &Rules) -> Result<Self, Mistakes> {
        let mut mistakes = Collected::default();
        let mut taken = |key: &str| arguments.shift_remove(key).filter(|value| !value.is_null());
        let response_id = taken("response_id").and_then(|id| mistakes.keep("", "response_id", owned(&id)));
        let steps = taken("path").and_then(|path| mistakes.keep("", "path", steps(&path))).unwrap_or_default();
        let limit = taken("limit").and_then(|limit| mistakes.keep("", "limit", whole(&limit, 1, MAX_TEXT_LIMIT)));
        let filters = match taken("filters") {
            Some(Value::Object(members)) => Filters::parse(&members, "/filters", &mut mistakes),
            Some(other) => {
                mistakes.add("", "filters", format!("expected an object of filters, found {}", kind_of(&other)));
                Filters::default()
            }
            None => Filters::default(),
        };
        for unfit in ["summary", "no_optimize"] {
            if taken(unfit).is_some() {
                mistakes.add("", unfit, "is not for what is kept");
            }
        }
        let shaping = match Shaping::parse(arguments, rules, "") {
            Ok(shaping) => shaping,
            Err(error) => {
                let mut all = mistakes.into_result(()).err().map_or_else(Vec::new, |before| before.mistakes);
                all.extend(error.mistakes);
                return Err(Mistakes { mistakes: all });
            }
        };
        mistakes.into_result(Self { response_id, steps, filters, shaping, limit })
    }

    /// The answer that is asked about; if none is named, the last.
    #[must_use]
    pub fn response_id(&self) -> Option<&str> {
        self.response_id.as_deref()
    }

    /// Answer from `answer`, the whole that is kept under `kept`. At most `max_bytes` of `rules` are copied out of it.
    ///
    /// # Errors
    /// When `path` leads nowhere, with the names that are there.
    pub fn run(&self, answer: &Value, kept: &Kept, rules: &Rules) -> Result<Shaped, Mistakes> {
        let part = self.part(answer)?;
        let place =
            if self.steps.is_empty() { Place::of_kept(part, rules) } else { Place::of_kept(part, &Rules::default()) };
        let mut notes = Notes::default();
        let (matched, results) = match (part, place) {
            (Value::String(text), _) => (1, self.text(text, &mut notes, rules)),
            (part, Some(place)) => self.list(part, &place, &mut notes, rules),
            (part, None) => (1, self.whole(part, &mut notes, rules)),
        };
        let mut told = Map::new();
        told.insert("response_id".to_owned(), kept.id.as_str().into());
        told.insert("matched_count".to_owned(), matched.into());
        told.insert("results".to_owned(), results);
        if notes.truncation.is_some() || notes.page.is_some() {
            notes.write(&mut told);
        } else {
            notes.write_selection(&mut told);
        }
        let value = Value::Object(told);
        let report = Report { bytes_before: size_of(answer), bytes_after: size_of(&value) };
        Ok(Shaped { value, form: Form::Changed, report })
    }

    fn part<'v>(&self, answer: &'v Value) -> Result<&'v Value, Mistakes> {
        let mut part = answer;
        for step in &self.steps {
            part = below(part, step).ok_or_else(|| Mistakes::one("/path", nowhere(step, part)))?;
        }
        Ok(part)
    }

    fn list(&self, part: &Value, place: &Place, notes: &mut Notes, rules: &Rules) -> (usize, Value) {
        let all = part.pointer(&place.pointer()).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        notes.original = Some(all.len());
        let by_name = Shaping { filters: self.filters.clone(), ..Shaping::default() };
        let chosen = self.shaping.choose(by_name.choose(all.iter().collect::<Vec<_>>(), notes), notes);
        let matched = chosen.len();
        let (offset, limit) = (self.shaping.offset.unwrap_or(0), self.limit.unwrap_or(DEFAULT_LIMIT));
        let page: Vec<_> = chosen.into_iter().skip(offset).take(limit).collect();
        let has_more = offset.saturating_add(page.len()) < matched;
        notes.page = Some(Page { offset, limit, returned: page.len(), has_more });
        let mut copies = self.copied(&page, notes, rules);
        let texts = if copies.len() > rules.as_is_items { cut_texts(&mut copies, rules) } else { 0 };
        let is_inside_cut = fit_list(&mut Value::Null, &mut copies, rules.max_bytes);
        notes.settle(&copies, matched, texts, is_inside_cut);
        notes.matched = Some(matched);
        notes.returned = Some(copies.len());
        // The first page of one needs no telling.
        notes.page = notes.page.filter(|page| page.has_more || page.offset > 0);
        (matched, copies.into())
    }

    /// Copies of the items, projected, and of hardly more than can be given.
    fn copied(&self, page: &[&Value], notes: &mut Notes, rules: &Rules) -> Vec<Value> {
        let fields = &self.shaping.fields;
        if !fields.is_empty() {
            notes.project(fields, &projection::unknown(fields, page));
        }
        let projection = Projection::of(fields);
        let (mut copies, mut bytes) = (Vec::new(), 0);
        for item in page {
            let mut copy = Value::clone(item);
            if !fields.is_empty() {
                projection.apply(&mut copy);
            }
            bytes += size_of(&copy);
            copies.push(copy);
            if bytes > rules.max_bytes {
                break;
            }
        }
        copies
    }

    /// A part of a text: `offset` and `limit` count characters.
    fn text(&self, text: &str, notes: &mut Notes, rules: &Rules) -> Value {
        let (offset, limit) = (self.shaping.offset.unwrap_or(0), self.limit.unwrap_or(rules.max_bytes / 2));
        let part: String = text.chars().skip(offset).take(limit).collect();
        let mut returned = part.chars().count();
        let mut value = Value::from(part);
        while size_of(&value) > rules.max_bytes {
            returned /= 2;
            value = text.chars().skip(offset).take(returned).collect::<String>().into();
        }
        let has_more = text.chars().count() > offset.saturating_add(returned);
        if has_more || offset > 0 {
            notes.page = Some(Page { offset, limit, returned, has_more });
        }
        value
    }

    fn whole(&self, part: &Value, notes: &mut Notes, rules: &Rules) -> Value {
        let mut value = part.clone();
        if !self.shaping.fields.is_empty() {
            notes.project(&self.shaping.fields, &projection::unknown(&self.shaping.fields, std::slice::from_ref(part)));
            Projection::of(&self.shaping.fields).apply(&mut value);
        }
        let original = size_of(&value);
        if trim::fit(&mut value, rules.max_bytes) {
            notes.truncation = Some(Truncation::Bytes { original, returned: size_of(&value) });
        }
        value
    }
}

fn owned(value: &Value) -> Result<String, String> {
    let id = text(value)?;
    if id.is_empty() || id.len() > MAX_PATH_BYTES {
        Err("expected the `_response_id` of an answer".to_owned())
    } else {
        Ok(id.to_owned())
    }
}

/// The steps of a JSON pointer, or of names and numbers with dots between them.
fn steps(value: &Value) -> Result<Vec<String>, String> {
    let path = text(value)?;
    let steps: Vec<_> = match path.strip_prefix('/') {
        // RFC 6901 §4: `~1` first, so that `~01` becomes `~1`.
        Some(rest) => rest.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect(),
        None if path.is_empty() => Vec::new(),
        None => path.split('.').map(str::to_owned).collect(),
    };
    if path.len() > 4 * MAX_PATH_BYTES || steps.len() > MAX_STEPS {
        return Err(format!("expected at most {MAX_STEPS} steps and {} bytes", 4 * MAX_PATH_BYTES));
    }
    Ok(steps)
}

fn below<'v>(part: &'v Value, step: &str) -> Option<&'v Value> {
    match part {
        Value::Object(members) => members.get(step),
        Value::Array(list) => list.get(step.parse::<usize>().ok()?),
        _ => None,
    }
}

fn nowhere(step: &str, part: &Value) -> String {
    let there = match part {
        Value::Object(members) => {
            let names: Vec<_> = members.keys().take(20).map(|name| format!("`{}`", shown(name))).collect();
            format!("an object with {}", if names.is_empty() { "nothing".to_owned() } else { names.join(", ") })
        }
        Value::Array(list) => format!("a list of {} items", list.len()),
        other => kind_of(other).to_owned(),
    };
    format!("there is no `{}` in {there}", shown(step))
}

impl Search {
    /// The schema of the arguments.
    #[must_use]
    pub fn input_schema() -> Value {
        json!({
            "type": "object",
            "properties": {
                "response_id": {"type": "string", "description": "The _response_id of an answer; the last if left out."},
                "path": {"type": "string", "description": "Part to look at: a JSON pointer such as /data/3, or names with dots."},
                "filters": {"type": "object", "description": "As in any call, without _filter_: status=error, name__contains=osd, size__gt=100, _text=timeout, _has=field."},
                "fields": {"type": "array", "items": {"type": "string"}, "description": "Only these fields."},
                "sort": {"type": "string"},
                "order": {"enum": ["asc", "desc"]},
                "limit": {"type": "integer", "minimum": 1, "maximum": MAX_TEXT_LIMIT, "description": "Items, or characters of a text."},
                "offset": {"type": "integer", "minimum": 0},
                "cursor": {"type": "string", "description": "next_cursor of the answer before."},
            },
            "patternProperties": {format!("^{FILTER_PREFIX}"): {}},
            "additionalProperties": false,
        })
    }
}

#[cfg(test)]
mod tests;
