//! The headers of five formats.

use crate::bytes::{from, u8_at, u16_be, u16_le, u24_le, u32_be, u32_le};
use crate::exports::example::image_info::images::{Format, ImageError, ImageInfo, InvalidHeader};

/// Recognise the format and read its header.
pub fn inspect(image: &[u8]) -> Result<ImageInfo, ImageError> {
    if image.is_empty() {
        return Err(ImageError::Empty);
    }
    let format = recognise(image).ok_or(ImageError::UnknownFormat)?;
    let read = match format {
        Format::Png => png,
        Format::Jpeg => jpeg,
        Format::Gif => gif,
        Format::Webp => webp,
        Format::Bmp => bmp,
    };
    let header = read(image).map_err(|fault| match fault {
        Fault::Truncated => ImageError::Truncated(format),
        Fault::Invalid(message) => ImageError::Invalid(InvalidHeader {
            format,
            message: message.to_owned(),
        }),
    })?;
    if header.width == 0 || header.height == 0 {
        let message = "width and height must not be 0".to_owned();
        return Err(ImageError::Invalid(InvalidHeader { format, message }));
    }
    Ok(ImageInfo {
        format,
        width: header.width,
        height: header.height,
        bits_per_pixel: header.bits_per_pixel,
        animated: header.animated,
        size: u32::try_from(image.len()).unwrap_or(u32::MAX),
    })
}

struct Header {
    width: u32,
    height: u32,
    bits_per_pixel: Option<u16>,
    animated: bool,
}

enum Fault {
    Truncated,
    Invalid(&'static str),
}

fn recognise(image: &[u8]) -> Option<Format> {
    match image {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Format::Png),
        [0xff, 0xd8, 0xff, ..] => Some(Format::Jpeg),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Format::Gif),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Some(Format::Webp),
        [b'B', b'M', ..] => Some(Format::Bmp),
        _ => None,
    }
}

fn png(image: &[u8]) -> Result<Header, Fault> {
    // The signature is followed by the IHDR chunk: length, name, width, height, bit depth, colour type.
    if image.get(12..16).ok_or(Fault::Truncated)? != b"IHDR" {
        return Err(Fault::Invalid("the first chunk is not IHDR"));
    }
    let depth = u16::from(u8_at(image, 24).ok_or(Fault::Truncated)?);
    let channels = match u8_at(image, 25).ok_or(Fault::Truncated)? {
        0 | 3 => 1,
        2 => 3,
        4 => 2,
        6 => 4,
        _ => return Err(Fault::Invalid("unknown colour type")),
    };
    if ![1, 2, 4, 8, 16].contains(&depth) {
        return Err(Fault::Invalid("unknown bit depth"));
    }
    Ok(Header {
        width: u32_be(image, 16).ok_or(Fault::Truncated)?,
        height: u32_be(image, 20).ok_or(Fault::Truncated)?,
        bits_per_pixel: Some(depth * channels),
        animated: is_animated_png(image),
    })
}

/// An animated PNG has an `acTL` chunk before its image data.
fn is_animated_png(image: &[u8]) -> bool {
    let mut rest = from(image, 8);
    while let (Some(length), Some(name)) = (u32_be(rest, 0), rest.get(4..8)) {
        match name {
            b"acTL" => return true,
            b"IDAT" | b"IEND" => return false,
            _ => rest = from(rest, (length as usize).saturating_add(12)),
        }
    }
    false
}

fn jpeg(image: &[u8]) -> Result<Header, Fault> {
    let mut offset = 2;
    loop {
        if u8_at(image, offset).ok_or(Fault::Truncated)? != 0xff {
            return Err(Fault::Invalid("a segment does not start with a marker"));
        }
        let marker = u8_at(image, offset + 1).ok_or(Fault::Truncated)?;
        match marker {
            // Fill bytes before a marker.
            0xff => offset += 1,
            // Markers without a length.
            0x01 | 0xd0..=0xd7 => offset += 2,
            // C4, C8 and CC are tables and extensions; the other Cx are the frame headers.
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                return jpeg_frame(from(image, offset));
            }
            0xd9 | 0xda => {
                return Err(Fault::Invalid(
                    "there is no frame header before the image data",
                ));
            }
            _ => {
                let length = usize::from(u16_be(image, offset + 2).ok_or(Fault::Truncated)?);
                if length < 2 {
                    return Err(Fault::Invalid("a segment is shorter than its own length"));
                }
                offset += 2 + length;
            }
        }
    }
}

