//! Bar charts: a tool that answers with an image, which a client shows and a model sees.

mod png;

use fumehood::prelude::*;

tools![bar_chart];

/// How many pixels a bar and the space beside it are wide, and how high a chart is.
const BAR: usize = 24;
const SPACE: usize = 8;
const HEIGHT: usize = 160;

/// Draw numbers as bars, the largest one as high as the image.
#[tool(read_only, idempotent, example(values = [3, 1, 2]))]
fn bar_chart(
    /// The numbers, from left to right. None is below zero.
    #[schemars(length(min = 1, max = 50))]
    values: Vec<f64>,
) -> Result<Image, ToolError> {
    if let Some(place) = values.iter().position(|value| *value < 0.0) {
        return Err(ToolError::invalid(&format!("/values/{place}"), "no bar is shorter than nothing"));
    }
    let most = values.iter().copied().fold(0.0, f64::max);
    let heights: Vec<_> = values.iter().map(|value| if most > 0.0 { value / most } else { 0.0 }).collect();
    let width = heights.len() * (BAR + SPACE) + SPACE;
    let rows = (0..HEIGHT).map(|row| self::row(&heights, width, row));
    Ok(Image::png(png::encode(width as u32, HEIGHT as u32, rows)))
}

/// The pixels of one row: a bar is dark where it is at least as high.
fn row(heights: &[f64], width: usize, row: usize) -> Vec<u8> {
    let from_below = (HEIGHT - row) as f64 / HEIGHT as f64;
    let pixel = |column: usize| {
        let Some(column) = column.checked_sub(SPACE) else { return u8::MAX };
        let is_bar = column % (BAR + SPACE) < BAR;
        let is_dark = is_bar && heights.get(column / (BAR + SPACE)).is_some_and(|height| *height >= from_below);
        if is_dark { 0x40 } else { u8::MAX }
    };
    (0..width).map(pixel).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_is_a_png_of_the_right_size() {
        let image = bar_chart(vec![3.0, 1.0]).unwrap();

        assert_eq!(image.mime_type, "image/png");
        assert_eq!(image.bytes[..8], *b"\x89PNG\r\n\x1a\n");
        assert_eq!(image.bytes[16..24], [[0, 0, 0, 72], [0, 0, 0, 160]].concat());
    }

    #[test]
    fn half_as_much_is_half_as_high() {
        let (above, below) = (row(&[1.0, 0.5], 72, 79), row(&[1.0, 0.5], 72, 80));

        assert_eq!((above[SPACE], above[SPACE + BAR + SPACE]), (0x40, 0xff));
        assert_eq!((below[SPACE], below[SPACE + BAR + SPACE]), (0x40, 0x40));
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        let error = bar_chart(vec![1.0, -1.0]).unwrap_err();

        assert_eq!(error, ToolError::invalid("/values/1", "no bar is shorter than nothing"));
    }
}
