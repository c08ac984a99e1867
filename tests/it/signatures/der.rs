//! Just enough DER to write certificates and keys.

/// A value with this tag.
pub(super) fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut written = vec![tag];
    match length {
        0..=0x7f => written.push(u8::try_from(length).unwrap()),
        0x80..=0xff => written.extend([0x81, u8::try_from(length).unwrap()]),
        _ => written.extend([0x82, u8::try_from(length >> 8).unwrap(), u8::try_from(length & 0xff).unwrap()]),
    }
    written.extend_from_slice(content);
    written
}

pub(super) fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    value(0x30, &parts.concat())
}

pub(super) fn set(parts: &[Vec<u8>]) -> Vec<u8> {
    value(0x31, &parts.concat())
}

pub(super) fn integer(small: u8) -> Vec<u8> {
    value(0x02, &[small])
}

pub(super) fn text(utf8: &str) -> Vec<u8> {
    value(0x0c, utf8.as_bytes())
}

pub(super) fn octets(content: &[u8]) -> Vec<u8> {
    value(0x04, content)
}

/// Bits, of which the last byte has this many that do not count.
pub(super) fn bits(unused: u8, content: &[u8]) -> Vec<u8> {
    value(0x03, &[&[unused], content].concat())
}

/// An object identifier in dots.
pub(super) fn object(dotted: &str) -> Vec<u8> {
    let numbers: Vec<u64> = dotted.split('.').map(|number| number.parse().unwrap()).collect();
    let mut content = vec![u8::try_from(numbers[0] * 40 + numbers[1]).unwrap()];
    for number in &numbers[2..] {
        let groups = (0..10).rev().map(|group| u8::try_from((number >> (7 * group)) & 0x7f).unwrap());
        let mut groups: Vec<u8> = groups.skip_while(|group| *group == 0).collect();
        if groups.is_empty() {
            groups.push(0);
        }
        let last = groups.len() - 1;
        groups[..last].iter_mut().for_each(|group| *group |= 0x80);
        content.extend(groups);
    }
    value(0x06, &content)
}

/// An extension of a certificate.
pub(super) fn extension(dotted: &str, is_critical: bool, content: &[u8]) -> Vec<u8> {
    let critical = if is_critical { value(0x01, &[0xff]) } else { Vec::new() };
    sequence(&[object(dotted), critical, octets(content)])
}
