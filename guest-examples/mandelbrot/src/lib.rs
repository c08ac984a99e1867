//! The Mandelbrot set: a tool that keeps a processor busy.
//!
//! A picture of ordinary size takes hundreds of millions of steps, which makes this the example to show what a limit on
//! computing does.

mod png;

wit_bindgen::generate!({ path: "wit", world: "mandelbrot" });

/// Longest side of a picture in pixels.
const MAX_SIDE: u32 = 4096;

/// Most pixels of a picture. Each takes a byte, and the answer grows with them.
const MAX_PIXELS: u64 = 1 << 22;

/// Most iterations for a pixel. More do not show at the precision of an `f64`.
const MAX_ITERATIONS: u32 = 10_000;

struct Mandelbrot;

impl Guest for Mandelbrot {
    fn render(
        width: u32,
        height: u32,
        center: Point,
        scale: f64,
        max_iterations: u32,
    ) -> Result<Vec<u8>, String> {
        check(width, height, center, scale, max_iterations)?;
        let left = center.re - scale * f64::from(width - 1) / 2.0;
        let top = center.im + scale * f64::from(height - 1) / 2.0;
        let rows = (0..height).map(|row| {
            let im = top - scale * f64::from(row);
            (0..width)
                .map(|column| Point {
                    re: left + scale * f64::from(column),
                    im,
                })
                .map(|point| shade(iterations(point, max_iterations), max_iterations))
                .collect()
        });
        Ok(png::encode(width, height, rows))
    }

    fn iterations(at: Point, max_iterations: u32) -> u32 {
        iterations(at, max_iterations)
    }
}

fn check(
    width: u32,
    height: u32,
    center: Point,
    scale: f64,
    max_iterations: u32,
) -> Result<(), String> {
    if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
        return Err(format!("width and height must be between 1 and {MAX_SIDE}"));
    }
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(format!(
            "the picture must not have more than {MAX_PIXELS} pixels"
        ));
    }
    if !(1..=MAX_ITERATIONS).contains(&max_iterations) {
        return Err(format!(
            "max-iterations must be between 1 and {MAX_ITERATIONS}"
        ));
    }
    if !(center.re.is_finite() && center.im.is_finite() && scale.is_finite() && scale > 0.0) {
        return Err("center must be finite, and scale finite and greater than 0".to_owned());
    }
    Ok(())
}

fn iterations(at: Point, limit: u32) -> u32 {
    let (mut re, mut im) = (0.0, 0.0);
    for iteration in 0..limit {
        let (re_squared, im_squared) = (re * re, im * im);
        // Beyond a distance of two from the origin a point never comes back.
        if re_squared + im_squared > 4.0 {
            return iteration;
        }
        im = 2.0 * re * im + at.im;
        re = re_squared - im_squared + at.re;
    }
    limit
}

fn shade(iterations: u32, limit: u32) -> u8 {
    if iterations == limit {
        return 0;
    }
    let share = f64::from(iterations) / f64::from(limit);
    // The root spreads the low counts, which most points have. The floor keeps every point outside apart from the inside.
    (32.0 + 223.0 * share.sqrt()) as u8
}

export!(Mandelbrot);

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: Point = Point { re: 0.0, im: 0.0 };

    #[test]
    fn points_inside_never_escape() {
        for (re, im) in [(0.0, 0.0), (-1.0, 0.0), (-2.0, 0.0), (0.0, 1.0)] {
            assert_eq!(iterations(Point { re, im }, 1000), 1000);
        }
        assert_eq!(iterations(Point { re: 2.0, im: 0.0 }, 1000), 2);
        assert_eq!(
            iterations(
                Point {
                    re: 1e300,
                    im: f64::NAN
                },
                5
            ),
            5
        );
        assert_eq!(iterations(ORIGIN, 0), 0);
    }

    #[test]
    fn what_cannot_be_rendered_is_refused() {
        for (width, height, scale, iterations) in [
            (0, 1, 1.0, 1),
            (1, 4097, 1.0, 1),
            (4096, 4096, 1.0, 1),
            (1, 1, 0.0, 1),
            (1, 1, f64::NAN, 1),
            (1, 1, 1.0, 0),
        ] {
            assert!(Mandelbrot::render(width, height, ORIGIN, scale, iterations).is_err());
        }
    }

    #[test]
    fn a_picture_has_its_size_and_its_middle_is_black() {
        let png = Mandelbrot::render(3, 1, ORIGIN, 2.0, 50).unwrap();

        assert_eq!(&png[16..24], &[0, 0, 0, 3, 0, 0, 0, 1]);
        // Signature 8, IHDR 25, IDAT header 8, zlib header 2, block header 5, filter byte 1: then three pixels.
        assert_eq!(png[49..52], [0, 0, 76]);
    }
}
