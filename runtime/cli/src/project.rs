//! The folder of a tool: its `tool.toml`, its sources, its tests, and the component that is made of them.

use std::{
    fs,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use fumehood_dispatch::{Build, Manifest};
use fumehood_model::Code;

use fumehood_policy::{Limits, Trusted};

use crate::{exit::Failure, house::runtime, local::File};

mod asked;
mod bindings;
mod cases;
pub(crate) mod lint;
mod sources;
mod stamp;
pub(crate) mod toolchains;

pub(crate) use asked::with_permissions_of;
pub(crate) use cases::{ANSWER, Around, Case, Recorded, Wanted};
pub(crate) use sources::Sources;
pub(crate) use stamp::stamped;

/// The name of a manifest.
const MANIFEST: &str = "tool.toml";

/// Largest component that is stamped.
const MAX_COMPONENT: u64 = 64 << 20;

/// A folder with a manifest.
pub(crate) struct Project {
    /// The folder.
    pub(crate) folder: PathBuf,
    /// Its manifest.
    pub(crate) manifest: Manifest,
    text: String,
}

impl Project {
    /// The project in `folder`.
    ///
    /// # Errors
    ///
    /// With a [`Failure`] when it has no manifest, or one with mistakes.
    pub(crate) fn open(folder: &Path) -> Result<Self, Failure> {
        let (path, text) = Self::text_of(folder)?;
        let manifest = Manifest::parse(&path.display().to_string(), &text).map_err(|error| {
            let lines =
                error.mistakes.iter().map(|mistake| format!("{}:{}: {}", error.file, mistake.line, mistake.what));
            Failure::new(Code::InvalidComponent, format!("{} has mistakes", path.display())).lines(lines.collect())
        })?;
        Ok(Self { folder: folder.to_owned(), manifest, text })
    }

    /// The manifest in `folder`, whatever is in it.
    ///
    /// # Errors
    ///
    /// With a [`Failure`] when there is none.
    pub(crate) fn text_of(folder: &Path) -> Result<(PathBuf, String), Failure> {
        let path = folder.join(MANIFEST);
        match fs::read_to_string(&path) {
            Ok(text) => Ok((path, text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let message = format!("{} is no project: it has no {MANIFEST}", shown(folder));
                Err(Failure::new(Code::NotFound, message).hint("make one with `fumehood new NAME --lang rust`"))
            }
            Err(error) => Err(Failure::new(Code::NotFound, format!("{} cannot be read: {error}", path.display()))),
        }
    }

    /// Where its component is once it is built, if the manifest says how.
    pub(crate) fn component(&self) -> Option<PathBuf> {
        let built = Path::new(&self.manifest.build.as_ref()?.component);
        let name = built.file_stem().unwrap_or_default().to_string_lossy().replace('_', "-");
        Some(self.folder.join(format!("{name}.wasm")))
    }

    /// Run the build of the language, and stamp what came of it: the component, ready to be tested, pushed or called.
    ///
    /// # Errors
    ///
    /// With a [`Failure`] when the manifest does not say how, a toolchain is missing, it failed, or no component came of it.
    pub(crate) fn build(&self) -> anyhow::Result<PathBuf> {
        let Build { command, component, bindings } = self.manifest.build.as_ref().ok_or_else(|| {
            let message = format!("{} does not say how it is built", self.folder.join(MANIFEST).display());
            let hint = "add [build] with command = \"cargo build --release --target wasm32-wasip2\" and \
                component = \"target/wasm32-wasip2/release/NAME.wasm\"";
            Failure::new(Code::InvalidComponent, message).hint(hint)
        })?;
        toolchains::check(command)?;
        let (wit, built) = (self.folder.join("wit"), self.folder.join(component));
        if let Some(language) = bindings {
            bindings::write(*language, &wit, &self.folder).map_err(|what| {
                Failure::new(Code::InvalidComponent, format!("no bindings can be made of {}", wit.display()))
                    .lines(what.lines().map(str::to_owned).collect())
            })?;
        }
        if let Some(folder) = built.parent() {
            let made = fs::create_dir_all(folder);
            made.map_err(|error| {
                Failure::new(Code::Unavailable, format!("{} cannot be made: {error}", folder.display()))
            })?;
        }
        // What a build says is talk, and belongs to the standard error of this command.
        let color = if io::stderr().is_terminal() { "always" } else { "never" };
        let status = Command::new("sh")
            .args(["-c", command])
            .current_dir(&self.folder)
            .env("CARGO_TERM_COLOR", color)
            // The manifest says where the component is, which is not there where somebody's settings put it elsewhere.
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("CARGO_BUILD_TARGET_DIR")
            .stdin(Stdio::null())
            .stdout(io::stderr())
            .status()
            .map_err(|error| Failure::new(Code::NotFound, format!("`sh` cannot be run: {error}")))?;
        if !status.success() {
            let failure =
                Failure::new(Code::InvalidComponent, format!("the build failed: `{command}` ended with {status}"));
            // What shells say of a program that they do not find.
            return Err(match status.code() {
                Some(127) => {
                    failure.hint("a program of that command is not installed: the shell names it above").into()
                }
                _ => match toolchains::lacks(command, &self.folder) {
                    Some(install) => failure.hint(format!("a part of the toolchain is missing: {install}")).into(),
                    None => failure.into(),
                },
            });
        }
        let cannot = |error| {
            let message = format!("no component came of the build: {} cannot be read: {error}", built.display());
            Failure::new(Code::NotFound, message).hint(format!("`component` in {MANIFEST} says where it is"))
        };
        if fs::metadata(&built).map_err(cannot)?.len() > MAX_COMPONENT {
            let message = format!("{} has more than {} MiB", built.display(), MAX_COMPONENT >> 20);
            return Err(Failure::new(Code::TooLarge, message).into());
        }
        let mut bytes = fs::read(&built).map_err(cannot)?;
        let refused = |what: String| Failure::new(Code::InvalidComponent, format!("{}: {what}", built.display()));
        if let Some(has_world) = stamp::as_module(&bytes) {
            bytes = bindings::component_of(&bytes, has_world, &wit).map_err(refused)?;
        }
        let docs = self.docs()?;
        let text = with_permissions_of(&bytes, &self.text).map_err(refused)?;
        let stamped = stamp::stamped(&bytes, &text, docs.as_deref()).map_err(refused)?;
        let path = self.component().unwrap_or_else(|| built.clone());
        // Whoever serves this folder sees the old one or the new one.
        let new = path.with_file_name(format!("_new-{}", std::process::id()));
        let write = fs::write(&new, stamped);
        if write.is_ok()
            && let Err(error) = runtime(&Trusted::default())?.block_on(File::open(&new, &Limits::default()))
        {
            let _ = fs::remove_file(&new);
            return Err(match error.downcast::<Failure>() {
                Ok(failure) => {
                    let why = failure.told().replace(&*new.to_string_lossy(), &built.to_string_lossy());
                    Failure::new(Code::InvalidComponent, format!("what was built is no module: {why}")).into()
                }
                Err(error) => error,
            });
        }
        let write = write.and_then(|()| fs::rename(&new, &path));
        write.map_err(|error| {
            Failure::new(Code::Unavailable, format!("{} cannot be written: {error}", path.display()))
        })?;
        Ok(path)
    }

    /// What the WIT of the project says of its functions, as the section `package-docs` has it.
    fn docs(&self) -> Result<Option<Vec<u8>>, Failure> {
        let folder = self.folder.join("wit");
        if !folder.is_dir() {
            return Ok(None);
        }
        stamp::docs(&folder).map(Some).map_err(|what| Self::no_wit(&folder, &what))
    }

    fn no_wit(folder: &Path, what: &str) -> Failure {
        Failure::new(Code::InvalidComponent, format!("{} cannot be read as WIT", folder.display()))
            .lines(what.lines().map(str::to_owned).collect())
    }
}

fn shown(folder: &Path) -> String {
    if folder == Path::new(".") { "this folder".to_owned() } else { folder.display().to_string() }
}
