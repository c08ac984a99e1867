use fumehood_policy::Limits;

use super::Piece;
use crate::{
    Stream, Told,
    logging::{LogLine, MAX_CONTEXT, MAX_MESSAGE, Room},
    secrets::{Striker, needles, strike_text},
};

/// What has been passed on of one call, and what is held back of it.
///
/// Nothing that comes in has been checked: it is bounded here as it is on the side of the guest.
pub(crate) struct Relay {
    room: Room,
    stdout: Printed,
    stderr: Printed,
}

#[derive(Default)]
struct Printed {
    /// How many bytes may still come.
    left: usize,
    striker: Striker,
}

impl Relay {
    pub(crate) fn new(limits: &Limits) -> Self {
        let printed = || Printed { left: limits.output.as_usize(), striker: Striker::default() };
        Self { room: Room::new(limits.log), stdout: printed(), stderr: printed() }
    }

    /// What may be passed on after `pieces` have come, with `secrets` struck out.
    pub(crate) fn pass(&mut self, pieces: Vec<Piece>, secrets: &[String]) -> Vec<Told> {
        let mut told = Vec::new();
        let needles = needles(secrets);
        for piece in pieces {
            match piece {
                Piece::Log(line) => {
                    let (line, _) = self.room.take(line);
                    told.extend(line.map(|line| struck(line, secrets)));
                }
                Piece::Output { stream, bytes } => {
                    let text = self.printed(stream).push(&bytes, &needles);
                    append(&mut told, stream, text);
                }
            }
        }
        told
    }

    /// What was held back, when nothing more comes.
    pub(crate) fn finish(&mut self, secrets: &[String]) -> Vec<Told> {
        let mut told = Vec::new();
        let needles = needles(secrets);
        for stream in [Stream::Stdout, Stream::Stderr] {
            let printed = self.printed(stream);
            printed.left = 0;
            append(&mut told, stream, printed.striker.finish(&needles));
        }
        self.room = Room::default();
        told
    }

    fn printed(&mut self, stream: Stream) -> &mut Printed {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}

impl Printed {
    fn push(&mut self, bytes: &[u8], needles: &[&[u8]]) -> String {
        let bytes = &bytes[..bytes.len().min(self.left)];
        self.left -= bytes.len();
        self.striker.push(bytes, needles)
    }
}

fn struck(line: LogLine, secrets: &[String]) -> Told {
    let LogLine { level, context, message } = line;
    Told::Log {
        level,
        message: strike_text(message, MAX_MESSAGE, secrets),
        context: strike_text(context, MAX_CONTEXT, secrets),
    }
}

/// Add what was printed behind what was printed last to the same `stream`, unless a line was logged since.
fn append(told: &mut Vec<Told>, stream: Stream, text: String) {
    if text.is_empty() {
        return;
    }
    let outputs = told.iter_mut().rev().map_while(|told| match told {
        Told::Output { stream, text } => Some((*stream, text)),
        Told::Log { .. } => None,
    });
    match outputs.filter(|(of, _)| *of == stream).map(|(_, before)| before).next() {
        Some(before) => before.push_str(&text),
        None => told.push(Told::Output { stream, text }),
    }
}

#[cfg(test)]
mod tests {
    use fumehood_model::ByteSize;

    use super::*;
    use crate::logging::Level;

    const SECRET: &str = "correct-horse";

    fn relay() -> Relay {
        Relay::new(&Limits { output: ByteSize(100), log: ByteSize(100), ..Limits::default() })
    }

    fn log(message: &str) -> Piece {
        Piece::Log(LogLine { level: Level::Warn, context: String::new(), message: message.into() })
    }

    fn print(text: &str) -> Piece {
        Piece::Output { stream: Stream::Stdout, bytes: text.into() }
    }

    fn heard(text: &str) -> Told {
        Told::Output { stream: Stream::Stdout, text: text.into() }
    }

    #[test]
    fn no_call_is_told_more_than_is_kept_of_it_whatever_its_worker_says() {
        let mut relay = relay();
        let mut told = Vec::new();

        for _ in 0..1_000 {
            told.extend(relay.pass(vec![print("0123456789"), log("0123456789"), log("")], &[]));
        }
        told.extend(relay.finish(&[]));
        told.extend(relay.pass(vec![print("too late"), log("too late")], &[]));

        let printed: usize =
            told.iter().map(|told| if let Told::Output { text, .. } = told { text.len() } else { 0 }).sum();
        assert_eq!(printed, 100);
        assert_eq!(told.iter().filter(|told| matches!(told, Told::Log { .. })).count(), 2);
    }

    #[test]
    fn a_long_line_is_cut_again() {
        let mut relay = Relay::new(&Limits::default());

        let told = relay.pass(vec![log(&"x".repeat(1 << 15))], &[]);

        let [Told::Log { message, .. }] = &told[..] else { panic!("{told:?}") };
        assert_eq!(message.len(), MAX_MESSAGE);
    }

    #[test]
    fn a_secret_is_struck_out_of_lines_and_of_what_is_printed_in_pieces() {
        let (mut relay, secrets) = (relay(), [SECRET.to_owned()]);

        let first = relay.pass(vec![print("it is correct"), log("it is correct-horse")], &secrets);
        let then = relay.pass(vec![print("-horse, corr")], &secrets);
        let rest = relay.finish(&secrets);

        let line = Told::Log { level: Level::Warn, message: "it is [secret]".into(), context: String::new() };
        assert_eq!(first, [heard("it is "), line]);
        assert_eq!(then, [heard("[secret], ")]);
        assert_eq!(rest, [heard("[secret]")]);
    }

    #[test]
    fn the_beginning_of_a_secret_is_struck_out_where_a_line_was_cut() {
        let (mut relay, secrets) = (Relay::new(&Limits::default()), [SECRET.to_owned()]);
        let long = "x".repeat(MAX_MESSAGE - 7) + SECRET;

        let told = relay.pass(vec![log(&long)], &secrets);

        let [Told::Log { message, .. }] = &told[..] else { panic!("{told:?}") };
        assert!(message.ends_with("x[secret]"), "{message}");
    }
}
