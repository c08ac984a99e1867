//! `fumehood install`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};

pub(crate) const EXAMPLES: &str = "\
Example: fumehood install --list
Example: fumehood install claude-code
Example: fumehood install cursor --write --scope project --key-from-env FUMEHOOD_TOOLS_KEY
Example: fumehood install claude-desktop --write";

/// `install`.
#[derive(Debug, ClapArgs)]
pub(crate) struct InstallArgs {
    /// The client
    #[arg(value_enum, value_name = "CLIENT", required_unless_present = "list")]
    pub(crate) client: Option<Program>,
    /// List the clients, and where each keeps its configuration
    #[arg(long, conflicts_with = "client")]
    pub(crate) list: bool,
    /// Write the client's configuration instead of showing what belongs into it
    #[arg(long)]
    pub(crate) write: bool,
    /// The configuration file [default: where the client looks for it]
    #[arg(long, value_name = "FILE")]
    pub(crate) path: Option<PathBuf>,
    /// For all that you do with the client, or for the project in the current folder
    #[arg(long, value_enum, default_value_t, value_name = "user|project")]
    pub(crate) scope: Scope,
    /// How the client reaches the tools [default: http, stdio for a client that speaks nothing else]
    #[arg(long, value_enum, value_name = "http|stdio")]
    pub(crate) transport: Option<Transport>,
    /// The key that the client gets [default: a new one that may call tools]
    #[arg(long, value_name = "KEY", conflicts_with = "key_from_env")]
    pub(crate) client_key: Option<String>,
    /// Let the client read its key from this environment variable; no key is made, and none is written
    #[arg(long, value_name = "NAME", value_parser = variable)]
    pub(crate) key_from_env: Option<String>,
    /// Only the tools of this profile, at /mcp/NAME
    #[arg(long, value_name = "NAME", value_parser = word)]
    pub(crate) profile: Option<String>,
    /// What the client calls the server
    #[arg(long, value_name = "NAME", default_value = "fumehood", value_parser = word)]
    pub(crate) name: String,
}

/// A client of which we know how it is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Program {
    /// Claude Code
    ClaudeCode,
    /// Claude Desktop
    ClaudeDesktop,
    /// Cursor
    Cursor,
    /// Visual Studio Code
    #[value(name = "vscode")]
    VsCode,
    /// Windsurf
    Windsurf,
    /// Zed
    Zed,
    /// Codex
    Codex,
    /// Gemini CLI
    GeminiCli,
    /// opencode 1
    #[value(name = "opencode")]
    OpenCode,
    /// goose
    Goose,
}

/// Whose configuration it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scope {
    /// Yours, everywhere
    #[default]
    User,
    /// That of the project in the current folder
    Project,
}

/// How a client reaches the tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    /// Through the server that runs
    Http,
    /// By starting a process of its own
    Stdio,
}

/// A name that needs no quotes in any configuration file, nor in a URL.
fn word(text: &str) -> Result<String, String> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let fits = (1..=64).contains(&text.len());
    if is_plain && fits { Ok(text.to_owned()) } else { Err("1 to 64 letters, digits, - and _ are allowed".to_owned()) }
}

/// The name of an environment variable.
fn variable(text: &str) -> Result<String, String> {
    // POSIX.1-2017 XBD §8.1: letters, digits and _, and no digit at the beginning.
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let begins = text.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    if is_plain && begins { Ok(text.to_owned()) } else { Err("this is not the name of a variable".to_owned()) }
}
