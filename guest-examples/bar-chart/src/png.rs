//! The smallest PNG writer: eight-bit grey, not compressed.

/// The longest block that deflate can store (RFC 1951, section 3.2.4).
const MAX_STORED_BYTES: usize = 65_535;

/// Write rows of grey pixels as a PNG.
pub fn encode(width: u32, height: u32, rows: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut pixels = Vec::with_capacity((width as usize + 1) * height as usize);
    for row in rows {
        // Each row starts with the number of its filter; 0 is none.
        pixels.push(0);
        pixels.extend(row);
    }
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    // Eight bits, grey, and the only compression, filter and interlacing that need no more code.
    header.extend([8, 0, 0, 0, 0]);

    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    write_chunk(&mut png, b"IHDR", &header);
    write_chunk(&mut png, b"IDAT", &store(&pixels));
    write_chunk(&mut png, b"IEND", &[]);
    png
}

fn write_chunk(png: &mut Vec<u8>, name: &[u8; 4], content: &[u8]) {
    let length = u32::try_from(content.len()).expect("a picture has at most a few megabytes");
    png.extend(length.to_be_bytes());
    let start = png.len();
    png.extend(name);
    png.extend(content);
    let checksum = crc32(&png[start..]);
    png.extend(checksum.to_be_bytes());
}

/// A zlib stream (RFC 1950) of stored blocks.
fn store(bytes: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let mut blocks = bytes.chunks(MAX_STORED_BYTES).peekable();
    while let Some(block) = blocks.next() {
        stream.push(u8::from(blocks.peek().is_none()));
        let length = u16::try_from(block.len()).expect("a chunk is no longer than a block");
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(block);
    }
    stream.extend(adler32(bytes).to_be_bytes());
    stream
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

fn adler32(bytes: &[u8]) -> u32 {
    let (mut a, mut b) = (1, 0);
    for byte in bytes {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    b << 16 | a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standards() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
    }

    #[test]
    fn long_data_is_cut_into_blocks() {
        let stream = store(&vec![7; MAX_STORED_BYTES + 1]);

        assert_eq!(stream[2..7], [0, 0xff, 0xff, 0, 0]);
        assert_eq!(stream[7 + MAX_STORED_BYTES..][..5], [1, 1, 0, 0xfe, 0xff]);
    }
}
