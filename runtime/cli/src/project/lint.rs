//! What could be better about a tool, before anybody else finds out: each finding with its rule, its place and what to do.

use std::{
    fs,
    path::{Path, PathBuf},
};

use fumehood_capabilities::WAYS;
use fumehood_dispatch::{Compatibility, Fit, Manifest, Module};
use serde::Serialize;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// It could be better.
    Note,
    /// Callers will have trouble with it.
    Warning,
    /// It cannot be served.
    Error,
}

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Its stable name.
    pub(crate) id: &'static str,
    /// How bad a finding is.
    pub(crate) level: Level,
    /// What it is about.
    pub(crate) about: &'static str,
}

const fn rule(id: &'static str, level: Level, about: &'static str) -> Rule {
    Rule { id, level, about }
}

const BAD_MANIFEST: Rule = rule("bad-manifest", Level::Error, "The tool.toml has a mistake.");
const BAD_TEST: Rule = rule("bad-test", Level::Error, "A file of tests has a mistake.");
const BAD_COMPONENT: Rule = rule("bad-component", Level::Error, "The component cannot be a module.");
const MISSING_IMPORT: Rule = rule("missing-import", Level::Error, "The component needs what is not offered.");
const REFUSED_IMPORT: Rule = rule("refused-import", Level::Note, "The component imports what is always refused.");
const UNSERVED_EXPORT: Rule = rule("unserved-export", Level::Warning, "An export cannot be a tool.");
const UNASKED: Rule = rule("unasked-permission", Level::Warning, "The component can reach what it does not ask for.");
const UNNEEDED: Rule = rule("unneeded-permission", Level::Warning, "It asks for what the component cannot reach.");
const UNDOCUMENTED: Rule =
    rule("undocumented-function", Level::Warning, "A model reads nothing of what a function does.");
const UNDOCUMENTED_PARAMETER: Rule =
    rule("undocumented-parameter", Level::Note, "A model reads nothing of what a parameter means.");
const NO_EXAMPLE: Rule = rule("no-example", Level::Note, "A function has no example, which is shown and tested.");
const UNBUILT: Rule = rule("unbuilt", Level::Note, "There is no component yet: only the sources were looked at.");

/// All rules.
pub(crate) const RULES: [Rule; 12] = [
    BAD_MANIFEST,
    BAD_TEST,
    BAD_COMPONENT,
    MISSING_IMPORT,
    REFUSED_IMPORT,
    UNSERVED_EXPORT,
    UNASKED,
    UNNEEDED,
    UNDOCUMENTED,
    UNDOCUMENTED_PARAMETER,
    NO_EXAMPLE,
    UNBUILT,
];

/// Kinds of permissions whose imports the libraries of languages bring along, whether a tool uses them or not.
const BROUGHT_ALONG: [&str; 3] = ["env", "files", "sockets"];

/// Something that could be better.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Which rule found it.
    pub(crate) rule: Rule,
    /// Where: a file, and a line of it where one is known.
    pub(crate) place: (PathBuf, Option<usize>),
    /// What.
    pub(crate) what: String,
    /// What to do about it.
    pub(crate) fix: String,
}

