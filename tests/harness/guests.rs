use std::{
    collections::HashMap,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, OnceLock, PoisonError},
};

use crate::program::{artifacts, turn};

const TARGET: &str = "wasm32-wasip2";

/// Where guests stand in the workspace.
const HOMES: [&str; 3] = ["guest-examples", "apis", "tests/guests"];

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a folder of the workspace")
}

/// The target directory in which these tests were built.
///
/// # Panics
///
/// When the test does not run where cargo has put it.
pub fn target_dir() -> PathBuf {
    let own = std::env::current_exe().expect("a test knows its own file");
    // TARGET/debug/deps/it-0123456789abcdef
    own.ancestors().nth(3).expect("cargo puts tests three levels below its target directory").to_owned()
}

/// The sources of all guests in Rust that have examples, in a stable order.
///
/// # Panics
///
/// When the folders cannot be read.
pub fn sources() -> Vec<PathBuf> {
    let read = |home: &str| fs::read_dir(workspace().join(home)).expect("the folder of guests can be read");
    let paths = HOMES.into_iter().flat_map(read).map(|entry| entry.expect("its entries can be read").path());
    // Those in other languages are built by their projects.
    let is_one = |path: &PathBuf| ["tool.toml", "Cargo.toml"].iter().all(|file| path.join(file).is_file());
    let mut sources: Vec<_> = paths.filter(is_one).collect();
    sources.sort();
    sources
}

/// All files below `folder`, by their paths.
///
/// # Panics
///
/// When it cannot be read.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("its entries can be read").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// The folder of the guest called `name`.
///
/// # Panics
///
/// When there is none.
pub fn folder(name: &str) -> PathBuf {
    let folders = HOMES.into_iter().map(|home| workspace().join(home).join(name));
    folders.into_iter().find(|folder| folder.is_dir()).unwrap_or_else(|| panic!("there is no guest {name}"))
}

/// The component of the guest called `name`, built from its sources on first use.
///
/// Nothing, and loud words, on a machine that cannot build for WebAssembly.
///
/// # Panics
///
/// When the guest does not compile.
pub fn guest(name: &str) -> Option<PathBuf> {
    static BUILT: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);
    if let Err(reason) = wasm_target() {
        skip(&format!("whatever needs the guest {name}"), reason);
        return None;
    }
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let built = built.get_or_insert_default();
    Some(built.entry(name.to_owned()).or_insert_with(|| build(name)).clone())
}

fn build(name: &str) -> PathBuf {
    let _turn = turn("fumehood-guests.lock");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--release", "--locked", "--message-format=json", "--target", TARGET]);
    cargo.arg("--target-dir").arg(target_dir().join("guests")).current_dir(folder(name));
    // What was set for the outer build is not meant for guests.
    cargo.env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    let messages = artifacts(&mut cargo);
    let files = messages.iter().flat_map(|message| message["filenames"].as_array().into_iter().flatten());
    let paths = files.filter_map(|file| file.as_str()).map(PathBuf::from);
    let mut components = paths.filter(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    let built = components.next_back().unwrap_or_else(|| panic!("cargo built no component for {name}"));
    // Two guests may have libraries of one name: keep each under its own.
    let kept = target_dir().join("guests").join(format!("{name}.wasm"));
    fs::copy(&built, &kept).unwrap_or_else(|error| panic!("{} cannot be copied: {error}", built.display()));
    kept
}

/// Whether guests can be built here, having tried to make it so.
fn wasm_target() -> Result<(), &'static str> {
    static READY: OnceLock<Result<(), String>> = OnceLock::new();
    let ready = READY.get_or_init(|| {
        let _turn = turn("fumehood-guests.lock");
        if has_target() {
            return Ok(());
        }
        let added = Command::new("rustup").args(["target", "add", TARGET]).stdin(Stdio::null()).output();
        match added {
            Ok(output) if output.status.success() && has_target() => Ok(()),
            Ok(output) => Err(format!(
                "the target {TARGET} is missing and `rustup target add {TARGET}` failed: {}",
                String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ")
            )),
            Err(error) => Err(format!("the target {TARGET} is missing and rustup does not run: {error}")),
        }
    });
    ready.as_ref().copied().map_err(String::as_str)
}

/// Whether the standard library for the target is there.
fn has_target() -> bool {
    let arguments = ["--print", "target-libdir", "--target", TARGET];
    let rustc = Path::new(env!("CARGO")).with_file_name("rustc");
    let rustc = if rustc.is_file() { rustc } else { PathBuf::from("rustc") };
    let Ok(output) = Command::new(rustc).args(arguments).current_dir(workspace()).output() else { return false };
    Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir()
}

/// Say loudly that something is not tested, and why.
pub fn skip(what: &str, reason: &str) {
    let line = format!("SKIPPED: {what}, because {reason}\n");
    // Past the capture of the test runner: who reads only the summary must see this too.
    let _ = std::io::stderr().write_all(line.as_bytes());
    let file = File::options().create(true).append(true).open(target_dir().join("skipped.txt"));
    let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
}

/// The hostile or odd component `name` of `tests/guests/wat`.
///
/// # Panics
///
/// When there is none, or it is not WebAssembly text.
pub fn wat(name: &str) -> Vec<u8> {
    let path = workspace().join("tests/guests/wat").join(format!("{name}.wat"));
    wat::parse_file(&path).unwrap_or_else(|error| panic!("{error}"))
}

/// The component that is this WebAssembly text.
///
/// # Panics
///
/// When it is not WebAssembly text.
pub fn parse_wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}
