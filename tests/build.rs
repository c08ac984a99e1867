//! Lists the hostile guests, so that the compiler can tell which of them nobody tests.
//!
//! Each file becomes a variant of `zoo::Guest`, and `zoo/rows.rs` says in one exhaustive `match` how each must end: a file
//! without a row, and a row without a file, do not compile.

use std::{
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// Where the files are, below this folder.
const FOLDERS: [&str; 2] = ["guests/hostile", "guests/wat"];

fn main() {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo tells where the package is"));
    let mut files: Vec<PathBuf> = FOLDERS.iter().flat_map(|folder| texts(&here.join(folder))).collect();
    files.sort_by(|a, b| stem(a).cmp(stem(b)));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo tells where to write")).join("zoo.rs");
    fs::write(out, code(&files)).expect("the list can be written");
}

/// The files of WebAssembly text in a folder.
fn texts(folder: &Path) -> Vec<PathBuf> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.expect("its entries can be read").path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "wat")).collect()
}

/// `spin-in-start` of `spin-in-start.wat`.
fn stem(path: &Path) -> &str {
    path.file_stem().and_then(|stem| stem.to_str()).expect("names of guests are ASCII")
}

/// `SpinInStart` of `spin-in-start`.
fn variant(name: &str) -> String {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    name.split('-').map(capital).collect()
}

fn code(files: &[PathBuf]) -> String {
    let mut code = String::from(
        "/// One hostile or odd component: a file of `guests/hostile` or `guests/wat`.\n\
         #[derive(Debug, Clone, Copy, PartialEq, Eq)]\npub enum Guest {\n",
    );
    for file in files {
        let name = stem(file);
        writeln!(code, "    /// `{name}.wat`\n    {},", variant(name)).expect("a string takes it");
    }
    code.push_str("}\n\nimpl Guest {\n    /// All of them, by name.\n    pub const ALL: &[Self] = &[\n");
    for file in files {
        writeln!(code, "        Self::{},", variant(stem(file))).expect("a string takes it");
    }
    code.push_str("    ];\n\n    /// The file's name without its ending.\n    #[must_use]\n");
    code.push_str("    pub fn name(self) -> &'static str {\n        match self {\n");
    for file in files {
        let name = stem(file);
        writeln!(code, "            Self::{} => {name:?},", variant(name)).expect("a string takes it");
    }
    code.push_str("        }\n    }\n\n    /// Its text.\n    #[must_use]\n");
    code.push_str("    pub fn text(self) -> &'static str {\n        match self {\n");
    for file in files {
        let path = file.to_str().expect("the path of the sources is text");
        writeln!(code, "            Self::{} => include_str!({path:?}),", variant(stem(file)))
            .expect("a string takes it");
    }
    code.push_str("        }\n    }\n}\n");
    code
}
