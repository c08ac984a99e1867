//! `fumehood call`.

use std::{fs, path::Path, process::ExitCode};

use fumehood_model::{Captured, Code, Outcome};
use serde_json::{Value, json};

use crate::{
    args::CallArgs,
    arguments,
    client::{Answer, Called},
    commands::{confirmations, jobs::watch},
    exit::Failure,
    local,
    output::{Output, pretty, size, terminal_safe},
    report::Report,
    session::Session,
    suggest::did_you_mean,
    target,
};

/// Call a tool of the server, or a function of a component file.
pub(crate) fn run(session: &Session<'_>, args: &CallArgs) -> anyhow::Result<ExitCode> {
    let (function, words) = match args.words.split_first() {
        Some((first, rest)) if !first.contains('=') => (Some(first.as_str()), rest),
        _ => (None, args.words.as_slice()),
    };
    if is_file(&args.target) {
        call_file(session, args, function, words)?;
    } else {
        call_server(session, args, function, words)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// No module name ends in `.wasm` or holds a slash.
fn is_file(target: &str) -> bool {
    target.contains('/') || target.to_ascii_lowercase().ends_with(".wasm")
}

fn call_server(session: &Session<'_>, args: &CallArgs, function: Option<&str>, words: &[String]) -> anyhow::Result<()> {
    let (client, name) = (session.client()?, args.target.as_str());
    let tool = match function {
        Some(function) => target::find_in(&client, name, function).map_err(|failure| {
            // A tool was named already: the word behind it was meant as an argument.
            let is_tool = failure.is(Code::NotFound) && target::find(&client, name).is_ok();
            if is_tool { arguments::no_argument(function) } else { failure }
        })?,
        None => target::find(&client, name)?,
    };
    let text = |key: &str| tool[key].as_str().unwrap_or_default();
    let arguments = arguments::build(&tool["input_schema"], words, args.json.as_deref())?;
    target::warn_of(&tool, &session.output);
    let call = |confirmation: Option<&str>| {
        client.call(text("module"), text("function"), &arguments, args.limits.lowered(), confirmation)
    };
    let called = confirmations::confirming(args.confirm, text("name"), &arguments, call)?.map_err(explained)?;
    let answer = match called {
        Called::Answered(answer) => answer,
        Called::Job(id) => watch::answer(session, &client, &id)?,
    };
    deliver(session, args, &tool["output_schema"], &answer)
}

/// A failure with what a caller of this command can do about it.
fn explained(failure: Failure) -> Failure {
    if !failure.is(Code::TooLarge) {
        return failure;
    }
    failure.hint(
        "bytes travel as base64 here, a third larger than they are: with the usual 16 MiB a file may have about 12 MiB; \
         sent as a form over HTTP it may have all 16",
    )
}

fn call_file(session: &Session<'_>, args: &CallArgs, function: Option<&str>, words: &[String]) -> anyhow::Result<()> {
    let path = Path::new(&args.target);
    let module = local::inspect(path)?;
    let function = choose(&module, path, function)?;
    let arguments = arguments::build(&function["input_schema"], words, args.json.as_deref())?;
    let name = function["name"].as_str().unwrap_or_default();
    let limits = session.loaded.config.limits.lowered_by(&args.limits.lowered());
    let answer = local::call(path, name, &arguments.to_string(), &limits)?;
    show_captured(&session.output, "stdout", &answer.stdout);
    show_captured(&session.output, "stderr", &answer.stderr);
    let report = Report::of_usage(&answer.usage, answer.digest);
    match answer.outcome {
        Outcome::Value(json) => {
            let answer = Answer { value: serde_json::from_str(&json)?, report };
            deliver(session, args, &function["output_schema"], &answer)
        }
        Outcome::ToolError(json) => {
            let error: Value = serde_json::from_str(&json)?;
            let line = error.as_str().map_or_else(|| pretty(&error), str::to_owned);
            let message = "the tool answered with an error";
            let document = json!({ "error": Code::ToolError, "message": message, "details": { "error": error } });
            Err(Failure::new(Code::ToolError, message).lines(vec![line]).document(document).into())
        }
        Outcome::Stopped(stopped) => {
            let frames = answer.trace.iter().flat_map(|trace| trace.lines()).map(str::to_owned).collect();
            Err(Failure::new(stopped.reason.code(), stopped.reason.to_string()).lines(frames).into())
        }
    }
}

/// The function of the module that was asked for; the only one if none was.
fn choose<'a>(module: &'a Value, path: &Path, wanted: Option<&str>) -> Result<&'a Value, Failure> {
    let functions = module["functions"].as_array().map_or(&[][..], Vec::as_slice);
    let names = || functions.iter().filter_map(|function| function["name"].as_str());
    let lines = || names().map(str::to_owned).collect();
    match (wanted, functions) {
        (None, [only]) => Ok(only),
        (None, _) => Err(Failure::usage(format!("name one of the functions of {}", path.display())).lines(lines())),
        (Some(wanted), _) => functions.iter().find(|function| function["name"] == wanted).ok_or_else(|| {
            let near = did_you_mean(wanted, names());
            let message = format!("{} has no function `{wanted}`{near}", path.display());
            Failure::new(Code::NotFound, message).lines(lines())
        }),
    }
}

