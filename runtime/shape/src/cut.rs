use serde_json::{Map, Value};

use crate::{
    kept::{Kept, hint},
    notes::{Notes, Page, Truncation},
    place::Place,
    projection::{self, Projection},
    report::{Report, size_of},
    rules::Rules,
    shaping::{Shaping, SummaryKind},
    summary, trim,
};

/// Scalars beside a list that are told with its summary: totals, cursors.
const MAX_BESIDE: usize = 20;

/// An answer that has been shaped, but for the id under which the whole of it is kept.
#[derive(Debug)]
pub struct Cut {
    body: Body,
    notes: Notes,
    bytes_before: usize,
}

#[derive(Debug)]
enum Body {
    Whole(Value),
    Changed(Value),
    Summary(Map<String, Value>),
}

/// What became of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// It is as the tool gave it.
    Whole,
    /// Something was left out, and the answer says what.
    Changed,
    /// A summary stands in its place.
    Summary,
}

/// An answer as the caller gets it.
#[derive(Debug)]
pub struct Shaped {
    /// The answer. An object, unless it is whole.
    pub value: Value,
    /// What became of it.
    pub form: Form,
    /// What that saved.
    pub report: Report,
}

impl Shaping {
    /// Shape an answer: filter, sort, project, then cut or sum up. `answer` is what the caller would have got.
    ///
    /// Takes time linear in the answer for each comparison that was asked for, and sorts if that was asked for.
    #[must_use]
    pub fn apply(&self, mut answer: Value, rules: &Rules) -> Cut {
        let bytes_before = size_of(&answer);
        let (body, notes) = match Place::take(&mut answer, rules) {
            Some((place, items)) if self.is_about_what_is_around(&answer, &items) => {
                place.put(&mut answer, items);
                self.cut_whole(answer, bytes_before, rules)
            }
            Some((place, items)) => self.cut_list(answer, place, items, rules),
            None => self.cut_whole(answer, bytes_before, rules),
        };
        Cut { body, notes, bytes_before }
    }

    /// Whether the fields that are wanted are those of the record around the list, and none of its items'.
    fn is_about_what_is_around(&self, answer: &Value, items: &[Value]) -> bool {
        !self.fields.is_empty()
            && !self.asks_for_a_list()
            && projection::unknown(&self.fields, std::slice::from_ref(answer)).is_empty()
            && projection::unknown(&self.fields, items).len() == self.fields.len()
    }

    /// `answer` is what is around the list.
    fn cut_list(&self, mut answer: Value, place: Place, items: Vec<Value>, rules: &Rules) -> (Body, Notes) {
        let mut notes = Notes { original: Some(items.len()), ..Notes::default() };
        let mut items = self.select(items, &mut notes);
        if let Some(mut told) = self.sum_up(&items, rules) {
            tell_beside(&mut told, &answer);
            return (Body::Summary(fitted(told, rules)), notes);
        }
        let matched = items.len();
        self.take_page(&mut items, &mut notes, rules);
        if !self.is_opted_out {
            let texts = if matched > rules.as_is_items { cut_texts(&mut items, rules) } else { 0 };
            let is_inside_cut = fit_list(&mut answer, &mut items, rules.max_bytes);
            notes.settle(&items, matched, texts, is_inside_cut);
        }
        notes.returned = Some(items.len());
        place.put(&mut answer, items);
        let is_changed = self.selects() || self.pages() || notes.truncation.is_some();
        (if is_changed { Body::Changed(answer) } else { Body::Whole(answer) }, notes)
    }

    /// Filter, sort and project.
    fn select(&self, mut items: Vec<Value>, notes: &mut Notes) -> Vec<Value> {
        items = self.choose(items, notes);
        if !self.fields.is_empty() {
            notes.project(&self.fields, &projection::unknown(&self.fields, &items));
            let projection = Projection::of(&self.fields);
            items.iter_mut().for_each(|item| projection.apply(item));
        }
        items
    }

