//! `fumehood check`.

use std::{fs, path::Path, process::ExitCode};

use fumehood_dispatch::Manifest;
use fumehood_policy::{Limits, Trusted};
use serde_json::{Value, json};

use crate::{
    args::CheckArgs,
    exit::{Exit, Failure},
    house::runtime,
    local::File,
    output::{Output, pretty, single_line},
    project::{
        Project,
        lint::{self, Finding, Level, RULES},
        with_permissions_of,
    },
};

/// Look at a project or a component, and say what could be better.
pub(crate) fn run(output: &Output, args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let mut found = if args.path.is_file() { of_file(&args.path)? } else { of_project(&args.path)? };
    found.sort_by(|one, other| other.rule.level.cmp(&one.rule.level).then_with(|| one.place.cmp(&other.place)));
    if args.sarif {
        output.print(&pretty(&sarif(&found)))?;
    } else {
        output.data(&document(&found), || found.iter().map(text).collect())?;
    }
    let count = |level| found.iter().filter(|finding| finding.rule.level == level).count();
    let (errors, warnings) = (count(Level::Error), count(Level::Warning));
    output.talk(&format!("{errors} errors, {warnings} warnings, {} notes", count(Level::Note)));
    let fails = errors > 0 || args.strict && warnings > 0;
    Ok(if fails { Exit::Invalid.into() } else { ExitCode::SUCCESS })
}

fn of_project(folder: &Path) -> anyhow::Result<Vec<Finding>> {
    let (path, text) = Project::text_of(folder)?;
    let manifest = match Manifest::parse(&path.display().to_string(), &text) {
        Ok(manifest) => manifest,
        Err(error) => {
            let mistakes = error.mistakes.into_iter().map(|mistake| (mistake.line, mistake.what));
            return Ok(lint::of_manifest(&path, mistakes));
        }
    };
    let project = Project::open(folder)?;
    let mut found: Vec<_> =
        project.cases().err().map(|failure| lint::of_tests(folder, failure.told())).into_iter().collect();
    match project.component().filter(|component| component.exists()) {
        None => found.push(lint::unbuilt(folder)),
        Some(component) => {
            // What the code asks for counts as what the manifest does.
            let whole = fs::read(&component).ok().and_then(|bytes| with_permissions_of(&bytes, &text).ok());
            let whole = whole.and_then(|text| Manifest::parse(&path.display().to_string(), &text).ok());
            found.extend(of_component(&component, &path, Some(folder), Some(&whole.unwrap_or(manifest)))?);
        }
    }
    Ok(found)
}

fn of_file(file: &Path) -> anyhow::Result<Vec<Finding>> {
    of_component(file, file, None, None)
}

/// What could be better about a component, with the manifest of its project or else the one that it holds.
fn of_component(
    component: &Path,
    place: &Path,
    folder: Option<&Path>,
    manifest: Option<&Manifest>,
) -> anyhow::Result<Vec<Finding>> {
    let limits = Limits::default();
    let opened = runtime(&Trusted::default())?.block_on(File::open(component, &limits));
    match opened {
        Ok(File { module, .. }) => Ok(lint::of_module(place, folder, manifest.unwrap_or(&module.manifest), &module)),
        Err(error) => match error.downcast::<Failure>() {
            Ok(failure) => Ok(vec![lint::of_failure(component, failure.told())]),
            Err(error) => Err(error),
        },
    }
}

fn text(finding: &Finding) -> String {
    let Finding { rule, place: (path, line), what, fix } = finding;
    let line = line.map(|line| format!(":{line}")).unwrap_or_default();
    let level = match rule.level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Note => "note",
    };
    let place = format!("{}{line}", path.display());
    format!("{level}[{}] {}: {}\n    fix: {}\n", rule.id, single_line(&place), single_line(what), single_line(fix))
}

fn document(found: &[Finding]) -> Value {
    let findings = found.iter().map(|finding| {
        let Finding { rule, place: (path, line), what, fix } = finding;
        json!({
            "rule": rule.id, "level": rule.level, "file": path.display().to_string(), "line": line,
            "message": what, "fix": fix,
        })
    });
    json!({ "findings": findings.collect::<Vec<_>>() })
}

/// The findings as SARIF 2.1.0, which editors and code hosts read.
fn sarif(found: &[Finding]) -> Value {
    let rules = RULES.iter().map(|rule| json!({ "id": rule.id, "shortDescription": { "text": rule.about } }));
    let results = found.iter().map(|finding| {
        let Finding { rule, place: (path, line), what, fix } = finding;
        let uri = path.display().to_string();
        let uri = uri.strip_prefix("./").unwrap_or(&uri);
        json!({
            "ruleId": rule.id, "level": rule.level, "message": { "text": format!("{what}. {fix}") },
            "locations": [{ "physicalLocation": {
                "artifactLocation": { "uri": uri }, "region": { "startLine": line.unwrap_or(1) },
            } }],
        })
    });
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "fumehood", "version": env!("CARGO_PKG_VERSION"), "rules": rules.collect::<Vec<_>>(),
            } },
            "results": results.collect::<Vec<_>>(),
        }],
    })
}
