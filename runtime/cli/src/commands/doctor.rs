//! `fumehood doctor`.

use std::{
    env,
    process::{Command, ExitCode, Stdio},
};

use anyhow::Context;
use fumehood_model::Code;
use fumehood_sandbox::{Attempts, Strength};
use serde_json::{Value, json};

use crate::{
    args::DoctorArgs,
    commands::sandbox_worker,
    exit::Failure,
    output::{Output, single_line},
    project::toolchains::{Found, TOOLCHAINS, Toolchain},
};

/// Look at what isolates tools on this machine: raise the wall around a process, and try to get past it. Then at what builds
/// them.
pub(crate) fn run(output: &Output, _: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let program = env::current_exe().context("this program cannot find its own file")?;
    let child = Command::new(program)
        .args([sandbox_worker::COMMAND, sandbox_worker::ATTEMPT])
        .env_clear()
        .env("MIMALLOC_ARENA_RESERVE", "16384")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("a worker process does not start")?;
    let found: Attempts = serde_json::from_slice(&child.stdout)
        .with_context(|| format!("a worker process ended ({}) instead of answering", child.status))?;
    let isolated = &found.isolated;
    let checks: Vec<Value> = [
        (
            "Landlock",
            &isolated.landlock,
            "no files, no TCP, no signals",
            "Linux 5.13 or newer with `landlock` in the boot parameter `lsm=`; 6.12 or newer for all of it",
        ),
        (
            "seccomp",
            &isolated.seccomp,
            "only the calls of the kernel that a worker needs",
            "a kernel with CONFIG_SECCOMP_FILTER; in a container, a profile that allows `seccomp`",
        ),
        (
            "limits",
            &isolated.limits,
            "bounded memory, no capabilities, no core dumps",
            "the right to lower its own limits, which every process has unless a container takes it away",
        ),
    ]
    .into_iter()
    .map(|(name, strength, gives, needs)| check(name, strength, gives, needs))
    .collect();
    let attempts: Vec<Value> = found
        .attempts
        .iter()
        .map(|attempt| json!({ "attempt": attempt.what, "refused": attempt.refused.is_some(), "answer": attempt.refused }))
        .collect();
    let toolchains: Vec<Value> = TOOLCHAINS.iter().map(toolchain).collect();
    let holds = isolated.is_complete() && found.attempts.iter().all(|attempt| attempt.refused.is_some());
    let found = json!({ "isolated": holds, "checks": checks, "attempts": attempts, "toolchains": toolchains });
    output.data(&found, || text(&checks, &attempts, &toolchains))?;
    if holds {
        return Ok(ExitCode::SUCCESS);
    }
    let failure = Failure::new(Code::Unavailable, "tools are not fully isolated on this machine");
    Err(failure.hint("serve only components that you trust, or make good what is missing above").into())
}

/// What builds tools of one language: nothing that serving them needs.
fn toolchain(toolchain: &Toolchain) -> Value {
    let (state, version, lacks, install) = match toolchain.find() {
        Found::Version(version) => ("ok", Some(version), None, None),
        Found::Lacks { what, install } => ("partial", None, Some(what), Some(install)),
        Found::Missing => ("missing", None, None, Some(toolchain.install.to_owned())),
    };
    json!({
        "language": toolchain.language, "program": toolchain.program, "state": state, "version": version,
        "lacks": lacks, "install": install,
    })
}

fn check(name: &str, strength: &Strength, gives: &str, needs: &str) -> Value {
    let (state, why) = match strength {
        Strength::Full => ("ok", None),
        Strength::Partial(what) => ("partial", Some(what.clone())),
        Strength::Missing(why) => ("missing", Some(why.clone())),
        Strength::Unknown => ("missing", None),
    };
    json!({ "check": name, "state": state, "gives": gives, "why": why, "needs": needs })
}

fn text(checks: &[Value], attempts: &[Value], toolchains: &[Value]) -> String {
    let word = |value: &Value, key: &str| single_line(value[key].as_str().unwrap_or_default());
    let mut lines = vec!["what isolates tools".to_owned()];
    for check in checks {
        lines.push(format!("  {:8} {:8} {}", word(check, "state"), word(check, "check"), word(check, "gives")));
        if check["state"] != "ok" {
            lines.push(format!("           {}: needs {}", word(check, "why"), word(check, "needs")));
        }
    }
    lines.push("what a process behind it can do".to_owned());
    for attempt in attempts {
        let state = if attempt["refused"] == true { "refused" } else { "ALLOWED" };
        lines.push(format!("  {state:8} {} {}", word(attempt, "attempt"), word(attempt, "answer")));
    }
    lines.push("what builds tools on this machine".to_owned());
    for toolchain in toolchains {
        let told = match toolchain["state"].as_str() {
            Some("ok") => word(toolchain, "version"),
            Some("partial") => format!("lacks {}: {}", word(toolchain, "lacks"), word(toolchain, "install")),
            _ => format!("to install {}: {}", word(toolchain, "program"), word(toolchain, "install")),
        };
        lines.push(format!("  {:8} {:8} {told}", word(toolchain, "state"), word(toolchain, "language")));
    }
    lines.join("\n")
}
