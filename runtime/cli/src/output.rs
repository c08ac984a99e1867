//! Data on stdout, talk on stderr, and nothing that drives the terminal.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde_json::Value;

/// How answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// Exactly one JSON document on stdout.
    Json,
}

/// Where a command writes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    format: Format,
    quiet: bool,
    verbose: bool,
}

impl Output {
    /// Writes as `format` says; `quiet` leaves out the talk, `verbose` adds to it.
    pub(crate) fn new(format: Format, quiet: bool, verbose: bool) -> Self {
        Self { format, quiet, verbose }
    }

    /// How answers are written.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Whether details were asked for.
    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Whether a moving progress bar has someone to look at it.
    pub(crate) fn shows_progress(&self) -> bool {
        !self.quiet && self.format == Format::Text && io::stderr().is_terminal()
    }

    /// Write `value` as JSON, or else the text that `text` makes of it.
    pub(crate) fn data(&self, value: &Value, text: impl FnOnce() -> String) -> io::Result<()> {
        match self.format {
            Format::Json => self.print(&pretty(value)),
            Format::Text => self.print(&text()),
        }
    }

    /// Write `text`, which must be safe for a terminal already, and end the line.
    pub(crate) fn print(&self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        match write!(stdout, "{text}{newline}").and_then(|()| stdout.flush()) {
            // Whoever read our answer has seen enough of it: `fumehood tools ls | head -1`.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }

    /// Say something beside the data.
    pub(crate) fn talk(&self, text: &str) {
        if !self.quiet {
            self.error(&terminal_safe(text));
        }
    }

    /// Say on stderr what must be said; `text` must be safe for a terminal already.
    pub(crate) fn error(&self, text: &str) {
        // Nobody is left to hear that stderr is closed.
        let _ = writeln!(io::stderr(), "{text}");
    }
}

/// `value` as JSON on many lines that is safe to look at.
pub(crate) fn pretty(value: &Value) -> String {
    json_safe(&serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string()))
}

/// `value` as JSON on one line that is safe to look at.
pub(crate) fn compact(value: &Value) -> String {
    json_safe(&value.to_string())
}

/// JSON leaves DEL, C1 controls and the marks that turn text around as they are; they occur in strings only.
fn json_safe(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if is_dangerous(c) && c != '\n' {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| safe.push_str(&format!("\\u{unit:04x}")));
        } else {
            safe.push(c);
        }
    }
    safe
}

/// `text` of a stranger with its line breaks and tabs, and with everything else that a terminal acts on escaped.
///
/// Also when stdout is not a terminal: what goes through `tee` or `less -R` reaches one. `-o json` keeps every byte.
pub(crate) fn terminal_safe(text: &str) -> String {
    escape(text, |c| c != '\n' && c != '\t')
}

/// `text` of a stranger on one line.
pub(crate) fn single_line(text: &str) -> String {
    escape(text, |_| true)
}

fn escape(text: &str, refuses: impl Fn(char) -> bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_dangerous(c) && refuses(c) { safe.extend(c.escape_default()) } else { safe.push(c) }
    }
    safe
}

/// Control characters, and the invisible marks that change the order in which text is shown.
fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}')
}

/// A table without lines, one row a line, fit for `grep` and `awk`.
pub(crate) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().copied());
    for row in rows {
        table.add_row(row.iter().map(|cell| single_line(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// A size as people read it.
pub(crate) fn size(bytes: u64) -> String {
    // Precise enough: it is shown with one digit.
    let float = bytes as f64;
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..0x10_0000 => format!("{:.1} KiB", float / 1024.0),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", float / f64::from(1 << 20)),
        _ => format!("{:.1} GiB", float / f64::from(1 << 30)),
    }
}

/// A number with a comma after each group of three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bounds of a module or a key as people read them; `-` for none.
pub(crate) fn limits(limits: &Value) -> String {
    let shown = limits.as_object().into_iter().flatten().map(|(key, value)| {
        let value =
            value.as_str().map_or_else(|| value.as_u64().map_or_else(|| value.to_string(), grouped), str::to_owned);
        match key.as_str() {
            "fuel_units" => format!("fuel {value}"),
            "deadline_ms" => format!("deadline {value} ms"),
            key => format!("{key} {value}"),
        }
    });
    let shown: Vec<_> = shown.collect();
    if shown.is_empty() { "-".to_owned() } else { shown.join(", ") }
}

/// A duration as people read it.
pub(crate) fn duration(microseconds: u64) -> String {
    let float = microseconds as f64;
    match microseconds {
        0..1000 => format!("{microseconds} µs"),
        1000..1_000_000 => format!("{:.1} ms", float / 1e3),
        _ => format!("{:.1} s", float / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn escape_sequences_of_strangers_are_shown_and_not_obeyed() {
        assert_eq!(terminal_safe("a\u{1b}]0;x\u{7}\tb\nc\u{202e}"), "a\\u{1b}]0;x\\u{7}\tb\nc\\u{202e}");
        assert_eq!(single_line("a\r\nb"), "a\\r\\nb");
    }

    #[test]
    fn escaped_json_is_the_same_json() {
        let value = json!({ "k\u{9b}": "\u{7f}\u{e0041}\n\u{1b}" });

        let text = pretty(&value);

        assert!(text.chars().all(|c| c == '\n' || !is_dangerous(c)));
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn a_cell_with_a_line_break_stays_one_row() {
        assert_eq!(table(&["A", "B"], [vec!["1\n2".to_owned(), "x".to_owned()]]), "A     B\n1\\n2  x");
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(12), "12");
        assert_eq!(size(1_153_434), "1.1 MiB");
        assert_eq!(duration(1_240), "1.2 ms");
        assert_eq!(limits(&json!({ "deadline_ms": 1500, "memory": "8 MiB" })), "deadline 1,500 ms, memory 8 MiB");
        assert_eq!(limits(&Value::Null), "-");
    }
}
