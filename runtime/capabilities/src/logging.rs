//! `wasi:logging`: lines for the operator's log.
//!
//! They are kept with the call, within a bound, and handed over when it ends. Nothing of them is written here: whoever
//! logs them knows which tool they belong to, and escapes them.

use std::sync::Arc;

use fumehood_model::ByteSize;
use serde::{Deserialize, Serialize};
use wasmtime::{
    StoreContextMut,
    component::{ComponentType, Lift, Linker},
};

use crate::{Guest, told::Teller};

/// The imports that this module links: the proposal as it is, as it was, and as it is often written.
pub(crate) const IMPORTS: [&str; 3] =
    ["wasi:logging/logging", "wasi:logging/logging@0.1.0-draft", "wasi:logging/logging@0.1.0"];

/// Longest message that is kept, in bytes: a long stack trace.
pub(crate) const MAX_MESSAGE: usize = 8 << 10;

/// Longest context that is kept, in bytes: the path of a module in a program.
pub(crate) const MAX_CONTEXT: usize = 256;

/// What each line costs beside its text, so that empty lines are bounded too.
const LINE: usize = 32;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub enum Level {
    /// How the program runs, step by step.
    #[component(name = "trace")]
    Trace,
    /// What helps to find a fault.
    #[component(name = "debug")]
    Debug,
    /// What is worth knowing in good times.
    #[component(name = "info")]
    Info,
    /// What may go wrong.
    #[component(name = "warn")]
    Warn,
    /// What has gone wrong.
    #[component(name = "error")]
    Error,
    /// What has gone wrong for good.
    #[component(name = "critical")]
    Critical,
}

/// A line that a guest logged. All text is the guest's: escape it before anyone sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// How much it matters, as the guest says.
    pub level: Level,
    /// What groups lines that belong together; often empty.
    pub context: String,
    /// The text.
    pub message: String,
}

/// What a guest logged, bounded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logged {
    /// The lines that were kept, in order.
    pub lines: Vec<LogLine>,
    /// Whether there was more than was kept.
    pub truncated: bool,
}

/// Keeps the first lines of a call and drops the rest.
///
/// Dropping rather than failing: a tool should not crash because it talks too much.
pub(crate) struct Log {
    room: Room,
    logged: Logged,
    /// Who tells of the lines while the call runs.
    teller: Option<Arc<Teller>>,
}

/// Room for the lines of a call.
#[derive(Debug, Default)]
pub(crate) struct Room {
    left: usize,
}

impl Log {
    pub(crate) fn new(most: ByteSize, teller: Option<Arc<Teller>>) -> Self {
        Self { room: Room::new(most), logged: Logged::default(), teller }
    }

    pub(crate) fn logged(&self) -> &Logged {
        &self.logged
    }

    fn keep(&mut self, level: Level, context: String, message: String) {
        let (line, was_cut) = self.room.take(LogLine { level, context, message });
        self.logged.truncated |= was_cut;
        let Some(line) = line else { return };
        if let Some(teller) = &self.teller {
            teller.log(line.clone());
        }
        self.logged.lines.push(line);
    }
}

impl Room {
    pub(crate) fn new(most: ByteSize) -> Self {
        Self { left: most.as_usize() }
    }

    /// The line as far as it is kept, if there is room for it; and whether anything of it is lost.
    pub(crate) fn take(&mut self, mut line: LogLine) -> (Option<LogLine>, bool) {
        let was_cut = cut(&mut line.context, MAX_CONTEXT) | cut(&mut line.message, MAX_MESSAGE);
        let Some(left) = self.left.checked_sub(LINE + line.context.len() + line.message.len()) else {
            // One short line after many long ones would look as if nothing were missing between them.
            self.left = 0;
            return (None, true);
        };
        self.left = left;
        (Some(line), was_cut)
    }
}

/// Cut `text` at a character; whether that was needed.
fn cut(text: &mut String, most: usize) -> bool {
    let too_long = text.len() > most;
    text.truncate(text.floor_char_boundary(most));
    // What is kept for the length of a call holds no more than it shows.
    text.shrink_to_fit();
    too_long
}

pub(crate) fn link<X: Send + 'static>(linker: &mut Linker<Guest<X>>) -> wasmtime::Result<()> {
    for import in IMPORTS {
        linker.instance(import)?.func_wrap(
            "log",
            |mut store: StoreContextMut<'_, Guest<X>>, (level, context, message): (Level, String, String)| {
                store.data_mut().handed.count(context.len() + message.len())?;
                store.data_mut().log.keep(level, context, message);
                Ok(())
            },
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_in_order_until_there_is_no_room() {
        let mut log = Log::new(ByteSize(2 * LINE as u64 + 12), None);
        let line =
            |level, context: &str, message: &str| LogLine { level, context: context.into(), message: message.into() };

        for (context, message) in [("a", "one"), ("", "two two"), ("", "dropped"), ("", "")] {
            log.keep(Level::Info, context.into(), message.into());
        }

        assert_eq!(log.logged().lines, [line(Level::Info, "a", "one"), line(Level::Info, "", "two two")]);
        assert!(log.logged().truncated);
    }

    #[test]
    fn a_long_line_is_cut_at_a_character() {
        let mut log = Log::new(ByteSize::mib(1), None);

        log.keep(Level::Error, "ä".repeat(MAX_CONTEXT), format!("x{}", "ä".repeat(MAX_MESSAGE)));

        let LogLine { context, message, .. } = &log.logged().lines[0];
        assert_eq!((context.len(), message.len()), (MAX_CONTEXT, MAX_MESSAGE - 1));
        assert!(log.logged().truncated);
    }

    #[test]
    fn empty_lines_are_bounded_too() {
        let mut log = Log::new(ByteSize::kib(64), None);

        for _ in 0..100_000 {
            log.keep(Level::Trace, String::new(), String::new());
        }

        assert_eq!(log.logged().lines.len(), 2048);
    }
}
