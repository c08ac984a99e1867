//! The credentials that Docker keeps: in `config.json`, or in a program that it names.

use std::{
    collections::BTreeMap,
    env, fmt, fs,
    io::{self, Read, Write},
    path::PathBuf,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;

use crate::SourceError;

/// Largest file of credentials, and largest answer of a program.
const MAX_FILE: u64 = 1 << 20;
const MAX_ANSWER: u64 = 64 << 10;

/// Longest that a program may take. It may ask a person.
const PATIENCE: Duration = Duration::from_secs(60);

/// What Docker calls its own registry in credentials.
const DOCKER: &str = "docker.io";
const DOCKER_KEY: &str = "https://index.docker.io/v1/";

/// The name that stands for a token which is exchanged for others.
const IS_TOKEN: &str = "<token>";

/// Who we are for a registry. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credential {
    /// A name and a password.
    Basic {
        /// The name.
        name: String,
        /// The password.
        password: String,
    },
    /// A token that is exchanged for others.
    Identity(String),
}

/// The credentials for a registry, and where they were looked for.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) found: Option<Credential>,
    place: Place,
    registry: String,
}

/// Where credentials were looked for.
#[derive(Debug, Clone)]
enum Place {
    /// There is no home.
    Nowhere,
    /// The file is not there.
    Missing(PathBuf),
    /// The file.
    File(PathBuf),
    /// The program that the file names.
    Program(String),
}

/// `config.json`. Docker writes much more into it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

/// What a program answers.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Held {
    username: String,
    secret: String,
}

impl Credentials {
    /// The credentials for `registry`, if there are any.
    ///
    /// # Errors
    ///
    /// When the file or the program cannot be used: whoever has credentials wants them used.
    pub(crate) fn find(registry: &str) -> Result<Self, SourceError> {
        let registry = registry.to_owned();
        let Some(path) = file() else { return Ok(Self { found: None, place: Place::Nowhere, registry }) };
        let unusable = |why: String| SourceError::Credentials { place: path.display().to_string(), why };
        let text = match read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { found: None, place: Place::Missing(path), registry });
            }
            Err(error) => return Err(unusable(error.to_string())),
        };
        // Without what serde quotes of it: it may be a password.
        let file: File = serde_json::from_str(&text).map_err(|error| {
            unusable(format!("line {}, column {}: this is no configuration of Docker", error.line(), error.column()))
        })?;
        let helper = file.cred_helpers.iter().find(|(key, _)| is_for(key, &registry)).map(|(_, helper)| helper);
        let entry = file.auths.iter().find(|(key, _)| is_for(key, &registry)).map(|(_, entry)| entry);
        // As Docker does: a helper for this registry, then the store for all, then the file itself.
        if let Some(helper) = helper.or(file.creds_store.as_ref()) {
            let program = format!("docker-credential-{helper}");
            let found = ask(helper, &registry)?;
            if found.is_some() || entry.is_none_or(|entry| entry.auth.is_none()) {
                return Ok(Self { found, place: Place::Program(program), registry });
            }
        }
        let found = entry.map(|entry| entry.credential().map_err(unusable)).transpose()?.flatten();
        Ok(Self { found, place: Place::File(path), registry })
    }
}

impl fmt::Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match &self.place {
            Place::Nowhere => return f.write_str("without credentials, as neither DOCKER_CONFIG nor HOME is set"),
            Place::Missing(path) => {
                return write!(f, "without credentials, as there is no {}", path.display());
            }
            Place::File(path) => path.display().to_string(),
            Place::Program(program) => program.clone(),
        };
        match self.found {
            Some(_) => write!(f, "the credentials for {} in {place}", self.registry),
            None => write!(f, "credentials from {place} (none for {})", self.registry),
        }
    }
}

impl Entry {
    fn credential(&self) -> Result<Option<Credential>, String> {
        let identity = self.identitytoken.clone().filter(|token| !token.is_empty());
        if let Some(token) = identity {
            return Ok(Some(Credential::Identity(token)));
        }
        if let Some(auth) = self.auth.as_deref().filter(|auth| !auth.is_empty()) {
            let bytes = BASE64_STANDARD.decode(auth.trim()).map_err(|_| "its `auth` is not base64".to_owned())?;
            let text = String::from_utf8(bytes).map_err(|_| "its `auth` is not text".to_owned())?;
            let (name, password) = text.split_once(':').ok_or("its `auth` holds no name and password")?;
            // Docker has written zeros behind passwords.
            let (name, password) = (name.to_owned(), password.trim_end_matches('\0').to_owned());
            return Ok(Some(Credential::Basic { name, password }));
        }
        Ok(match (&self.username, &self.password) {
            (Some(name), Some(password)) => Some(Credential::Basic { name: name.clone(), password: password.clone() }),
            _ => None,
        })
    }
}

