//! The worker process.

use std::{
    collections::HashMap,
    fs::File,
    future::Future,
    io::{self, Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::BytesMut;
use fumehood_capabilities::{Ask, Cancelled, Host, Reply};
use fumehood_model::{Crash, Digest, StopReason};
use fumehood_value::Arguments;
use tokio::sync::{oneshot, watch};

use crate::{
    background::{Background, Working},
    call::{Call, Finished},
    chamber::{Chamber, Code, Ready},
    engine::{self, Config, Yield},
    error::SandboxError,
    workers::{
        protocol::{AskId, CallId, CallOrder, End, Order, Report, Setup, read_order, write},
        signals, wall,
    },
};

/// Longest arguments that are converted on the thread that reads from the socket: a millisecond's work.
const SHORT: usize = 64 << 10;

/// Longest message of a panic, in characters.
const MOST_LAST_WORDS: usize = 1_000;

/// How much is read from the socket at a time.
const READ: usize = 64 << 10;

/// How long there is nothing to do before what is free goes back to the system.
const IDLE: Duration = Duration::from_secs(1);

/// Be a worker process: run calls for the server at the other end of `socket`, until it closes. `idle` is called now and then on
/// each thread that has nothing to do: an allocator can give back there what is free.
///
/// # Errors
///
/// When the socket breaks, or the server says what makes no sense.
pub fn worker(socket: OwnedFd, idle: fn()) -> io::Result<()> {
    end_on_panic();
    signals::pass_by()?;
    let socket = UnixStream::from(socket);
    socket.set_read_timeout(Some(IDLE))?;
    // As a file: `read` and `write` are all that the wall lets through.
    let mut socket = File::from(OwnedFd::from(socket));
    let mut input = Input { bytes: BytesMut::with_capacity(READ), buffer: vec![0; READ], idle };
    let Some(Order::Setup(setup)) = input.next(&mut socket)? else {
        return Err(io::Error::other("the server did not say what to set up"));
    };
    let link = Arc::new(Link::new(socket.try_clone()?, setup.max_report));
    match Worker::new(&setup, Arc::clone(&link)) {
        Ok(worker) => {
            worker.chamber.background().handle().spawn(now_and_then(idle));
            worker.serve(socket, input)
        }
        Err(error) => link.send(&Report::Failed(error.to_string())),
    }
}

/// End this process when any of its threads panics, with the message as its last words.
///
/// A panic is a fault of ours, which a task of the background would swallow: its call would never end, and what it was
/// changing would stay as it was. The server starts another process, and tells the operator what this one said.
pub(super) fn end_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let words: String = panic.to_string().chars().take(MOST_LAST_WORDS).collect();
        let _ = writeln!(io::stderr(), "{words}");
        std::process::abort();
    }));
}

/// Call `idle`, for as long as this is polled.
async fn now_and_then(idle: fn()) {
    loop {
        tokio::time::sleep(IDLE).await;
        idle();
    }
}

/// What has arrived and was not yet understood.
struct Input {
    bytes: BytesMut,
    /// Where it arrives.
    buffer: Vec<u8>,
    /// What to do when nothing arrives.
    idle: fn(),
}

