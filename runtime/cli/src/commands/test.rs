//! `fumehood test`.

use std::{fs, process::ExitCode};

use fumehood_capabilities::http::Exchanged;
use fumehood_model::{Code, Outcome};
use fumehood_policy::{Limits, Trusted};
use serde_json::{Value, json};

use crate::{
    args::TestArgs,
    exit::{Exit, Failure},
    house::runtime,
    local::{File, LocalAnswer},
    output::{Output, single_line, size},
    project::{ANSWER, Case, Project, Wanted},
};

mod around;
mod record;

use around::Answers;
use record::Recording;

/// How a test ended.
struct Ran<'a> {
    case: &'a Case,
    /// What is wrong, a line each.
    wrong: Vec<String>,
    fuel_units: u64,
    memory_bytes: u64,
    /// What came, where something else was expected.
    came: Option<Came>,
    /// Whether nothing else is wrong.
    is_all: bool,
    /// How many requests each record of its file has answered.
    shared: Vec<u32>,
    /// What real servers have answered.
    recorded: Vec<Exchanged>,
}

/// What came of a call.
enum Came {
    Value(Value),
    Error(Value),
}

/// Build a project and run its examples and tests in the sandbox, where nothing is granted but what is recorded.
pub(crate) fn run(output: &Output, args: &TestArgs) -> anyhow::Result<ExitCode> {
    let mut project = Project::open(&args.project)?;
    let all = project.cases()?;
    let cases = chosen(&all, args)?;
    let recording = args.record.then(|| Recording::of(&project)).transpose()?;
    let component = project.build()?;
    let runtime = runtime(&Trusted::default())?;
    let file = runtime.block_on(async { File::open(&component, &Limits::default()).await?.whole().await })?;
    // What the code asks for counts, too.
    project.manifest.permissions.clone_from(&file.module.manifest.permissions);
    let with_records;
    let mut ran = runtime.block_on(all_tried(&file, &project, &cases, &all, recording.as_ref()))?;
    let recorded = recording.map(|recording| recording.write(&ran, output)).transpose()?.unwrap_or_default();
    if recorded > 0 {
        // What counts is what comes of what was written down.
        with_records = project.cases()?;
        let cases = chosen(&with_records, args)?;
        ran = runtime.block_on(all_tried(&file, &project, &cases, &with_records, None))?;
    }
    let (updated, mended) = if args.update { update(&ran)? } else { (0, 0) };
    let failed = ran.iter().filter(|ran| !ran.wrong.is_empty()).count();
    output.data(&document(&ran), || text(&ran))?;
    if updated > 0 {
        output.talk(&format!("{updated} of them expect now what came: look at the difference before you keep it"));
    }
    if recorded > 0 {
        output.talk(&format!("{recorded} answers were written down: look at what is in them before you keep them"));
    }
    let passed = ran.len() - failed;
    output.talk(&format!("{passed} passed, {failed} failed"));
    Ok(if failed > mended { Exit::ToolError.into() } else { ExitCode::SUCCESS })
}

/// Those of `all` that are asked for.
fn chosen<'a>(all: &'a [Case], args: &TestArgs) -> Result<Vec<&'a Case>, Failure> {
    let holds = |text: &str| args.filter.as_ref().is_none_or(|filter| text.contains(filter.as_str()));
    let cases: Vec<_> = all.iter().filter(|case| holds(&case.name) || holds(&case.function)).collect();
    if let (true, Some(filter)) = (cases.is_empty(), &args.filter) {
        return Err(Failure::new(Code::NotFound, format!("no test and no function is called like `{filter}`")));
    }
    if cases.is_empty() {
        let failure = Failure::new(Code::NotFound, "there is no test to run");
        return Err(failure.hint("write `[[example]]` into tool.toml, or `[[test]]` into a file like tests/first.toml"));
    }
    Ok(cases)
}

/// What comes of `cases`, some of `all`, one after the other.
async fn all_tried<'a>(
    file: &File,
    project: &Project,
    cases: &[&'a Case],
    all: &[Case],
    recording: Option<&Recording>,
) -> anyhow::Result<Vec<Ran<'a>>> {
    let mut ran = Vec::with_capacity(cases.len());
    for case in cases {
        ran.push(tried(file, project, case, &Limits::default(), recording).await?);
    }
    around::mind_unused(&mut ran, all);
    Ok(ran)
}

