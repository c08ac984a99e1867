//! What an author says of a tool, put into its component: toolchains leave it out.

use std::path::Path;

use fumehood_value::{MANIFEST_SECTION, Section};
use wit_parser::{PackageMetadata, Resolve};

/// What the sections begin with in which bindings of some languages say which world a module has.
const WORLD: &[u8] = b"component-type";

/// What every component begins with, and every core module.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// Whether `bytes` are a core module, and then whether it says which world it has.
pub(super) fn as_module(bytes: &[u8]) -> Option<bool> {
    let mut rest = bytes.strip_prefix(MODULE)?;
    while let Some(section) = Section::first_of(rest) {
        if section.custom.is_some_and(|name| name.starts_with(WORLD)) {
            return Some(true);
        }
        rest = &rest[section.length..];
    }
    Some(false)
}

/// `component` with this `tool.toml` and these documents, in the place of what it held of either.
pub(crate) fn stamped(component: &[u8], manifest: &str, docs: Option<&[u8]>) -> Result<Vec<u8>, String> {
    let mut rest = component.strip_prefix(COMPONENT).ok_or("it is not a component")?;
    let mut stamped = COMPONENT.to_vec();
    while !rest.is_empty() {
        let section = Section::first_of(rest).ok_or("it is cut off, or no component")?;
        let (whole, others) = rest.split_at(section.length);
        rest = others;
        let is_replaced = match section.custom {
            Some(name) => {
                name == MANIFEST_SECTION.as_bytes()
                    || docs.is_some() && name == PackageMetadata::SECTION_NAME.as_bytes()
            }
            None => false,
        };
        if !is_replaced {
            stamped.extend_from_slice(whole);
        }
    }
    Section::append(&mut stamped, MANIFEST_SECTION, manifest.as_bytes());
    if let Some(docs) = docs {
        Section::append(&mut stamped, PackageMetadata::SECTION_NAME, docs);
    }
    Ok(stamped)
}

/// What the WIT in `folder` says of its functions and types, as the section has it.
pub(super) fn docs(folder: &Path) -> Result<Vec<u8>, String> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(folder).map_err(|error| format!("{error:#}"))?;
    PackageMetadata::extract(&resolve, package).encode().map_err(|error| format!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use wasmparser::{Parser, Payload};

    use super::*;

    fn sections(component: &[u8]) -> Vec<(String, Vec<u8>)> {
        let payloads = Parser::new(0).parse_all(component).map(Result::unwrap);
        let custom = payloads.filter_map(|payload| match payload {
            Payload::CustomSection(section) => Some((section.name().to_owned(), section.data().to_vec())),
            _ => None,
        });
        custom.collect()
    }

    /// A custom section whose numbers take more bytes than they need, as linkers write them.
    fn padded(name: &str, content: &[u8]) -> Vec<u8> {
        let size = 1 + name.len() + content.len();
        let mut section = vec![0, size as u8 | 0x80, 0x80, 0x80, 0x80, 0, name.len() as u8];
        section.extend_from_slice(name.as_bytes());
        section.extend_from_slice(content);
        section
    }

    #[test]
    fn what_is_stamped_again_replaces_what_was_there_and_nothing_else() {
        let mut other = COMPONENT.to_vec();
        Section::append(&mut other, "producers", b"kept");
        other.extend(padded(MANIFEST_SECTION, b"old"));
        let long = "# ".repeat(200);

        let once = stamped(&other, &long, Some(b"\x01{}")).unwrap();
        let twice = stamped(&once, "name = 'b'", None).unwrap();

        let [kept, docs] = [("producers", &b"kept"[..]), ("package-docs", b"\x01{}")]
            .map(|(name, data)| (name.to_owned(), data.to_vec()));
        assert_eq!(sections(&once), [kept.clone(), (MANIFEST_SECTION.to_owned(), long.into_bytes()), docs.clone()]);
        assert_eq!(sections(&twice), [kept, docs, (MANIFEST_SECTION.to_owned(), b"name = 'b'".to_vec())]);
        assert_eq!(stamped(&twice, "name = 'b'", None).unwrap(), twice);
    }

    #[test]
    fn a_core_module_says_which_world_it_has_or_not() {
        let mut module = MODULE.to_vec();
        assert_eq!(as_module(&module), Some(false));
        Section::append(&mut module, "producers", b"");
        Section::append(&mut module, "component-type:tool", b"");
        assert_eq!(as_module(&module), Some(true));
        assert_eq!(as_module(COMPONENT), None);
    }

    #[test]
    fn what_is_no_component_is_refused() {
        assert!(stamped(MODULE, "", None).unwrap_err().contains("not a component"));
        assert!(stamped(b"nothing", "", None).unwrap_err().contains("not a component"));
        assert!(stamped(&[COMPONENT, &[1, 9]].concat(), "", None).unwrap_err().contains("cut off"));
    }
}
