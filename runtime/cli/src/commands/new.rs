//! `fumehood new`.

use std::{fs, io, path::Path, process::ExitCode};

use fumehood_model::{Code, ModuleName};
use serde_json::json;

use crate::{
    args::{Language, NewArgs},
    exit::Failure,
    output::Output,
};

/// The files of a project, by their places in it. `{{name}}` and `{{snake}}` become its name.
type Template = &'static [(&'static str, &'static str)];

const C: Template = &[
    (".gitignore", include_str!("../../templates/c/gitignore")),
    ("tests/greet.toml", include_str!("../../templates/c/tests/greet.toml")),
    ("tool.c", include_str!("../../templates/c/tool.c")),
    ("tool.toml", include_str!("../../templates/c/tool.toml")),
    ("wit/world.wit", include_str!("../../templates/c/wit/world.wit")),
];

const GO: Template = &[
    (".gitignore", include_str!("../../templates/go/gitignore")),
    ("export_wit_world/tool.go", include_str!("../../templates/go/export_wit_world/tool.go")),
    ("go.mod", include_str!("../../templates/go/go.mod.in")),
    ("tests/greet.toml", include_str!("../../templates/go/tests/greet.toml")),
    ("tool.toml", include_str!("../../templates/go/tool.toml")),
    ("wit/world.wit", include_str!("../../templates/go/wit/world.wit")),
];

const JAVASCRIPT: Template = &[
    (".gitignore", include_str!("../../templates/js/gitignore")),
    ("package.json", include_str!("../../templates/js/package.json.in")),
    ("src/tool.js", include_str!("../../templates/js/src/tool.js")),
    ("tests/greet.toml", include_str!("../../templates/js/tests/greet.toml")),
    ("tool.toml", include_str!("../../templates/js/tool.toml")),
    ("wit/world.wit", include_str!("../../templates/js/wit/world.wit")),
];

const PYTHON: Template = &[
    (".gitignore", include_str!("../../templates/python/gitignore")),
    ("app.py", include_str!("../../templates/python/app.py")),
    ("tests/greet.toml", include_str!("../../templates/python/tests/greet.toml")),
    ("tool.toml", include_str!("../../templates/python/tool.toml")),
    ("wit/world.wit", include_str!("../../templates/python/wit/world.wit")),
];

const RUST: Template = &[
    (".gitignore", include_str!("../../templates/rust/gitignore")),
    ("Cargo.toml", include_str!("../../templates/rust/Cargo.toml.in")),
    ("src/lib.rs", include_str!("../../templates/rust/src/lib.rs")),
    ("tests/greet.toml", include_str!("../../templates/rust/tests/greet.toml")),
    ("tool.toml", include_str!("../../templates/rust/tool.toml")),
    ("wit/world.wit", include_str!("../../templates/rust/wit/world.wit")),
];

/// What no package may be called: words of WIT, words of Rust, and crates that Cargo knows.
const RESERVED: [&str; 101] = [
    "as",
    "async",
    "bool",
    "borrow",
    "char",
    "constructor",
    "enum",
    "error-context",
    "export",
    "f32",
    "f64",
    "flags",
    "from",
    "func",
    "future",
    "import",
    "include",
    "interface",
    "list",
    "map",
    "option",
    "own",
    "package",
    "record",
    "resource",
    "result",
    "s16",
    "s32",
    "s64",
    "s8",
    "static",
    "stream",
    "string",
    "tuple",
    "type",
    "u16",
    "u32",
    "u64",
    "u8",
    "use",
    "variant",
    "with",
    "world",
    "abstract",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "crate",
    "do",
    "dyn",
    "else",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "pub",
    "ref",
    "return",
    "self",
    "struct",
    "super",
    "trait",
    "true",
    "try",
    "typeof",
    "union",
    "unsafe",
    "unsized",
    "virtual",
    "where",
    "while",
    "yield",
    "alloc",
    "core",
    "proc-macro",
    "std",
    "test",
    "bin",
    "build",
    "deps",
    "examples",
    "incremental",
    "wit-bindgen",
    "tool",
];

/// Make a project that builds and passes its test.
pub(crate) fn run(output: &Output, args: &NewArgs) -> anyhow::Result<ExitCode> {
    let folder = &args.folder;
    let name = name_of(folder)?;
    let template = match args.lang {
        Language::C => C,
        Language::Go => GO,
        Language::Js => JAVASCRIPT,
        Language::Python => PYTHON,
        Language::Rust => RUST,
    };
    make_room(folder)?;
    for (place, text) in template {
        let path = folder.join(place);
        let text = text.replace("{{name}}", &name).replace("{{snake}}", &name.replace('-', "_"));
        let write = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, text));
        write.map_err(|error| {
            Failure::new(Code::Unavailable, format!("{} cannot be written: {error}", path.display()))
        })?;
    }
    let shown = folder.display().to_string();
    let files: Vec<_> = template.iter().map(|(place, _)| *place).collect();
    output.data(&json!({ "project": shown, "files": files }), || {
        files.iter().map(|place| format!("{}\n", folder.join(place).display())).collect()
    })?;
    output.talk(&format!("next: cd {shown} && fumehood build && fumehood test"));
    Ok(ExitCode::SUCCESS)
}

/// The name of the project in `folder`, which is that of its module, its package and its crate.
fn name_of(folder: &Path) -> Result<String, Failure> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let refused =
        |why: String| Failure::usage(format!("`{}` cannot be the name of a project: {why}", name.escape_debug()));
    let module: ModuleName = name.parse().map_err(|error| refused(format!("{error}")))?;
    // Names of packages in WIT and Rust: words that begin with a letter.
    let is_word = |word: &str| word.starts_with(|first: char| first.is_ascii_lowercase());
    if !module.as_str().split('-').all(is_word) || module.as_str().contains('.') {
        return Err(refused("each of its words, joined with `-`, must begin with a letter a-z".to_owned()));
    }
    if RESERVED.contains(&module.as_str()) {
        return Err(refused("it is a word of WIT or Rust".to_owned()));
    }
    Ok(name)
}

/// Make the folder. One that holds anything is left alone.
fn make_room(folder: &Path) -> Result<(), Failure> {
    let cannot = |error: io::Error| {
        Failure::new(Code::Unavailable, format!("the folder {} cannot be made: {error}", folder.display()))
    };
    match fs::read_dir(folder).map(Iterator::count) {
        Ok(0) => Ok(()),
        Ok(_) => {
            let message = format!("{} exists and holds something: nothing was done", folder.display());
            Err(Failure::new(Code::Conflict, message).hint("choose another name"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir_all(folder).map_err(cannot),
        Err(error) => Err(cannot(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_of_a_module_a_package_and_a_crate() {
        assert_eq!(name_of(Path::new("./some/where/my-tool")).unwrap(), "my-tool");
        for bad in ["My-Tool", "my_tool", "3d", "a-3", "a.b", "jobs", "..", "", "a b", "list", "fn", "test"] {
            assert!(name_of(Path::new(bad)).is_err(), "{bad}");
        }
    }
}
