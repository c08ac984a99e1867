//! Where words and sentences begin and end.
//!
//! This is simpler than Unicode's annex 29, which needs tables larger than this whole tool. It does not split scripts
//! that are written without spaces.

/// The words of a text: runs of letters and digits, which may hold apostrophes and hyphens inside.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !is_part_of_word(character))
        .map(|word| word.trim_matches(|character: char| !character.is_alphanumeric()))
        .filter(|word| !word.is_empty())
}

/// How many parts that hold a word end with a full stop, an exclamation or question mark, or the text.
pub fn sentences(text: &str) -> usize {
    let mut count = 0;
    let mut has_word = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        has_word |= character.is_alphanumeric();
        // The point of "3.14" or of "example.org" is followed by more of the same word.
        let ends = match character {
            '!' | '?' | '。' | '！' | '？' | '।' => true,
            '.' | '…' => !characters.peek().is_some_and(|next| next.is_alphanumeric()),
            _ => false,
        };
        if ends && has_word {
            count += 1;
            has_word = false;
        }
    }
    count + usize::from(has_word)
}

fn is_part_of_word(character: char) -> bool {
    let is_combining = matches!(character, '\u{300}'..='\u{36f}');
    character.is_alphanumeric() || is_combining || matches!(character, '\'' | '’' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_inner_marks_and_lose_outer_ones() {
        let found: Vec<_> =
            words("'Tis a well-known — naïve, e\u{301}te\u{301} one: don't 'quote'").collect();

        assert_eq!(
            found,
            [
                "Tis",
                "a",
                "well-known",
                "naïve",
                "e\u{301}te",
                "one",
                "don't",
                "quote"
            ]
        );
    }

    #[test]
    fn sentences_need_a_word() {
        assert_eq!(sentences("One. Two! Three"), 3);
        assert_eq!(sentences("Really?! Yes..."), 2);
        assert_eq!(sentences("Pi is 3.14, says example.org."), 1);
        assert_eq!(sentences("... !"), 0);
        assert_eq!(sentences("你好。再见。"), 2);
    }
}
