//! JSON files, with the comments and the commas at the end that editors allow in theirs.
//!
//! The text is read for where things are, changed in one place, and read again.

use std::ops::Range;

use serde::Serialize;
use serde_json::{Value, ser::PrettyFormatter};

use super::edit::{Edited, Refusal, line_of, nested, put};

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 128;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// As [`super::edit::with_entry`].
pub(super) fn with_entry(text: &str, section: &str, name: &str, entry: &Value) -> Result<Edited, Refusal> {
    if text.trim_start_matches(BYTE_ORDER_MARK).trim().is_empty() {
        return Ok(Edited { text: pretty(&nested(&[section, name], entry), "  "), replaced: None });
    }
    let root = Parser::new(text).document()?;
    let (expected, replaced) = put(root.to_value(), section, name, entry);
    let edited = Editor::new(text, &root).with(&root, &[section, name], entry)?;
    match Parser::new(&edited).document() {
        Ok(found) if found.to_value() == expected => Ok(Edited { text: edited, replaced }),
        _ => Err(Refusal::InTheWay("the entry cannot be put in without losing something".to_owned())),
    }
}

/// Whether `text` holds servers where the second version of opencode has them: below `mcp.servers`, without a type there.
pub(super) fn is_of_opencode_2(text: &str) -> bool {
    let root = Parser::new(text).document().map(|root| root.to_value()).unwrap_or_default();
    root["mcp"]["servers"].as_object().is_some_and(|servers| !servers.contains_key("type"))
}

/// `value` on many lines, with a line break at the end.
pub(super) fn pretty(value: &Value, unit: &str) -> String {
    format!("{}\n", rendered(value, unit))
}

fn rendered(value: &Value, unit: &str) -> String {
    let mut bytes = Vec::new();
    let mut serializer =
        serde_json::Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(unit.as_bytes()));
    value.serialize(&mut serializer).expect("a JSON value can be written");
    String::from_utf8(bytes).expect("JSON is text")
}

/// A value and where it stands.
struct Node {
    range: Range<usize>,
    kind: Kind,
}

enum Kind {
    Object(Vec<Member>),
    Other(Value),
}

struct Member {
    key: String,
    key_at: usize,
    value: Node,
    /// The comma after it.
    comma: Option<usize>,
}

impl Node {
    fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Object(members) => {
                Value::Object(members.iter().map(|member| (member.key.clone(), member.value.to_value())).collect())
            }
            Kind::Other(value) => value.clone(),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    fn document(mut self) -> Result<Node, Refusal> {
        if self.text.starts_with(BYTE_ORDER_MARK) {
            self.at = BYTE_ORDER_MARK.len_utf8();
        }
        self.space()?;
        let root = self.value()?;
        self.space()?;
        if self.at < self.text.len() { Err(self.refuse("there is something after the end")) } else { Ok(root) }
    }

    fn value(&mut self) -> Result<Node, Refusal> {
        let start = self.at;
        let kind = match self.peek() {
            Some(b'{' | b'[') if self.depth == MAX_DEPTH => return Err(self.refuse("it is nested too deeply")),
            Some(b'{') => Kind::Object(self.object()?),
            Some(b'[') => Kind::Other(Value::Array(self.array()?)),
            Some(b'"') => Kind::Other(Value::String(self.string()?)),
            _ => Kind::Other(self.word()?),
        };
        Ok(Node { range: start..self.at, kind })
    }

    fn object(&mut self) -> Result<Vec<Member>, Refusal> {
        let mut members = Vec::new();
        self.open()?;
        while !self.closed_by(b'}') {
            let key_at = self.at;
            let key = self.string()?;
            self.space()?;
            self.expect(b':')?;
            self.space()?;
            let value = self.value()?;
            let comma = self.comma_or(b'}')?;
            members.push(Member { key, key_at, value, comma });
        }
        Ok(members)
    }

