//! One worker process, as the server sees it.

mod outgoing;
mod state;

use std::{
    collections::BTreeSet,
    io::{self, Read},
    os::{fd::OwnedFd, unix::net::UnixStream as StdStream},
    process::{ExitStatus, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::BytesMut;
use fumehood_capabilities::{Ask, Host, Nothing};
use fumehood_model::Digest;
use fumehood_store::Sealed;
use fumehood_value::Interface;
use tokio::{
    io::AsyncReadExt,
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    process::{Child, ChildStderr, Command},
    runtime::Handle,
    sync::{Notify, oneshot},
};

use crate::{
    error::SandboxError,
    loader::{Sandbox, blocking},
    workers::{
        Settings,
        protocol::{self, AskId, CallId, CallOrder, End, Order, Report, Setup},
        slot::Slot,
        wall::Isolated,
    },
};

use outgoing::{AT_ONCE, Outgoing};
use state::{Lost, State, Waiting};

/// Longest that a new process may take until it is ready.
const START: Duration = Duration::from_secs(10);

/// Longest that a process may take to end a call whose caller has gone, or whose deadline is over. Then it is stuck.
///
/// A call lets go within milliseconds on an idle machine; on one with far more threads than cores it can take a while.
const STUCK: Duration = Duration::from_secs(2);

/// Most questions that one call may have open at a time.
const MOST_ASKS: usize = 16;

/// Bytes that may wait for a process while it asks for more.
const MOST_OUTGOING: usize = 256 << 20;

/// Longest that a process may take to load a component.
const LOADING: Duration = Duration::from_secs(60);

/// Components that the successor of a process is sent at once.
const RECENT: usize = 32;

/// Most lines that one call may have logged, and characters of where it crashed; whoever keeps to its bounds has fewer.
const MOST_LINES: usize = 4_096;
const MOST_TRACE: usize = 16 << 10;

/// Most faults of ours that one call may tell of, and bytes of each: as many as a module has folders, with their paths.
const MOST_FAULTS: usize = 16;
const MOST_FAULT: usize = 4 << 10;

/// How much of what a process writes to its standard error is logged.
const MOST_LAST_WORDS: u64 = 4 << 10;

/// What is believed of a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Longest message that it may send.
    pub(crate) max_report: usize,
}

/// The process is gone, and the call with it.
#[derive(Debug)]
pub(crate) struct Gone;

/// A running worker process.
pub(crate) struct Process {
    pid: u32,
    isolated: Isolated,
    socket: OwnedWriteHalf,
    outgoing: Mutex<Outgoing>,
    more: Notify,
    end: Notify,
    state: Mutex<State>,
    /// Components are sent one after the other, each once. Held while their code is read, never while they are compiled.
    sending: tokio::sync::Mutex<()>,
    gone: AtomicBool,
    due: AtomicBool,
    /// The component whose call it does not let go of, if that is why it is ended.
    stuck: Mutex<Option<Digest>>,
    retired: AtomicBool,
    served: AtomicU64,
    runtime: Handle,
    most_components: usize,
}

/// A call that was handed to a process. Dropping it makes the process give it up.
pub(crate) struct Begun {
    process: Arc<Process>,
    call: CallId,
    done: Option<oneshot::Receiver<End>>,
}

impl Process {
    /// Start a process and wait until it is ready. `slot` is told when it dies.
    pub(crate) async fn start(
        settings: &Settings,
        setup: &Setup,
        bounds: Bounds,
        slot: &Arc<Slot>,
    ) -> Result<Arc<Self>, SandboxError> {
        let started = Instant::now();
        let failed = |what: String| SandboxError::Worker { what };
        let (mut child, stream) = spawn(settings).map_err(|error| failed(error.to_string()))?;
        let (mut from, socket) = stream.into_split();
        let pid = child.id().unwrap_or_default();
        let mut input = BytesMut::with_capacity(64 << 10);
        let mut first = Vec::new();
        protocol::write(&Order::Setup(setup.clone()), &mut first).map_err(|error| failed(error.to_string()))?;
        let greeting = async {
            send_all(&socket, &first).await?;
            loop {
                if let Some(report) = protocol::read::<Report>(&mut input, bounds.max_report)? {
                    return Ok::<_, io::Error>(report);
                }
                receive(&mut from, &mut input).await?;
            }
        };
        let isolated = match tokio::time::timeout(START, greeting).await {
            Ok(Ok(Report::Ready(isolated))) => isolated,
            Ok(Ok(Report::Failed(what))) => return Err(failed(what)),
            Ok(Ok(other)) => return Err(failed(format!("it said {other:?} before it was ready"))),
            Ok(Err(error)) => {
                // One that talks nonsense need not end by itself.
                let _ = child.start_kill();
                let status = child.wait().await.map_or_else(|error| error.to_string(), ended);
                let words = last_words(child.stderr.take()).await;
                return Err(failed(format!("it {status} before it was ready ({error}){words}")));
            }
            Err(_) => return Err(failed(format!("it was not ready after {} s", START.as_secs()))),
        };
        // Without the wall, a worker with folders could reach every file of the server.
        let is_open = !setup.openings.is_empty() && !isolated.is_complete();
        if is_open || (settings.require && !isolated.gaps().is_empty()) {
            return Err(SandboxError::NotIsolated { what: isolated.gaps().join("; ") });
        }
        let process = Arc::new(Self {
            pid,
            isolated,
            socket,
            outgoing: Mutex::default(),
            more: Notify::new(),
            end: Notify::new(),
            state: Mutex::default(),
            sending: tokio::sync::Mutex::default(),
            gone: AtomicBool::new(false),
            due: AtomicBool::new(false),
            stuck: Mutex::default(),
            retired: AtomicBool::new(false),
            served: AtomicU64::new(0),
            runtime: Handle::current(),
            most_components: setup.loaded_components.max(1),
        });
        tracing::debug!(worker.pid = pid, duration_ms = started.elapsed().as_millis(), "Worker process {pid} is ready");
        tokio::spawn(Arc::clone(&process).write_on());
        tokio::spawn(Arc::clone(&process).supervise(child, from, input, bounds, Arc::downgrade(slot)));
        Ok(process)
    }

    #[cfg(test)]
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn isolated(&self) -> &Isolated {
        &self.isolated
    }

    /// Whether it has died.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// How many calls it was given so far.
    pub(crate) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    /// Whether it works on no call.
    pub(crate) fn is_idle(&self) -> bool {
        self.state().calls.is_empty()
    }

    /// The calls that it works on, a long one for `long` of them.
    pub(crate) fn busyness(&self, long: usize) -> usize {
        let state = self.state();
        state.calls.len() + state.long * (long - 1)
    }

    /// Whether it is to be replaced; true only the first time.
    pub(crate) fn is_due(&self) -> bool {
        !self.due.swap(true, Ordering::Relaxed)
    }

    /// Which components it was called for of late, the latest first.
    pub(crate) fn recent(&self) -> Vec<Digest> {
        let mut loaded: Vec<_> = self.state().loaded.iter().map(|(digest, used)| (*used, *digest)).collect();
        loaded.sort_unstable_by_key(|(used, _)| std::cmp::Reverse(*used));
        loaded.into_iter().map(|(_, digest)| digest).take(RECENT).collect()
    }

    /// Let it end when its calls have.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
        if self.state().calls.is_empty() {
            self.end.notify_one();
        }
    }

    /// Send the component `digest` unless it is there; `wait` until it is ready, to hear what is wrong with it.
    pub(crate) async fn load(&self, sandbox: &Sandbox, digest: &Digest, wait: bool) -> Result<(), SandboxError> {
        if self.touch(digest) {
            return Ok(());
        }
        // Compiling can take long: who needs another component does not wait for it.
        let (interface, sealed) = sandbox.prepare(digest).await?;
        let heard = {
            let _turn = self.sending.lock().await;
            if self.touch(digest) {
                return Ok(());
            }
            let digest = *digest;
            let frame = blocking(move || load_order(digest, &interface, sealed)).await?;
            self.hand_over(digest, frame)?
        };
        if !wait {
            return Ok(());
        }
        let Ok(heard) = tokio::time::timeout(LOADING, heard).await else {
            self.end.notify_one();
            return Err(SandboxError::Worker {
                what: format!("it did not load a component in {} s", LOADING.as_secs()),
            });
        };
        match heard {
            Ok(None) => Ok(()),
            Ok(Some(what)) => Err(SandboxError::Refused { what: what.chars().take(1_000).collect() }),
            Err(_) => Err(SandboxError::Worker { what: "it ended while it loaded the component".to_owned() }),
        }
    }

    /// Send a component, and let others go for it; where to hear what becomes of it.
    ///
    /// What is said about components is said while the state is locked. So no call passes the component that it is for.
    fn hand_over(&self, digest: Digest, frame: Vec<u8>) -> Result<oneshot::Receiver<Option<String>>, SandboxError> {
        let (sender, heard) = oneshot::channel();
        let mut state = self.state();
        for digest in state.make_room(self.most_components) {
            self.send(&Order::Forget { digest })?;
        }
        self.queue(frame, false)?;
        state.enter(digest, sender);
        Ok(heard)
    }

    /// Let go of a component.
    pub(crate) fn forget(&self, digest: &Digest) {
        let mut state = self.state();
        if state.loaded.remove(digest).is_some() {
            // A process that is gone has forgotten everything.
            let _ = self.send(&Order::Forget { digest: *digest });
        }
    }

    /// Hand over a call; gives `place` back if the process does not have the component, or has not seen the call.
    pub(crate) fn begin(
        self: Arc<Self>,
        order: CallOrder,
        host: Arc<dyn Host>,
        place: Box<dyn Send>,
    ) -> Result<Begun, Box<dyn Send>> {
        let id = self.served.fetch_add(1, Ordering::Relaxed);
        let (sender, done) = oneshot::channel();
        let digest = order.digest;
        let waiting = Waiting { digest, is_long: false, done: sender, host, place };
        let Ok(frame) = frame(&Order::Call { call: id, order: Box::new(order) }) else { return Err(waiting.place) };
        {
            let mut state = self.state();
            // It may have been let go since it was asked for: another was loaded.
            if self.retired.load(Ordering::Acquire) || !state.loaded.contains_key(&digest) {
                return Err(waiting.place);
            }
            state.calls.insert(id, waiting);
            if self.queue(frame, false).is_err() {
                self.gone.store(true, Ordering::Release);
                if let Some(waiting) = state.calls.remove(&id) {
                    return Err(waiting.place);
                }
            }
        }
        // It may have died after all calls that it had were told so.
        if self.is_gone() {
            self.lose_calls();
        }
        Ok(Begun { process: self, call: id, done: Some(done) })
    }

    fn touch(&self, digest: &Digest) -> bool {
        let now = self.served();
        self.state().loaded.get_mut(digest).map(|used| *used = now).is_some()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Send `order`, or put it behind what is being sent.
    fn send(&self, order: &Order) -> Result<(), SandboxError> {
        self.queue(frame(order)?, matches!(order, Order::Reply { .. }))
    }

    /// Send a frame, which may be a reply, or put it behind what is being sent.
    fn queue(&self, frame: Vec<u8>, is_reply: bool) -> Result<(), SandboxError> {
        let mut outgoing = lock(&self.outgoing);
        if outgoing.writing || !outgoing.frames.is_empty() {
            outgoing.push(frame);
            // One that does not listen while it is answered is ended.
            if outgoing.bytes > MOST_OUTGOING && is_reply {
                self.end.notify_one();
            }
            return Ok(());
        }
        // A long one is not copied for the sake of what fits into the socket at once.
        let written = if frame.len() > AT_ONCE { Ok(0) } else { self.socket.try_write(&frame) };
        match written {
            Ok(written) if written == frame.len() => return Ok(()),
            Ok(0) => outgoing.push(frame),
            Ok(written) => outgoing.push(frame[written..].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => outgoing.push(frame),
            Err(error) => return Err(SandboxError::Worker { what: error.to_string() }),
        }
        drop(outgoing);
        self.more.notify_one();
        Ok(())
    }

    /// Send what did not fit into the socket at once.
    async fn write_on(self: Arc<Self>) {
        loop {
            self.more.notified().await;
            loop {
                let Some(frame) = lock(&self.outgoing).pop() else { break };
                if send_all(&self.socket, &frame).await.is_err() {
                    self.end.notify_one();
                    return;
                }
            }
            if self.is_gone() {
                return;
            }
        }
    }

    /// Listen to the process until it ends, and clean up after it.
    async fn supervise(
        self: Arc<Self>,
        mut child: Child,
        mut from: OwnedReadHalf,
        mut input: BytesMut,
        bounds: Bounds,
        slot: Weak<Slot>,
    ) {
        let listening = async {
            loop {
                match protocol::read::<Report>(&mut input, bounds.max_report) {
                    Ok(Some(report)) => self.hear(report),
                    Ok(None) => {
                        if let Err(error) = receive(&mut from, &mut input).await {
                            return error.to_string();
                        }
                    }
                    Err(error) => return format!("it said what makes no sense: {error}"),
                }
            }
        };
        let why = tokio::select! {
            why = listening => why,
            () = self.end.notified() => String::new(),
        };
        self.gone.store(true, Ordering::Release);
        self.more.notify_one();
        let retired = self.retired.load(Ordering::Acquire);
        // Whatever is left of it ends now.
        let _ = child.start_kill();
        let status = child.wait().await;
        let recent = self.recent();
        let lost = self.lose_calls();
        if retired {
            tracing::debug!(worker.pid = self.pid, "Worker process {} was replaced", self.pid);
            return;
        }
        let status = status.map_or_else(|error| error.to_string(), ended);
        let slot = slot.upgrade();
        if slot.as_ref().is_some_and(|slot| slot.is_stopping()) {
            tracing::info!(
                worker.pid = self.pid,
                calls = lost.calls,
                "Worker process {} {status} while the server stops, with {} in it",
                self.pid,
                lost.count()
            );
            return;
        }
        let words = last_words(child.stderr.take()).await;
        // With no call in it, no guest was there to bring it down.
        let components: Vec<_> = lost.components.iter().map(ToString::to_string).collect();
        let blame = if lost.calls == 0 { "host" } else { "guest" };
        tracing::error!(
            worker.pid = self.pid,
            calls = lost.calls,
            modules = lost.modules.join(" "),
            components = components.join(" "),
            blame,
            "Worker process {} {status} with {} in it ({why}){words}; another one takes its place",
            self.pid,
            lost.count()
        );
        if let Some(slot) = slot {
            let stuck = *lock(&self.stuck);
            slot.start_after_crash(&stuck.map_or(lost.components, |digest| vec![digest]), recent);
        }
    }

    fn hear(self: &Arc<Self>, report: Report) {
        match report {
            Report::Long { call } => self.state().note_long(call),
            Report::Done { call, end } => self.done(call, end),
            Report::Ask { call, ask, what } => self.asked(call, ask, what),
            Report::Withdrawn { ask } => {
                let given_up = self.state().asks.remove(&ask);
                if let Some((_, task)) = given_up {
                    task.abort();
                }
            }
            Report::Loaded { digest, refused } => {
                let waiting = {
                    let mut state = self.state();
                    if refused.is_some() {
                        state.loaded.remove(&digest);
                    }
                    state.loading.remove(&digest).unwrap_or_default()
                };
                for sender in waiting {
                    let _ = sender.send(refused.clone());
                }
            }
            // Said once, at the start.
            Report::Ready(_) | Report::Failed(_) => {}
        }
    }

    fn done(&self, call: CallId, mut end: End) {
        if let End::Finished { said, .. } = &mut end {
            said.logged.lines.truncate(MOST_LINES);
            said.faults.truncate(MOST_FAULTS);
            for fault in &mut said.faults {
                fault.truncate(fault.floor_char_boundary(MOST_FAULT));
            }
            if let Some(trace) = &mut said.trace {
                trace.truncate(trace.floor_char_boundary(MOST_TRACE));
            }
        }
        let (waiting, is_idle) = {
            let mut state = self.state();
            let waiting = state.calls.remove(&call);
            state.long -= usize::from(waiting.as_ref().is_some_and(|waiting| waiting.is_long));
            if !state.asks.is_empty() {
                state.asks.retain(|_, (of, task)| {
                    if *of == call {
                        task.abort();
                    }
                    *of != call
                });
            }
            (waiting, state.calls.is_empty())
        };
        if let Some(Waiting { done, .. }) = waiting {
            // Nobody waits any more for a call that was cancelled.
            let _ = done.send(end);
        }
        if is_idle && self.retired.load(Ordering::Acquire) {
            self.end.notify_one();
        }
    }

    /// Let the host of a call answer what its guest wants.
    fn asked(self: &Arc<Self>, call: CallId, ask: AskId, what: Ask) {
        let mut state = self.state();
        let Some(host) = state.calls.get(&call).map(|waiting| Arc::clone(&waiting.host)) else {
            drop(state);
            // A call that has just ended may have asked before it heard of it, as often as its guest liked.
            // That is no fault of its neighbours. These replies are bounded as all others are.
            let _ = self.send(&Order::Reply { ask, reply: Nothing::reply(&what) });
            return;
        };
        let open = state.asks.values().filter(|(of, _)| *of == call).count();
        if open >= MOST_ASKS || state.asks.contains_key(&ask) {
            // Nothing that our own code would do.
            return self.end.notify_one();
        }
        let process = Arc::clone(self);
        // Entered below, before the task can end: the state is locked until then.
        let task = self.runtime.spawn(async move {
            let reply = host.ask(what).await;
            process.state().asks.remove(&ask);
            let _ = process.send(&Order::Reply { ask, reply });
        });
        state.asks.insert(ask, (call, task.abort_handle()));
    }

    /// Tell all who wait that the process is gone; what it was running.
    fn lose_calls(&self) -> Lost {
        let (calls, asks) = {
            let mut state = self.state();
            state.loaded.clear();
            state.loading.clear();
            state.long = 0;
            (std::mem::take(&mut state.calls), std::mem::take(&mut state.asks))
        };
        for (_, task) in asks.into_values() {
            task.abort();
        }
        let named = calls.values().filter_map(|waiting| waiting.host.module());
        let modules = named.map(ToString::to_string).collect::<BTreeSet<_>>();
        let mut components: Vec<_> = calls.values().map(|waiting| waiting.digest).collect();
        components.sort_by_key(Digest::hex);
        components.dedup();
        Lost { calls: calls.len(), modules: modules.into_iter().collect(), components }
    }

    /// End the process if it still works on `call` after a while.
    fn watch(self: &Arc<Self>, call: CallId) {
        let process = Arc::downgrade(self);
        self.runtime.spawn(async move {
            tokio::time::sleep(STUCK).await;
            if let Some(process) = process.upgrade()
                && let Some(digest) = process.state().calls.get(&call).map(|waiting| waiting.digest)
            {
                *lock(&process.stuck) = Some(digest);
                tracing::error!(worker.pid = process.pid, "Worker process {} does not let go of a call", process.pid);
                process.end.notify_one();
            }
        });
    }
}

impl Begun {
    /// How the call ended.
    pub(crate) async fn end(mut self) -> Result<End, Gone> {
        let Some(done) = &mut self.done else { return Err(Gone) };
        let end = done.await;
        self.done = None;
        end.map_err(|_| Gone)
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if self.done.is_some() && !self.process.is_gone() {
            // A process that is gone has given it up.
            let _ = self.process.send(&Order::Cancel { call: self.call });
            self.process.watch(self.call);
        }
    }
}

/// The order to load a component, ready to be sent. Blocking.
fn load_order(digest: Digest, interface: &Interface, mut sealed: Sealed) -> Result<Vec<u8>, SandboxError> {
    let failed = |what: String| SandboxError::Worker { what };
    let interface = serde_json::to_vec(interface).map_err(|error| failed(error.to_string()))?;
    let mut code = Vec::with_capacity(usize::try_from(sealed.len).unwrap_or(0));
    sealed.file.read_to_end(&mut code).map_err(|error| failed(error.to_string()))?;
    frame(&Order::Load { digest, interface, code })
}

fn frame(order: &Order) -> Result<Vec<u8>, SandboxError> {
    let mut frame = Vec::with_capacity(512);
    protocol::write(order, &mut frame).map_err(|error| SandboxError::Worker { what: error.to_string() })?;
    Ok(frame)
}

fn spawn(settings: &Settings) -> io::Result<(Child, UnixStream)> {
    let (ours, theirs) = StdStream::pair()?;
    ours.set_nonblocking(true)?;
    let child = Command::new(&settings.program)
        .args(&settings.arguments)
        .env_clear()
        // The allocator would take memory far ahead of need, of which the worker may have only so much.
        .env("MIMALLOC_ARENA_RESERVE", "16384")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    Ok((child, UnixStream::from_std(ours)?))
}

async fn send_all(socket: &OwnedWriteHalf, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        socket.writable().await?;
        match socket.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn receive(from: &mut OwnedReadHalf, input: &mut BytesMut) -> io::Result<()> {
    input.reserve(16 << 10);
    match from.read_buf(input).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// What a process wrote to its standard error, fit for a log line: usually the message of a panic.
async fn last_words(stderr: Option<ChildStderr>) -> String {
    let mut words = Vec::new();
    if let Some(stderr) = stderr {
        let _ = stderr.take(MOST_LAST_WORDS).read_to_end(&mut words).await;
    }
    match String::from_utf8_lossy(&words).trim() {
        "" => String::new(),
        words => format!(": {}", words.escape_debug()),
    }
}

fn ended(status: ExitStatus) -> String {
    format!("ended ({status})")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
