//! The sections of a binary, one by one, without looking into them.

/// One section of a component or of a core module.
#[derive(Debug, Clone, Copy)]
pub struct Section<'a> {
    /// What kind it is of: 0 for a custom one.
    pub kind: u8,
    /// How many bytes it has, with its head.
    pub length: usize,
    /// Its name, if it is a custom one.
    pub custom: Option<&'a [u8]>,
    /// What is in it, after the name.
    pub content: &'a [u8],
}

impl<'a> Section<'a> {
    /// The one with which `bytes` begin; none if they are cut off.
    #[must_use]
    pub fn first_of(bytes: &'a [u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (size, content) = number(rest)?;
        let content = content.get(..size)?;
        let length = bytes.len() - number(rest)?.1.len() + size;
        let (custom, content) = match kind {
            0 => {
                let (length, rest) = number(content)?;
                let (name, content) = rest.split_at_checked(length)?;
                (Some(name), content)
            }
            _ => (None, content),
        };
        Some(Self { kind: *kind, length, custom, content })
    }

    /// Add a custom section to a component or a core module.
    pub fn append(to: &mut Vec<u8>, name: &str, content: &[u8]) {
        let name_length = leb(name.len());
        to.push(0);
        to.extend_from_slice(&leb(name_length.len() + name.len() + content.len()));
        to.extend_from_slice(&name_length);
        to.extend_from_slice(name.as_bytes());
        to.extend_from_slice(content);
    }
}

/// The number with which `bytes` begin, and what comes after it. It may take more bytes than it needs.
fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0usize;
    for (position, byte) in bytes.iter().take(5).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[position + 1..]));
        }
    }
    None
}

/// A number as WebAssembly writes it, in as few bytes as it takes.
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
