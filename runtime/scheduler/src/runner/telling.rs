use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use fumehood_model::Progress;
use fumehood_store::{Lease, MAX_CHECKPOINT, Report, Told};
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep_until},
};

use super::shared::Shared;
use crate::Place;

/// Shortest time between two reports of a job: ten a second are as many as anybody can read.
const GAP: Duration = Duration::from_millis(100);

/// How long a report that could not be stored waits before it is tried again.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Most lines and bytes of lines that wait for the next report; of more, the oldest are dropped.
const MAX_LINES: usize = 200;
const MAX_LINE_BYTES: usize = 64 << 10;

/// Through which a running job tells how far it is. Cloning is cheap; what is told after the job has ended is lost.
#[derive(Debug, Clone)]
pub struct Telling {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    lease: Lease,
    buffer: Mutex<Buffer>,
    /// Wakes the task that reports.
    wake: Notify,
}

#[derive(Debug, Default)]
struct Buffer {
    place: Option<Arc<Place>>,
    progress: Option<Progress>,
    checkpoint: Option<Bytes>,
    /// Who waits until the checkpoint is stored.
    waiters: Vec<oneshot::Sender<()>>,
    lines: VecDeque<Told>,
    line_bytes: usize,
    dropped: u64,
    is_closed: bool,
}

/// Why a checkpoint was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotKept {
    /// It is larger than may be.
    #[error("the checkpoint has {size} bytes, more than the {MAX_CHECKPOINT} that are kept")]
    TooLarge {
        /// Its size.
        size: usize,
    },
    /// The job has ended, or is no longer this node's.
    #[error("the job has ended, or was given to another node")]
    Over,
}

/// What became of everything that was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// It is stored, as far as that was possible.
    Stored,
    /// The lease of the job is lost, and nothing of this counts.
    Lost,
}

impl Telling {
    /// For a job in this place; in none of ours for a call that holds one itself.
    pub(super) fn new(lease: Lease, place: Option<Arc<Place>>) -> Self {
        let buffer = Buffer { place, ..Buffer::default() };
        Self { inner: Arc::new(Inner { lease, buffer: Mutex::new(buffer), wake: Notify::new() }) }
    }

    /// The right to the job, by which it is named too.
    #[must_use]
    pub fn lease(&self) -> Lease {
        self.inner.lease
    }

    /// The place of the job, to be kept by what may outlive the attempt; none when the attempt has ended.
    #[must_use]
    pub fn place(&self) -> Option<Arc<Place>> {
        self.lock().place.clone()
    }

    /// Tell something. Never waits: of progress and checkpoints the last one is stored soon, and of lines that come
    /// faster than they can be stored the oldest are dropped, which is told in their place.
    ///
    /// A checkpoint that is too large is ignored; [`Telling::checkpoint`] tells so.
    pub fn tell(&self, report: Report) {
        let mut buffer = self.lock();
        if buffer.is_closed {
            return;
        }
        match report {
            Report::Progress(progress) => buffer.progress = Some(progress),
            Report::Told(told) => buffer.add(told),
            Report::Checkpoint(bytes) if bytes.len() <= MAX_CHECKPOINT => buffer.checkpoint = Some(bytes),
            Report::Checkpoint(_) => {}
        }
        drop(buffer);
        self.inner.wake.notify_one();
    }

    /// Leave something from which a later attempt can go on, and wait until it is stored.
    ///
    /// # Errors
    ///
    /// When it is too large, or the job is over. While the store fails this waits.
    ///
    /// # Cancellation
    ///
    /// Dropping the future does not take the checkpoint back.
    pub async fn checkpoint(&self, bytes: Bytes) -> Result<(), NotKept> {
        if bytes.len() > MAX_CHECKPOINT {
            return Err(NotKept::TooLarge { size: bytes.len() });
        }
        let (waiter, stored) = oneshot::channel();
        {
            let mut buffer = self.lock();
            if buffer.is_closed {
                return Err(NotKept::Over);
            }
            buffer.checkpoint = Some(bytes);
            buffer.waiters.push(waiter);
        }
        self.inner.wake.notify_one();
        stored.await.map_err(|_| NotKept::Over)
    }

