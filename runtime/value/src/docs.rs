//! WIT `///` documentation, for components that still carry it.
//!
//! Most toolchains drop the `package-docs` section; where it survives, it is what a model reads, so it is used.

use serde::Deserialize;
use std::collections::HashMap;

/// Longest documentation of one function that is kept, in characters.
const MAX_DOCS: usize = 4_000;

/// Largest section that is looked at.
const MAX_SECTION: usize = 1 << 20;

/// The `package-docs` custom section: a version byte, then JSON.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct PackageDocs {
    #[serde(default)]
    worlds: HashMap<String, Items>,
    #[serde(default)]
    interfaces: HashMap<String, Items>,
}

#[derive(Debug, Default, Deserialize)]
struct Items {
    #[serde(default)]
    funcs: HashMap<String, Documented>,
    #[serde(default, alias = "func_exports")]
    func_exports: HashMap<String, Documented>,
    #[serde(default)]
    interface_exports: HashMap<String, Items>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Documented {
    Text(String),
    Object {
        #[serde(default)]
        docs: Option<String>,
    },
}

impl PackageDocs {
    /// Read a section; one that is not understood documents nothing.
    pub(crate) fn parse(section: &[u8]) -> Self {
        if section.len() > MAX_SECTION {
            return Self::default();
        }
        section.get(1..).and_then(|json| serde_json::from_slice(json).ok()).unwrap_or_default()
    }

    /// What is written of a function, if anything.
    pub(crate) fn function(&self, interface: Option<&str>, name: &str) -> Option<String> {
        let documented = match interface {
            None => self.worlds.values().find_map(|world| world.func_exports.get(name).or(world.funcs.get(name))),
            Some(interface) => {
                let short = interface.rsplit('/').next().unwrap_or(interface).split('@').next().unwrap_or(interface);
                self.interfaces.get(short).and_then(|items| items.funcs.get(name)).or_else(|| {
                    let mut worlds = self.worlds.values();
                    worlds.find_map(|world| world.interface_exports.get(short)?.funcs.get(name))
                })
            }
        };
        let text = match documented? {
            Documented::Text(text) => text,
            Documented::Object { docs } => docs.as_ref()?,
        };
        let text: String = text.trim().chars().filter(|c| is_shown(*c)).take(MAX_DOCS).collect();
        (!text.is_empty()).then_some(text)
    }
}

/// Whether a character is text that people see, or the end of a line.
///
/// Documentation is shown to people in terminals and to models. What steers a terminal, turns the direction of text
/// or takes no room could show the one something else than the other.
fn is_shown(c: char) -> bool {
    let hidden = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
        // Zero width, marks and changes of direction, separators of lines.
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        // Annotations, tags and selectors of variants.
        | '\u{fff9}'..='\u{fffb}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}');
    c == '\n' || !(c.is_control() || hidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documentation_is_bounded_and_holds_nothing_hidden() {
        let docs = |text: &str| {
            let json = serde_json::json!({ "worlds": { "w": { "func_exports": { "run": text } } } });
            PackageDocs::parse(format!("\u{1}{json}").as_bytes()).function(None, "run")
        };

        let hostile = "Adds.\u{1b}[2J\u{202e}\u{200b}\u{2066}\u{feff}\u{85}\u{e0041}\r\nReally: ünï 漢字.";
        assert_eq!(docs(hostile).as_deref(), Some("Adds.[2J\nReally: ünï 漢字."));
        assert_eq!(docs("\u{200b}\u{202e}"), None);
        assert_eq!(docs(&"ä".repeat(100_000)), Some("ä".repeat(MAX_DOCS)));
    }
}
