//! `fumehood install`.

mod edit;
mod file;
mod json_text;
mod programs;
mod toml_text;
mod yaml_text;

use std::{
    env,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf, absolute},
    process::ExitCode,
};

use clap::ValueEnum;
use fumehood_model::Code;
use serde_json::{Value, json};

use self::{
    edit::{Edited, Refusal, nested},
    programs::{Connection, Credential, Format, Places},
};
use crate::{
    args::{InstallArgs, Program, Scope, Transport},
    exit::Failure,
    output::{single_line, table, terminal_safe},
    session::Session,
};

const KEYS: [&str; 3] = ["api", "v1", "keys"];

/// Tell a client of the server.
pub(crate) fn run(session: &Session<'_>, args: &InstallArgs) -> anyhow::Result<ExitCode> {
    let places = Places::of_environment()?;
    match args.client {
        Some(program) => Plan::new(session, args, program, &places)?.carry_out()?,
        None => list(session, &places)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(session: &Session<'_>, places: &Places) -> anyhow::Result<()> {
    let scopes = |program: Program| [Scope::User, Scope::Project].map(|scope| (program, scope));
    let files = Program::value_variants().iter().copied().flat_map(scopes);
    let files: Vec<_> = files
        .filter_map(|(program, scope)| {
            let file = program.file(scope, places)?;
            let transports: Vec<_> = program.transports().iter().map(word).collect();
            Some(json!({
                "client": program.word(), "title": program.title(), "scope": word(&scope),
                "file": file.to_string_lossy(), "exists": file.exists(), "format": program.format().as_str(),
                "transports": transports, "key_from_env": program.reads_variables(),
                "write": program.format() != Format::Yaml,
            }))
        })
        .collect();
    let rows = || {
        files.iter().map(|file| {
            let text = |key: &str| file[key].as_str().unwrap_or_default().to_owned();
            let transports = file["transports"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let exists = if file["exists"] == true { "yes" } else { "no" };
            let transports = transports.collect::<Vec<_>>().join(", ");
            vec![text("client"), text("scope"), transports, exists.to_owned(), text("file")]
        })
    };
    let header = ["CLIENT", "SCOPE", "TRANSPORTS", "EXISTS", "FILE"];
    session.output.data(&json!({ "clients": files }), || table(&header, rows()))?;
    Ok(())
}

/// What is to be told to which client, and where.
struct Plan<'a> {
    session: &'a Session<'a>,
    args: &'a InstallArgs,
    program: Program,
    transport: Transport,
    file: PathBuf,
}

/// A key, and its id if it was made just now.
struct Key {
    credential: Credential,
    made: Option<String>,
}

impl<'a> Plan<'a> {
    fn new(
        session: &'a Session<'a>,
        args: &'a InstallArgs,
        program: Program,
        places: &Places,
    ) -> Result<Self, Failure> {
        let title = program.title();
        let transport = args.transport.unwrap_or(program.transports()[0]);
        if !program.transports().contains(&transport) {
            let message = format!("the configuration file of {title} takes no servers that are reached over HTTP");
            return Err(Failure::usage(message).hint("leave --transport out, or say --transport stdio"));
        }
        let has_key_flags = args.client_key.is_some() || args.key_from_env.is_some();
        if transport == Transport::Stdio && has_key_flags {
            return Err(Failure::usage("over stdio a client starts a process of its own, which asks for no key"));
        }
        if transport == Transport::Stdio && args.profile.is_some() {
            return Err(Failure::usage("a profile is an address of the server: it needs --transport http"));
        }
        if args.key_from_env.is_some() && !program.reads_variables() {
            let message = format!("{title} is not known to read environment variables in the headers of a server");
            return Err(Failure::usage(message).hint("leave --key-from-env out: the key is written into the file"));
        }
        if args.write && program.format() == Format::Yaml {
            let message = format!("the configuration of {title} is YAML, which is shown and not written");
            return Err(Failure::usage(message).hint("leave --write out, and paste what is shown"));
        }
        let unscoped = || Failure::usage(format!("{title} is not known to have a configuration for each project"));
        let file = program.file(args.scope, places);
        let file = args.path.clone().or(file).ok_or_else(unscoped)?;
        let file = absolute(&file).map_err(|_| Failure::usage("--path is empty"))?;
        Ok(Self { session, args, program, transport, file })
    }

    fn carry_out(&self) -> anyhow::Result<()> {
        if self.args.write { self.write() } else { self.show() }
    }

    fn show(&self) -> anyhow::Result<()> {
        let key = self.key()?;
        let made = key.as_ref().and_then(|key| key.made.clone());
        let entry = self.entry(key)?;
        let (format, section, name) = (self.program.format(), self.program.section(), &self.args.name);
        let text = edit::alone(format, section, name, &entry);
        let output = &self.session.output;
        self.talk_of_key(made.as_deref(), None);
        let way = match format {
            Format::Yaml => "",
            Format::Json | Format::Toml => ", or say --write",
        };
        output.talk(&format!("for {}: put this beside what is in {}{way}", self.program.title(), self.file.display()));
        let mut document = self.document(made.as_deref());
        document["config"] = nested(&[section, name], &entry);
        document["text"] = json!(text);
        output.data(&document, || terminal_safe(&text))?;
        Ok(())
    }

    fn write(&self) -> anyhow::Result<()> {
        // Before a key is made: a file that cannot be changed must not cost one.
        self.edited(file::read(&self.file)?.as_deref(), &json!({}))?;
        let key = self.key()?;
        let made = key.as_ref().and_then(|key| key.made.clone());
        let holds_key = key.as_ref().is_some_and(|key| matches!(key.credential, Credential::Key(_)));
        let written = self.entry(key).and_then(|entry| self.write_entry(&entry));
        let (edited, changed, backup) = match (written, &made) {
            (Err(failure), Some(id)) => {
                // Nobody has it. That it stays, if it does, is told by the list of keys.
                let _ = self.session.client().map(|client| client.delete(&[KEYS[0], KEYS[1], KEYS[2], id]));
                return Err(failure.into());
            }
            (written, _) => written?,
        };
        let before = edited.replaced.as_ref().and_then(key_id).filter(|id| Some(id) != made.as_ref());
        self.talk_of_file(&edited, changed, backup.as_deref(), holds_key);
        self.talk_of_key(made.as_deref(), before.as_deref());
        let mut document = self.document(made.as_deref());
        document["written"] = json!(changed);
        document["replaced"] = json!(edited.replaced.is_some());
        document["backup"] = json!(backup.map(|path| path.to_string_lossy().into_owned()));
        document["previous_key_id"] = json!(before);
        self.session.output.data(&document, String::new)?;
        Ok(())
    }

    /// The edit, whether it changed anything, and where the file is as it was.
    fn write_entry(&self, entry: &Value) -> Result<(Edited, bool, Option<PathBuf>), Failure> {
        // Read again: clients write into their files whenever they like.
        let before = file::read(&self.file)?;
        let edited = self.edited(before.as_deref(), entry)?;
        if before.as_deref() == Some(&*edited.text) {
            return Ok((edited, false, None));
        }
        let backup = file::replace(&self.file, &edited.text, before.as_deref())?;
        Ok((edited, true, backup))
    }

    fn edited(&self, before: Option<&str>, entry: &Value) -> Result<Edited, Failure> {
        let (format, section, name) = (self.program.format(), self.program.section(), &self.args.name);
        let shown = self.file.display();
        let text = before.unwrap_or_default();
        let hint = "nothing was changed; without --write, what belongs into the file is shown";
        let edited = edit::with_entry(format, text, section, name, entry).map_err(|refusal| {
            let message = match refusal {
                Refusal::Unreadable { line, what } => {
                    format!("{shown} is not valid {}: line {line}: {what}", format.as_str().to_uppercase())
                }
                Refusal::InTheWay(what) => format!("{shown} cannot take the entry: {what}"),
            };
            Failure::new(Code::Malformed, message).hint(hint)
        })?;
        if self.program == Program::OpenCode && json_text::is_of_opencode_2(&edited.text) {
            let message = format!("{shown} is written for opencode 2, whose form of it is not known here");
            return Err(
                Failure::new(Code::Malformed, message).hint("nothing was changed; `opencode mcp add` adds servers")
            );
        }
        Ok(edited)
    }

    fn entry(&self, key: Option<Key>) -> Result<Value, Failure> {
        let connection = match key {
            Some(key) => Connection::Http { url: self.url()?, credential: key.credential },
            None => Connection::Stdio { command: own_program()?, arguments: self.arguments()? },
        };
        Ok(self.program.entry(&self.args.name, &connection))
    }

    /// What the client authenticates itself with, if it must.
    fn key(&self) -> anyhow::Result<Option<Key>> {
        if self.transport == Transport::Stdio {
            return Ok(None);
        }
        let url = self.url()?;
        if let Some(variable) = &self.args.key_from_env {
            return Ok(Some(Key { credential: Credential::Variable(variable.clone()), made: None }));
        }
        if let Some(key) = &self.args.client_key {
            if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)) {
                return Err(Failure::usage("--client-key has characters that no key has").into());
            }
            return Ok(Some(Key { credential: Credential::Key(key.clone()), made: None }));
        }
        let hint = "--client-key takes a key that you have, and --key-from-env none";
        if url.starts_with("https://") {
            return Err(Failure::usage("a key is made over plain HTTP only").hint(hint).into());
        }
        let wanted = json!({ "name": self.program.word(), "roles": ["call"] });
        let made = self
            .session
            .client()?
            .post(&KEYS, &wanted)
            .map_err(|failure| if failure.is(Code::Forbidden) { failure.hint(hint) } else { failure })?;
        let text = |name: &str| made[name].as_str().map(str::to_owned);
        let missing = || Failure::new(Code::Internal, "the server made a key and did not tell it");
        let (id, key) = text("id").zip(text("key")).ok_or_else(missing)?;
        Ok(Some(Key { credential: Credential::Key(key), made: Some(id) }))
    }

    /// Where the client finds the tools.
    fn url(&self) -> Result<String, Failure> {
        let base = match &self.session.global.server {
            Some(server) => base(server)?,
            None => format!("http://{}", reachable(self.session.loaded.config.server.listen)?),
        };
        Ok(match &self.args.profile {
            Some(profile) => format!("{base}/mcp/{profile}"),
            None => format!("{base}/mcp"),
        })
    }

    /// What a process of our own is started with: clients start it from anywhere, so every path is whole.
    fn arguments(&self) -> Result<Vec<String>, Failure> {
        let loaded = self.session.loaded;
        let mut arguments = vec!["mcp".to_owned()];
        let mut add = |flag: &str, path: &Path| {
            arguments.extend([flag.to_owned(), whole(path)?]);
            Ok::<(), Failure>(())
        };
        if let Some(file) = &loaded.file {
            add("--config", file)?;
        }
        add("--data-dir", &loaded.config.server.data_dir)?;
        loaded.config.server.apis_dir.iter().filter(|dir| dir.is_dir()).try_for_each(|dir| add("--apis-dir", dir))?;
        let mut prompts = loaded.config.server.prompts_dir.iter().filter(|dir| dir.is_dir());
        prompts.try_for_each(|dir| add("--prompts-dir", dir))?;
        Ok(arguments)
    }

    fn document(&self, made: Option<&str>) -> Value {
        json!({
            "client": self.program.word(), "name": self.args.name, "transport": word(&self.transport),
            "file": self.file.to_string_lossy(), "format": self.program.format().as_str(), "key_id": made,
            "written": false,
        })
    }

    fn talk_of_file(&self, edited: &Edited, changed: bool, backup: Option<&Path>, holds_key: bool) {
        let (output, shown, name) = (&self.session.output, self.file.display(), &self.args.name);
        let what = match (changed, &edited.replaced) {
            (false, _) => "is there already",
            (true, Some(_)) => "replaces the one that was there",
            (true, None) => "is added",
        };
        output.talk(&format!("{shown}: the entry `{name}` {what}"));
        if let Some(backup) = backup {
            output.talk(&format!("what was there before is in {}", backup.display()));
        }
        if holds_key && file::is_readable_by_others(&self.file) {
            output.talk("it holds a key now, and others on this machine may read it: `chmod 600` makes it yours alone");
        }
        if holds_key && self.args.scope == Scope::Project && self.args.path.is_none() {
            output.talk("it holds a key now: keep it out of version control, or use --key-from-env");
        }
        output.talk(self.program.check());
    }

    fn talk_of_key(&self, made: Option<&str>, before: Option<&str>) {
        let output = &self.session.output;
        if let Some(id) = made {
            output.talk(&format!("key {} was made for it and may call tools", single_line(id)));
        }
        if let Some(id) = before {
            output.talk(&format!("the key before it still works; if nothing else uses it: fumehood keys revoke {id}"));
        }
        if let Some(variable) = &self.args.key_from_env {
            let client = self.program.word();
            output.talk(&format!("it reads its key from {variable}; `fumehood keys create {client}` makes one"));
        }
    }
}

