//! What the README of an example tells people to type works, word for word, and prints what it says.

use std::{
    env, fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use fumehood_tests::{Finished, Server, command, guest, program, skip, target_dir, workspace};
use serde_json::Value;
use tempfile::TempDir;

/// What builds write, which is no source.
const BUILT: [&str; 5] = ["target", "node_modules", "build", ".fumehood", "__pycache__"];

/// A command, and what it prints, if the README says so.
#[derive(Debug, PartialEq)]
struct Step {
    command: String,
    prints: Option<Value>,
}

/// The commands of the blocks that begin with "```sh". A comment below one that is JSON is what it prints.
fn steps(readme: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let blocks = readme.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n"));
    for block in blocks {
        let mut goes_on = false;
        for line in block.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                if let Some(last) = steps.last_mut() {
                    last.prints = comment.parse().ok();
                }
                continue;
            }
            match steps.last_mut().filter(|_| goes_on) {
                Some(last) => last.command += &format!("\n{line}"),
                None => steps.push(Step { command: line.to_owned(), prints: None }),
            }
            goes_on = line.ends_with('\\') || line.ends_with('|');
        }
    }
    steps
}

#[test]
fn a_command_goes_on_behind_a_line_that_is_not_over() {
    let steps = steps("a\n```sh\nx \\\n  y\n# 42\nz\n# not so\n```\nb\n```toml\nt\n```\n");

    let (x, z) =
        (Step { command: "x \\\n  y".into(), prints: Some(42.into()) }, Step { command: "z".into(), prints: None });
    assert_eq!(steps, [x, z]);
}

/// Everything of `from` that an author wrote, in `to`.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (name, path) = (entry.file_name(), entry.path());
        if BUILT.iter().any(|built| name == *built) || path.extension().is_some_and(|ending| ending == "wasm") {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            copy(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// Copies of all examples, where they find what they share.
fn examples(home: &Path) -> Vec<PathBuf> {
    copy(&workspace().join("wit"), &home.join("wit"));
    copy(&workspace().join("guest-examples"), &home.join("guest-examples"));
    let folders = fs::read_dir(home.join("guest-examples")).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = folders.filter(|folder| folder.join("README.md").is_file()).collect();
    folders.sort();
    folders
}

/// Run every command of the README in `folder`, against `server`.
fn follow(folder: &Path, server: &Server, path: &str) {
    fs::write(folder.join("photo.jpg"), b"GIF89a\x03\x00\x02\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff;").unwrap();
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    let steps = steps(&readme);
    assert!(!steps.is_empty(), "{} tells nothing to type", folder.display());
    // The target is there: the guests of other tests need it too.
    for Step { command, prints } in steps.iter().filter(|step| !step.command.starts_with("rustup ")) {
        let mut shell = Command::new("bash");
        shell.args(["-o", "pipefail", "-c", &command.replace("http://127.0.0.1:7311", &server.url())]);
        shell.current_dir(folder).env("PATH", path).env("FUMEHOOD_KEY", server.admin().key());
        shell.env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
        let finished = Finished::of(&mut shell);
        let what = format!("{}: {command}\n{}{}", folder.display(), finished.stdout, finished.stderr);
        assert_eq!(finished.code, 0, "{what}");
        if let Some(prints) = prints {
            assert_eq!(finished.stdout.parse::<Value>().ok().as_ref(), Some(prints), "{what}");
        }
    }
}

/// A folder with a `fumehood` that talks to `server`, before all other places of programs.
fn path_to(server: &Server, home: &Path) -> String {
    let folder = home.join("bin");
    fs::create_dir_all(&folder).unwrap();
    let script = format!(
        "#!/bin/sh\nexec '{}' --server '{}' --data-dir '{}' \"$@\"\n",
        program().display(),
        server.url(),
        server.data().display()
    );
    fs::write(folder.join("fumehood"), script).unwrap();
    fs::set_permissions(folder.join("fumehood"), fs::Permissions::from_mode(0o755)).unwrap();
    format!("{}:{}", folder.display(), env::var("PATH").unwrap_or_default())
}

#[test]
fn what_the_examples_in_rust_tell_people_to_type_works() {
    // Nothing can be built, which is said loudly, where this is not there.
    let Some(_) = guest("calculator") else { return };
    let home = TempDir::new().unwrap();
    let server = Server::setup().patient().start();
    let path = path_to(&server, home.path());

    let mut count = 0;
    for folder in examples(home.path()).iter().filter(|folder| folder.join("Cargo.toml").is_file()) {
        // What they have in common is built once.
        symlink(target_dir().join("guests"), folder.join("target")).unwrap();
        follow(folder, &server, &path);
        count += 1;
    }

    assert!(count >= 11, "there were 11 examples in Rust when this was written, and now {count}");
}

#[test]
fn what_the_examples_in_other_languages_tell_people_to_type_works() {
    let doctor: Value =
        serde_json::from_str(Finished::of(command().args(["doctor", "-o", "json"])).stdout.as_str()).unwrap();
    let is_there = |language: &str| {
        let mut toolchains = doctor["toolchains"].as_array().unwrap().iter();
        toolchains.any(|toolchain| toolchain["language"] == language && toolchain["state"] == "ok")
    };
    let home = TempDir::new().unwrap();
    let server = Server::setup().patient().set("components.compile_cpu_s", 300).start();
    let path = path_to(&server, home.path());

    let mut count = 0;
    for folder in examples(home.path()) {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let Some((_, language)) = name.rsplit_once('-').filter(|_| !folder.join("Cargo.toml").is_file()) else {
            continue;
        };
        if !is_there(language) {
            assert!(env::var_os("CI").is_none(), "the toolchain of {language} is missing");
            skip(&format!("the README of {name}"), &format!("the toolchain of {language} is missing"));
            continue;
        }
        if language == "go" {
            crate::languages::without_a_network(&folder);
        }
        follow(&folder, &server, &path);
        check_title(&server, name);
        count += 1;
    }

    assert!(count >= 8 || env::var_os("CI").is_none(), "there were 8 of them when this was written, and now {count}");
}

/// A page on this machine has the title that an example finds, once it may ask for it.
fn check_title(server: &Server, name: &str) {
    if !name.starts_with("page-title-") {
        return;
    }
    let web = crate::sdk::page("<html><Title>\n A  page </title>");
    let grant = serde_json::json!({ "grant": format!("http:GET {web}") });
    let granted = server.admin().post(&format!("/api/v1/modules/{name}/permissions"), &grant);
    assert!((200..300).contains(&granted.status), "{}", granted.text());

    let answer = server.admin().call(&format!("{name}/page-title"), &serde_json::json!({ "url": web }));

    assert_eq!(answer.value(), "A page", "{name}");
}