async fn tried<'a>(
    file: &File,
    project: &Project,
    case: &'a Case,
    limits: &Limits,
    recording: Option<&Recording>,
) -> anyhow::Result<Ran<'a>> {
    let none = |wrong: String| Ran {
        case,
        wrong: vec![wrong],
        fuel_units: 0,
        memory_bytes: 0,
        came: None,
        is_all: false,
        shared: Vec::new(),
        recorded: Vec::new(),
    };
    let Some(tool) = file.module.tool(&case.function) else {
        let known: Vec<_> = file.module.tools.iter().map(|tool| tool.function.as_str()).collect();
        return Ok(none(format!("there is no function `{}`: there are {}", case.function, known.join(", "))));
    };
    let (given, answers) = around::given(case, project, &limits.lowered_by(&tool.limits), recording);
    let called = file.call(tool, &case.arguments.to_string(), limits, given).await;
    let LocalAnswer { outcome, usage, trace, denied, .. } = match called {
        Ok(answer) => answer,
        Err(error) => match error.downcast::<Failure>() {
            // Arguments that do not fit are the test's mistake, and told with all of them.
            Ok(failure) => return Ok(none(failure.told())),
            Err(error) => return Err(error),
        },
    };
    let mut wrong = Vec::new();
    let came = match outcome {
        Outcome::Value(json) => Some(Came::Value(serde_json::from_str(&json)?)),
        Outcome::ToolError(json) => Some(Came::Error(serde_json::from_str(&json)?)),
        Outcome::Stopped(stopped) => {
            wrong.push(stopped.reason.to_string());
            wrong.extend(trace.iter().flat_map(|trace| trace.lines()).map(str::to_owned));
            None
        }
    };
    if let Some(came) = &came {
        wrong.extend(unfit(&case.expected, came));
    }
    let came = came.filter(|_| !wrong.is_empty());
    let of_value = wrong.len();
    let over = |what: &str, used: String, most: String| format!("it took {used} of {what}, more than {most}");
    if let Some(most) = case.max_fuel.filter(|most| usage.fuel_units > *most) {
        wrong.push(over("fuel", usage.fuel_units.to_string(), most.to_string()));
    }
    if let Some(most) = case.max_memory.filter(|most| usage.memory_bytes > most.0) {
        wrong.push(over("memory", size(usage.memory_bytes), size(most.0)));
    }
    let (mut shared, mut recorded) = (Vec::new(), Vec::new());
    match answers {
        Answers::Nothing => {}
        Answers::Played(playback) => {
            let used = playback.used();
            let (own, of_file) = used.split_at(used.len().min(case.around.own.len()));
            wrong.extend(around::wrong(&case.around, &playback.missed(), own, &denied));
            shared = of_file.to_vec();
        }
        Answers::Live(recorder) => {
            wrong.extend(around::wrong(&case.around, &[], &[], &denied));
            recorded = recorder.take();
        }
    }
    let is_all = wrong.len() == of_value;
    let (fuel_units, memory_bytes) = (usage.fuel_units, usage.memory_bytes);
    Ok(Ran { case, wrong, fuel_units, memory_bytes, came, is_all, shared, recorded })
}

/// In what an answer is not what is wanted.
fn unfit(wanted: &Wanted, came: &Came) -> Vec<String> {
    let other = |wanted: &str, value: &Value| {
        let found = match came {
            Came::Value(found) => format!("came      {found}"),
            Came::Error(error) => format!("came the error {error}"),
        };
        vec![format!("{wanted} {value}"), found]
    };
    match (wanted, came) {
        (Wanted::Exactly(value), Came::Value(found)) if is_same(value, found) => Vec::new(),
        (Wanted::Exactly(value), _) => other("expected ", value),
        (Wanted::Part(value), Came::Value(found)) if holds(found, value) => Vec::new(),
        (Wanted::Part(value), _) => other("expected at least", value),
        (Wanted::Error(value), Came::Error(found)) if is_same(value, found) => Vec::new(),
        (Wanted::Error(value), _) => other("expected the error", value),
        (Wanted::Schema(schema), Came::Value(found)) => {
            let mistakes = schema.mistakes(&json!({ ANSWER: found })).into_iter();
            let told = mistakes.map(|mistake| {
                let pointer = mistake.pointer.strip_prefix(&format!("/{ANSWER}")).unwrap_or(&mistake.pointer);
                format!("{}: {}", if pointer.is_empty() { "/" } else { pointer }, mistake.message)
            });
            told.collect()
        }
        (Wanted::Answer, Came::Value(_)) => Vec::new(),
        (Wanted::Schema(_) | Wanted::Answer, Came::Error(error)) => {
            vec!["expected  an answer".to_owned(), format!("came the error {error}")]
        }
    }
}