    fn array(&mut self) -> Result<Vec<Value>, Refusal> {
        let mut values = Vec::new();
        self.open()?;
        while !self.closed_by(b']') {
            values.push(self.value()?.to_value());
            self.comma_or(b']')?;
        }
        Ok(values)
    }

    fn open(&mut self) -> Result<(), Refusal> {
        self.depth += 1;
        self.at += 1;
        self.space()
    }

    fn closed_by(&mut self, bracket: u8) -> bool {
        let is_closed = self.peek() == Some(bracket);
        if is_closed {
            self.at += 1;
            self.depth -= 1;
        }
        is_closed
    }

    /// Past the comma after a value, to what is next; or to `bracket`, which needs none.
    fn comma_or(&mut self, bracket: u8) -> Result<Option<usize>, Refusal> {
        self.space()?;
        let comma = (self.peek() == Some(b',')).then_some(self.at);
        if comma.is_some() {
            self.at += 1;
            self.space()?;
        } else if self.peek() != Some(bracket) {
            return Err(self.refuse(&format!("there is no `,` and no `{}`", char::from(bracket))));
        }
        Ok(comma)
    }

    fn string(&mut self) -> Result<String, Refusal> {
        let start = self.at;
        self.expect(b'"')?;
        loop {
            match self.peek() {
                Some(b'\\') => self.at += 2,
                Some(b'"') => break,
                Some(_) => self.at += 1,
                None => return Err(self.refuse("a text has no end")),
            }
        }
        self.at += 1;
        let text = self.text.get(start..self.at).and_then(|text| serde_json::from_str(text).ok());
        text.ok_or_else(|| self.refuse("a text has something in it that is not allowed"))
    }

    fn word(&mut self) -> Result<Value, Refusal> {
        let rest = &self.text[self.at..];
        let length = rest.find(|c: char| c.is_whitespace() || ",]}/:".contains(c)).unwrap_or(rest.len());
        let value = serde_json::from_str(&rest[..length]).map_err(|_| self.refuse("there is no value"))?;
        self.at += length;
        Ok(value)
    }

