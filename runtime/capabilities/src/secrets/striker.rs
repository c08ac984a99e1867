//! Striking secrets out of text that arrives in pieces.

use super::{MIN_BEGINNING, STRUCK, beginning_at_end};

/// Strikes secrets out of one stream of output, and holds back what may be the beginning of one.
///
/// Whatever belongs to a secret is struck out, in how many pieces it ever came. What is held back is shorter than the
/// longest secret.
#[derive(Debug, Default)]
pub(crate) struct Striker {
    held: Vec<u8>,
    /// Which parts of `held` belong to secrets, in order and apart from each other.
    secret: Vec<Part>,
    /// How many needles `held` was searched for: they only become more.
    searched_for: usize,
}

/// From where to where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    start: usize,
    end: usize,
    /// Whether it began in what has been given out already, with the mark in its place.
    is_marked: bool,
}

impl Striker {
    /// What may be given out after `bytes` have come, without the `needles`.
    pub(crate) fn push(&mut self, bytes: &[u8], needles: &[&[u8]]) -> String {
        let searched = if self.searched_for == needles.len() { self.held.len() } else { 0 };
        self.held.extend_from_slice(bytes);
        self.search(needles, searched);
        let beginning = needles.iter().filter_map(|needle| beginning_at_end(&self.held, needle, 1)).max();
        let end = self.held.len() - beginning.unwrap_or(0);
        self.give(end - unfinished(&self.held[..end]))
    }

    /// What is left when nothing more comes. The beginning of a secret is struck out: the rest may have been lost.
    pub(crate) fn finish(&mut self, needles: &[&[u8]]) -> String {
        self.search(needles, 0);
        let len = self.held.len();
        let beginning = needles.iter().filter_map(|needle| beginning_at_end(&self.held, needle, MIN_BEGINNING)).max();
        if let Some(beginning) = beginning {
            self.secret.push(Part { start: len - beginning, end: len, is_marked: false });
            self.join();
        }
        self.give(len)
    }

    /// Find the needles that end after the first `searched` bytes.
    fn search(&mut self, needles: &[&[u8]], searched: usize) {
        for needle in needles {
            let start = (searched + 1).saturating_sub(needle.len());
            let windows = self.held[start.min(self.held.len())..].windows(needle.len()).enumerate();
            let found = windows.filter(|(_, window)| window == needle).map(|(at, _)| start + at);
            self.secret.extend(found.map(|at| Part { start: at, end: at + needle.len(), is_marked: false }));
        }
        self.searched_for = needles.len();
        self.join();
    }

    /// Make one part of those that overlap.
    fn join(&mut self) {
        self.secret.sort_by_key(|part| (part.start, std::cmp::Reverse(part.end)));
        self.secret.dedup_by(|next, part| {
            let overlap = next.start < part.end;
            if overlap {
                part.end = part.end.max(next.end);
                part.is_marked |= next.is_marked;
            }
            overlap
        });
    }

    /// Give out the first `end` bytes, a mark in the place of each secret.
    fn give(&mut self, end: usize) -> String {
        let mut given = Vec::with_capacity(end);
        let mut at = 0;
        for part in self.secret.iter().take_while(|part| part.start < end) {
            given.extend_from_slice(&self.held[at..part.start]);
            if !part.is_marked {
                given.extend_from_slice(STRUCK);
            }
            at = part.end.min(end);
        }
        given.extend_from_slice(&self.held[at..end]);
        self.held.drain(..end);
        self.secret.retain_mut(|part| {
            part.is_marked |= part.start < end;
            part.start = part.start.saturating_sub(end);
            part.end = part.end.saturating_sub(end);
            part.end > 0
        });
        String::from_utf8_lossy(&given).into_owned()
    }
}

/// How many bytes at the end of `bytes` are the beginning of a character.
fn unfinished(bytes: &[u8]) -> usize {
    let Some(last) = bytes.utf8_chunks().last() else { return 0 };
    let is_beginning = std::str::from_utf8(last.invalid()).is_err_and(|error| error.error_len().is_none());
    if is_beginning { last.invalid().len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that is given out for `pieces`, each as it was given.
    fn given(pieces: &[&[u8]], secrets: &[&str]) -> Vec<String> {
        let needles: Vec<_> = secrets.iter().map(|secret| secret.as_bytes()).collect();
        let mut striker = Striker::default();
        let mut given: Vec<_> = pieces.iter().map(|piece| striker.push(piece, &needles)).collect();
        given.push(striker.finish(&needles));
        given
    }

    #[test]
    fn a_secret_is_struck_out_wherever_its_pieces_begin_and_end() {
        let (text, secrets) = ("a hunter2 b hunter2hunter2 c", ["hunter2"]);

        for size in 1..=text.len() {
            let pieces: Vec<_> = text.as_bytes().chunks(size).collect();
            assert_eq!(given(&pieces, &secrets).concat(), "a [secret] b [secret][secret] c", "{size}");
        }
    }

    #[test]
    fn nothing_of_a_secret_is_given_out_before_it_is_known_to_be_none() {
        assert_eq!(given(&[b"token: hunt", b"er3"], &["hunter2"]), ["token: ", "hunter3", ""]);
        assert_eq!(given(&[b"token: hunt", b"er2!"], &["hunter2"]), ["token: ", "[secret]!", ""]);
        assert_eq!(given(&[b"token: hunt"], &["hunter2"]), ["token: ", "[secret]"]);
        assert_eq!(given(&[b"the hun"], &["hunter2"]), ["the ", "hun"]);
    }

    #[test]
    fn secrets_that_begin_alike_or_overlap_leave_no_rest() {
        for size in 1..8 {
            let pieces = |text: &'static str| text.as_bytes().chunks(size).collect::<Vec<_>>();
            assert_eq!(given(&pieces("x=abcd y=abcdef z"), &["abcd", "abcdef"]).concat(), "x=[secret] y=[secret] z");
            assert_eq!(given(&pieces("-abcabcab-"), &["abcab"]).concat(), "-[secret]-", "{size}");
            assert_eq!(given(&pieces("-abcdef-"), &["abcd", "cdef"]).concat(), "-[secret]-", "{size}");
        }
    }

    #[test]
    fn a_secret_that_becomes_known_later_is_found_in_what_is_held_back() {
        let mut striker = Striker::default();

        let first = striker.push(b"a long on", &[b"long one"]);
        let then = striker.push(b"e, on and on", &[b"long one", b"on and on"]);

        assert_eq!((first + &then + &striker.finish(&[b"long one", b"on and on"])), "a [secret], [secret]");
    }

    #[test]
    fn a_character_is_given_out_whole_and_what_is_none_is_replaced() {
        assert_eq!(given(&["ä".as_bytes(), b"\xc3", b"\xa4", b"\xff!"], &[]), ["ä", "", "ä", "\u{fffd}!", ""]);
        assert_eq!(given(&[b"\xe2\x82"], &[]), ["", "\u{fffd}"]);
    }
}