/// The word on our command line for a value.
fn word(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// The id of the key of ours that stands in an entry.
fn key_id(entry: &Value) -> Option<String> {
    match entry {
        Value::String(text) => {
            let (id, _) = text.strip_prefix("Bearer fh_")?.split_once('_')?;
            let is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric());
            is_plain.then(|| id.to_owned())
        }
        Value::Object(members) => members.values().find_map(key_id),
        _ => None,
    }
}

/// The address of a server, as a user writes it, without a slash at its end.
fn base(server: &str) -> Result<String, Failure> {
    let full = if server.contains("://") { server.to_owned() } else { format!("http://{server}") };
    let rest = full.strip_prefix("http://").or_else(|| full.strip_prefix("https://"));
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/[]%".contains(&byte);
    if rest.is_some_and(|rest| !rest.trim_matches('/').is_empty() && rest.bytes().all(is_plain)) {
        return Ok(full.trim_end_matches('/').to_owned());
    }
    Err(Failure::usage(format!(
        "`{server}` is not the address of a server: it may have a host, a port and a path only"
    )))
}

/// Where a server that listens on `address` is reached from this machine.
fn reachable(mut address: SocketAddr) -> Result<SocketAddr, Failure> {
    if address.port() == 0 {
        return Err(Failure::usage("the server is configured to listen on any port: say which it took with --server"));
    }
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    Ok(address)
}

/// This very program.
fn own_program() -> Result<String, Failure> {
    let path = env::current_exe();
    whole(&path.map_err(|_| Failure::new(Code::Internal, "this program cannot find its own file"))?)
}

fn whole(path: &Path) -> Result<String, Failure> {
    let whole = absolute(path).ok().and_then(|path| path.into_os_string().into_string().ok());
    whole.ok_or_else(|| Failure::usage(format!("{} is not UTF-8 text", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_as_users_write_them() {
        assert_eq!(base("tools.example:80/").unwrap(), "http://tools.example:80");
        assert_eq!(base("https://tools.example/fumehood").unwrap(), "https://tools.example/fumehood");
        for refused in ["ftp://x", "http://", "http://a@b", "http://a?b", "http://a\"b", ""] {
            assert!(base(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn the_id_of_a_key_is_found_and_nothing_else() {
        let entry = |text: &str| json!({ "url": "x", "headers": { "Authorization": text } });

        assert_eq!(key_id(&entry("Bearer fh_abc_secret")).as_deref(), Some("abc"));
        assert_eq!(key_id(&entry("Bearer ${KEY}")), None);
        assert_eq!(key_id(&entry("Bearer fh_a b_c")), None);
    }
}
