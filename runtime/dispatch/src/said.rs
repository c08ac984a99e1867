//! What guests say on the side, in the operator's log: bounded, attributed, and unable to forge a line or drive a terminal.

use fumehood_capabilities::{logging::Level, secrets::strike};
use fumehood_model::{Captured, Outcome};
use fumehood_registry::Tool;
use fumehood_sandbox::Finished;

/// Most characters of a guest's output that one log line quotes.
const LOGGED_OUTPUT: usize = 4_096;

/// Log what the guest of `tool` printed, logged, and where it crashed, with the `secrets` that it was handed struck out.
pub(crate) fn log(tool: &Tool, finished: &Finished, secrets: &[String]) {
    let said = &finished.said;
    log_output(tool, "stdout", &said.stdout, secrets);
    log_output(tool, "stderr", &said.stderr, secrets);
    for line in &said.logged.lines {
        let said = |text: &str| one_line(&String::from_utf8_lossy(&strike(text.as_bytes(), false, secrets)));
        let (message, context) = (said(&line.message), said(&line.context));
        let name = &tool.name;
        match line.level {
            Level::Trace | Level::Debug => {
                tracing::debug!(tool.name = %name, guest.context = context, "{name} logged: {message}");
            }
            Level::Info => tracing::info!(tool.name = %name, guest.context = context, "{name} logged: {message}"),
            // What alarms a guest need not alarm the operator.
            Level::Warn | Level::Error | Level::Critical => {
                tracing::warn!(tool.name = %name, guest.context = context, blame = "guest", "{name} logged: {message}");
            }
        }
    }
    if said.logged.truncated {
        tracing::info!(tool.name = %tool.name, "{} logged more than is kept", tool.name);
    }
    for fault in &said.faults {
        let fault = strike(fault.as_bytes(), false, secrets);
        let (name, fault) = (&tool.name, one_line(&String::from_utf8_lossy(&fault)));
        tracing::warn!(tool.name = %name, component.digest = %tool.digest, blame = "host", "{name}: {fault}");
    }
    if let (Outcome::Stopped(stopped), Some(trace)) = (&finished.outcome, &said.trace) {
        let trace = lines(trace);
        tracing::warn!(
            tool.name = %tool.name, component.digest = %tool.digest, blame = "guest",
            "{} was stopped: {}\n{trace}", tool.name, stopped.reason
        );
    }
}

fn log_output(tool: &Tool, stream: &'static str, captured: &Captured, secrets: &[String]) {
    if captured.bytes.is_empty() {
        return;
    }
    let struck = strike(&captured.bytes, captured.truncated, secrets);
    let text = String::from_utf8_lossy(&struck);
    let truncated = captured.truncated || text.chars().nth(LOGGED_OUTPUT).is_some();
    let text = one_line(text.trim_end());
    tracing::info!(tool.name = %tool.name, guest.stream = stream, guest.truncated = truncated, "{} printed: {text}", tool.name);
}

/// A text as one line.
pub(crate) fn one_line(text: &str) -> String {
    text.chars().take(LOGGED_OUTPUT).flat_map(char::escape_debug).collect()
}

/// A trace, which was made by us of the guest's names, line by line.
fn lines(trace: &str) -> String {
    let lines = trace.lines().map(|line| format!("  {}", one_line(line)));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_cannot_begin_a_line_or_drive_a_terminal() {
        assert_eq!(one_line("a\nERROR b\u{1b}[2J"), "a\\nERROR b\\u{1b}[2J");
        assert_eq!(lines("0: f\n1: g\u{9b}"), "  0: f\n  1: g\\u{9b}");
    }
}
