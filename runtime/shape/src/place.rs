use serde_json::{Map, Value};

use crate::rules::Rules;

/// Members that hold the list when there is more than one that could.
const USUAL: [&str; 2] = ["data", "result"];

/// Where in an answer its list is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// The answer is the list.
    Root,
    /// A member of the answer.
    Member(String),
    /// Deeper, where the rules say.
    Pointer(String),
}

impl Place {
    /// Take the list out of `answer`, which keeps an empty one.
    pub(crate) fn take(answer: &mut Value, rules: &Rules) -> Option<(Self, Vec<Value>)> {
        let place = Self::find(answer, rules.list.as_deref())?;
        let list = place.of(answer)?;
        Some((place.clone(), std::mem::take(list)))
    }

    /// Where the list of an answer that is kept is.
    pub(crate) fn of_kept(answer: &Value, rules: &Rules) -> Option<Self> {
        Self::find(answer, rules.list.as_deref())
    }

    fn find(answer: &Value, pointer: Option<&str>) -> Option<Self> {
        if let Some(pointer) = pointer {
            let is_list = answer.pointer(pointer).is_some_and(Value::is_array);
            return is_list.then(|| Self::Pointer(pointer.to_owned()));
        }
        match answer {
            Value::Array(_) => Some(Self::Root),
            Value::Object(members) => member(members).map(Self::Member),
            _ => None,
        }
    }

    /// Put the list back. A place that is gone is made again, as a member.
    pub(crate) fn put(self, answer: &mut Value, items: Vec<Value>) {
        if let Some(list) = self.of(answer) {
            *list = items;
            return;
        }
        let name = if let Self::Member(name) = self { name } else { "data".to_owned() };
        match answer {
            Value::Object(members) => drop(members.entry(name).or_insert_with(|| items.into())),
            answer => *answer = Value::Object(Map::from_iter([(name, items.into())])),
        }
    }

    fn of<'v>(&self, answer: &'v mut Value) -> Option<&'v mut Vec<Value>> {
        match self {
            Self::Root => answer.as_array_mut(),
            Self::Member(name) => answer.get_mut(name)?.as_array_mut(),
            Self::Pointer(pointer) => answer.pointer_mut(pointer)?.as_array_mut(),
        }
    }

    /// As a JSON pointer into the answer.
    pub(crate) fn pointer(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Member(name) => format!("/{}", crate::mistake::escaped(name)),
            Self::Pointer(pointer) => pointer.clone(),
        }
    }
}

/// One of the usual members, or the only one that is a list.
fn member(members: &Map<String, Value>) -> Option<String> {
    if let Some(usual) = USUAL.into_iter().find(|name| members.get(*name).is_some_and(Value::is_array)) {
        return Some(usual.to_owned());
    }
    let mut lists = members.iter().filter(|(_, member)| member.is_array());
    let first = lists.next().map(|(name, _)| name.clone());
    if lists.next().is_some() { None } else { first }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn find(answer: &Value) -> Option<Place> {
        Place::find(answer, None)
    }

    #[test]
    fn the_list_is_the_answer_its_usual_member_or_its_only_list() {
        assert_eq!(find(&json!([1])), Some(Place::Root));
        assert_eq!(find(&json!({"data": [], "tags": []})), Some(Place::Member("data".to_owned())));
        assert_eq!(find(&json!({"servers": [], "total": 5})), Some(Place::Member("servers".to_owned())));
    }

    #[test]
    fn of_two_lists_none_is_chosen() {
        assert_eq!(find(&json!({"a": [], "b": []})), None);
        assert_eq!(find(&json!("text")), None);
    }

    #[test]
    fn the_rules_may_say_where_it_is() {
        let answer = json!({"a": {"b": [1]}, "data": [2]});

        assert_eq!(Place::find(&answer, Some("/a/b")), Some(Place::Pointer("/a/b".to_owned())));
        assert_eq!(Place::find(&answer, Some("/a/c")), None);
    }
}
