//! Laying JSON out anew.
//!
//! Reading numbers into floats would change those that do not fit, so the text of numbers and strings is kept: the
//! document is checked by `serde_json` first and then only cut into pieces.

use crate::exports::fumehood::json_tools::json::{Layout, Problem};
use crate::text;

/// What most people write.
pub const DEFAULT_LAYOUT: Layout = Layout::Indented(2);

/// Widest indentation. With 128 levels, wider ones are mostly space.
const MAX_INDENT: u8 = 16;

/// Lay the document out.
pub fn format(document: &str, layout: Layout, sort_keys: bool) -> Result<String, Problem> {
    let indent = match layout {
        Layout::Compact => None,
        Layout::Indented(width) if width <= MAX_INDENT => Some(usize::from(width)),
        Layout::Indented(_) => {
            return Err(Problem::TooLarge(format!(
                "more than {MAX_INDENT} spaces a level"
            )));
        }
    };
    text::parse("document", document)?;
    let mut tree = Reader {
        text: document,
        position: 0,
    }
    .value();
    if sort_keys {
        tree.sort();
    }
    let mut output = String::with_capacity(document.len());
    tree.write(indent, 0, &mut output);
    Ok(output)
}

/// A document whose leaves are the very text they were written as.
enum Tree<'a> {
    Leaf(&'a str),
    Array(Vec<Tree<'a>>),
    Object(Vec<(&'a str, Tree<'a>)>),
}

impl Tree<'_> {
    /// Order members by name. The sort is stable: of a name that occurs twice the later stays later, and so still wins.
    fn sort(&mut self) {
        match self {
            Self::Leaf(_) => {}
            Self::Array(items) => items.iter_mut().for_each(Self::sort),
            Self::Object(members) => {
                members.sort_by_cached_key(|(name, _)| unescape(name));
                members.iter_mut().for_each(|(_, value)| value.sort());
            }
        }
    }

    fn write(&self, indent: Option<usize>, level: usize, output: &mut String) {
        match self {
            Self::Leaf(text) => output.push_str(text),
            Self::Array(items) => {
                write_list('[', ']', items, indent, level, output, |item, output| {
                    item.write(indent, level + 1, output);
                });
            }
            Self::Object(members) => {
                write_list(
                    '{',
                    '}',
                    members,
                    indent,
                    level,
                    output,
                    |(name, value), output| {
                        output.push_str(name);
                        output.push_str(if indent.is_some() { ": " } else { ":" });
                        value.write(indent, level + 1, output);
                    },
                );
            }
        }
    }
}

fn write_list<T>(
    open: char,
    close: char,
    items: &[T],
    indent: Option<usize>,
    level: usize,
    output: &mut String,
    mut write_item: impl FnMut(&T, &mut String),
) {
    output.push(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            output.push(',');
        }
        break_line(indent, level + 1, output);
        write_item(item, output);
    }
    if !items.is_empty() {
        break_line(indent, level, output);
    }
    output.push(close);
}

fn break_line(indent: Option<usize>, level: usize, output: &mut String) {
    if let Some(width) = indent {
        output.push('\n');
        output.extend(std::iter::repeat_n(' ', width * level));
    }
}

/// Two ways to write the same name are the same name.
fn unescape(name: &str) -> String {
    serde_json::from_str(name).unwrap_or_else(|_| name.to_owned())
}

/// Cuts a text that is known to be JSON. On any other text it would stop early, but not panic.
struct Reader<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self) -> Tree<'a> {
        match self.next() {
            Some(b'[') => Tree::Array(self.list(b']', Self::value)),
            Some(b'{') => Tree::Object(self.list(b'}', |reader| {
                let name = reader.leaf();
                reader.skip(b':');
                (name, reader.value())
            })),
            _ => Tree::Leaf(self.leaf()),
        }
    }

    fn list<T>(&mut self, close: u8, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        self.position += 1;
        let mut items = Vec::new();
        while self.next().is_some_and(|byte| byte != close) {
            items.push(item(self));
            self.skip(b',');
        }
        self.skip(close);
        items
    }

    /// The text of a string, number or literal.
    fn leaf(&mut self) -> &'a str {
        let quoted = self.next() == Some(b'"');
        let rest = &self.text[self.position..];
        let length = if quoted {
            string_length(rest)
        } else {
            rest.find([',', ':', ']', '}', ' ', '\t', '\n', '\r'])
        };
        let leaf = &rest[..length.unwrap_or(rest.len())];
        self.position += leaf.len();
        leaf
    }

    fn skip(&mut self, wanted: u8) {
        if self.next() == Some(wanted) {
            self.position += 1;
        }
    }

    fn next(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while bytes
            .get(self.position)
            .is_some_and(u8::is_ascii_whitespace)
        {
            self.position += 1;
        }
        bytes.get(self.position).copied()
    }
}

/// The length of the string at the beginning of the text, with both of its quotes.
fn string_length(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Some(index + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compact(document: &str, sort_keys: bool) -> String {
        format(document, Layout::Compact, sort_keys).unwrap()
    }

    #[test]
    fn indented_and_compact_are_the_same_document() {
        let document = r#" { "b" : [ 1 , {} , [ ] ] , "a" : "x, \"y\": {z}" } "#;

        assert_eq!(
            compact(document, false),
            r#"{"b":[1,{},[]],"a":"x, \"y\": {z}"}"#
        );
        assert_eq!(
            format(document, DEFAULT_LAYOUT, false).unwrap(),
            "{\n  \"b\": [\n    1,\n    {},\n    []\n  ],\n  \"a\": \"x, \\\"y\\\": {z}\"\n}"
        );
        assert_eq!(
            compact(
                &format(document, Layout::Indented(16), false).unwrap(),
                false
            ),
            compact(document, false)
        );
    }

    #[test]
    fn numbers_and_strings_stay_as_written() {
        let document = r#"[12345678901234567890123,1.0,1E2,-0,"\u00e4","\/","é"]"#;

        assert_eq!(compact(document, true), document);
    }

    #[test]
    fn keys_are_sorted_by_what_they_mean() {
        assert_eq!(
            compact(r#"{"b":1,"\u0061":{"d":1,"c":2},"B":3}"#, true),
            r#"{"B":3,"\u0061":{"c":2,"d":1},"b":1}"#
        );
        assert_eq!(
            compact(r#"{"b":1,"a":2,"b":0}"#, true),
            r#"{"a":2,"b":1,"b":0}"#
        );
    }

    #[test]
    fn what_is_not_json_is_a_problem() {
        let deep = "[".repeat(100_000);
        for document in [
            "",
            " ",
            "{",
            "[1,]",
            "nul",
            "01",
            "\u{feff}1",
            "\"\t\"",
            "{'a':1}",
            "1 2",
            "NaN",
            &deep,
        ] {
            assert!(matches!(
                format(document, Layout::Compact, false),
                Err(Problem::InvalidJson(_))
            ));
        }
        assert!(matches!(
            format("1", Layout::Indented(17), false),
            Err(Problem::TooLarge(_))
        ));
    }

    #[test]
    fn a_leaf_alone_is_a_document() {
        for document in ["1", "\"a\"", "null", "\"\\\\\"", "\"\""] {
            assert_eq!(compact(document, true), document);
        }
    }
}
