//! Reading numbers from bytes that may not be there.

/// The bytes from an offset on, or nothing when the offset is past the end.
pub fn from(bytes: &[u8], offset: usize) -> &[u8] {
    bytes.get(offset..).unwrap_or_default()
}

/// One byte.
pub fn u8_at(bytes: &[u8], offset: usize) -> Option<u8> {
    bytes.get(offset).copied()
}

/// Two bytes, the more significant first.
pub fn u16_be(bytes: &[u8], offset: usize) -> Option<u16> {
    take(bytes, offset).map(u16::from_be_bytes)
}

/// Two bytes, the less significant first.
pub fn u16_le(bytes: &[u8], offset: usize) -> Option<u16> {
    take(bytes, offset).map(u16::from_le_bytes)
}

/// Three bytes, the less significant first.
pub fn u24_le(bytes: &[u8], offset: usize) -> Option<u32> {
    take(bytes, offset).map(|[a, b, c]| u32::from_le_bytes([a, b, c, 0]))
}

/// Four bytes, the more significant first.
pub fn u32_be(bytes: &[u8], offset: usize) -> Option<u32> {
    take(bytes, offset).map(u32::from_be_bytes)
}

/// Four bytes, the less significant first.
pub fn u32_le(bytes: &[u8], offset: usize) -> Option<u32> {
    take(bytes, offset).map(u32::from_le_bytes)
}

fn take<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    from(bytes, offset).first_chunk().copied()
}
