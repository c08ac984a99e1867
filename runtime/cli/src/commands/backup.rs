//! `fumehood backup`, `restore` and `salvage`.

use std::{ffi::OsString, fs, path::Path, process::ExitCode};

use anyhow::Context;
use fumehood_model::{Code, Timestamp};
use fumehood_store::{Access, DataDirectory, Database, Lost, Salvaged, StoreError};
use serde_json::{Value, json};

use crate::{
    args::{BackupArgs, RestoreArgs, SalvageArgs},
    exit::Failure,
    output::{grouped, table},
    session::Session,
};

/// The table of keys, without which clients get no answer, and what to do when it lost some.
const KEYS: &str = "keys";
const LOST_KEYS: &str = "keys may be lost: clients whose key is not known any more need a new one (`fumehood keys create`); if \
    no administrator's key is left, the next start of the server makes one and writes it to admin.key";

/// The database, and what SQLite keeps beside it.
const DATABASE: &str = "fumehood.db";
const BESIDE: [&str; 3] = ["", "-wal", "-shm"];

/// Copy a data directory into a new folder. A server may be using it.
pub(crate) fn backup(session: &Session<'_>, args: &BackupArgs) -> anyhow::Result<ExitCode> {
    let data = &session.loaded.config.server.data_dir;
    refuse_no_data(data)?;
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
    // Whoever named the directory here must name it there as well.
    let named = session.global.data_dir.as_ref().map(|data| format!(" --data-dir {data}")).unwrap_or_default();
    session.output.talk(&format!("{} is as it was backed up; start it with `fumehood serve{named}`", data.display()));
    session.output.data(&json!({ "data_dir": data }), String::new)?;
    Ok(ExitCode::SUCCESS)
}

/// Copy what is readable of a damaged database into a new one, and set the damaged one aside.
pub(crate) fn salvage(session: &Session<'_>, _: &SalvageArgs) -> anyhow::Result<ExitCode> {
    let data = &session.loaded.config.server.data_dir;
    refuse_no_data(data)?;
    // Nobody may write meanwhile: this holds the lock of the directory until the end.
    let _directory = DataDirectory::open(data, Access::Own).map_err(told)?;
    let damaged = data.join(DATABASE);
    let fresh = data.join(format!("{DATABASE}.salvaged"));
    let Some(saved) = Database::salvage(&damaged, &fresh).map_err(told)? else {
        session.output.talk(&format!("nothing is damaged in {}: all stays as it is", damaged.display()));
        session.output.data(&json!({ "is_damaged": false, "set_aside": null, "tables": [] }), String::new)?;
        return Ok(ExitCode::SUCCESS);
    };
    let aside = format!("{DATABASE}.damaged-{}", Timestamp::now().unix_ms);
    for suffix in BESIDE {
        let (from, to) = (with(&damaged, suffix), with(&data.join(&aside), suffix));
        if Path::new(&from).exists() {
            fs::rename(&from, &to).with_context(|| format!("cannot set {} aside", damaged.display()))?;
        }
    }
    fs::rename(&fresh, &damaged).with_context(|| format!("cannot put {} in its place", fresh.display()))?;
    session.output.talk(&format!("the damaged database is kept as {aside}; {}", what_is_lost(&saved)));
    if saved.iter().any(|table| table.table == KEYS && !table.lost.is_nothing()) {
        session.output.talk(LOST_KEYS);
    }
    let tables: Vec<_> = saved.iter().map(to_json).collect();
    let answer = json!({ "is_damaged": true, "set_aside": aside, "tables": tables });
    session.output.data(&answer, || rendered(&saved))?;
    Ok(ExitCode::SUCCESS)
}

fn refuse_no_data(data: &Path) -> Result<(), Failure> {
    if data.join(DATABASE).is_file() {
        return Ok(());
    }
    let message = format!("{} is not the data directory of a server: name it with --data-dir", data.display());
    Err(Failure::new(Code::NotFound, message))
}

fn with(path: &Path, suffix: &str) -> OsString {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name
}