/// Where Docker keeps its configuration.
fn file() -> Option<PathBuf> {
    let folder = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = folder("DOCKER_CONFIG").or_else(|| Some(folder("HOME")?.join(".docker")))?;
    Some(folder.join("config.json"))
}

fn read(path: &PathBuf) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE { Err(io::Error::other("it is larger than 1 MiB")) } else { Ok(text) }
}

/// Whether the credentials under `key` are for `registry`. Keys may be hosts or addresses.
fn is_for(key: &str, registry: &str) -> bool {
    let host = |text: &str| {
        let text = text.split_once("://").map_or(text, |(_, rest)| rest);
        let host = text.split('/').next().unwrap_or_default().to_ascii_lowercase();
        if matches!(host.as_str(), "index.docker.io" | "registry-1.docker.io") { DOCKER.to_owned() } else { host }
    };
    host(key) == host(registry)
}

/// What the program `docker-credential-HELPER` holds for `registry`.
fn ask(helper: &str, registry: &str) -> Result<Option<Credential>, SourceError> {
    let program = format!("docker-credential-{helper}");
    let unusable = |why: String| SourceError::Credentials { place: program.escape_debug().to_string(), why };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if helper.is_empty() || !helper.bytes().all(is_name) {
        return Err(unusable("this is no name of a program".to_owned()));
    }
    let mut command = Command::new(&program);
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| unusable(format!("it cannot be started: {error}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        let key = if registry == DOCKER { DOCKER_KEY } else { registry };
        // One that does not read is heard all the same.
        let _ = stdin.write_all(key.as_bytes());
    }
    let (send, answered) = mpsc::channel();
    let stdout = child.stdout.take();
    thread::spawn(move || {
        let mut text = String::new();
        let read = stdout.map(|stdout| stdout.take(MAX_ANSWER).read_to_string(&mut text));
        drop(send.send(read.and_then(Result::ok).map(|_| text)));
    });
    let answer = answered.recv_timeout(PATIENCE);
    if answer.is_err() {
        // It may have ended just now.
        let _ = child.kill();
    }
    let ended = child.wait().map_err(|error| unusable(error.to_string()))?;
    let text = answer.map_err(|_| unusable(format!("it did not answer within {} s", PATIENCE.as_secs())))?;
    let text = text.ok_or_else(|| unusable("its answer is not text".to_owned()))?;
    if !ended.success() {
        // The protocol has no code for what is not there, only this sentence.
        let is_missing = text.to_ascii_lowercase().contains("not found");
        let why = || text.trim().chars().take(200).collect::<String>().escape_debug().to_string();
        return if is_missing { Ok(None) } else { Err(unusable(format!("it failed: {}", why()))) };
    }
    let held: Held = serde_json::from_str(&text).map_err(|_| unusable("its answer is not JSON".to_owned()))?;
    Ok(Some(match held.username.as_str() {
        IS_TOKEN => Credential::Identity(held.secret),
        _ => Credential::Basic { name: held.username, password: held.secret },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_found_under_hosts_and_addresses() {
        for key in ["ghcr.io", "https://ghcr.io", "https://GHCR.io/v1/"] {
            assert!(is_for(key, "ghcr.io"), "{key}");
        }
        assert!(is_for(DOCKER_KEY, "docker.io"));
        for key in ["ghcr.io:5000", "ghcr.io.evil.org", "evil.org/ghcr.io", ""] {
            assert!(!is_for(key, "ghcr.io"), "{key}");
        }
    }

    #[test]
    fn a_password_may_hold_colons() {
        let entry = Entry { auth: Some(BASE64_STANDARD.encode("me:a:b")), ..Entry::default() };

        let Ok(Some(Credential::Basic { name, password })) = entry.credential() else { panic!("it has both") };

        assert_eq!((&*name, &*password), ("me", "a:b"));
    }

    #[test]
    fn a_helper_is_a_name_and_no_path() {
        for helper in ["", "../x", "a b", "/bin/sh"] {
            assert!(ask(helper, "ghcr.io").is_err(), "{helper}");
        }
    }
}
