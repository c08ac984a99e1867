use std::{
    io::{self, Read, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use fumehood_model::ByteSize;
use fumehood_value::{DescribeError, Interface, Recipe, compose, describe};
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
    sync::Semaphore,
};

use crate::{
    engine::{self, Yield},
    error::SandboxError,
    workers::{signals, wall},
};

/// Longest wall-clock time for one piece of work, beside its CPU time: a starved machine must not stall uploads forever.
const WALL: Duration = Duration::from_secs(120);

/// What reading a component may use: it is done once over the file, and nothing in it is compiled.
const READING: CompilerLimits = CompilerLimits { cpu_s: 5, memory: ByteSize::mib(512) };

/// Reads and compiles components where it can do no harm. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Compiler {
    isolation: Isolation,
    limits: CompilerLimits,
    /// One at a time for each two cores, so that serving goes on.
    turns: Arc<Semaphore>,
}

/// Where components are read and compiled.
#[derive(Debug, Clone)]
pub enum Isolation {
    /// In a child process: this program with these arguments, which must call [`worker`].
    Process {
        /// The program, usually this one.
        program: PathBuf,
        /// Arguments that make it a worker.
        arguments: Vec<String>,
    },
    /// In this process: for tests and tools that handle only components they trust.
    None,
}

/// What a compiler process may use.
#[derive(Debug, Clone, Copy)]
pub struct CompilerLimits {
    /// CPU time in seconds.
    pub cpu_s: u64,
    /// Address space.
    pub memory: ByteSize,
}

impl Default for CompilerLimits {
    /// A file of 154 KiB can cost a compiler half a minute, one of 2.2 MiB three gigabytes. Honest components of 20 MB
    /// need a third of this.
    fn default() -> Self {
        Self { cpu_s: 20, memory: ByteSize::gib(1) }
    }
}

/// Longest order: the names of all that many components give to each other.
const MAX_ORDER: usize = 1 << 20;

/// What a worker is asked for: this line of JSON, then the component or components, on standard input.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Order {
    cpu_s: u64,
    memory_bytes: u64,
    work: Work,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Work {
    Describe,
    Compile {
        epochs: bool,
    },
    /// Make one component of several.
    Compose(Recipe),
}

/// First byte of a worker's answer; the rest is the result, or what is wrong.
const DONE: u8 = b'+';
const REFUSED: u8 = b'-';

impl Compiler {
    /// A compiler with these bounds.
    #[must_use]
    pub fn new(isolation: Isolation, limits: CompilerLimits) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { isolation, limits, turns: Arc::new(Semaphore::new((cores / 2).max(1))) }
    }

    /// What the component in `bytes` offers and needs.
    pub(crate) async fn describe(&self, bytes: Vec<u8>) -> Result<Interface, SandboxError> {
        // The commonest mistakes need no process, and keep their own error.
        if !bytes.starts_with(b"\0asm") || bytes.len() < 8 {
            return Ok(describe(&bytes)?);
        }
        let Isolation::Process { .. } = self.isolation else {
            return Ok(tokio::task::spawn_blocking(move || describe(&bytes))
                .await
                .map_err(|_| SandboxError::Lost)??);
        };
        let json = self.work(bytes, Work::Describe).await?;
        serde_json::from_slice(&json).map_err(|error| SandboxError::Compiler { what: error.to_string() })
    }

    /// The machine code of the component in `bytes`.
    pub(crate) async fn compile(&self, bytes: Vec<u8>, yields: Yield) -> Result<Vec<u8>, SandboxError> {
        let Isolation::Process { .. } = self.isolation else {
            return tokio::task::spawn_blocking(move || compile(&bytes, yields))
                .await
                .map_err(|_| SandboxError::Lost)?;
        };
        self.work(bytes, Work::Compile { epochs: yields == Yield::Epoch }).await
    }

    /// The component that is made of those whose `bytes` follow each other.
    pub(crate) async fn compose(&self, recipe: Recipe, bytes: Vec<u8>) -> Result<Vec<u8>, SandboxError> {
        let Isolation::Process { .. } = self.isolation else {
            let composed = tokio::task::spawn_blocking(move || compose(&recipe, &bytes)).await;
            return composed.map_err(|_| SandboxError::Lost)?.map_err(|what| SandboxError::NotComposed { what });
        };
        self.work(bytes, Work::Compose(recipe)).await.map_err(|error| match error {
            SandboxError::Refused { what } => SandboxError::NotComposed { what },
            error => error,
        })
    }

    async fn work(&self, bytes: Vec<u8>, work: Work) -> Result<Vec<u8>, SandboxError> {
        let Isolation::Process { program, arguments } = &self.isolation else { return Err(SandboxError::Lost) };
        let failed = |what: String| SandboxError::Compiler { what };
        let _turn = self.turns.acquire().await.map_err(|_| SandboxError::Lost)?;
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            // mimalloc would reserve a gibibyte of address space at once, which is all that the worker may have.
            .env("MIMALLOC_ARENA_RESERVE", "16384")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(format!("{} does not start: {error}", program.display())))?;
        let (mut stdin, mut stdout) =
            child.stdin.take().zip(child.stdout.take()).ok_or_else(|| failed("it has no pipes".to_owned()))?;
        let compile = matches!(work, Work::Compile { .. });
        let limits = if compile { self.limits } else { self.limits.for_reading() };
        let order = Order { cpu_s: limits.cpu_s, memory_bytes: limits.memory.0, work };
        let send = async move {
            let mut line = serde_json::to_vec(&order).unwrap_or_default();
            line.push(b'\n');
            // A worker that died has closed its end; its status says more than this error.
            let _ = stdin.write_all(&line).await;
            let _ = stdin.write_all(&bytes).await;
        };
        let mut answer = Vec::new();
        let most = limits.memory.0;
        let receive = async { (&mut stdout).take(most).read_to_end(&mut answer).await };
        // Waiting for its end as well: a worker can close its pipes and live on.
        let exchanged = async { (tokio::join!(send, receive), child.wait().await).1 };
        let Ok(status) = tokio::time::timeout(WALL, exchanged).await else {
            return Err(exceeded(compile, format!("{} s", WALL.as_secs())));
        };
        let status = status.map_err(|error| failed(error.to_string()))?;
        match answer.split_first() {
            Some((&DONE, result)) if status.success() => Ok(result.to_vec()),
            Some((&REFUSED, why)) => {
                let refusal: Refusal = serde_json::from_slice(why).map_err(|error| failed(error.to_string()))?;
                Err(refusal.into())
            }
            _ => Err(limits.died(status, compile)),
        }
    }
}

