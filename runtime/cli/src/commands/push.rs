//! `fumehood push`.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use fumehood_model::{Code, ModuleName};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{args::PushArgs, exit::Failure, render, session::Session};

/// How often the spinner turns.
const TURN: Duration = Duration::from_millis(100);

/// Upload a component to the server.
pub(crate) fn run(session: &Session<'_>, args: &PushArgs) -> anyhow::Result<ExitCode> {
    let name = match &args.name {
        Some(name) => checked(name)?,
        None => name_of(&args.file)?,
    };
    let (file, length) = open(&args.file)?;
    let progress = if session.output.shows_progress() { ProgressBar::new(length) } else { ProgressBar::hidden() };
    progress.set_style(ProgressStyle::with_template("{msg} {bar:30} {bytes} of {total_bytes}, {eta} left")?);
    progress.set_message("uploading");
    let mut upload = Upload { file, progress: progress.clone(), is_over: false };
    let answer = session.client()?.put_component(name.as_str(), &mut upload, length);
    progress.finish_and_clear();
    let module = answer?;
    session.output.talk(&format!("module {name} is served"));
    session.output.data(&module, || render::module(&module))?;
    Ok(ExitCode::SUCCESS)
}

/// A file on its way, with a bar that shows how far it is and a spinner once it is there.
struct Upload {
    file: File,
    progress: ProgressBar,
    is_over: bool,
}

impl Read for Upload {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
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

/// The module name that a file's name suggests: `Text_Stats.wasm` is `text-stats`.
fn name_of(file: &Path) -> Result<ModuleName, Failure> {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    checked(&stem.to_lowercase().replace('_', "-")).map_err(|failure| failure.hint("choose a name with --name"))
}

fn checked(name: &str) -> Result<ModuleName, Failure> {
    name.parse().map_err(|error| Failure::new(Code::InvalidInput, format!("{error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn named(file: &str) -> Result<String, Exit> {
        name_of(Path::new(file)).map(|name| name.to_string()).map_err(|failure| failure.exit())
    }

    #[test]
    fn the_module_is_named_after_the_file() {
        assert_eq!(named("./target/Text_Stats.wasm"), Ok("text-stats".to_owned()));
        assert_eq!(named("geo.maps.wasm"), Ok("geo.maps".to_owned()));
    }

    #[test]
    fn a_file_whose_name_is_no_module_name_needs_a_name() {
        for file in ["a b.wasm", "_x.wasm", "v1.wasm", "..", "é.wasm"] {
            assert_eq!(named(file), Err(Exit::Invalid), "{file}");
        }
    }
}