fn jpeg_frame(frame: &[u8]) -> Result<Header, Fault> {
    let precision = u16::from(u8_at(frame, 4).ok_or(Fault::Truncated)?);
    let components = u16::from(u8_at(frame, 9).ok_or(Fault::Truncated)?);
    Ok(Header {
        width: u16_be(frame, 7).ok_or(Fault::Truncated)?.into(),
        height: u16_be(frame, 5).ok_or(Fault::Truncated)?.into(),
        bits_per_pixel: Some(precision * components),
        animated: false,
    })
}

fn gif(image: &[u8]) -> Result<Header, Fault> {
    let packed = u8_at(image, 10).ok_or(Fault::Truncated)?;
    let has_colour_table = packed & 0x80 != 0;
    Ok(Header {
        width: u16_le(image, 6).ok_or(Fault::Truncated)?.into(),
        height: u16_le(image, 8).ok_or(Fault::Truncated)?.into(),
        bits_per_pixel: has_colour_table.then_some(u16::from(packed & 7) + 1),
        animated: count_gif_frames(image, packed) > 1,
    })
}

/// Count frames, but no further than the second, and stop where the file does.
fn count_gif_frames(image: &[u8], packed: u8) -> u32 {
    let mut rest = from(image, 13 + colour_table_bytes(packed));
    let mut frames = 0;
    while frames < 2 {
        rest = match rest.first() {
            // An extension: introducer, label, blocks.
            Some(0x21) => after_gif_blocks(from(rest, 2)),
            // A frame: descriptor, local colour table, code size, blocks.
            Some(0x2c) => {
                frames += 1;
                let packed = u8_at(rest, 9).unwrap_or(0);
                after_gif_blocks(from(rest, 11 + colour_table_bytes(packed)))
            }
            _ => break,
        };
    }
    frames
}

fn colour_table_bytes(packed: u8) -> usize {
    if packed & 0x80 == 0 {
        0
    } else {
        3 << ((packed & 7) + 1)
    }
}

fn after_gif_blocks(mut rest: &[u8]) -> &[u8] {
    while let Some(length) = rest.first() {
        rest = from(rest, usize::from(*length) + 1);
        if *length == 0 {
            break;
        }
    }
    rest
}

fn webp(image: &[u8]) -> Result<Header, Fault> {
    let chunk = from(image, 12);
    let content = from(chunk, 8);
    match chunk.get(..4).ok_or(Fault::Truncated)? {
        // Lossy: a VP8 key frame, whose tag is followed by 9d 01 2a and two 14-bit sizes.
        b"VP8 " => {
            if content.get(3..6).ok_or(Fault::Truncated)? != [0x9d, 0x01, 0x2a] {
                return Err(Fault::Invalid("the VP8 frame is not a key frame"));
            }
            let width = u16_le(content, 6).ok_or(Fault::Truncated)? & 0x3fff;
            let height = u16_le(content, 8).ok_or(Fault::Truncated)? & 0x3fff;
            Ok(Header {
                width: width.into(),
                height: height.into(),
                bits_per_pixel: Some(24),
                animated: false,
            })
        }
        // Lossless: a signature byte, then two 14-bit sizes less one and the alpha bit.
        b"VP8L" => {
            if u8_at(content, 0).ok_or(Fault::Truncated)? != 0x2f {
                return Err(Fault::Invalid("the VP8L signature is missing"));
            }
            let bits = u32_le(content, 1).ok_or(Fault::Truncated)?;
            let has_alpha = bits & (1 << 28) != 0;
            Ok(Header {
                width: (bits & 0x3fff) + 1,
                height: (bits >> 14 & 0x3fff) + 1,
                bits_per_pixel: Some(if has_alpha { 32 } else { 24 }),
                animated: false,
            })
        }
        // Extended: flags, then two 24-bit sizes less one.
        b"VP8X" => {
            let flags = u8_at(content, 0).ok_or(Fault::Truncated)?;
            Ok(Header {
                width: u24_le(content, 4).ok_or(Fault::Truncated)? + 1,
                height: u24_le(content, 7).ok_or(Fault::Truncated)? + 1,
                bits_per_pixel: Some(if flags & 0x10 != 0 { 32 } else { 24 }),
                animated: flags & 0x02 != 0,
            })
        }
        _ => Err(Fault::Invalid("the first chunk is not VP8, VP8L or VP8X")),
    }
}