fn to_json(Salvaged { table, saved, lost }: &Salvaged) -> Value {
    match lost {
        Lost::AtMost(rows) => json!({ "table": table, "saved": saved, "lost": rows }),
        Lost::Unknown => json!({ "table": table, "saved": saved, "lost": null }),
    }
}

fn rendered(saved: &[Salvaged]) -> String {
    let rows = saved.iter().map(|Salvaged { table, saved, lost }| {
        let lost = match lost {
            Lost::AtMost(rows) => grouped(*rows),
            Lost::Unknown => "unknown".to_owned(),
        };
        vec![table.clone(), grouped(*saved), lost]
    });
    table(&["TABLE", "SAVED", "LOST AT MOST"], rows)
}

/// How many rows are lost, in words that promise nothing that is not known.
fn what_is_lost(saved: &[Salvaged]) -> String {
    let known = saved.iter().map(|table| if let Lost::AtMost(rows) = table.lost { rows } else { 0 });
    let known = match known.sum() {
        0 => None,
        rows => Some(format!("at most {} rows", grouped(rows))),
    };
    let unknown: Vec<_> =
        saved.iter().filter(|table| table.lost == Lost::Unknown).map(|table| table.table.as_str()).collect();
    match (known, unknown.is_empty()) {
        (None, true) => "no row is lost".to_owned(),
        (Some(known), true) => format!("{known} are lost"),
        (None, false) => format!("nothing tells how many rows of {} are lost", unknown.join(", ")),
        (Some(known), false) => {
            format!("nothing tells how many rows of {} are lost, and {known} of others are", unknown.join(", "))
        }
    }
}

/// The failure with the code that its kind has for whoever runs a command.
fn told(error: StoreError) -> anyhow::Error {
    let code = match &error {
        StoreError::InUse { .. } | StoreError::Taken { .. } => Code::Conflict,
        StoreError::Absent { .. } => Code::NotFound,
        StoreError::NoBackup { .. } | StoreError::Unfinished { .. } | StoreError::DamagedBackup { .. } => {
            Code::InvalidInput
        }
        _ => return error.into(),
    };
    Failure::new(code, format!("{:#}", anyhow::Error::from(error))).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn salvaged(table: &str, lost: Lost) -> Salvaged {
        Salvaged { table: table.to_owned(), saved: 5, lost }
    }

    #[test]
    fn what_nobody_can_count_is_not_given_a_number() {
        let (jobs, keys) = (salvaged("jobs", Lost::Unknown), salvaged("keys", Lost::AtMost(1_200)));
        let whole = salvaged("calls", Lost::AtMost(0));

        assert_eq!(what_is_lost(std::slice::from_ref(&whole)), "no row is lost");
        assert_eq!(what_is_lost(&[keys.clone(), whole.clone()]), "at most 1,200 rows are lost");
        assert_eq!(what_is_lost(&[jobs.clone(), whole]), "nothing tells how many rows of jobs are lost");
        assert_eq!(
            what_is_lost(&[jobs.clone(), keys]),
            "nothing tells how many rows of jobs are lost, and at most 1,200 rows of others are"
        );
        assert_eq!(to_json(&jobs), json!({ "table": "jobs", "saved": 5, "lost": null }));
        assert!(rendered(&[jobs]).contains("unknown"));
    }

    #[test]
    fn mistakes_of_whoever_runs_a_command_are_no_failure_of_ours() {
        let home = tempfile::tempdir().unwrap();
        let (missing, empty) = (home.path().join("missing"), home.path().join("empty"));
        fs::create_dir(&empty).unwrap();
        fs::write(home.path().join("taken"), b"").unwrap();
        let exit = |from: &Path, to: &str| {
            let error = told(DataDirectory::restore(from, &home.path().join(to)).unwrap_err());
            (error.downcast_ref::<Failure>().map(Failure::exit), error.to_string())
        };

        let (absent, said) = exit(&missing, "to");

        assert_eq!((absent, said), (Some(Exit::NotFound), format!("{} does not exist", missing.display())));
        assert_eq!(exit(&empty, "to").0, Some(Exit::Invalid));
        assert_eq!(exit(&empty, "taken").0, Some(Exit::Invalid));
        assert_eq!(refuse_no_data(&empty).unwrap_err().exit(), Exit::NotFound);
    }
}
