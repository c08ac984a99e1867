//! `fumehood:host/invoke`: calls of other tools.
//!
//! The guest side pays with the fuel of its own call for what the other tool burns. The host side decides by grant
//! which tools may be called; everything else is decided by whoever stands behind [`crate::Invoke`].

use std::fmt;

use fumehood_model::ModuleName;
use fumehood_policy::{Grant, InvokeGrant};
use serde::{Deserialize, Serialize};
use wasmtime::{StoreContextMut, component::Linker};

use crate::{Ask, Guest, Reply, Visit, bindings::invoke as wit};

/// The imports that this module links.
pub(crate) const IMPORTS: [&str; 1] = ["fumehood:host/invoke@0.1.0"];

/// Longest name of a tool, in bytes: that of a module, a dot, and any function that a grant can name.
const MAX_TOOL: usize = 320;

/// A call of another tool. Its `Debug` form does not show the arguments.
#[derive(Clone, Serialize, Deserialize)]
pub struct Request {
    /// The tool, as `module.function`.
    pub tool: String,
    /// Its arguments, a JSON object.
    pub arguments: String,
    /// Fuel that the calling tool has left: the called one gets no more.
    pub fuel_units: u64,
}

/// How it ended, when it ended well. Its `Debug` form does not show the answer.
#[derive(Clone, Serialize, Deserialize)]
pub struct Response {
    /// The answer as JSON, or the error that the tool itself answered with.
    pub answer: Result<String, String>,
    /// Fuel that it burnt, and the calling tool pays for.
    pub fuel_units: u64,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refused {
    /// No grant covers it, or the caller may not call it.
    Denied,
    /// There is no such tool.
    NotFound,
    /// The arguments do not fit; why, in words.
    BadArguments(String),
    /// Tools that call tools have gone as deep as they may.
    TooDeep,
    /// It was stopped; why, in words, and the fuel that it burnt.
    Stopped(String, u64),
    /// There is no place for it, or we failed.
    Unavailable,
}

/// A call whose grant was checked.
pub struct Permitted {
    /// Module and function: every way to read the name that is granted, the longest module first.
    pub tools: Vec<(String, String)>,
    /// The arguments, a JSON object.
    pub arguments: String,
    /// Fuel that the calling tool has left.
    pub fuel_units: u64,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tool, fuel_units, .. } = self;
        f.debug_struct("Request").field("tool", tool).field("fuel_units", fuel_units).finish_non_exhaustive()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("fuel_units", &self.fuel_units).finish_non_exhaustive()
    }
}

/// The host side: whether this call may reach that tool, and what the tool says.
pub(crate) async fn answer(visit: &Visit, request: Request) -> Result<Response, Refused> {
    let Request { tool, arguments, fuel_units } = request;
    let readings = readings(&tool);
    let Some((module, function)) = readings.first() else { return Err(Refused::NotFound) };
    let about = visit.about();
    let granted = |(module, function): &&(&str, &str)| {
        about.grants.iter().any(|grant| matches!(grant, Grant::Invoke(grant) if grant.permits(module, function)))
    };
    let tools: Vec<_> = readings.iter().filter(granted).map(|(m, f)| ((*m).to_owned(), (*f).to_owned())).collect();
    let noted = InvokeGrant { module: (*module).to_owned(), function: Some((*function).to_owned()) };
    visit.note(&Grant::Invoke(noted), !tools.is_empty());
    if tools.is_empty() {
        return Err(Refused::Denied);
    }
    about.invoke.invoke(Permitted { tools, arguments, fuel_units }).await
}

/// Every way to read `tool` as module and function, the longest module first. Both may hold dots.
fn readings(tool: &str) -> Vec<(&str, &str)> {
    if tool.len() > MAX_TOOL {
        return Vec::new();
    }
    let is_function = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let splits = tool.rmatch_indices('.').map(|(at, _)| (&tool[..at], &tool[at + 1..]));
    splits.filter(|(module, function)| module.parse::<ModuleName>().is_ok() && is_function(function)).collect()
}

pub(crate) fn link<X: Send + 'static>(linker: &mut Linker<Guest<X>>) -> wasmtime::Result<()> {
    linker.instance(IMPORTS[0])?.func_wrap_async(
        "call",
        |mut store: StoreContextMut<'_, Guest<X>>, (tool, arguments): (String, String)| {
            Box::new(async move { Ok((call(&mut store, tool, arguments).await?,)) })
        },
    )
}

/// The guest side: pass the remaining fuel on, and pay what was burnt.
async fn call<X: Send + 'static>(
    store: &mut StoreContextMut<'_, Guest<X>>,
    tool: String,
    arguments: String,
) -> wasmtime::Result<Result<String, wit::Error>> {
    if tool.len() > MAX_TOOL {
        return Ok(Err(wit::Error::NotFound));
    }
    store.data_mut().handed.count(arguments.len())?;
    let fuel_units = store.get_fuel()?;
    let host = store.data().host.clone();
    let (burnt, answer) = match host.ask(Ask::Invoke(Request { tool, arguments, fuel_units })).await {
        Reply::Invoke(Ok(Response { answer, fuel_units })) => (fuel_units, answer.map_err(wit::Error::ToolError)),
        Reply::Invoke(Err(Refused::Stopped(why, burnt))) => (burnt, Err(wit::Error::Stopped(why))),
        Reply::Invoke(Err(Refused::Denied)) => (0, Err(wit::Error::Denied)),
        Reply::Invoke(Err(Refused::NotFound)) => (0, Err(wit::Error::NotFound)),
        Reply::Invoke(Err(Refused::BadArguments(why))) => (0, Err(wit::Error::BadArguments(why))),
        Reply::Invoke(Err(Refused::TooDeep)) => (0, Err(wit::Error::TooDeep)),
        Reply::Invoke(Err(Refused::Unavailable))
        | Reply::Http(_)
        | Reply::KeyValue(_)
        | Reply::Secret(_)
        | Reply::Progress
        | Reply::Told
        | Reply::Checkpoint(_)
        | Reply::Resumed(_) => (0, Err(wit::Error::Unavailable)),
    };
    // Nobody else burns fuel of this store while it waits. Without any left, the guest stops at its next step.
    store.set_fuel(fuel_units.saturating_sub(burnt))?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_in_every_way_that_leaves_a_module_and_a_function() {
        assert_eq!(readings("a.b"), [("a", "b")]);
        assert_eq!(readings("a.b.c-d"), [("a.b", "c-d"), ("a", "b.c-d")]);
        for nothing in ["", "a", ".a", "a.", "v1.a", "A.b", "a.b c", "a.b\n", &format!("a.{}", "b".repeat(400))] {
            assert_eq!(readings(nothing), [], "{nothing:?}");
        }
    }

    #[test]
    fn debugging_shows_neither_arguments_nor_answer() {
        let request = Request { tool: "a.b".into(), arguments: "hidden".into(), fuel_units: 1 };
        let response = Response { answer: Ok("hidden".into()), fuel_units: 1 };

        let shown = format!("{request:?} {response:?}");

        assert_eq!(shown, r#"Request { tool: "a.b", fuel_units: 1, .. } Response { fuel_units: 1, .. }"#);
    }
}
