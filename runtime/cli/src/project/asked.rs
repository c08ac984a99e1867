//! What the code of a tool asks to be permitted, which the SDK of its language writes into the component.

use fumehood_dispatch::Manifest;
use fumehood_value::Section;

/// The section of a core module that holds it: tables of a `tool.toml`.
const PERMISSIONS: &[u8] = b"fumehood:permissions";

/// Kinds of sections of a component: a core module, and another component.
const MODULE: u8 = 1;
const COMPONENT: u8 = 4;

/// How many bytes come before the sections of either.
const HEAD: usize = 8;

/// How deep components in components are looked at.
const DEPTH: usize = 8;

/// `manifest` with what `component` asks for beside it. What both ask for stays as the manifest says it.
///
/// # Errors
///
/// With what is wrong with what the component asks for.
pub(crate) fn with_permissions_of(component: &[u8], manifest: &str) -> Result<String, String> {
    let mut asked = Vec::new();
    collect(component, DEPTH, &mut asked);
    if asked.is_empty() {
        return Ok(manifest.to_owned());
    }
    let asked = std::str::from_utf8(&asked).map_err(|_| "what it asks to be permitted is not UTF-8 text".to_owned())?;
    let parsed = |file: &str, text: &str| Manifest::parse(file, text).map_err(|error| error.to_string());
    let (own, asked) = (parsed("tool.toml", manifest)?, parsed("what it asks to be permitted", asked)?);
    let mut text = manifest.to_owned();
    for wish in asked.permissions.iter().filter(|wish| !own.permissions.iter().any(|known| known.grant == wish.grant)) {
        let [allow, reason] = [wish.grant.to_string(), wish.reason.clone()].map(toml::Value::String);
        text += &format!("\n[[permissions]]\nallow = {allow}\nreason = {reason}\n");
    }
    Ok(text)
}

/// What stands in the sections of that name, one after the other. What cannot be read is for others to refuse.
fn collect(binary: &[u8], depth: usize, asked: &mut Vec<u8>) {
    let mut rest = binary.get(HEAD..).unwrap_or_default();
    while let Some(section) = Section::first_of(rest) {
        rest = &rest[section.length..];
        match section.kind {
            MODULE | COMPONENT if depth > 0 => collect(section.content, depth - 1, asked),
            _ if section.custom == Some(PERMISSIONS) => asked.extend_from_slice(section.content),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: &str = "[[permissions]]\nallow = 'keyvalue:cache'\nreason = 'Keeps \"answers\".'\n";

    /// A component with a core module that asks for this.
    fn asking(text: &str) -> Vec<u8> {
        let text = text.replace('\\', "\\\\").replace('"', "\\22").replace('\n', "\\0a");
        wat::parse_str(format!(r#"(component (core module (@custom "fumehood:permissions" "{text}")))"#)).unwrap()
    }

    #[test]
    fn what_the_code_asks_for_comes_to_what_the_manifest_says() {
        let manifest = "name = 'a'\n";

        let merged = with_permissions_of(&asking(ASKED), manifest).unwrap();

        let parsed = Manifest::parse("merged", &merged).unwrap();
        assert!(merged.starts_with(manifest), "{merged}");
        assert_eq!(parsed.permissions.len(), 1);
        assert_eq!(parsed.permissions[0].reason, "Keeps \"answers\".");
        assert_eq!(with_permissions_of(&asking(ASKED), &merged).unwrap(), merged, "nothing is asked for twice");
    }

    #[test]
    fn without_a_section_nothing_changes() {
        assert_eq!(with_permissions_of(b"\0asm\x0d\0\x01\0", "name = 'a'").unwrap(), "name = 'a'");
    }

    #[test]
    fn what_is_no_permission_is_told() {
        let told = with_permissions_of(&asking("[[permissions]]\nallow = 'all'\nreason = 'x'\n"), "").unwrap_err();

        assert!(told.contains("what it asks to be permitted"), "{told}");
    }
}