impl CompilerLimits {
    /// The least of these and of what reading may use.
    fn for_reading(self) -> Self {
        Self { cpu_s: self.cpu_s.min(READING.cpu_s), memory: ByteSize(self.memory.0.min(READING.memory.0)) }
    }

    /// Which of these bounds ended a worker.
    fn died(self, status: std::process::ExitStatus, compiling: bool) -> SandboxError {
        use std::os::unix::process::ExitStatusExt;
        match status.signal() {
            // The kernel ends a process that uses up its CPU time with SIGXCPU, then SIGKILL.
            Some(24) => exceeded(compiling, format!("{} s of CPU time", self.cpu_s)),
            // A failed allocation ends the process with one of these.
            Some(6 | 9 | 11) => exceeded(compiling, format!("{} of memory", self.memory)),
            _ => SandboxError::Compiler { what: format!("it ended with {status}") },
        }
    }
}

fn exceeded(compiling: bool, what: String) -> SandboxError {
    if compiling { SandboxError::CompileBudget { what } } else { SandboxError::ReadBudget { what } }
}

/// Why a worker refused, on its way between processes.
#[derive(Debug, Serialize, Deserialize)]
struct Refusal {
    what: String,
    /// Whether the description failed, rather than the compiler.
    describing: bool,
}

impl From<Refusal> for SandboxError {
    fn from(refusal: Refusal) -> Self {
        if refusal.describing {
            return Self::NotServable(DescribeError::Reported { what: refusal.what });
        }
        Self::Refused { what: refusal.what }
    }
}

fn compile(bytes: &[u8], yields: Yield) -> Result<Vec<u8>, SandboxError> {
    let engine = engine::compiling(yields)?;
    // The compiler panics on some components that it should refuse. That is their fault, as far as an upload goes.
    match catch_unwind(AssertUnwindSafe(|| engine.precompile_component(bytes))) {
        Ok(compiled) => compiled.map_err(|error| SandboxError::Refused { what: format!("{error:#}") }),
        Err(_) => Err(SandboxError::Refused { what: "the compiler failed on it".to_owned() }),
    }
}

/// Be a compiler process: read an order and a component, answer, end.
///
/// Puts limits on this process before it looks at the component.
///
/// # Errors
///
/// When the order cannot be read or the answer not written.
pub fn worker(mut input: impl Read, mut output: impl Write) -> io::Result<()> {
    signals::pass_by()?;
    let mut everything = Vec::new();
    let mut line = Vec::new();
    let mut byte = [0];
    while input.read(&mut byte)? == 1 && byte[0] != b'\n' && line.len() < MAX_ORDER {
        line.push(byte[0]);
    }
    let order: Order = serde_json::from_slice(&line)?;
    limit(Resource::As, order.memory_bytes)?;
    limit(Resource::Cpu, order.cpu_s)?;
    // What is compiled is a stranger's too. Without the kernel's help the limits above still hold.
    let mut isolated = wall::raise_early(&[], order.memory_bytes, 0);
    wall::raise(&mut isolated, &[]);
    input.read_to_end(&mut everything)?;
    let refused = |what| Refusal { what, describing: false };
    let result = match order.work {
        Work::Compile { epochs } => {
            let yields = if epochs { Yield::Epoch } else { Yield::Fuel(0) };
            compile(&everything, yields).map_err(|error| refused(error.reason()))
        }
        Work::Compose(recipe) => compose(&recipe, &everything).map_err(refused),
        Work::Describe => describe(&everything)
            .map_err(|error| Refusal { what: error.to_string(), describing: true })
            .and_then(|interface| {
                serde_json::to_vec(&interface).map_err(|e| Refusal { what: e.to_string(), describing: true })
            }),
    };
    match result {
        Ok(bytes) => {
            output.write_all(&[DONE])?;
            output.write_all(&bytes)?;
        }
        Err(refusal) => {
            output.write_all(&[REFUSED])?;
            output.write_all(&serde_json::to_vec(&refusal)?)?;
        }
    }
    output.flush()
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    // One second between the soft and the hard limit of CPU time, so that the soft one names itself.
    let hard = if matches!(resource, Resource::Cpu) { most + 1 } else { most };
    Ok(setrlimit(resource, Rlimit { current: Some(most), maximum: Some(hard) })?)
}