    /// The attempt has ended: nothing more is taken, and its place is given back.
    pub(super) fn close(&self) {
        let mut buffer = self.lock();
        buffer.is_closed = true;
        let place = buffer.place.take();
        drop(buffer);
        drop(place);
        self.inner.wake.notify_one();
    }

    /// Store what is told until everything is that was told before the end.
    pub(super) async fn store(&self, shared: &Shared) -> Kept {
        let mut next = Instant::now();
        loop {
            let Some(is_closed) = self.wait(next).await else { return Kept::Stored };
            next = Instant::now() + GAP;
            let Some((reports, waiters)) = self.lock().take() else { continue };
            let stored = shared.jobs.report(self.inner.lease, reports.clone(), shared.outside.now()).await;
            match shared.outage.note("keep what a job told", stored) {
                Some(true) => waiters.into_iter().for_each(|waiter| _ = waiter.send(())),
                Some(false) => return self.lose(),
                // What came of the attempt matters more, and is kept with more patience.
                None if is_closed => return Kept::Stored,
                None => {
                    self.lock().put_back(reports, waiters);
                    next = Instant::now() + AFTER_FAILURE;
                }
            }
        }
    }

    /// Wait until `next` and until there is something to store; whether it is the last, or nothing if there is nothing
    /// more to come.
    async fn wait(&self, next: Instant) -> Option<bool> {
        loop {
            let (is_closed, is_empty) = {
                let buffer = self.lock();
                (buffer.is_closed, buffer.is_empty())
            };
            match (is_closed, is_empty) {
                (true, true) => return None,
                (true, false) => return Some(true),
                (false, true) => self.inner.wake.notified().await,
                (false, false) if Instant::now() >= next => return Some(false),
                (false, false) => tokio::select! {
                    () = sleep_until(next) => {}
                    () = self.inner.wake.notified() => {}
                },
            }
        }
    }

    fn lose(&self) -> Kept {
        let mut buffer = self.lock();
        buffer.is_closed = true;
        buffer.waiters.clear();
        Kept::Lost
    }

    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.inner.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffer {
    fn is_empty(&self) -> bool {
        self.progress.is_none() && self.checkpoint.is_none() && self.lines.is_empty()
    }

    fn add(&mut self, told: Told) {
        self.line_bytes += size(&told);
        self.lines.push_back(told);
        self.shed();
    }

    /// Drop the oldest lines while there are too many.
    fn shed(&mut self) {
        while self.lines.len() > MAX_LINES || (self.line_bytes > MAX_LINE_BYTES && self.lines.len() > 1) {
            let oldest = self.lines.pop_front();
            self.line_bytes -= oldest.as_ref().map_or(0, size);
            self.dropped += 1;
        }
    }

    fn take(&mut self) -> Option<(Vec<Report>, Vec<oneshot::Sender<()>>)> {
        if self.is_empty() {
            return None;
        }
        let mut reports = Vec::with_capacity(self.lines.len() + 3);
        if self.dropped > 0 {
            let message = format!("{} lines are missing here: more were told than can be kept", self.dropped);
            reports.push(Report::Told(Told::Log { level: "warn".into(), message }));
            self.dropped = 0;
        }
        reports.extend(self.lines.drain(..).map(Report::Told));
        self.line_bytes = 0;
        reports.extend(self.progress.take().map(Report::Progress));
        reports.extend(self.checkpoint.take().map(Report::Checkpoint));
        Some((reports, std::mem::take(&mut self.waiters)))
    }

    /// Keep what could not be stored, where nothing newer has come.
    fn put_back(&mut self, reports: Vec<Report>, mut waiters: Vec<oneshot::Sender<()>>) {
        for report in reports.into_iter().rev() {
            match report {
                Report::Progress(progress) => _ = self.progress.get_or_insert(progress),
                Report::Checkpoint(bytes) => _ = self.checkpoint.get_or_insert(bytes),
                Report::Told(told) => {
                    self.line_bytes += size(&told);
                    self.lines.push_front(told);
                }
            }
        }
        self.shed();
        self.waiters.append(&mut waiters);
    }
}

fn size(told: &Told) -> usize {
    match told {
        Told::Log { level, message } => level.len() + message.len(),
        Told::Output { stream, text } => stream.len() + text.len(),
    }
}
