//! Pages of the book that are made from the code.

use std::{env, fs, path::Path};

use fumehood_policy::{BoundNote, Limits};

const BEGIN: &str = "<!-- generated from the code: begin -->\n";
const END: &str = "<!-- generated from the code: end -->";

/// The page holds exactly `text` between its marks; `UPDATE_DOCS=1` writes it there.
fn holds(page: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src").join(page);
    let whole = fs::read_to_string(&path).unwrap();
    let (before, rest) = whole.split_once(BEGIN).unwrap();
    let (found, after) = rest.split_once(END).unwrap();
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{text}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(found, text, "{page} is out of date: run the tests once with UPDATE_DOCS=1");
}

#[test]
fn the_limits_page_is_what_the_code_says() {
    let defaults = serde_json::to_value(Limits::default()).unwrap();
    let keys: Vec<_> = defaults.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, Limits::NOTES.map(|note| note.bound.key().to_owned()), "each limit has its line");

    let mut table = String::from("| bound | default | key | beyond it |\n|---|---|---|---|\n");
    for BoundNote { bound, of, beyond } in Limits::NOTES {
        let default = &defaults[bound.key()];
        let default = default.as_str().map_or_else(|| default.to_string(), ToOwned::to_owned);
        table += &format!("| {of} | {default} | `limits.{bound}` | {beyond} |\n");
    }

    holds("reference/limits.md", &table);
}
