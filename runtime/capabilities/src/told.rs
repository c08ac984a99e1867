//! What a guest logs and prints, told while it runs.
//!
//! Only to a call that is listened to; for all others nothing of this is made. The guest side gathers what the call
//! keeps anyway and sends it at most every `PERIOD`; the host side, which believes none of it, bounds it again and
//! strikes secrets out.

mod relay;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use serde::{Deserialize, Serialize};
use tokio::task::AbortHandle;

use crate::{Ask, Host, Stream, logging::LogLine, pace::PERIOD};

pub(crate) use relay::Relay;

/// Something that a guest said, on its way to the host side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Piece {
    /// A line that it logged.
    Log(LogLine),
    /// What it printed.
    Output {
        /// Where to.
        stream: Stream,
        /// What, cut anywhere.
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
}

/// Gathers what a guest says, and sends it to the host now and then.
///
/// It holds no more than what is kept of the call, whose bounds are those of [`crate::Bounds`].
pub(crate) struct Teller {
    host: Arc<dyn Host>,
    waiting: Mutex<Waiting>,
    /// Held while something is sent, so that it arrives in order.
    sending: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Waiting {
    pieces: Vec<Piece>,
    /// When they may be sent.
    next: Option<Instant>,
    /// Who will send them; nobody while nothing waits.
    sender: Option<AbortHandle>,
}

impl Teller {
    pub(crate) fn new(host: Arc<dyn Host>) -> Arc<Self> {
        Arc::new(Self { host, waiting: Mutex::default(), sending: tokio::sync::Mutex::default() })
    }

    pub(crate) fn log(self: &Arc<Self>, line: LogLine) {
        let mut waiting = self.waiting();
        waiting.pieces.push(Piece::Log(line));
        self.send_soon(&mut waiting);
    }

    pub(crate) fn print(self: &Arc<Self>, stream: Stream, printed: &[u8]) {
        if printed.is_empty() {
            return;
        }
        let mut waiting = self.waiting();
        match last_of(&mut waiting.pieces, stream) {
            Some(bytes) => bytes.extend_from_slice(printed),
            None => waiting.pieces.push(Piece::Output { stream, bytes: printed.to_vec() }),
        }
        self.send_soon(&mut waiting);
    }

    /// Send what waits, now.
    pub(crate) async fn flush(&self) {
        self.send().await;
    }

    fn send_soon(self: &Arc<Self>, waiting: &mut Waiting) {
        if waiting.sender.is_none() {
            let teller = Arc::clone(self);
            waiting.sender = Some(tokio::spawn(async move { teller.send_on().await }).abort_handle());
        }
    }

    /// Send what waits when its time has come, until nothing waits any more.
    async fn send_on(&self) {
        loop {
            let next = self.waiting().next;
            if let Some(next) = next {
                tokio::time::sleep_until(next.into()).await;
            }
            self.send().await;
            let mut waiting = self.waiting();
            if waiting.pieces.is_empty() {
                waiting.sender = None;
                return;
            }
        }
    }

    async fn send(&self) {
        let _turn = self.sending.lock().await;
        let pieces = std::mem::take(&mut self.waiting().pieces);
        if !pieces.is_empty() {
            self.host.ask(Ask::Told(pieces)).await;
            self.waiting().next = Some(Instant::now() + PERIOD);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The way of a call to its listener, if it has one. Dropping it ends the telling.
pub(crate) struct Telling(pub(crate) Option<Arc<Teller>>);

impl Drop for Telling {
    fn drop(&mut self) {
        if let Some(teller) = &self.0
            && let Some(sender) = teller.waiting().sender.take()
        {
            sender.abort();
        }
    }
}

/// The piece of output that more of the same `stream` belongs to: the last one since the last line of the log.
///
/// So there are at most three pieces for each line, however often a guest goes from one stream to the other.
fn last_of(pieces: &mut [Piece], stream: Stream) -> Option<&mut Vec<u8>> {
    let outputs = pieces.iter_mut().rev().map_while(|piece| match piece {
        Piece::Output { stream, bytes } => Some((*stream, bytes)),
        Piece::Log(_) => None,
    });
    outputs.filter(|(of, _)| *of == stream).map(|(_, bytes)| bytes).next()
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::Pin};

    use super::*;
    use crate::{Reply, logging::Level};

    #[derive(Default)]
    struct Ear(Mutex<Vec<Vec<Piece>>>);

    impl Host for Ear {
        fn ask(&self, ask: Ask) -> Pin<Box<dyn Future<Output = Reply> + Send + '_>> {
            let Ask::Told(pieces) = ask else { panic!("{ask:?}") };
            self.0.lock().unwrap().push(pieces);
            Box::pin(std::future::ready(Reply::Told))
        }
    }

    fn line(message: &str) -> LogLine {
        LogLine { level: Level::Info, context: String::new(), message: message.into() }
    }

    fn printed(stream: Stream, bytes: &[u8]) -> Piece {
        Piece::Output { stream, bytes: bytes.into() }
    }

    #[tokio::test]
    async fn what_is_said_at_once_is_told_at_once_and_in_order() {
        let ear = Arc::new(Ear::default());
        let teller = Teller::new(ear.clone());

        teller.print(Stream::Stdout, b"a");
        teller.print(Stream::Stderr, b"!");
        teller.print(Stream::Stdout, b"b");
        teller.log(line("one"));
        teller.print(Stream::Stdout, b"");
        teller.print(Stream::Stdout, b"c");
        teller.flush().await;

        let told = vec![
            printed(Stream::Stdout, b"ab"),
            printed(Stream::Stderr, b"!"),
            Piece::Log(line("one")),
            printed(Stream::Stdout, b"c"),
        ];
        assert_eq!(*ear.0.lock().unwrap(), [told]);
    }

    #[tokio::test]
    async fn a_flood_is_told_now_and_then_and_nothing_of_it_is_lost() {
        let ear = Arc::new(Ear::default());
        let teller = Teller::new(ear.clone());

        for _ in 0..1_000 {
            teller.print(Stream::Stdout, b"x");
            tokio::task::yield_now().await;
        }
        teller.flush().await;

        let heard = ear.0.lock().unwrap().clone();
        let bytes = |pieces: &Vec<Piece>| {
            pieces
                .iter()
                .map(|piece| if let Piece::Output { bytes, .. } = piece { bytes.len() } else { 0 })
                .sum::<usize>()
        };
        assert_eq!(heard.iter().map(bytes).sum::<usize>(), 1_000);
        assert!(heard.len() < 20, "{}", heard.len());
    }

    #[tokio::test]
    async fn what_is_said_last_is_told_while_the_guest_goes_on_in_silence() {
        let ear = Arc::new(Ear::default());
        let teller = Teller::new(ear.clone());

        teller.print(Stream::Stdout, b"first");
        teller.flush().await;
        teller.print(Stream::Stdout, b"last");
        while teller.waiting().sender.is_some() {
            tokio::task::yield_now().await;
        }

        assert_eq!(ear.0.lock().unwrap()[1..], [[printed(Stream::Stdout, b"last")]]);
    }

    #[tokio::test]
    async fn a_call_that_is_over_tells_nothing_more() {
        let ear = Arc::new(Ear::default());
        let teller = Teller::new(ear.clone());

        teller.log(line("too late"));
        let telling = Telling(Some(Arc::clone(&teller)));
        drop(telling);
        drop(teller);
        tokio::task::yield_now().await;

        assert_eq!(*ear.0.lock().unwrap(), Vec::<Vec<Piece>>::new());
        assert_eq!(Arc::strong_count(&ear), 1);
    }
}
