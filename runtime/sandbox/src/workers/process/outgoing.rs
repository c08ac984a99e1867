//! What waits to be sent to a process.

use std::collections::VecDeque;

/// Longest message that is written at once, or joined to another: about what a socket takes.
pub(super) const AT_ONCE: usize = 128 << 10;

/// Frames in their order.
#[derive(Default)]
pub(super) struct Outgoing {
    pub(super) frames: VecDeque<Vec<u8>>,
    /// In all of them together.
    pub(super) bytes: usize,
    /// Whether the writer is at work: whatever comes now must wait behind it.
    pub(super) writing: bool,
}

impl Outgoing {
    pub(super) fn push(&mut self, mut frame: Vec<u8>) {
        self.bytes += frame.len();
        match self.frames.back_mut() {
            // Many short ones are sent as one.
            Some(last) if last.len() + frame.len() <= AT_ONCE => last.append(&mut frame),
            _ => self.frames.push_back(frame),
        }
    }

    /// What to send next; while there is anything, everything else waits behind it.
    pub(super) fn pop(&mut self) -> Option<Vec<u8>> {
        let frame = self.frames.pop_front();
        self.writing = frame.is_some();
        self.bytes -= frame.as_ref().map_or(0, Vec::len);
        frame
    }
}