impl Input {
    /// The next order; none when the server has closed the socket.
    fn next(&mut self, socket: &mut File) -> io::Result<Option<Order>> {
        loop {
            if let Some(order) = read_order(&mut self.bytes)? {
                return Ok(Some(order));
            }
            match socket.read(&mut self.buffer) {
                Ok(0) => return Ok(None),
                Ok(read) => self.bytes.extend_from_slice(&self.buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => (self.idle)(),
                // A signal that the whole group of processes got ends a wait that has a time.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The way back to the server, and who waits for what it says.
struct Link {
    socket: Mutex<File>,
    asking: Mutex<HashMap<AskId, oneshot::Sender<Reply>>>,
    asked: AtomicU64,
    /// Longest message that the server takes.
    most: usize,
}

impl Link {
    fn new(socket: File, most: usize) -> Self {
        Self { socket: Mutex::new(socket), asking: Mutex::default(), asked: AtomicU64::new(0), most }
    }

    fn send(&self, report: &Report) -> io::Result<()> {
        let mut out = Vec::with_capacity(256);
        write(report, &mut out)?;
        if out.len() > self.most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        lock(&self.socket).write_all(&out)
    }

    /// As [`Link::send`]; if the server is gone, the process is about to end anyway.
    fn tell(&self, report: &Report) {
        let _ = self.send(report);
    }
}

/// The host of one call: the server.
struct Remote {
    link: Arc<Link>,
    call: CallId,
}

impl Host for Remote {
    fn ask(&self, what: Ask) -> Pin<Box<dyn Future<Output = Reply> + Send + '_>> {
        let ask = self.link.asked.fetch_add(1, Ordering::Relaxed);
        let (sender, reply) = oneshot::channel();
        let refused = refusal(&what);
        lock(&self.link.asking).insert(ask, sender);
        let waiting = Asking { link: Arc::clone(&self.link), ask };
        // What is larger than the server takes is refused here: nobody else in this process is to suffer for it.
        let sent = self.link.send(&Report::Ask { call: self.call, ask, what });
        Box::pin(async move {
            if sent.is_err() {
                lock(&waiting.link.asking).remove(&ask);
                return refused;
            }
            let reply = reply.await;
            drop(waiting);
            reply.unwrap_or(refused)
        })
    }
}

/// What a guest hears when the server did not answer.
fn refusal(what: &Ask) -> Reply {
    use fumehood_capabilities::{http, invoke, job, keyvalue, secrets};
    match what {
        Ask::Http(_) => Reply::Http(Err(http::Refused::Broken)),
        Ask::KeyValue(_) => Reply::KeyValue(Err(keyvalue::Refused::Failed)),
        Ask::Secret(_) => Reply::Secret(Err(secrets::Refused::Failed)),
        Ask::Invoke(_) => Reply::Invoke(Err(invoke::Refused::Unavailable)),
        Ask::Progress(_) | Ask::Spent(_) | Ask::BodyTooLarge => Reply::Progress,
        Ask::Told(_) => Reply::Told,
        Ask::Checkpoint(_) => Reply::Checkpoint(Err(job::Refused::Unavailable)),
        Ask::Resumed => Reply::Resumed(None),
    }
}

/// A question that waits for its answer.
struct Asking {
    link: Arc<Link>,
    ask: AskId,
}

impl Drop for Asking {
    fn drop(&mut self) {
        if lock(&self.link.asking).remove(&self.ask).is_some() {
            self.link.tell(&Report::Withdrawn { ask: self.ask });
        }
    }
}

/// Whether a component is on its way, ready, or refused.
type Loading = watch::Receiver<Option<Result<Ready, String>>>;

struct Worker {
    chamber: Chamber,
    link: Arc<Link>,
    /// Components that are being loaded, or could not be.
    loading: HashMap<Digest, Loading>,
    /// Calls that were not over after their first slice.
    running: Arc<Mutex<HashMap<CallId, Working<()>>>>,
}

impl Worker {
    fn new(setup: &Setup, link: Arc<Link>) -> Result<Self, SandboxError> {
        let config = Config {
            concurrent_calls: setup.places,
            invoke_depth: 0,
            max_memory: setup.max_memory,
            max_table_elements: setup.max_table_elements,
            loaded_components: setup.loaded_components,
            yields: if setup.epochs { Yield::Epoch } else { Config::default().yields },
        };
        // The engine looks at what the kernel offers: before the wall. Threads come after it, and inherit it.
        let engine = engine::running(&config)?;
        let mut isolated = wall::raise_early(&setup.openings, setup.max_bytes, setup.max_memory.0);
        let background =
            Background::new(setup.threads).map_err(|error| SandboxError::Engine { source: error.into() })?;
        let chamber = Chamber::new(engine, &config, background)?;
        wall::raise(&mut isolated, &setup.openings);
        link.tell(&Report::Ready(isolated));
        Ok(Self { chamber, link, loading: HashMap::new(), running: Arc::default() })
    }

    fn serve(mut self, mut socket: File, mut input: Input) -> io::Result<()> {
        // Timers and blocking work of guests belong to the background's runtime, also during their first slice here.
        let handle = self.chamber.background().handle().clone();
        let _entered = handle.enter();
        while let Some(order) = input.next(&mut socket)? {
            self.obey(order);
        }
        Ok(())
    }

    fn obey(&mut self, order: Order) {
        match order {
            // Only the first message sets up.
            Order::Setup(_) => {}
            Order::Load { digest, interface, code } => self.load(digest, interface, code),
            Order::Forget { digest } => {
                self.loading.remove(&digest);
                self.chamber.forget(&digest);
            }
            Order::Call { call, order } => self.call(call, *order),
            Order::Cancel { call } => drop(lock(&self.running).remove(&call)),
            Order::Reply { ask, reply } => {
                if let Some(waiting) = lock(&self.link.asking).remove(&ask) {
                    let _ = waiting.send(reply);
                }
            }
        }
    }

    /// Load a component beside the calls that run; calls of it wait.
    fn load(&mut self, digest: Digest, interface: Vec<u8>, code: Vec<u8>) {
        let (sender, loading) = watch::channel(None);
        self.loading.insert(digest, loading);
        let (chamber, link) = (self.chamber.clone(), Arc::clone(&self.link));
        self.chamber.background().handle().spawn_blocking(move || {
            let loaded = match serde_json::from_slice(&interface) {
                Ok(interface) => chamber.load(digest, &interface, &Code::Bytes(code)).map_err(SandboxError::reason),
                Err(error) => Err(error.to_string()),
            };
            let refused = loaded.as_ref().err().cloned();
            sender.send_replace(Some(loaded));
            link.tell(&Report::Loaded { digest, refused });
        });
    }

    fn call(&mut self, id: CallId, order: CallOrder) {
        let host = Arc::new(Remote { link: Arc::clone(&self.link), call: id });
        let digest = order.digest;
        let is_short = order.arguments.len() <= SHORT;
        let call = Call {
            digest,
            function: order.function,
            arguments: Arguments::Text(order.arguments.into()),
            limits: order.limits,
            deadline: Instant::now() + Duration::from_micros(order.remaining_us),
            granted: order.granted,
            host,
            heard: order.heard,
            trusted: false,
        };
        let cancelled = Cancelled::default();
        match self.chamber.find(&digest) {
            // Much to convert would hold up the calls behind it.
            Some(ready) if is_short => self.begin(id, ready, call, cancelled),
            ready => {
                let loading = self.loading.get(&digest).cloned();
                let chamber = self.chamber.clone();
                let work = load_and_run(chamber, ready, loading, call, cancelled.clone());
                self.go_on(id, Box::pin(work), cancelled);
            }
        }
    }

    /// Run the first slice of a call here, and the rest in the background.
    fn begin(&self, id: CallId, ready: Ready, call: Call, cancelled: Cancelled) {
        let mut running: Running = match self.chamber.start(ready, call, cancelled.clone(), ()) {
            Ok(running) => Box::pin(async move { running.await.into() }),
            Err(error) => return self.link.tell(&Report::Done { call: id, end: Err(error).into() }),
        };
        match running.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(end) => self.link.tell(&Report::Done { call: id, end }),
            Poll::Pending => self.go_on(id, running, cancelled),
        }
    }

    fn go_on(&self, id: CallId, running: Running, cancelled: Cancelled) {
        let (link, all) = (Arc::clone(&self.link), Arc::clone(&self.running));
        // Tells the server also when the call is aborted: its place is free only then. The guest had begun by then.
        let aborted = Finished::stopped(StopReason::Trap { crash: Crash::Process }, Instant::now());
        let done = Done { link, all, id, end: Some(Ok(aborted).into()) };
        // Held until the call is entered below: it may end before that.
        let mut running_calls = lock(&self.running);
        let work = async move {
            let mut done = done;
            done.end = Some(running.await);
        };
        let working = self.chamber.background().spawn(work, cancelled);
        running_calls.insert(id, working);
        drop(running_calls);
        self.link.tell(&Report::Long { call: id });
    }
}

type Running = Pin<Box<dyn Future<Output = End> + Send>>;

async fn load_and_run(
    chamber: Chamber,
    ready: Option<Ready>,
    loading: Option<Loading>,
    call: Call,
    cancelled: Cancelled,
) -> End {
    if let Some(ready) = ready {
        return match chamber.start(ready, call, cancelled, ()) {
            Ok(running) => running.await.into(),
            Err(error) => Result::<Finished, _>::Err(error).into(),
        };
    }
    let Some(mut loading) = loading else {
        // The server says what it has sent before it hands over a call.
        return End::Failed("a component was not sent before it was called".to_owned());
    };
    let loaded = match loading.wait_for(Option::is_some).await {
        Ok(loaded) => loaded.clone(),
        Err(_) => None,
    };
    match loaded {
        Some(Ok(ready)) => match chamber.start(ready, call, cancelled, ()) {
            Ok(running) => running.await.into(),
            Err(error) => Result::<Finished, _>::Err(error).into(),
        },
        Some(Err(what)) => End::NotLoaded(what),
        None => End::NotLoaded("loading it failed".to_owned()),
    }
}

/// Reports a call in the background when it is over, whichever way.
struct Done {
    link: Arc<Link>,
    all: Arc<Mutex<HashMap<CallId, Working<()>>>>,
    id: CallId,
    end: Option<End>,
}

impl Drop for Done {
    fn drop(&mut self) {
        if let Some(working) = lock(&self.all).remove(&self.id) {
            working.over();
        }
        if let Some(end) = self.end.take() {
            self.link.tell(&Report::Done { call: self.id, end });
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
