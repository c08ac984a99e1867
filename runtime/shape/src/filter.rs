use std::ops::ControlFlow;

use serde_json::{Map, Value};

use crate::{
    bounds::{MAX_COMPARISONS, MAX_DEPTH, MAX_FIELDS, MAX_FILTERS, MAX_NAMES},
    comparison::{Comparison, Order},
    mistake::{Collected, kind_of},
    path::FieldPath,
    pattern::Work,
};

/// What the name of every filter begins with.
pub const FILTER_PREFIX: &str = "_filter_";

/// One condition that an item must meet.
#[derive(Debug, Clone)]
enum Filter {
    /// Any text anywhere in it has one of these, in lower case.
    Text(Vec<String>),
    /// It has all of these.
    Has(Vec<FieldPath>),
    /// One of the comparisons holds for a value of the field; negated, the field is there and none does.
    Field { path: FieldPath, any: Vec<Comparison>, none: Vec<Comparison> },
}

/// What items must be like: all filters of a call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filters(Vec<Filter>);

/// What filtering a list came to.
#[derive(Debug)]
pub(crate) struct Filtered<T> {
    pub(crate) items: Vec<T>,
    /// Fields that were asked about and that no item has.
    pub(crate) unknown: Vec<String>,
    /// Whether patterns were not tried on everything.
    pub(crate) is_partial: bool,
}

impl Filters {
    /// Read filters from the members of an object, with or without [`FILTER_PREFIX`] before their names. What is wrong
    /// goes to `mistakes`.
    pub(crate) fn parse(members: &Map<String, Value>, base: &str, mistakes: &mut Collected) -> Self {
        let mut filters = Vec::new();
        let mut comparisons = 0;
        for (key, value) in members {
            if filters.len() == MAX_FILTERS {
                mistakes.add(base, key, format!("expected at most {MAX_FILTERS} filters"));
                break;
            }
            comparisons += value.as_array().map_or(1, Vec::len);
            if comparisons > MAX_COMPARISONS {
                mistakes.add(base, key, format!("expected at most {MAX_COMPARISONS} values in all filters together"));
                break;
            }
            let name = key.strip_prefix(FILTER_PREFIX).unwrap_or(key);
            filters.extend(mistakes.keep(base, key, Filter::parse(name, value)));
        }
        Self(filters)
    }

    /// Whether nothing is asked for.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The items that meet all filters, in their order.
    pub(crate) fn apply<T: std::borrow::Borrow<Value>>(&self, items: Vec<T>) -> Filtered<T> {
        let work = Work::new();
        let mut unseen: Vec<_> = self.0.iter().flat_map(Filter::paths).collect();
        let count = items.len();
        let mut kept = items;
        kept.retain(|item| {
            let item = item.borrow();
            unseen.retain(|path| !path.is_in(item));
            self.0.iter().all(|filter| filter.holds(item, &work))
        });
        let unknown = if count == 0 { Vec::new() } else { unseen };
        let unknown = unknown.into_iter().take(MAX_NAMES).map(|path| path.as_str().to_owned()).collect();
        Filtered { items: kept, unknown, is_partial: work.is_spent() }
    }
}

impl Filter {
    fn parse(name: &str, value: &Value) -> Result<Self, String> {
        match name {
            "_text" => texts(value).map(Self::Text),
            "_has" => fields(value).map(Self::Has),
            name => Self::field(name, value),
        }
    }

    fn field(name: &str, value: &Value) -> Result<Self, String> {
        let (path, operator) = Operator::split(name);
        let path = FieldPath::parse(path)?;
        let (mut any, mut none) = (Vec::new(), Vec::new());
        for value in alternatives(value)? {
            let (comparison, is_negated) = operator.compare(value)?;
            if is_negated { none.push(comparison) } else { any.push(comparison) }
        }
        Ok(Self::Field { path, any, none })
    }

    fn paths(&self) -> &[FieldPath] {
        match self {
            Self::Text(_) => &[],
            Self::Has(paths) => paths,
            Self::Field { path, .. } => std::slice::from_ref(path),
        }
    }

