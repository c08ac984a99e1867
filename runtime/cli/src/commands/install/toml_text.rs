//! TOML files: the tables of the entry are taken out as lines and put in as lines, and everything else stays.

use serde_json::Value;
use toml::Table;

use super::edit::{Edited, Refusal, line_of, put};

/// As [`super::edit::with_entry`].
pub(super) fn with_entry(text: &str, section: &str, name: &str, entry: &Value) -> Result<Edited, Refusal> {
    let before = read(text)?;
    if before.get(section).is_some_and(|servers| !servers.is_table()) {
        return Err(Refusal::InTheWay(format!("`{section}` is not a table")));
    }
    let (expected, replaced) = put(json(&before), section, name, entry);
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let tables = rendered(&super::edit::nested(&[section, name], entry)).replace('\n', newline);
    let edited = spliced(text, &tables, newline, |line| is_of(line, section, name));
    match read(&edited) {
        Ok(found) if json(&found) == expected => Ok(Edited { text: edited, replaced }),
        _ => Err(Refusal::InTheWay(format!("`{section}` is written in a way that cannot be changed safely"))),
    }
}

/// `value` as tables.
pub(super) fn rendered(value: &Value) -> String {
    toml::to_string(value).expect("texts, lists and tables can be written")
}

fn read(text: &str) -> Result<Table, Refusal> {
    // Only what is wrong and where: the error as a whole quotes the file.
    toml::from_str(text).map_err(|error| Refusal::Unreadable {
        line: error.span().map_or(1, |span| line_of(text, span.start)),
        what: error.message().lines().next().unwrap_or_default().to_owned(),
    })
}

fn json(table: &Table) -> Value {
    serde_json::to_value(table).unwrap_or_default()
}

/// `text` with `tables` in place of those whose headers are `ours`, or at its end.
fn spliced(text: &str, tables: &str, newline: &str, ours: impl Fn(&str) -> bool) -> String {
    let mut kept = String::with_capacity(text.len() + tables.len());
    let mut place = None;
    let mut is_ours = false;
    // Blank lines and comments belong to what comes after them.
    let mut between = String::new();
    for line in text.split_inclusive('\n') {
        let bare = line.trim();
        if bare.starts_with('[') {
            is_ours = ours(bare);
            if is_ours && place.is_none() {
                kept.push_str(&std::mem::take(&mut between));
                place = Some(kept.len());
            }
        }
        if bare.is_empty() || bare.starts_with('#') {
            between.push_str(line);
        } else if is_ours {
            between.clear();
        } else {
            kept.push_str(&std::mem::take(&mut between));
            kept.push_str(line);
        }
    }
    kept.push_str(&between);
    match place {
        Some(place) => kept.insert_str(place, tables),
        None => {
            if !kept.is_empty() && !kept.ends_with('\n') {
                kept.push_str(newline);
            }
            if !kept.trim().is_empty() {
                kept.push_str(newline);
            }
            kept.push_str(tables);
        }
    }
    kept
}

/// Whether `header` begins the table of the entry, or one below it.
fn is_of(header: &str, section: &str, name: &str) -> bool {
    let table = toml::from_str::<Table>(header).ok();
    table.is_some_and(|table| table.get(section).and_then(|servers| servers.get(name)).is_some())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn edited(text: &str) -> String {
        with_entry(text, "servers", "own", &json!({ "url": "u", "headers": { "A": "b" } })).unwrap().text
    }

    const OURS: &str = "[servers.own]\nurl = \"u\"\n\n[servers.own.headers]\nA = \"b\"\n";

    #[test]
    fn the_entry_is_put_at_the_end_and_everything_stays() {
        let text = "# mine\na = 1 # one\n\n[servers.other]\ncommand = \"x\"";

        assert_eq!(edited(""), OURS);
        assert_eq!(edited(text), format!("{text}\n\n{OURS}"));
    }

    #[test]
    fn the_entry_is_replaced_where_it_is() {
        let text =
            "a = 1\n# ours\n[servers.\"own\"]\nurl = 'old'\n[servers.own.env]\nB = '1'\n\n# next\n[other]\nb = 2\n";

        let once = edited(text);

        assert_eq!(once, format!("a = 1\n# ours\n{OURS}\n# next\n[other]\nb = 2\n"));
        assert_eq!(edited(&once), once);
        assert_eq!(edited(&edited("x = 1\r\n")), edited("x = 1\r\n"));
    }

    #[test]
    fn what_cannot_be_changed_safely_is_refused() {
        let refused = |text| with_entry(text, "servers", "own", &json!({ "url": "u" })).unwrap_err();

        for text in
            ["servers = 1", "servers = { own = { url = 'x' } }", "[servers]\nown.url = 'x'", "[[servers]]\na = 1"]
        {
            assert!(matches!(refused(text), Refusal::InTheWay(_)), "{text}");
        }
        let Refusal::Unreadable { line, what } = refused("a = 1\nb = = \"secret\"\n") else {
            panic!("it is unreadable")
        };
        assert_eq!((line, what.contains("secret")), (2, false), "{what}");
    }

    #[test]
    fn what_looks_like_a_table_inside_a_text_stays() {
        let text = "a = '''\n[servers.own]\n'''\n";

        assert!(with_entry(text, "servers", "own", &json!({ "url": "u" })).is_err());
    }
}