    /// Past white space and comments.
    fn space(&mut self) -> Result<(), Refusal> {
        loop {
            let rest = &self.text[self.at..];
            let length = if rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else if rest.starts_with("/*") {
                rest.find("*/").ok_or_else(|| self.refuse("a comment has no end"))? + 2
            } else {
                // RFC 8259 §2: these four and no other.
                rest.find(|c| !matches!(c, ' ' | '\t' | '\r' | '\n')).unwrap_or(rest.len())
            };
            if length == 0 {
                return Ok(());
            }
            self.at += length;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Refusal> {
        if self.peek() != Some(byte) {
            return Err(self.refuse(&format!("there is no `{}`", char::from(byte))));
        }
        self.at += 1;
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn refuse(&self, what: &str) -> Refusal {
        Refusal::Unreadable { line: line_of(self.text, self.at), what: what.to_owned() }
    }
}

/// Puts one value into a text, in the manner of what is around it.
struct Editor<'a> {
    text: &'a str,
    newline: &'static str,
    /// By how much a level is indented; none where everything is on one line.
    unit: Option<&'a str>,
}

impl<'a> Editor<'a> {
    fn new(text: &'a str, root: &Node) -> Self {
        let unit = match &root.kind {
            Kind::Object(members) if !members.is_empty() => {
                indentation(text, members[0].key_at).map(|unit| if unit.is_empty() { "  " } else { unit })
            }
            _ => Some("  "),
        };
        Self { text, newline: if text.contains("\r\n") { "\r\n" } else { "\n" }, unit }
    }

    /// The text with `entry` at `path` below `node`.
    fn with(&self, node: &Node, path: &[&str], entry: &Value) -> Result<String, Refusal> {
        let Kind::Object(members) = &node.kind else {
            return Err(Refusal::InTheWay(format!("what should hold `{}` is not an object", path[0])));
        };
        let mut named = members.iter().filter(|member| member.key == path[0]);
        match (named.next(), named.next(), path.len()) {
            (_, Some(_), _) => Err(Refusal::InTheWay(format!("`{}` is there twice", path[0]))),
            (Some(member), None, 1) => Ok(self.replaced(member, entry)),
            (Some(member), None, _) => self.with(&member.value, &path[1..], entry),
            (None, ..) => Ok(self.added(node, members, path[0], &nested(&path[1..], entry))),
        }
    }

    fn replaced(&self, member: &Member, value: &Value) -> String {
        self.spliced(member.value.range.clone(), &self.written(value, indentation(self.text, member.key_at)))
    }

    fn added(&self, node: &Node, members: &[Member], key: &str, value: &Value) -> String {
        let Some(last) = members.last() else { return self.first(node, key, value) };
        let indent = indentation(self.text, members[0].key_at);
        let member = format!("{}: {}", Value::from(key), self.written(value, indent));
        let Some(indent) = indent else {
            let (at, comma) = last.comma.map_or((last.value.range.end, ", "), |comma| (comma + 1, " "));
            return self.spliced(at..at, &format!("{comma}{member}"));
        };
        // A comment behind the last one stays behind it.
        let end = last.comma.map_or(last.value.range.end, |comma| comma + 1);
        let at = self.end_of_line(end);
        let (before, after) = match last.comma {
            Some(_) => ("", ","),
            None => (",", ""),
        };
        let new = format!("{before}{}{}{indent}{member}{after}", &self.text[end..at], self.newline);
        self.spliced(end..at, &new)
    }

    /// The only member of an object that has none.
    fn first(&self, node: &Node, key: &str, value: &Value) -> String {
        let close = node.range.end - 1;
        let inside = &self.text[node.range.start + 1..close];
        let end = node.range.start + 1 + inside.trim_end().len();
        let Some(unit) = self.unit else {
            return self.spliced(end..close, &format!("{}: {}", Value::from(key), self.written(value, None)));
        };
        let outer = line_start(self.text, node.range.start);
        let indent = format!("{outer}{unit}");
        let member = format!("{}: {}", Value::from(key), self.written(value, Some(&indent)));
        let newline = self.newline;
        self.spliced(end..close, &format!("{newline}{indent}{member}{newline}{outer}"))
    }

    /// `value` in lines that are indented by `indent`, or on one line.
    fn written(&self, value: &Value, indent: Option<&str>) -> String {
        match (self.unit, indent) {
            (Some(unit), Some(indent)) => rendered(value, unit).replace('\n', &format!("{}{indent}", self.newline)),
            _ => value.to_string(),
        }
    }

    /// Behind the spaces and comments after `at` that are on its line.
    fn end_of_line(&self, at: usize) -> usize {
        let line = self.text[at..].lines().next().unwrap_or_default();
        let mut rest = line.trim_start();
        while let Some(end) = rest.strip_prefix("/*").and_then(|comment| comment.find("*/")) {
            rest = rest[end + 4..].trim_start();
        }
        if rest.is_empty() || rest.starts_with("//") { at + line.trim_end().len() } else { at }
    }

    fn spliced(&self, range: Range<usize>, new: &str) -> String {
        [&self.text[..range.start], new, &self.text[range.end..]].concat()
    }
}

/// What is before `at` on its line, if that is only white space.
fn indentation(text: &str, at: usize) -> Option<&str> {
    let line = &text[text[..at].rfind('\n')? + 1..at];
    line.trim().is_empty().then_some(line)
}

/// The white space at the beginning of the line of `at`.
fn line_start(text: &str, at: usize) -> &str {
    let line = &text[text[..at].rfind('\n').map_or(0, |newline| newline + 1)..at];
    &line[..line.len() - line.trim_start().len()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn edited(text: &str) -> String {
        with_entry(text, "servers", "own", &json!({ "url": "u" })).unwrap().text
    }

    fn refused(text: &str) -> Refusal {
        with_entry(text, "servers", "own", &json!(1)).unwrap_err()
    }

    #[test]
    fn an_empty_file_gets_the_entry_alone() {
        let whole = "{\n  \"servers\": {\n    \"own\": {\n      \"url\": \"u\"\n    }\n  }\n}\n";

        assert_eq!(edited(""), whole);
        assert_eq!(edited("{}\n"), whole);
        assert_eq!(edited("{\n}\n"), whole);
        assert_eq!(edited("{ \"servers\": {} }"), "{ \"servers\": {\"own\": {\"url\":\"u\"}} }");
    }

    #[test]
    fn comments_commas_and_the_manner_of_a_file_stay() {
        let text = "// mine\n{\n\t\"a\": [1, 2,], // one\n\t\"servers\": {\n\t\t/* two */ \"b\": {}\n\t},\n}\n";
        let more = "{\r\n    \"servers\": {\r\n        \"b\": 1 // b\r\n    }\r\n}";

        assert_eq!(
            edited(text),
            "// mine\n{\n\t\"a\": [1, 2,], // one\n\t\"servers\": {\n\t\t/* two */ \"b\": {}, \"own\": {\"url\":\"u\"}\n\t},\n}\n"
        );
        assert_eq!(
            edited(more),
            "{\r\n    \"servers\": {\r\n        \"b\": 1, // b\r\n        \"own\": {\r\n            \"url\": \"u\"\r\n        }\r\n    }\r\n}"
        );
        assert_eq!(
            edited("{\n  \"a\": 1,\n}"),
            "{\n  \"a\": 1,\n  \"servers\": {\n    \"own\": {\n      \"url\": \"u\"\n    }\n  },\n}"
        );
        assert_eq!(edited("{\"a\":1}"), "{\"a\":1, \"servers\": {\"own\":{\"url\":\"u\"}}}");
        assert_eq!(
            edited("{\n  // none\n}"),
            "{\n  // none\n  \"servers\": {\n    \"own\": {\n      \"url\": \"u\"\n    }\n  }\n}"
        );
    }

    #[test]
    fn an_edit_again_changes_nothing() {
        for text in [
            "",
            "{}",
            "{\"a\":1}",
            "{\n  \"a\": 1 // x\n}",
            "{\n\t\"servers\": {\n\t},\n}",
            "{\"servers\": {\"own\": 1}}",
        ] {
            let once = edited(text);
            assert_eq!(edited(&once), once);
        }
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_line_and_without_its_words() {
        let unreadable = |text| match refused(text) {
            Refusal::Unreadable { line, what } => (line, what),
            Refusal::InTheWay(what) => panic!("{what}"),
        };

        assert_eq!(unreadable("{\n  \"a\": secret\n}"), (2, "there is no value".to_owned()));
        assert_eq!(unreadable("{\n  \"a\": 1\n  \"b\": 2\n}"), (3, "there is no `,` and no `}`".to_owned()));
        assert_eq!(unreadable("{} {}").0, 1);
        for text in
            ["{", "[1,", "{\"a\"}", "{\"a\": \"\\", "{\"a\": \"\\é", "/* x", "{\"a\": tru}", "nul", "{,}", "\"\n\""]
        {
            assert!(matches!(refused(text), Refusal::Unreadable { .. }), "{text}");
        }
        assert!(matches!(refused(&"[".repeat(1000)), Refusal::Unreadable { .. }));
    }

    #[test]
    fn what_has_no_place_for_the_entry_is_refused() {
        for text in ["[]", "1", "{\"servers\": []}", "{\"servers\": null}", "{\"servers\": {}, \"servers\": {}}"] {
            assert!(matches!(refused(text), Refusal::InTheWay(_)), "{text}");
        }
    }
}
