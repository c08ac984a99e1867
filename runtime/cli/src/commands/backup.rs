//! `fumehood backup`, `restore` and `salvage`.

use std::{ffi::OsString, fs, path::Path, process::ExitCode};

use anyhow::Context;
use fumehood_model::{Code, Timestamp};
use fumehood_store::{Access, DataDirectory, Database, Salvaged, StoreError};
use serde_json::{Value, json};

use crate::{
    args::{BackupArgs, RestoreArgs, SalvageArgs},
    exit::Failure,
    output::{grouped, table},
    session::Session,
};

/// The database, and what SQLite keeps beside it.
const DATABASE: &str = "fumehood.db";
const BESIDE: [&str; 3] = ["", "-wal", "-shm"];

/// Copy a data directory into a new folder. A server may be using it.
pub(crate) fn backup(session: &Session<'_>, args: &BackupArgs) -> anyhow::Result<ExitCode> {
    let data = &session.loaded.config.server.data_dir;
    if !data.join(DATABASE).is_file() {
        let message = format!("{} is not the data directory of a server: name it with --data-dir", data.display());
        return Err(Failure::new(Code::NotFound, message).into());
    }
    DataDirectory::open(data, Access::Share).and_then(|directory| directory.backup(&args.folder)).map_err(told)?;
    session.output.talk(&format!(
        "{} is backed up in {}; whoever can read it can open its secrets",
        data.display(),
        args.folder.display()
    ));
    session.output.data(&json!({ "backup": args.folder }), String::new)?;
    Ok(ExitCode::SUCCESS)
}

/// Make a data directory of a backup.
pub(crate) fn restore(session: &Session<'_>, args: &RestoreArgs) -> anyhow::Result<ExitCode> {
    let data = &session.loaded.config.server.data_dir;
    DataDirectory::restore(&args.folder, data).map_err(told)?;
    session.output.talk(&format!("{} is as it was backed up; start it with `fumehood serve`", data.display()));
    session.output.data(&json!({ "data_dir": data }), String::new)?;
    Ok(ExitCode::SUCCESS)
}

/// Copy what is readable of a damaged database into a new one, and set the damaged one aside.
pub(crate) fn salvage(session: &Session<'_>, _: &SalvageArgs) -> anyhow::Result<ExitCode> {
    let data = &session.loaded.config.server.data_dir;
    // Nobody may write meanwhile: this holds the lock of the directory until the end.
    let _directory = DataDirectory::open(data, Access::Own).map_err(told)?;
    let damaged = data.join(DATABASE);
    let fresh = data.join(format!("{DATABASE}.salvaged"));
    let saved = Database::salvage(&damaged, &fresh).map_err(told)?;
    let aside = format!("{DATABASE}.damaged-{}", Timestamp::now().unix_ms);
    for suffix in BESIDE {
        let (from, to) = (with(&damaged, suffix), with(&data.join(&aside), suffix));
        if Path::new(&from).exists() {
            fs::rename(&from, &to).with_context(|| format!("cannot set {} aside", damaged.display()))?;
        }
    }
    fs::rename(&fresh, &damaged).with_context(|| format!("cannot put {} in its place", fresh.display()))?;
    let lost: u64 = saved.iter().map(|table| table.lost).sum();
    session.output.talk(&format!("the damaged database is kept as {aside}; at most {lost} rows are lost"));
    let tables: Vec<_> = saved
        .iter()
        .map(|Salvaged { table, saved, lost, .. }| json!({ "table": table, "saved": saved, "lost": lost }))
        .collect();
    session.output.data(&json!({ "set_aside": aside, "tables": tables }), || rendered(&tables))?;
    Ok(ExitCode::SUCCESS)
}

fn with(path: &Path, suffix: &str) -> OsString {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name
}

fn rendered(tables: &[Value]) -> String {
    let rows = tables.iter().map(|table| {
        let number = |name: &str| grouped(table[name].as_u64().unwrap_or_default());
        vec![table["table"].as_str().unwrap_or_default().to_owned(), number("saved"), number("lost")]
    });
    table(&["TABLE", "SAVED", "LOST AT MOST"], rows)
}

/// The failure with the code that its kind has for whoever runs a command.
fn told(error: StoreError) -> anyhow::Error {
    match error {
        StoreError::InUse { .. } => Failure::new(Code::Conflict, error.to_string()).into(),
        error => error.into(),
    }
}
