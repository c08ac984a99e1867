//! Components that differ in nothing but their digest.

/// The name of the section that makes the difference.
const SECTION_NAME: &[u8] = b"fumehood-bench";

/// The component with one more custom section, which holds the number.
///
/// A custom section means nothing to who compiles or runs the component, so each result costs the same; but no cache
/// that goes by content takes one for another.
pub(crate) fn unique(component: &[u8], number: u64) -> Vec<u8> {
    let mut content = leb128(SECTION_NAME.len());
    content.extend_from_slice(SECTION_NAME);
    content.extend_from_slice(&number.to_le_bytes());
    let mut unique = component.to_vec();
    // Custom sections have the id 0, in components as in core modules, and may stand anywhere.
    unique.push(0);
    unique.extend(leb128(content.len()));
    unique.extend(content);
    unique
}

/// A number in unsigned LEB128: seven bits a byte, the lowest first, the top bit set in all but the last.
fn leb128(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

#[cfg(test)]
mod tests {
    use wasmparser::{Parser, Payload, Validator, WasmFeatures};

    use super::*;

    const CALCULATOR: &[u8] = include_bytes!("../../../runtime/cli/demo/calculator.wasm");

    #[test]
    fn long_numbers_take_more_bytes() {
        assert_eq!(leb128(0), [0]);
        assert_eq!(leb128(127), [127]);
        assert_eq!(leb128(128), [0x80, 1]);
        assert_eq!(leb128(624_485), [0xe5, 0x8e, 0x26]);
    }

    #[test]
    fn a_unique_component_is_still_a_component() {
        let unique = unique(CALCULATOR, 7);

        Validator::new_with_features(WasmFeatures::default() | WasmFeatures::COMPONENT_MODEL)
            .validate_all(&unique)
            .expect("it is valid");
        let sections = Parser::new(0).parse_all(&unique).filter_map(Result::ok);
        let added = sections.filter(
            |payload| matches!(payload, Payload::CustomSection(section) if section.name().as_bytes() == SECTION_NAME),
        );
        assert_eq!(added.count(), 1);
    }

    #[test]
    fn different_numbers_give_different_components() {
        assert_ne!(unique(CALCULATOR, 1), unique(CALCULATOR, 2));
    }
}