    fn holds(&self, item: &Value, work: &Work) -> bool {
        match self {
            Self::Text(wanted) => has_text(item, wanted, 0),
            Self::Has(paths) => paths.iter().all(|path| path.is_in(item)),
            Self::Field { path, any, none } => field_holds(item, path, any, none, work),
        }
    }
}

/// Alternatives are joined with OR, also those with `!=`: a list of them holds unless the value is each of them.
fn field_holds(item: &Value, path: &FieldPath, any: &[Comparison], none: &[Comparison], work: &Work) -> bool {
    let mut is_there = false;
    let mut met = vec![false; none.len()];
    let found = path.visit(item, &mut |value| {
        is_there = true;
        for (met, comparison) in met.iter_mut().zip(none) {
            *met = *met || comparison.holds(value, work);
        }
        if any.iter().any(|comparison| comparison.holds(value, work)) {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    found.is_break() || is_there && met.contains(&false)
}

/// What stands after `__` in the name of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    /// Nothing stands there: the value says.
    InValue,
    Same,
    Different,
    Ordered(Order),
    Contains,
    StartsWith,
    EndsWith,
}

impl Operator {
    /// The field and the operator. What is no operator belongs to the name of the field.
    fn split(name: &str) -> (&str, Self) {
        let Some((path, suffix)) = name.rsplit_once("__") else { return (name, Self::InValue) };
        let operator = match suffix {
            "eq" => Self::Same,
            "ne" => Self::Different,
            "gt" => Self::Ordered(Order::Above),
            "gte" => Self::Ordered(Order::AtLeast),
            "lt" => Self::Ordered(Order::Below),
            "lte" => Self::Ordered(Order::AtMost),
            "contains" => Self::Contains,
            "startswith" => Self::StartsWith,
            "endswith" => Self::EndsWith,
            _ => return (name, Self::InValue),
        };
        (path, operator)
    }

    /// The comparison, and whether its opposite is meant.
    fn compare(self, value: &Value) -> Result<(Comparison, bool), String> {
        let comparison = match self {
            Self::InValue => return Comparison::parse(value),
            Self::Different => return Ok((Comparison::same(value)?, true)),
            Self::Same => Comparison::same(value),
            Self::Ordered(order) => Comparison::ordered(order, value),
            Self::Contains => Comparison::lowered(value).map(Comparison::Contains),
            Self::StartsWith => Comparison::lowered(value).map(Comparison::StartsWith),
            Self::EndsWith => Comparison::lowered(value).map(Comparison::EndsWith),
        };
        Ok((comparison?, false))
    }
}

fn alternatives(value: &Value) -> Result<&[Value], String> {
    match value {
        Value::Array(list) if list.is_empty() => Err("expected at least one value in the list".to_owned()),
        Value::Array(list) => Ok(list),
        value => Ok(std::slice::from_ref(value)),
    }
}

fn texts(value: &Value) -> Result<Vec<String>, String> {
    alternatives(value)?.iter().map(Comparison::lowered).collect()
}

/// Fields as a list of names, or as one text with commas between them.
pub(crate) fn fields(value: &Value) -> Result<Vec<FieldPath>, String> {
    let names: Vec<&str> = match value {
        Value::String(names) => names.split(',').collect(),
        Value::Array(list) => list
            .iter()
            .map(|name| name.as_str().ok_or_else(|| format!("expected names of fields, found {}", kind_of(name))))
            .collect::<Result<_, _>>()?,
        value => return Err(format!("expected a list of names of fields, found {}", kind_of(value))),
    };
    if names.is_empty() || names.len() > MAX_FIELDS {
        return Err(format!("expected 1 to {MAX_FIELDS} fields, found {}", names.len()));
    }
    names.into_iter().map(FieldPath::parse).collect()
}

fn has_text(value: &Value, wanted: &[String], depth: usize) -> bool {
    match value {
        Value::String(text) => {
            let text = text.to_lowercase();
            wanted.iter().any(|wanted| text.contains(wanted))
        }
        Value::Array(list) if depth < MAX_DEPTH => list.iter().any(|entry| has_text(entry, wanted, depth + 1)),
        Value::Object(members) if depth < MAX_DEPTH => {
            members.values().any(|member| has_text(member, wanted, depth + 1))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