fn bmp(image: &[u8]) -> Result<Header, Fault> {
    let (width, height, bits) = match u32_le(image, 14).ok_or(Fault::Truncated)? {
        // The header of OS/2 1.x, with sizes of 16 bits.
        12 => (
            u32::from(u16_le(image, 18).ok_or(Fault::Truncated)?),
            u32::from(u16_le(image, 20).ok_or(Fault::Truncated)?),
            u16_le(image, 24),
        ),
        40.. => {
            let width = u32_le(image, 18).ok_or(Fault::Truncated)?.cast_signed();
            // A negative height says that the rows run from top to bottom.
            let height = u32_le(image, 22).ok_or(Fault::Truncated)?.cast_signed();
            let width =
                u32::try_from(width).map_err(|_| Fault::Invalid("the width is negative"))?;
            (width, height.unsigned_abs(), u16_le(image, 28))
        }
        _ => return Err(Fault::Invalid("unknown header length")),
    };
    let bits = bits.ok_or(Fault::Truncated)?;
    Ok(Header {
        width,
        height,
        bits_per_pixel: (bits > 0).then_some(bits),
        animated: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIF: &[u8] = b"GIF89a\x03\0\x02\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x03\0\x02\0\0\x02\x03\x84\x11\x05\0;";
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x06\0\0\0crc!";
    const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x04ab\xff\xff\xc0\0\x11\x08\0\x10\0\x20\x03";
    const BMP: &[u8] =
        b"BM\0\0\0\0\0\0\0\0\0\0\0\0\x28\0\0\0\x02\0\0\0\xfd\xff\xff\xff\x01\0\x18\0";
    const LOSSY: &[u8] = b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\x30\x01\0\x9d\x01\x2a\x40\x01\xf0\x00";
    const LOSSLESS: &[u8] = b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f\x09\xc0\x04\x10";
    const EXTENDED: &[u8] = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x12\0\0\0\xff\0\0\x7f\0\0";

    fn summary(image: &[u8]) -> (Format, u32, u32, Option<u16>, bool) {
        let info = inspect(image).unwrap();
        (
            info.format,
            info.width,
            info.height,
            info.bits_per_pixel,
            info.animated,
        )
    }

    #[test]
    fn each_format_is_read() {
        assert_eq!(summary(PNG), (Format::Png, 640, 480, Some(32), false));
        assert_eq!(summary(JPEG), (Format::Jpeg, 32, 16, Some(24), false));
        assert_eq!(summary(GIF), (Format::Gif, 3, 2, Some(1), false));
        assert_eq!(summary(BMP), (Format::Bmp, 2, 3, Some(24), false));
        assert_eq!(summary(LOSSY), (Format::Webp, 320, 240, Some(24), false));
        assert_eq!(summary(LOSSLESS), (Format::Webp, 10, 20, Some(32), false));
        assert_eq!(summary(EXTENDED), (Format::Webp, 256, 128, Some(32), true));
    }

    #[test]
    fn a_second_frame_makes_an_animation() {
        let frame = &GIF[19..GIF.len() - 1];
        let gif = [&GIF[..GIF.len() - 1], b"!\xf9\x04\0\0\0\0\0", frame, b";"].concat();
        let png = [PNG, b"\0\0\0\x08acTL\0\0\0\x02\0\0\0\0crc!"].concat();

        assert!(inspect(&gif).unwrap().animated);
        assert!(inspect(&png).unwrap().animated);
    }

    #[test]
    fn whatever_is_cut_off_or_flipped_is_an_answer_and_not_a_panic() {
        for image in [PNG, JPEG, GIF, BMP, LOSSY, LOSSLESS, EXTENDED] {
            for end in 0..image.len() {
                let _ = inspect(&image[..end]);
                for flip in 1..=255 {
                    let mut flipped = image.to_vec();
                    flipped[end] ^= flip;
                    let _ = inspect(&flipped);
                }
            }
        }
    }

    #[test]
    fn errors_tell_what_was_recognised() {
        assert!(matches!(inspect(b""), Err(ImageError::Empty)));
        assert!(matches!(inspect(b"hello"), Err(ImageError::UnknownFormat)));
        assert!(matches!(
            inspect(&PNG[..20]),
            Err(ImageError::Truncated(Format::Png))
        ));
        assert!(matches!(
            inspect(b"\xff\xd8\xff\xd9"),
            Err(ImageError::Invalid(_))
        ));
    }
}