/// Write the answer where it was asked for.
fn deliver(session: &Session<'_>, args: &CallArgs, schema: &Value, answer: &Answer) -> anyhow::Result<()> {
    let (output, value) = (&session.output, &answer.value);
    let Some(file) = &args.out else { return finish(output, answer) };
    let bytes = arguments::bytes_of(schema, value)
        .unwrap_or_else(|| serde_json::to_vec_pretty(value).unwrap_or_else(|_| value.to_string().into_bytes()));
    fs::write(file, &bytes)
        .map_err(|error| Failure::new(Code::NotFound, format!("{} cannot be written: {error}", file.display())))?;
    output.talk(&format!("{} with {}", file.display(), size(bytes.len() as u64)));
    tell_of_usage(output, &answer.report);
    Ok(())
}

/// Write the answer to standard output.
pub(crate) fn finish(output: &Output, Answer { value, report }: &Answer) -> anyhow::Result<()> {
    output.data(value, || value.as_str().map_or_else(|| pretty(value), terminal_safe))?;
    tell_of_usage(output, report);
    Ok(())
}

fn tell_of_usage(output: &Output, report: &Report) {
    if output.is_verbose() {
        output.talk(&report.to_string());
    }
}

/// What the guest wrote, on our stderr: stdout is for its answer.
fn show_captured(output: &Output, stream: &str, captured: &Captured) {
    if captured.bytes.is_empty() {
        return;
    }
    let text = String::from_utf8_lossy(&captured.bytes);
    text.lines().for_each(|line| output.talk(&format!("[{stream}] {line}")));
    if captured.truncated {
        output.talk(&format!("[{stream}] (there was more)"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn module() -> Value {
        json!({ "functions": [{ "name": "add" }, { "name": "ops.subtract" }] })
    }

    #[test]
    fn files_are_told_from_tools() {
        assert!(["x.wasm", "./x", "dir/X.WASM"].into_iter().all(is_file));
        assert!(!["calculator.add", "geo.maps.find"].into_iter().any(is_file));
    }

    #[test]
    fn the_only_function_of_a_file_needs_no_name() {
        let path = Path::new("x.wasm");
        let single = json!({ "functions": [{ "name": "run" }] });

        assert_eq!(choose(&single, path, None).unwrap()["name"], "run");
        assert_eq!(choose(&module(), path, None).unwrap_err().exit(), Exit::Usage);
        assert_eq!(choose(&module(), path, Some("ad")).unwrap_err().exit(), Exit::NotFound);
        assert_eq!(choose(&module(), path, Some("ops.subtract")).unwrap()["name"], "ops.subtract");
    }
}
