//! What we know of each client: where its configuration is, which form it has, and what it takes.
//!
//! Only what the client's own documentation says, or its maintainers; the pages under `docs/src/how-to/connect` name the
//! version. What is not certain is not offered.

use std::{
    env,
    path::{Path, PathBuf},
};

use fumehood_model::Code;
use serde_json::{Value, json};

use crate::{
    args::{Program, Scope, Transport},
    exit::Failure,
};

/// How a configuration file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// JSON, in which we also read comments and commas at the end.
    Json,
    Toml,
    /// Is shown and never changed: it has too many ways to say one thing.
    Yaml,
}

impl Format {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Toml => "toml",
            Self::Yaml => "yaml",
        }
    }
}

/// Where programs keep their configuration for this user.
pub(super) struct Places {
    home: PathBuf,
    /// `~/.config`, or what `XDG_CONFIG_HOME` says.
    config: PathBuf,
    project: PathBuf,
    claude_code: Option<PathBuf>,
    codex: Option<PathBuf>,
}

impl Places {
    /// As the environment of this process says.
    pub(super) fn of_environment() -> anyhow::Result<Self> {
        let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let missing =
            || Failure::new(Code::NotFound, "HOME is not set to an absolute path").hint("name the file: --path FILE");
        let home = absolute("HOME").ok_or_else(missing)?;
        Ok(Self {
            config: absolute("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config")),
            project: env::current_dir()?,
            claude_code: absolute("CLAUDE_CONFIG_DIR"),
            codex: absolute("CODEX_HOME"),
            home,
        })
    }

    /// Where desktop programs keep theirs.
    fn applications(&self) -> PathBuf {
        if cfg!(target_os = "macos") { self.home.join("Library/Application Support") } else { self.config.clone() }
    }
}

/// How a client is told of the server.
pub(super) enum Connection {
    Http { url: String, credential: Credential },
    Stdio { command: String, arguments: Vec<String> },
}

/// What a client authenticates itself with.
pub(super) enum Credential {
    Key(String),
    /// The environment variable that holds the key.
    Variable(String),
}

