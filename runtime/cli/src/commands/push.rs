//! `fumehood push`.

mod publish;

use std::{
    fmt,
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    io::{self, Read},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use fumehood_dispatch::{Manifest as Parsed, SIGNATURES, beside};
use fumehood_model::{Code, ModuleName};
use fumehood_sources::{Fetched, Source, Sources};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::{
    args::PushArgs, client::Client, commands::review, exit::Failure, output, project::with_permissions_of, render,
    session::Session,
};

/// How often the spinner turns.
const TURN: Duration = Duration::from_millis(100);

/// Upload a component to the server, or publish it.
pub(crate) fn run(session: &Session<'_>, args: &PushArgs) -> anyhow::Result<ExitCode> {
    let source: Source = args.source.parse().map_err(Failure::from)?;
    match &args.destination {
        Some(destination) => publish::run(session, args, &source, destination),
        None => upload(session, args, &source),
    }
}

fn upload(session: &Session<'_>, args: &PushArgs, source: &Source) -> anyhow::Result<ExitCode> {
    let name = match &args.name {
        Some(name) => checked(name)?,
        None => name_of(source)?,
    };
    let (file, length): (Box<dyn Read>, u64) = match source {
        Source::File(path) => {
            let (file, length) = open(path)?;
            (Box::new(file), length)
        }
        elsewhere => {
            let fetched = fetch(session, elsewhere)?;
            let length = fetched.component.len() as u64;
            (Box::new(io::Cursor::new(fetched.component)), length)
        }
    };
    let manifest = Manifest::find(args, source)?;
    let along = manifest.to_string();
    let has_manifest = manifest.text.is_some();
    let signature = Signature::find(args, source)?;
    let text = manifest.along_with(source)?;
    let form = (text.is_some() || signature.is_some())
        .then(|| Form::new([("manifest", text), ("signature", signature.map(|signature| signature.0))]));
    let (kind, before, after) = match &form {
        Some(form) => (form.kind(), form.before(), form.after()),
        None => ("application/wasm".to_owned(), String::new(), String::new()),
    };
    let length = length + (before.len() + after.len()) as u64;
    let progress = if session.output.shows_progress() { ProgressBar::new(length) } else { ProgressBar::hidden() };
    progress.set_style(ProgressStyle::with_template("{msg} {bar:30} {bytes} of {total_bytes}, {eta} left")?);
    progress.set_message("uploading");
    let body = io::Cursor::new(before).chain(file).chain(io::Cursor::new(after));
    let mut upload = Upload { body, progress: progress.clone(), is_over: false };
    let client = session.client()?;
    let answer = client.put_component(name.as_str(), &kind, &mut upload, length);
    progress.finish_and_clear();
    tell(session, &name, &client, has_manifest, along, &answer?)
}

/// Tell what became of an upload.
fn tell(
    session: &Session<'_>,
    name: &ModuleName,
    client: &Client,
    has_manifest: bool,
    along: String,
    module: &Value,
) -> anyhow::Result<ExitCode> {
    if module["status"] == "waiting" {
        session.output.talk(&format!(
            "module {name} was sent {along}\n\
             it asks for more than before, or says something else of itself: this version waits, and the one before it is served until then\n\
             review it with `fumehood review {name}`"
        ));
        session.output.data(module, || review::changes(&module["changed"]))?;
        return Ok(ExitCode::SUCCESS);
    }
    if module["status"] == "pinned" {
        session.output.talk(&format!(
            "module {name} is pinned: this is version {version} of it, {along}, and not served\n\
             serve it with `fumehood modules promote {name} {version}`",
            version = module["version"]
        ));
        session.output.data(module, String::new)?;
        return Ok(ExitCode::SUCCESS);
    }
    let along = match (has_manifest, &module["holds_manifest"]) {
        (false, Value::Bool(true)) => "with the tool.toml that it holds".to_owned(),
        _ => along,
    };
    let signed = module["signature"]["text"].as_str().map(|text| format!(", {text}")).unwrap_or_default();
    session.output.talk(&format!("module {name} is served, {along}{signed}"));
    if !module["changed"].is_null() {
        session.output.talk(&format!(
            "{}: review it with `fumehood review {name}`\n{}",
            news(&module["changed"]),
            review::changes(&module["changed"])
        ));
    } else if let Some(lacks) = client.review(name.as_str()).ok().and_then(|review| lacks(name, &review)) {
        session.output.talk(&lacks);
    }
    session.output.data(module, || render::module(module))?;
    Ok(ExitCode::SUCCESS)
}

/// What of a version that is served somebody has to look at.
fn news(changed: &Value) -> &'static str {
    let is_some = |key: &str| changed[key].as_array().is_some_and(|all| !all.is_empty());
    match (is_some("added"), is_some("redefined")) {
        (true, true) => {
            "it asks for more than before, does not have it, and says something else: it is served without it, and flagged"
        }
        (false, true) => "it says something else than before: it is served, and flagged in every list",
        _ => "it asks for more than before, and does not have it",
    }
}