    /// Filter and sort.
    pub(crate) fn choose<T: std::borrow::Borrow<Value>>(&self, mut items: Vec<T>, notes: &mut Notes) -> Vec<T> {
        if !self.filters.is_empty() {
            let filtered = self.filters.apply(items);
            notes.add_unknown(filtered.unknown.iter().map(String::as_str));
            if filtered.is_partial {
                notes.warnings.push(
                    "There was too much text for the patterns (~): some items were not searched. Narrow it down with \
                     other filters, or use field__contains."
                        .to_owned(),
                );
            }
            items = filtered.items;
            notes.matched = Some(items.len());
        }
        match &self.sorting {
            Some(sorting) => sorting.apply(items),
            None => items,
        }
    }

    /// The summary that was asked for, or that a list of this length gets.
    fn sum_up(&self, items: &[Value], rules: &Rules) -> Option<Map<String, Value>> {
        match self.summary {
            Some(SummaryKind::Count) => return Some(summary::count(items)),
            Some(SummaryKind::Stats) => return Some(summary::stats(items, rules)),
            Some(SummaryKind::ErrorsOnly) => return Some(summary::errors_only(items, rules)),
            Some(SummaryKind::None) => return None,
            None => {}
        }
        let is_wanted = rules.summaries && !self.is_opted_out && !self.pages();
        (is_wanted && items.len() > self.summary_above(rules)).then(|| summary::smart(items, rules))
    }

    fn summary_above(&self, rules: &Rules) -> usize {
        if self.fields.is_empty() { rules.summary_above } else { rules.projected_summary_above }
    }

    /// Keep the page that was asked for, or the first that the rules give.
    fn take_page(&self, items: &mut Vec<Value>, notes: &mut Notes, rules: &Rules) {
        if self.pages() {
            let (offset, limit) = (self.offset.unwrap_or(0), self.limit.unwrap_or(rules.max_items));
            let matched = items.len();
            items.drain(..offset.min(matched));
            items.truncate(limit);
            let has_more = offset.saturating_add(items.len()) < matched;
            notes.page = Some(Page { offset, limit, returned: items.len(), has_more });
            return;
        }
        let is_projected = !self.fields.is_empty() && items.len() <= rules.projected_summary_above;
        if !self.is_opted_out && !is_projected && items.len() > rules.as_is_items {
            items.truncate(rules.max_items);
        }
    }

    /// An answer without a list.
    fn cut_whole(&self, mut answer: Value, bytes: usize, rules: &Rules) -> (Body, Notes) {
        let mut notes = Notes::default();
        if self.asks_for_a_list() {
            notes
                .warnings
                .push("The answer has no list: filters, sorting, paging and summary were not applied.".to_owned());
        }
        let mut size = bytes;
        if !self.fields.is_empty() {
            notes.project(&self.fields, &projection::unknown(&self.fields, std::slice::from_ref(&answer)));
            Projection::of(&self.fields).apply(&mut answer);
            size = size_of(&answer);
        }
        if self.is_opted_out || size <= rules.max_bytes {
            let is_changed = !notes.warnings.is_empty() || !self.fields.is_empty();
            return (if is_changed { Body::Changed(answer) } else { Body::Whole(answer) }, notes);
        }
        if let Value::Object(members) = &answer
            && rules.summaries
            && self.summary != Some(SummaryKind::None)
            && members.len() > 1
        {
            let mut told = summary::object(members);
            trim::fit(&mut answer, rules.max_bytes / 4);
            told.insert("sample".to_owned(), answer);
            return (Body::Summary(fitted(told, rules)), notes);
        }
        trim::fit(&mut answer, rules.max_bytes);
        notes.truncation = Some(Truncation::Bytes { original: size, returned: size_of(&answer) });
        (Body::Changed(answer), notes)
    }

    fn asks_for_a_list(&self) -> bool {
        let is_summary = self.summary.is_some_and(|kind| kind != SummaryKind::None);
        !self.filters.is_empty() || self.sorting.is_some() || self.pages() || is_summary
    }
}