/// Whether two values are the same: numbers by their value, however they are written.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        // Integers are what they are, however large; the others are what they come to.
        (Value::Number(one), Value::Number(other)) => {
            let is_float = one.is_f64() || other.is_f64();
            one == other || is_float && one.as_f64().is_some() && one.as_f64() == other.as_f64()
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| is_same(value, other)))
        }
        (one, other) => one == other,
    }
}

/// Whether `found` is `part`, or has at least its members wherever it has an object.
fn holds(found: &Value, part: &Value) -> bool {
    match (found, part) {
        (Value::Object(found), Value::Object(part)) => {
            part.iter().all(|(key, part)| found.get(key).is_some_and(|found| holds(found, part)))
        }
        (Value::Array(found), Value::Array(part)) => {
            found.len() == part.len() && found.iter().zip(part).all(|(found, part)| holds(found, part))
        }
        (found, part) => is_same(found, part),
    }
}

/// Write what came into the tests that expected another value or error; how many, and how many of them hold then.
fn update(ran: &[Ran<'_>]) -> anyhow::Result<(usize, usize)> {
    let (mut count, mut mended) = (0, 0);
    for Ran { case, came, is_all, .. } in ran {
        let (key, value) = match (&case.expected, came) {
            (Wanted::Exactly(_), Some(Came::Value(value))) => ("expect", value),
            (Wanted::Error(_), Some(Came::Error(value))) => ("expect_error", value),
            _ => continue,
        };
        let (path, position) = &case.place;
        let text = fs::read_to_string(path)?;
        let mut document: toml_edit::DocumentMut = text.parse()?;
        let tables = ["test", "example", "examples"].into_iter().find(|key| document.contains_key(key));
        let entry = tables.and_then(|tables| document[tables].as_array_of_tables_mut()?.get_mut(*position));
        let Some(entry) = entry else { continue };
        let text = value.to_string();
        let mut value = toml_edit::Value::from(text);
        if let Some(old) = entry.get(key).and_then(toml_edit::Item::as_value) {
            // A comment behind it, for one.
            *value.decor_mut() = old.decor().clone();
        }
        entry[key] = value.into();
        fs::write(path, document.to_string())?;
        count += 1;
        mended += usize::from(*is_all);
    }
    Ok((count, mended))
}

fn document(ran: &[Ran<'_>]) -> Value {
    let tests = ran.iter().map(|Ran { case, wrong, fuel_units, memory_bytes, .. }| {
        json!({
            "name": case.name, "file": case.place.0.display().to_string(), "function": case.function,
            "passed": wrong.is_empty(), "wrong": wrong, "fuel_units": fuel_units, "memory_bytes": memory_bytes,
        })
    });
    let failed = ran.iter().filter(|ran| !ran.wrong.is_empty()).count();
    json!({ "tests": tests.collect::<Vec<_>>(), "passed": ran.len() - failed, "failed": failed })
}

fn text(ran: &[Ran<'_>]) -> String {
    let mut text = String::new();
    for Ran { case, wrong, fuel_units, memory_bytes, .. } in ran {
        let (path, name) = (case.place.0.display(), single_line(&case.name));
        if wrong.is_empty() {
            text += &format!("ok      {path}: {name} ({fuel_units} fuel, {})\n", size(*memory_bytes));
            continue;
        }
        text += &format!("FAILED  {path}: {name}\n");
        for line in wrong {
            text += &format!("        {}\n", single_line(line));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_same_by_their_value_and_all_else_as_it_is_written() {
        assert!(is_same(&json!({ "a": [1.0, "x"] }), &json!({ "a": [1, "x"] })));
        for (one, other) in
            [(json!([1]), json!([1, 2])), (json!({ "a": 1 }), json!({ "a": 1, "b": 2 })), (json!("1"), json!(1))]
        {
            assert!(!is_same(&one, &other), "{one} {other}");
        }
        assert!(holds(&json!({ "a": 1, "b": [{ "c": 2, "d": 3 }] }), &json!({ "b": [{ "c": 2 }] })));
        assert!(!holds(&json!({ "a": [1, 2] }), &json!({ "a": [1] })), "of lists nothing is left out");
    }
}