/// What a module asks for and does not have, in a sentence; nothing if it has everything.
fn lacks(name: &ModuleName, review: &Value) -> Option<String> {
    let asks = review["asks"].as_array()?;
    let granted = asks.iter().filter(|ask| ask["granted"] == "yes").count();
    let (noun, verb) =
        (if asks.len() == 1 { "permission" } else { "permissions" }, if granted == 1 { "is" } else { "are" });
    (granted < asks.len()).then(|| {
        format!("it asks for {} {noun}, of which {granted} {verb} granted: fumehood review {name}", asks.len())
    })
}

/// A file on its way, with a bar that shows how far it is and a spinner once it is there.
struct Upload<R> {
    body: R,
    progress: ProgressBar,
    is_over: bool,
}

impl<R: Read> Read for Upload<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.body.read(buffer)?;
        self.progress.inc(count as u64);
        let is_complete = count == 0 || self.progress.length().is_some_and(|length| self.progress.position() >= length);
        if is_complete && !self.is_over {
            self.is_over = true;
            self.progress.set_style(ProgressStyle::default_spinner());
            self.progress.set_message("compiling");
            self.progress.enable_steady_tick(TURN);
        }
        Ok(count)
    }
}

/// A component and what goes along with it, as RFC 7578 sends them.
struct Form {
    boundary: String,
    /// The texts before the component, by the names of their parts.
    texts: [(&'static str, Option<String>); 2],
}

impl Form {
    fn new(texts: [(&'static str, Option<String>); 2]) -> Self {
        // From the randomness of the hash maps: no file that is sent can hold it but by chance of one in 2^128.
        let random = || RandomState::new().hash_one(0);
        Self { boundary: format!("fumehood-{:016x}{:016x}", random(), random()), texts }
    }

    fn kind(&self) -> String {
        format!("multipart/form-data; boundary={}", self.boundary)
    }

    fn before(&self) -> String {
        let part =
            |name: &str| format!("--{}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n", self.boundary);
        let texts = self.texts.iter().filter_map(|(name, text)| Some(format!("{}{}\r\n", part(name), text.as_ref()?)));
        texts.chain([part("component")]).collect()
    }

    fn after(&self) -> String {
        format!("\r\n--{}--\r\n", self.boundary)
    }
}

/// The `tool.toml` that goes along with a component, and where it was looked for.
struct Manifest {
    text: Option<String>,
    /// Where it was found, or else every place where it was not.
    places: Vec<PathBuf>,
}

impl Manifest {
    /// The one that was named, or the nearest; checked, so that its mistakes are told with its path.
    fn find(args: &PushArgs, source: &Source) -> Result<Self, Failure> {
        let candidates = match (&args.manifest, source) {
            (Some(named), _) => vec![named.clone()],
            (None, Source::File(file)) => candidates(file),
            // What comes from elsewhere is not described by what happens to lie here.
            (None, _) => Vec::new(),
        };
        let is_there = |path: &&PathBuf| args.manifest.is_some() || path.is_file();
        let Some(path) = candidates.iter().find(is_there).cloned() else {
            return Ok(Self { text: None, places: candidates });
        };
        let text = fs::read_to_string(&path)
            .map_err(|error| Failure::new(Code::NotFound, format!("{} cannot be read: {error}", path.display())))?;
        match Parsed::parse(&path.display().to_string(), &text) {
            Ok(_) => Ok(Self { text: Some(text), places: vec![path] }),
            Err(error) => {
                let lines = error.mistakes.iter().map(|m| format!("{}:{}: {}", error.file, m.line, m.what));
                let failure = Failure::new(Code::InvalidInput, format!("{} is not valid", path.display()));
                Err(failure.lines(lines.collect()))
            }
        }
    }
}

impl Manifest {
    /// Its text, with what the code of the component asks to be permitted. A component that holds a manifest holds that too.
    fn along_with(&self, component: &Source) -> Result<Option<String>, Failure> {
        let (Some(text), Source::File(component)) = (&self.text, component) else { return Ok(self.text.clone()) };
        let bytes = fs::read(component).map_err(|error| {
            Failure::new(Code::NotFound, format!("{} cannot be read: {error}", component.display()))
        })?;
        let refused = |what| Failure::new(Code::InvalidComponent, format!("{}: {what}", component.display()));
        with_permissions_of(&bytes, text).map(Some).map_err(refused)
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places: Vec<_> = self.places.iter().map(|place| place.display().to_string()).collect();
        match &self.text {
            Some(_) => write!(f, "with tool.toml from {}", places.join(", ")),
            None if places.is_empty() => f.write_str("without a tool.toml (--manifest FILE)"),
            None => write!(f, "without a tool.toml (looked for {}; --manifest FILE)", places.join(", ")),
        }
    }
}

/// The signature that goes along with a component.
struct Signature(String);

impl Signature {
    /// The one that was named, or the one beside the component.
    fn find(args: &PushArgs, source: &Source) -> Result<Option<Self>, Failure> {
        let beside = || match source {
            Source::File(file) => SIGNATURES.iter().map(|ending| beside(file, ending)).find(|path| path.is_file()),
            _ => None,
        };
        let Some(path) = args.signature.clone().or_else(beside) else { return Ok(None) };
        let text = fs::read_to_string(&path)
            .map_err(|error| Failure::new(Code::NotFound, format!("{} cannot be read: {error}", path.display())))?;
        Ok(Some(Self(text)))
    }
}

/// Where the `tool.toml` of the component in `file` may be: beside it, and in the current folder if it lies below that,
/// as what a compiler writes into `target` does.
fn candidates(file: &Path) -> Vec<PathBuf> {
    let mut candidates = vec![file.with_extension("tool.toml"), file.with_file_name("tool.toml")];
    let here = Path::new("tool.toml");
    let folder = |path: &Path| path.canonicalize().ok().and_then(|path| Some(path.parent()?.to_owned()));
    let current = Path::new(".").canonicalize().ok();
    if let (Some(folder), Some(current)) = (folder(file), current)
        && folder != current
        && folder.starts_with(&current)
    {
        candidates.push(here.to_owned());
    }
    candidates
}

fn open(path: &Path) -> Result<(File, u64), Failure> {
    let unreadable =
        |error: io::Error| Failure::new(Code::NotFound, format!("{} cannot be read: {error}", path.display()));
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Failure::new(Code::InvalidComponent, format!("{} is not a file", path.display())));
    }
    Ok((file, metadata.len()))
}

/// Fetch a component, and say what it is.
pub(super) fn fetch(session: &Session<'_>, source: &Source) -> Result<Fetched, Failure> {
    let config = &session.loaded.config;
    let sources = Sources::new(&config.sources, config.components.max_size)?;
    let progress = if session.output.shows_progress() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    progress.set_message("fetching");
    progress.enable_steady_tick(TURN);
    let fetched = sources.fetch(source);
    progress.finish_and_clear();
    let fetched = fetched?;
    if let Source::File(_) = source {
        return Ok(fetched);
    }
    let size = output::size(fetched.component.len() as u64);
    let from = match &fetched.artifact {
        Some(artifact) => Source::Registry(artifact.reference.clone()).to_string(),
        None => source.to_string(),
    };
    session.output.talk(&format!("fetched {from}: component {}, {size}", fetched.digest));
    if fetched.artifact.as_ref().is_some_and(|artifact| artifact.has_policy) {
        session.output.talk("it comes with a policy of wassette's, which is not applied: grant what it needs here");
    }
    Ok(fetched)
}

/// The module name that a source suggests: `Text_Stats.wasm` is `text-stats`.
fn name_of(source: &Source) -> Result<ModuleName, Failure> {
    checked(&source.name().to_lowercase().replace('_', "-"))
        .map_err(|failure| failure.hint("choose a name with --name"))
}

fn checked(name: &str) -> Result<ModuleName, Failure> {
    name.parse().map_err(|error| Failure::new(Code::InvalidInput, format!("{error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn named(file: &str) -> Result<String, Exit> {
        name_of(&file.parse().unwrap()).map(|name| name.to_string()).map_err(|failure| failure.exit())
    }

    #[test]
    fn the_module_is_named_after_the_file() {
        assert_eq!(named("./target/Text_Stats.wasm"), Ok("text-stats".to_owned()));
        assert_eq!(named("geo.maps.wasm"), Ok("geo.maps".to_owned()));
    }

    #[test]
    fn what_comes_from_elsewhere_is_named_after_its_last_part() {
        assert_eq!(named("oci://ghcr.io/acme/text_stats:1.2"), Ok("text-stats".to_owned()));
        assert_eq!(named("https://example.com/Weather.wasm?v=1"), Ok("weather".to_owned()));
    }

    #[test]
    fn a_file_whose_name_is_no_module_name_needs_a_name() {
        for file in ["a b.wasm", "_x.wasm", "v1.wasm", "..", "é.wasm"] {
            assert_eq!(named(file), Err(Exit::Invalid), "{file}");
        }
    }
}
