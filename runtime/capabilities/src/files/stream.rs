//! Reading and writing a file as streams: one of a call's streams at a time is at work, on a thread for blocking.

use std::{fs::File, io, io::IoSlice, mem, os::unix::fs::FileExt, sync::Arc};

use bytes::Bytes;
use rustix::io::{Errno, ReadWriteFlags, pwritev2};
use wasmtime_wasi::{
    p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult},
    runtime::{AbortOnDropJoinHandle, spawn, spawn_blocking},
};

use super::ledger::{Lane, Ledger};

/// Most bytes that one operation moves.
const PIECE: usize = 64 << 10;

/// Do `work` on a thread for blocking as soon as nothing else of the call is at work.
pub(super) async fn in_turn<T: Send + 'static>(lane: Lane, work: impl FnOnce(&mut Ledger) -> T + Send + 'static) -> T {
    let mut ledger = lane.lock_owned().await;
    // The turn ends with the work, even if nobody waits for it any more.
    spawn_blocking(move || work(&mut ledger)).await
}

/// Write all of `bytes` at a place or, without one, at the end; charged to `folder` before anything is written.
pub(super) fn write(ledger: &mut Ledger, folder: usize, file: &File, at: Option<u64>, bytes: &[u8]) -> io::Result<()> {
    let length = file.metadata()?.len();
    let end = at.unwrap_or(length).checked_add(bytes.len() as u64).ok_or(Errno::FBIG)?;
    let growth = if bytes.is_empty() { 0 } else { end.saturating_sub(length) };
    ledger.account(folder).grow(growth)?;
    let written = match at {
        Some(at) => file.write_all_at(bytes, at),
        None => append(file, bytes),
    };
    if written.is_err() {
        let grown = file.metadata().map_or(growth, |about| about.len().saturating_sub(length));
        ledger.account(folder).shrink(growth.saturating_sub(grown));
    }
    written
}

/// Write at the end, wherever that is now: other calls may write to the same file.
fn append(file: &File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match pwritev2(file, &[IoSlice::new(bytes)], 0, ReadWriteFlags::APPEND)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => bytes = &bytes[written..],
        }
    }
    Ok(())
}

/// What a stream is doing.
enum State<T> {
    Idle,
    Busy(AbortOnDropJoinHandle<io::Result<T>>),
    /// What was read.
    Done(T),
    Failed(io::Error),
    Closed,
}

impl<T> State<T> {
    /// The failure, told once; from then on the stream is closed.
    fn take_failure(&mut self) -> StreamError {
        match mem::replace(self, Self::Closed) {
            Self::Failed(error) => StreamError::LastOperationFailed(error.into()),
            _ => StreamError::Closed,
        }
    }
}

/// Writes to a file from some place on, or always to its end.
pub(super) struct Writer {
    file: Arc<File>,
    at: Option<u64>,
    folder: usize,
    lane: Lane,
    state: State<()>,
}

impl Writer {
    pub(super) fn new(file: Arc<File>, at: Option<u64>, folder: usize, lane: Lane) -> Self {
        Self { file, at, folder, lane, state: State::Idle }
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {
        if let State::Busy(work) = &mut self.state {
            self.state = match work.await {
                Ok(()) => State::Idle,
                Err(error) => State::Failed(error),
            };
        }
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Writer {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        match self.state {
            State::Idle | State::Done(()) if bytes.len() <= PIECE => {}
            State::Idle | State::Done(()) | State::Busy(_) => {
                return Err(StreamError::trap("more was written than was permitted"));
            }
            State::Failed(_) | State::Closed => return Err(self.state.take_failure()),
        }
        let (file, at, folder) = (Arc::clone(&self.file), self.at, self.folder);
        self.at = at.map(|at| at.saturating_add(bytes.len() as u64));
        let lane = Arc::clone(&self.lane);
        self.state = State::Busy(spawn(in_turn(lane, move |ledger| write(ledger, folder, &file, at, &bytes))));
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        match self.state {
            State::Idle | State::Done(()) | State::Busy(_) => Ok(()),
            State::Failed(_) | State::Closed => Err(self.state.take_failure()),
        }
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        match self.state {
            State::Idle | State::Done(()) => Ok(PIECE),
            State::Busy(_) => Ok(0),
            State::Failed(_) | State::Closed => Err(self.state.take_failure()),
        }
    }

    async fn cancel(&mut self) {
        if let State::Busy(work) = mem::replace(&mut self.state, State::Closed) {
            work.cancel().await;
        }
    }
}

/// Reads a file from some place on.
pub(super) struct Reader {
    file: Arc<File>,
    at: u64,
    lane: Lane,
    state: State<Bytes>,
}

impl Reader {
    pub(super) fn new(file: Arc<File>, at: u64, lane: Lane) -> Self {
        Self { file, at, lane, state: State::Idle }
    }

    fn start(&mut self, size: usize) {
        let (file, at) = (Arc::clone(&self.file), self.at);
        let read = move |_: &mut Ledger| {
            let mut bytes = vec![0; size.min(PIECE)];
            let count = file.read_at(&mut bytes, at)?;
            bytes.truncate(count);
            Ok(Bytes::from(bytes))
        };
        self.state = State::Busy(spawn(in_turn(Arc::clone(&self.lane), read)));
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Reader {
    async fn ready(&mut self) {
        if matches!(self.state, State::Idle) {
            self.start(PIECE);
        }
        if let State::Busy(work) = &mut self.state {
            self.state = match work.await {
                Ok(bytes) if bytes.is_empty() => State::Closed,
                Ok(bytes) => State::Done(bytes),
                Err(error) => State::Failed(error),
            };
        }
    }
}

#[wasmtime_wasi::async_trait]
impl InputStream for Reader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        match &mut self.state {
            State::Idle if size == 0 => Ok(Bytes::new()),
            State::Idle => {
                self.start(size);
                Ok(Bytes::new())
            }
            State::Busy(_) => Ok(Bytes::new()),
            State::Done(bytes) => {
                let piece = bytes.split_to(size.min(bytes.len()));
                self.at = self.at.saturating_add(piece.len() as u64);
                if bytes.is_empty() {
                    self.state = State::Idle;
                }
                Ok(piece)
            }
            State::Failed(_) | State::Closed => Err(self.state.take_failure()),
        }
    }

    async fn cancel(&mut self) {
        if let State::Busy(work) = mem::replace(&mut self.state, State::Closed) {
            work.cancel().await;
        }
    }
}