/// What of `manifest` and the component that it is for could be better. `place` is where findings are that have no better one.
pub(crate) fn of_module(place: &Path, folder: Option<&Path>, manifest: &Manifest, module: &Module) -> Vec<Finding> {
    let finding = |rule: Rule, what: String, fix: String| Finding { rule, place: (place.to_owned(), None), what, fix };
    let mut found = Vec::new();
    let Compatibility { functions, imports, .. } = Compatibility::of_file(&module.interface, manifest);
    for import in imports {
        let fix = |fix: &str| fix.to_owned();
        let told = format!("`{}` is {}", import.name, import.why);
        match import.fit {
            Fit::None => found.push(finding(
                MISSING_IMPORT,
                told,
                fix("leave out what needs it, build it with what is offered, or say in [dependencies] which module exports it"),
            )),
            Fit::Partial => {
                found.push(finding(REFUSED_IMPORT, told, fix("use `wasi:http` to reach others, and ask for it")));
            }
            Fit::Full => {}
        }
    }
    for export in
        functions.into_iter().filter(|export| export.fit == Fit::None && !export.why.starts_with("not served"))
    {
        let told = format!("`{}` is no tool: {}", export.name, export.why);
        found.push(finding(UNSERVED_EXPORT, told, "use types that have JSON, or do not export it".to_owned()));
    }
    found.extend(permissions(place, manifest, module));
    for tool in &module.tools {
        let at = folder.and_then(|folder| line_of(folder, &tool.function)).unwrap_or_else(|| (place.to_owned(), None));
        let (function, at) = (&tool.function, || at.clone());
        if !tool.documented {
            let what = format!("nothing says what `{function}` does");
            let fix = format!("write `/// …` above it in the WIT, or `description` in `[functions.{function}]`");
            found.push(Finding { rule: UNDOCUMENTED, place: at(), what, fix });
        }
        let properties = tool.input_schema.get("properties").and_then(serde_json::Value::as_object);
        for (name, schema) in properties.into_iter().flatten() {
            if schema.get("description").is_none() {
                let what = format!("nothing says what `{name}` of `{function}` means");
                let fix = format!("write it into `params` in `[functions.{function}]`");
                found.push(Finding { rule: UNDOCUMENTED_PARAMETER, place: at(), what, fix });
            }
        }
        if !manifest.examples.iter().any(|example| example.function == *function) {
            let what = format!("there is no example of `{function}`");
            found.push(Finding {
                rule: NO_EXAMPLE,
                place: at(),
                what,
                fix: "write an `[[example]]` into tool.toml".to_owned(),
            });
        }
    }
    found
}

/// Where what a module asks for and what it can reach do not fit.
fn permissions(place: &Path, manifest: &Manifest, module: &Module) -> Vec<Finding> {
    let mut found = Vec::new();
    for (start, kind) in WAYS {
        let can = module.interface.imports.iter().any(|import| import.starts_with(start));
        let asks = manifest.permissions.iter().any(|wish| wish.grant.kind() == kind);
        let at = || (place.to_owned(), None);
        if can && !asks && !BROUGHT_ALONG.contains(&kind) {
            let what = format!("it can reach `{kind}` and does not ask for it: whoever runs it is not told what for");
            let fix = format!("write `[[permissions]]` with what it needs of `{kind}` and the reason");
            found.push(Finding { rule: UNASKED, place: at(), what, fix });
        }
        if asks && !can {
            let what = format!("it asks for `{kind}` and does not import `{start}`");
            found.push(Finding { rule: UNNEEDED, place: at(), what, fix: "do not ask for it".to_owned() });
        }
    }
    found
}

/// What could be better about the component at `component` alone, which cannot be a module.
pub(crate) fn of_failure(component: &Path, why: String) -> Finding {
    let fix = "see `fumehood inspect` for what it offers and needs".to_owned();
    Finding { rule: BAD_COMPONENT, place: (component.to_owned(), None), what: why, fix }
}

/// Mistakes in a manifest.
pub(crate) fn of_manifest(path: &Path, mistakes: impl IntoIterator<Item = (usize, String)>) -> Vec<Finding> {
    let finding = |(line, what)| {
        let fix = "the page `tool.toml` of the reference has every key".to_owned();
        Finding { rule: BAD_MANIFEST, place: (path.to_owned(), Some(line)), what, fix }
    };
    mistakes.into_iter().map(finding).collect()
}

/// A mistake in the tests of a project.
pub(crate) fn of_tests(folder: &Path, why: String) -> Finding {
    let fix = "see `fumehood test --help`".to_owned();
    Finding { rule: BAD_TEST, place: (folder.join("tests"), None), what: why, fix }
}

/// There is no component.
pub(crate) fn unbuilt(folder: &Path) -> Finding {
    let (what, fix) = ("no component was built yet".to_owned(), "run `fumehood build`".to_owned());
    Finding { rule: UNBUILT, place: (folder.to_owned(), None), what, fix }
}

/// Where the WIT of a project exports a function.
fn line_of(folder: &Path, function: &str) -> Option<(PathBuf, Option<usize>)> {
    let name = function.rsplit('.').next()?;
    let mut files: Vec<_> =
        fs::read_dir(folder.join("wit")).ok()?.filter_map(Result::ok).map(|entry| entry.path()).collect();
    files.sort();
    files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "wit")).find_map(|path| {
        let text = fs::read_to_string(&path).ok()?;
        let is_it = |line: &str| {
            let line = line.trim_start().trim_start_matches("export ");
            line.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with(':') && rest.contains("func"))
        };
        text.lines().position(is_it).map(|line| (path.clone(), Some(line + 1)))
    })
}
