//! Which script a text is written in.

use crate::exports::example::text_stats::text::Script;

/// The scripts that are told apart, each with the code points that decide. Rare extensions of a script are left out.
const SCRIPTS: [(Script, &[(char, char)]); 9] = [
    (
        Script::Latin,
        &[
            ('A', 'Z'),
            ('a', 'z'),
            ('\u{c0}', '\u{24f}'),
            ('\u{1e00}', '\u{1eff}'),
        ],
    ),
    (
        Script::Greek,
        &[('\u{370}', '\u{3ff}'), ('\u{1f00}', '\u{1fff}')],
    ),
    (Script::Cyrillic, &[('\u{400}', '\u{52f}')]),
    (Script::Hebrew, &[('\u{590}', '\u{5ff}')]),
    (
        Script::Arabic,
        &[('\u{600}', '\u{6ff}'), ('\u{750}', '\u{77f}')],
    ),
    (Script::Devanagari, &[('\u{900}', '\u{97f}')]),
    (
        Script::Han,
        &[
            ('\u{3400}', '\u{4dbf}'),
            ('\u{4e00}', '\u{9fff}'),
            ('\u{20000}', '\u{323af}'),
        ],
    ),
    (Script::Kana, &[('\u{3040}', '\u{30ff}')]),
    (
        Script::Hangul,
        &[('\u{1100}', '\u{11ff}'), ('\u{ac00}', '\u{d7a3}')],
    ),
];

/// The script of most letters, and its share of all letters, those of unknown scripts included.
///
/// Of scripts with equally many letters, the first of the table is taken.
pub fn script_of(text: &str) -> Option<(Script, f64)> {
    let mut counts = [0_u32; SCRIPTS.len()];
    let mut letters = 0_u32;
    for character in text.chars().filter(|character| character.is_alphabetic()) {
        letters += 1;
        if let Some(index) = SCRIPTS
            .iter()
            .position(|(_, ranges)| contains(ranges, character))
        {
            counts[index] += 1;
        }
    }
    let (index, count) = counts
        .into_iter()
        .enumerate()
        .rev()
        .max_by_key(|(_, count)| *count)?;
    (count > 0).then(|| (SCRIPTS[index].0, f64::from(count) / f64::from(letters)))
}

fn contains(ranges: &[(char, char)], character: char) -> bool {
    ranges
        .iter()
        .any(|(first, last)| (*first..=*last).contains(&character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_of_most_letters_wins() {
        assert_eq!(script_of("Привет!"), Some((Script::Cyrillic, 1.0)));
        assert_eq!(script_of("abc α"), Some((Script::Latin, 0.75)));
        assert_eq!(script_of("aα"), Some((Script::Latin, 0.5)));
        assert_eq!(script_of("123 !"), None);
        assert_eq!(script_of("ა"), None);
    }
}