impl Program {
    /// Its name on our command line.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude-code",
            Self::ClaudeDesktop => "claude-desktop",
            Self::Cursor => "cursor",
            Self::VsCode => "vscode",
            Self::Windsurf => "windsurf",
            Self::Zed => "zed",
            Self::Codex => "codex",
            Self::GeminiCli => "gemini-cli",
            Self::OpenCode => "opencode",
            Self::Goose => "goose",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::ClaudeCode => "Claude Code",
            Self::ClaudeDesktop => "Claude Desktop",
            Self::Cursor => "Cursor",
            Self::VsCode => "Visual Studio Code",
            Self::Windsurf => "Windsurf",
            Self::Zed => "Zed",
            Self::Codex => "Codex",
            Self::GeminiCli => "Gemini CLI",
            Self::OpenCode => "opencode 1",
            Self::Goose => "goose",
        }
    }

    pub(super) fn format(self) -> Format {
        match self {
            Self::Codex => Format::Toml,
            Self::Goose => Format::Yaml,
            _ => Format::Json,
        }
    }

    /// The keys under which its configuration holds servers by name.
    pub(super) fn section(self) -> &'static str {
        match self {
            Self::VsCode => "servers",
            Self::Zed => "context_servers",
            Self::Codex => "mcp_servers",
            Self::OpenCode => "mcp",
            Self::Goose => "extensions",
            _ => "mcpServers",
        }
    }

    /// The ways in which it can reach a server, the one to prefer first.
    pub(super) fn transports(self) -> &'static [Transport] {
        match self {
            // Its file takes programs only; servers elsewhere are added in its settings, and reached from the outside.
            Self::ClaudeDesktop => &[Transport::Stdio],
            _ => &[Transport::Http, Transport::Stdio],
        }
    }

    /// Its configuration file, if it has one for `scope`.
    pub(super) fn file(self, scope: Scope, places: &Places) -> Option<PathBuf> {
        match scope {
            Scope::User => Some(self.users_file(places)),
            Scope::Project => Some(places.project.join(self.projects_file()?)),
        }
    }

    fn users_file(self, places: &Places) -> PathBuf {
        let or_home = |own: &Option<PathBuf>, below: &str| own.clone().unwrap_or_else(|| places.home.join(below));
        match self {
            Self::ClaudeCode => or_home(&places.claude_code, "").join(".claude.json"),
            Self::ClaudeDesktop => places.applications().join("Claude/claude_desktop_config.json"),
            Self::Cursor => places.home.join(".cursor/mcp.json"),
            Self::VsCode => places.applications().join("Code/User/mcp.json"),
            Self::Windsurf => places.home.join(".codeium/windsurf/mcp_config.json"),
            Self::Zed if cfg!(target_os = "macos") => places.home.join(".config/zed/settings.json"),
            Self::Zed => places.config.join("zed/settings.json"),
            Self::Codex => or_home(&places.codex, ".codex").join("config.toml"),
            Self::GeminiCli => places.home.join(".gemini/settings.json"),
            Self::OpenCode => either(&places.config.join("opencode/opencode.json")),
            Self::Goose => places.config.join("goose/config.yaml"),
        }
    }

    fn projects_file(self) -> Option<PathBuf> {
        let file = match self {
            Self::ClaudeCode => ".mcp.json",
            Self::Cursor => ".cursor/mcp.json",
            Self::VsCode => ".vscode/mcp.json",
            Self::Codex => ".codex/config.toml",
            Self::GeminiCli => ".gemini/settings.json",
            Self::OpenCode => return Some(either(Path::new("opencode.json"))),
            Self::ClaudeDesktop | Self::Windsurf | Self::Zed | Self::Goose => return None,
        };
        Some(file.into())
    }

    /// Whether it can read a key from an environment variable.
    pub(super) fn reads_variables(self) -> bool {
        self.reference("X").is_some()
    }

    /// What stands in its configuration for the value of a variable.
    fn reference(self, variable: &str) -> Option<String> {
        match self {
            Self::ClaudeCode | Self::Goose => Some(format!("${{{variable}}}")),
            Self::Cursor | Self::Windsurf => Some(format!("${{env:{variable}}}")),
            Self::OpenCode => Some(format!("{{env:{variable}}}")),
            // It takes the name alone.
            Self::Codex => Some(variable.to_owned()),
            // VS Code: microsoft/vscode#336232, not in headers. Gemini CLI: google-gemini/gemini-cli#18302, not where the
            // name has KEY or TOKEN in it. Zed has none.
            Self::ClaudeDesktop | Self::VsCode | Self::Zed | Self::GeminiCli => None,
        }
    }

    /// What its configuration says of a server that is called `name` and reached by `connection`.
    pub(super) fn entry(self, name: &str, connection: &Connection) -> Value {
        match connection {
            Connection::Http { url, credential } => self.http(name, url, credential),
            Connection::Stdio { command, arguments } => self.stdio(name, command, arguments),
        }
    }

    fn http(self, name: &str, url: &str, credential: &Credential) -> Value {
        let bearer = match credential {
            Credential::Key(key) => format!("Bearer {key}"),
            Credential::Variable(variable) => format!("Bearer {}", self.reference(variable).unwrap_or_default()),
        };
        let headers = json!({ "Authorization": bearer });
        match (self, credential) {
            (Self::Codex, Credential::Variable(variable)) => json!({ "url": url, "bearer_token_env_var": variable }),
            (Self::Codex, Credential::Key(_)) => json!({ "url": url, "http_headers": headers }),
            (Self::ClaudeCode | Self::VsCode, _) => json!({ "type": "http", "url": url, "headers": headers }),
            (Self::Windsurf, _) => json!({ "serverUrl": url, "headers": headers }),
            (Self::GeminiCli, _) => json!({ "httpUrl": url, "headers": headers }),
            // Unless told otherwise, it ignores the headers and asks for OAuth (anomalyco/opencode#5278).
            (Self::OpenCode, _) => {
                json!({ "type": "remote", "url": url, "enabled": true, "oauth": false, "headers": headers })
            }
            (Self::Goose, _) => {
                let variables = match credential {
                    Credential::Key(_) => json!([]),
                    Credential::Variable(variable) => json!([variable]),
                };
                json!({
                    "enabled": true, "type": "streamable_http", "name": name, "description": "Tools of fumehood",
                    "uri": url, "headers": headers, "envs": {}, "env_keys": variables, "timeout": GOOSE_PATIENCE_S,
                })
            }
            (Self::Cursor | Self::Zed | Self::ClaudeDesktop, _) => json!({ "url": url, "headers": headers }),
        }
    }

    fn stdio(self, name: &str, command: &str, arguments: &[String]) -> Value {
        match self {
            Self::ClaudeCode | Self::Cursor | Self::VsCode => {
                json!({ "type": "stdio", "command": command, "args": arguments })
            }
            Self::OpenCode => {
                let whole: Vec<_> = std::iter::once(command).chain(arguments.iter().map(String::as_str)).collect();
                json!({ "type": "local", "command": whole, "enabled": true })
            }
            Self::Goose => json!({
                "enabled": true, "type": "stdio", "name": name, "description": "Tools of fumehood",
                "cmd": command, "args": arguments, "envs": {}, "env_keys": [], "timeout": GOOSE_PATIENCE_S,
            }),
            _ => json!({ "command": command, "args": arguments }),
        }
    }

    /// How to see whether it worked.
    pub(super) fn check(self) -> &'static str {
        match self {
            Self::ClaudeCode => "`claude mcp list` shows whether it connects",
            Self::ClaudeDesktop => "restart Claude Desktop; Settings > Developer shows whether it runs",
            Self::Cursor => "Cursor Settings > MCP shows whether it connects",
            Self::VsCode => "start it from `MCP: List Servers` in the command palette",
            Self::Windsurf => "refresh the list of MCP servers in Windsurf",
            Self::Zed => "Zed's agent settings show a green dot when it connects",
            Self::Codex => "`codex mcp list` shows it; `/mcp` in a session shows whether it connects",
            Self::GeminiCli => "`gemini mcp list` shows whether it connects",
            Self::OpenCode => "`opencode mcp list` shows whether it connects",
            Self::Goose => "`goose configure` lists it under `Toggle Extensions`",
        }
    }
}

/// How long goose waits for an answer.
const GOOSE_PATIENCE_S: u32 = 300;

/// This `.json`, or the `.jsonc` beside it where only that is there.
fn either(json: &Path) -> PathBuf {
    let commented = json.with_extension("jsonc");
    if !json.exists() && commented.exists() { commented } else { json.to_owned() }
}