impl Notes {
    /// Note what the rules cut off from the page that was asked for.
    pub(crate) fn settle(&mut self, items: &[impl Sized], matched: usize, texts: usize, is_inside_cut: bool) {
        let returned = items.len();
        let asked = self.page.map_or(matched, |page| page.returned);
        if let Some(page) = &mut self.page {
            page.has_more |= returned < page.returned;
            page.returned = returned;
        }
        let has_more = self.page.is_some_and(|page| page.has_more);
        if returned < asked || has_more || texts > 0 || is_inside_cut {
            // A last page is not less than all of it.
            let original = if returned < asked || has_more { matched } else { returned };
            self.truncation = Some(Truncation::Items { original, returned, texts, is_inside_cut });
        }
    }
}

impl Cut {
    /// Whether something is missing that a caller could ask for: then keep the tool's answer, and name it to
    /// [`finish`](Self::finish).
    #[must_use]
    pub fn wants_keeping(&self) -> bool {
        matches!(self.body, Body::Summary(_)) || self.notes.truncation.is_some()
    }

    /// Say in the answer what was done to it, and where the whole of it is kept, if it is.
    #[must_use]
    pub fn finish(self, kept: Option<&Kept>) -> Shaped {
        let kept = kept.filter(|_| self.wants_keeping());
        let (form, value) = match self.body {
            Body::Whole(value) => (Form::Whole, value),
            Body::Changed(value) => {
                let mut told = into_object(value);
                self.notes.write(&mut told);
                kept.into_iter().for_each(|kept| kept.write(&mut told, hint("The rest is kept", kept)));
                (Form::Changed, Value::Object(told))
            }
            Body::Summary(mut told) => {
                self.notes.write_selection(&mut told);
                kept.into_iter().for_each(|kept| kept.write(&mut told, hint("This is a summary", kept)));
                (Form::Summary, Value::Object(told))
            }
        };
        let bytes_after = size_of(&value);
        Shaped { value, form, report: Report { bytes_before: self.bytes_before, bytes_after } }
    }
}

fn into_object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        value => Map::from_iter([("data".to_owned(), value)]),
    }
}

/// What stands beside a list and is short: it may be what the next page is asked for with.
fn tell_beside(told: &mut Map<String, Value>, around: &Value) {
    let Value::Object(members) = around else { return };
    let scalars =
        members.iter().filter(|(name, member)| name.len() <= 100 && !member.is_array() && !member.is_object());
    let mut beside: Value = scalars.take(MAX_BESIDE).map(|(name, member)| (name.clone(), member.clone())).collect();
    if beside.as_object().is_some_and(|beside| !beside.is_empty()) {
        trim::texts(&mut beside, 200);
        told.insert("other_members".to_owned(), beside);
    }
}

fn fitted(told: Map<String, Value>, rules: &Rules) -> Map<String, Value> {
    let mut told = Value::Object(told);
    trim::fit(&mut told, rules.max_bytes);
    into_object(told)
}

pub(crate) fn cut_texts(items: &mut [Value], rules: &Rules) -> usize {
    items.iter_mut().map(|item| trim::texts(item, rules.max_text_chars)).sum()
}

/// Keep as many items as fit, beside what is around them; of the first, if it alone is too large, what fits. Says
/// whether something else than whole items was cut.
pub(crate) fn fit_list(around: &mut Value, items: &mut Vec<Value>, most_bytes: usize) -> bool {
    let is_around_cut = trim::fit(around, most_bytes / 2);
    let left = most_bytes - size_of(around);
    let mut used = 0;
    let fits = |item: &&Value| {
        used += size_of(item) + 1;
        used <= left
    };
    let fitting = items.iter().take_while(fits).count();
    items.truncate(fitting.max(1));
    match items.first_mut() {
        Some(first) if fitting == 0 => trim::fit(first, left) || is_around_cut,
        _ => is_around_cut,
    }
}

#[cfg(test)]
mod tests;
