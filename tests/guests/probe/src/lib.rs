//! What a guest can try to do to its surroundings, for the tests of what a sandbox lets through.
//!
//! Nothing here is clever: these are the calls that ordinary code makes through the standard library.

wit_bindgen::generate!({ path: "wit", world: "probe" });

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How much stack each level of [`descend`] takes at least.
const FRAME_BYTES: usize = 256;

/// The size of a page of linear memory, each of which is touched.
const PAGE_BYTES: usize = 65_536;

static CALLS: AtomicU32 = AtomicU32::new(0);

struct Probe;

impl exports::test::probe::surroundings::Guest for Probe {
    fn environment() -> Vec<(String, String)> {
        std::env::vars_os()
            .map(|(name, value)| {
                (
                    name.to_string_lossy().into_owned(),
                    value.to_string_lossy().into_owned(),
                )
            })
            .collect()
    }

    fn arguments() -> Vec<String> {
        std::env::args_os()
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect()
    }

    fn read_file(path: String) -> Result<String, String> {
        std::fs::read_to_string(path).map_err(explain)
    }

    fn write_file(path: String, text: String) -> Result<(), String> {
        std::fs::write(path, text).map_err(explain)
    }

    fn list_directory(path: String) -> Result<Vec<String>, String> {
        std::fs::read_dir(path)
            .map_err(explain)?
            .map(|entry| {
                entry
                    .map(|entry| entry.file_name().to_string_lossy().into_owned())
                    .map_err(explain)
            })
            .collect()
    }

    fn connect(host: String, port: u16) -> Result<(), String> {
        TcpStream::connect((host.as_str(), port))
            .map(drop)
            .map_err(explain)
    }

    fn resolve(host: String) -> Result<Vec<String>, String> {
        let addresses = (host.as_str(), 0).to_socket_addrs().map_err(explain)?;
        Ok(addresses.map(|address| address.ip().to_string()).collect())
    }

    fn sleep(milliseconds: u64) {
        std::thread::sleep(Duration::from_millis(milliseconds));
    }

    fn print(text: String, times: u32) -> u32 {
        write_times(&mut std::io::stdout(), &text, times)
    }

    fn print_error(text: String, times: u32) -> u32 {
        write_times(&mut std::io::stderr(), &text, times)
    }

    fn read_stdin() -> Vec<u8> {
        let mut bytes = Vec::new();
        // What was read before a failure is what the guest got hold of, and that is what is asked.
        let _ = std::io::stdin().read_to_end(&mut bytes);
        bytes
    }

    fn allocate(megabytes: u32) -> u32 {
        let mut blocks = Vec::new();
        for _ in 0..megabytes {
            let mut block = Vec::<u8>::with_capacity(1024 * 1024);
            for page in block.spare_capacity_mut().iter_mut().step_by(PAGE_BYTES) {
                page.write(1);
            }
            blocks.push(black_box(block));
        }
        black_box(blocks).len() as u32
    }

    fn recurse(depth: u32) -> u32 {
        descend(depth)
    }

    fn spin() {
        loop {
            black_box(());
        }
    }

    fn spin_for(iterations: u64) -> u64 {
        (0..iterations).fold(0, |sum, turn| black_box(sum ^ turn))
    }

    fn panic(message: String) {
        panic!("{message}");
    }

    fn exit(code: u8) {
        std::process::exit(code.into());
    }

    fn count() -> u32 {
        CALLS.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn big_string(bytes: u32) -> String {
        "x".repeat(bytes as usize)
    }

    fn many_strings(count: u32) -> Vec<String> {
        vec![String::new(); count as usize]
    }

    fn random_bytes(n: u64) -> Vec<u8> {
        random(n)
    }

    fn now() -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |elapsed| elapsed.as_secs())
    }

    fn fail(message: String) -> Result<String, String> {
        Err(message)
    }

    fn nan() -> f64 {
        f64::NAN
    }

    fn infinity() -> f64 {
        f64::INFINITY
    }

    fn spawn_thread() -> Result<(), String> {
        std::thread::Builder::new()
            .spawn(|| ())
            .map(drop)
            .map_err(explain)
    }
}

/// Recurse with a frame that neither the optimiser nor a tail call can remove.
#[inline(never)]
fn descend(depth: u32) -> u32 {
    let mut frame = [0_u8; FRAME_BYTES];
    black_box(&mut frame)[0] = depth as u8;
    if depth == 0 {
        return 0;
    }
    let below = descend(depth - 1);
    black_box(&frame);
    below + 1
}

fn write_times(stream: &mut impl Write, text: &str, times: u32) -> u32 {
    (0..times)
        .map(|_| {
            u32::from(
                stream
                    .write_all(text.as_bytes())
                    .and_then(|()| stream.flush())
                    .is_ok(),
            )
        })
        .sum()
}

fn explain(error: std::io::Error) -> String {
    error.to_string()
}

#[cfg(target_family = "wasm")]
fn random(n: u64) -> Vec<u8> {
    wasip2::random::random::get_random_bytes(n)
}

/// Outside of WebAssembly there is no one to ask; the crate still has to compile for its checks.
#[cfg(not(target_family = "wasm"))]
fn random(n: u64) -> Vec<u8> {
    vec![0; n as usize]
}

export!(Probe);
