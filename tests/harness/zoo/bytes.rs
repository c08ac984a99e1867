//! Components as bytes, for those that would be megabytes of text.

/// A number in unsigned LEB128: seven bits a byte, the lowest first, the top bit set in all but the last.
pub(super) fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// Bytes behind their number.
pub(super) fn sized(bytes: &[u8]) -> Vec<u8> {
    [&leb(bytes.len()), bytes].concat()
}

/// Items behind their number.
pub(super) fn list(items: impl ExactSizeIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut bytes = leb(items.len());
    items.for_each(|item| bytes.extend(item));
    bytes
}

/// A section.
pub(super) fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id], sized(content).as_slice()].concat()
}

/// A custom section.
pub(super) fn custom(name: &str, content: &[u8]) -> Vec<u8> {
    section(0, &[sized(name.as_bytes()).as_slice(), content].concat())
}

/// A component of these sections.
pub(super) fn component(sections: &[Vec<u8>]) -> Vec<u8> {
    [b"\0asm\x0d\0\x01\0".as_slice(), &sections.concat()].concat()
}

/// A core module of these sections.
pub(super) fn module(sections: &[Vec<u8>]) -> Vec<u8> {
    [b"\0asm\x01\0\0\0".as_slice(), &sections.concat()].concat()
}

/// A core module with functions of type `func(i32) -> i32` and these bodies, the first of which is exported as `one`.
/// Each body starts with its locals.
pub(super) fn functions(bodies: &[Vec<u8>]) -> Vec<u8> {
    module(&[
        section(1, &[1, 0x60, 1, 0x7f, 1, 0x7f]),
        section(3, &list(bodies.iter().map(|_| vec![0]))),
        section(7, b"\x01\x03one\x00\x00"),
        section(10, &list(bodies.iter().map(|body| sized(body)))),
    ])
}

/// A component around a core module made by [`functions`]: it exports `one: func(n: u32) -> u32` under `names`.
pub(super) fn exporting(module: &[u8], names: &[String]) -> Vec<u8> {
    let export = |name: &String| [&[0], sized(name.as_bytes()).as_slice(), &[1, 0, 0]].concat();
    component(&[
        section(1, module),
        // Instantiate module 0 without arguments.
        section(2, &[1, 0, 0, 0]),
        // Alias: a core function, from core instance 0.
        section(6, b"\x01\x00\x00\x01\x00\x03one"),
        // A type: a function with the parameter `n` of type u32, and a result of type u32.
        section(7, b"\x01\x40\x01\x01n\x79\x00\x79"),
        // Lift core function 0 without options as type 0.
        section(8, &[1, 0, 0, 0, 0, 0]),
        section(11, &list(names.iter().map(export))),
    ])
}

/// A component that exports `one` of a core module with these bodies.
pub(super) fn computing(bodies: &[Vec<u8>]) -> Vec<u8> {
    exporting(&functions(bodies), &["one".to_owned()])
}

/// The least component that can be served, with more sections behind it.
pub(super) fn serving(more: &[u8]) -> Vec<u8> {
    [computing(&[vec![0, 0x20, 0, 0x0b]]).as_slice(), more].concat()
}
