//! What a guest would try that broke out of WebAssembly, tried from behind the wall.

use std::{
    fs,
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    os::unix::net::UnixStream,
    process::Command,
    time::Duration,
};

use rustix::process::{getppid, test_kill_process};
use serde::{Deserialize, Serialize};

use crate::workers::wall::{self, Isolated};

/// Memory that the attempts may write to.
const MEMORY: u64 = 512 << 20;

/// How the wall held.
#[derive(Debug, Serialize, Deserialize)]
pub struct Attempts {
    /// What is in force.
    pub isolated: Isolated,
    /// Each attempt.
    pub attempts: Vec<Attempt>,
}

/// One thing that must not succeed.
#[derive(Debug, Serialize, Deserialize)]
pub struct Attempt {
    /// What was tried, as "read /etc/passwd".
    pub what: String,
    /// What the kernel said, or nothing if it let it happen.
    pub refused: Option<String>,
}

/// Raise the wall around this process for good, try to get past it, and write what happened to `output` as JSON.
///
/// # Errors
///
/// When the result cannot be written.
pub fn attempts(mut output: impl Write) -> io::Result<()> {
    let parent = getppid();
    let nothing = Vec::new();
    let mut isolated = wall::raise_early(&nothing, MEMORY, MEMORY);
    wall::raise(&mut isolated, &nothing);
    let port = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    let attempts = vec![
        attempt("read /etc/passwd", fs::read("/etc/passwd")),
        attempt("list /", fs::read_dir("/")),
        attempt("read its own environment", fs::read("/proc/self/environ")),
        attempt("write to its own memory as a file", fs::OpenOptions::new().write(true).open("/proc/self/mem")),
        attempt("create a file in /tmp", fs::write("/tmp/.fumehood-attempt", "x")),
        attempt("connect over TCP", TcpStream::connect_timeout(&port, Duration::from_millis(200))),
        attempt("send over UDP", UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))),
        attempt("connect to a socket of the system", UnixStream::connect("/run/systemd/journal/stdout")),
        attempt("resolve a name", std::net::ToSocketAddrs::to_socket_addrs(&("localhost", 9))),
        attempt("start a program", Command::new("/bin/true").spawn()),
        attempt("see its parent process", parent.map_or(Ok(()), |parent| Ok(test_kill_process(parent)?))),
        attempt("become another user", rustix::thread::set_thread_uid(rustix::process::Uid::ROOT).map_err(Into::into)),
    ];
    serde_json::to_writer(&mut output, &Attempts { isolated, attempts })?;
    output.flush()
}

fn attempt<T>(what: &str, result: io::Result<T>) -> Attempt {
    Attempt { what: what.to_owned(), refused: result.err().map(|error| error.to_string()) }
}
