//! Saving what can still be read of a damaged database.

use std::{fs, path::Path};

use rusqlite::{Connection, OptionalExtension, config::DbConfig, params_from_iter, types::Value};

use crate::{
    Database, StoreError,
    backup::{beside, refuse_taken, sync},
    database::connect,
    migrations::migrate,
};

/// What was saved of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salvaged {
    /// The table.
    pub table: String,
    /// Rows that were saved.
    pub saved: u64,
    /// Rows that were lost, or that may have been there: at most this many, and none if it is zero.
    pub lost: u64,
}

impl Database {
    /// Copy every row that can be read of the damaged database `from` into a new one, `to`. `from` stays as it is. Blocks.
    ///
    /// # Errors
    ///
    /// When there is something at `to`, nothing at all can be read of `from`, or `to` cannot be written.
    pub fn salvage(from: &Path, to: &Path) -> Result<Vec<Salvaged>, StoreError> {
        refuse_taken(to)?;
        let folder = beside(to)?;
        // A copy is read, with what its log holds: merely opening a database may change it.
        let old = folder.path().join("old.db");
        for suffix in ["", "-wal"] {
            let (mut source, mut target) = (from.as_os_str().to_owned(), old.as_os_str().to_owned());
            source.push(suffix);
            target.push(suffix);
            if suffix.is_empty() || Path::new(&source).exists() {
                fs::copy(&source, &target).map_err(StoreError::io("copy", &source))?;
            }
        }
        let fresh = folder.path().join("fresh.db");
        crate::directory::write_private(&fresh, b"")?;
        let salvaged = copy_tables(&old, &fresh).map_err(|error| match error {
            // Whoever reads this knows nothing of the copy, and has been told of salvaging already.
            StoreError::Corrupt { source, .. } => StoreError::Lost { path: from.to_owned(), source },
            error => error,
        })?;
        sync(&fresh)?;
        fs::rename(&fresh, to).map_err(StoreError::io("write", to))?;
        Ok(salvaged)
    }
}

fn copy_tables(old: &Path, fresh: &Path) -> Result<Vec<Salvaged>, StoreError> {
    let from = connect(old)?;
    let mut to = connect(fresh)?;
    migrate(&mut to, fresh)?;
    let error = |error| StoreError::database(fresh, error);
    // What triggers count is counted anew in the end.
    to.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).map_err(error)?;
    let transaction = to.unchecked_transaction().map_err(error)?;
    let mut salvaged = Vec::new();
    for table in tables(&to).map_err(error)? {
        // A schema that cannot be read ends all of it: then nothing is known of any table.
        let table = Table::of(&from, &to, table).map_err(|error| StoreError::database(old, error))?;
        if let Some(table) = table {
            salvaged.push(table.copy(&from, &to).map_err(error)?);
        }
    }
    recount(&to).map_err(error)?;
    transaction.commit().map_err(error)?;
    Ok(salvaged)
}

fn tables(db: &Connection) -> rusqlite::Result<Vec<String>> {
    db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// What jobs there are and wait, as the triggers would have counted them.
fn recount(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch(
        "INSERT OR IGNORE INTO job_clock VALUES (1, 0, (SELECT ifnull(max(version), 0) FROM schedules));
         INSERT OR IGNORE INTO job_counts VALUES (0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0),
             (9, 0);
         UPDATE job_counts SET count = (SELECT count(*) FROM jobs WHERE jobs.state = job_counts.state);
         INSERT OR IGNORE INTO job_shares (owner, waiting, available, running, used_us, guess_us)
             SELECT DISTINCT owner, 0, 0, 0, 0, 10000 FROM jobs;
         UPDATE job_shares SET
             waiting = (SELECT count(*) FROM jobs WHERE jobs.owner = job_shares.owner AND state IN (0, 1, 4)),
             available = (SELECT count(*) FROM jobs WHERE jobs.owner = job_shares.owner AND state = 0),
             running = (SELECT count(*) FROM jobs WHERE jobs.owner = job_shares.owner AND state = 2);",
    )
}

/// A table that is in both databases.
struct Table {
    name: String,
    /// Columns that both have, as a list in SQL.
    columns: String,
    count: usize,
    /// By what its rows are in order: the number of the row, or the primary key where rows have none.
    key: Key,
}

enum Key {
    Row,
    Columns(String),
}

impl Table {
    fn of(from: &Connection, to: &Connection, name: String) -> rusqlite::Result<Option<Self>> {
        let columns = |db: &Connection| -> rusqlite::Result<Vec<(String, i64)>> {
            db.prepare("SELECT name, pk FROM pragma_table_info(?1)")?
                .query_map([&name], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        };
        let old = columns(from)?;
        let both: Vec<_> = columns(to)?.into_iter().filter(|column| old.contains(column)).collect();
        if both.is_empty() {
            return Ok(None);
        }
        let has_rows: bool =
            from.query_row("SELECT NOT wr FROM pragma_table_list WHERE name = ?1", [&name], |row| row.get(0))?;
        let mut key: Vec<_> = both.iter().filter(|(_, place)| *place > 0).collect();
        key.sort_by_key(|(_, place)| *place);
        let list = |names: &mut dyn Iterator<Item = &(String, i64)>, suffix: &str| {
            names.map(|(name, _)| format!("\"{name}\"{suffix}")).collect::<Vec<_>>().join(", ")
        };
        let key = if has_rows { Key::Row } else { Key::Columns(list(&mut key.into_iter(), " DESC")) };
        Ok(Some(Self { columns: list(&mut both.iter(), ""), count: both.len(), key, name }))
    }

    fn copy(&self, from: &Connection, to: &Connection) -> rusqlite::Result<Salvaged> {
        // What migrations have put there was there before, and is copied.
        to.execute(&format!("DELETE FROM {}", self.name), [])?;
        let (saved, lost) = match &self.key {
            Key::Row => self.copy_by_row(from, to)?,
            Key::Columns(backwards) => self.copy_by_key(from, to, backwards)?,
        };
        Ok(Salvaged { table: self.name.clone(), saved, lost })
    }

    /// Copy rows in the order of their numbers, leaping over what cannot be read.
    fn copy_by_row(&self, from: &Connection, to: &Connection) -> rusqlite::Result<(u64, u64)> {
        let forth = format!("SELECT {}, rowid FROM {} WHERE rowid >= ?1 ORDER BY rowid", self.columns, self.name);
        let back = format!(
            "SELECT {}, rowid FROM {} WHERE rowid < ?1 AND rowid > ?2 ORDER BY rowid DESC",
            self.columns, self.name
        );
        let last = format!("SELECT rowid FROM {} ORDER BY rowid DESC LIMIT 1", self.name);
        let last = from.query_row(&last, [], |row| row.get::<_, i64>(0)).optional();
        let (mut saved, mut lost) = (0, 0);
        // The row after the last one that was read, and how far to leap when the next one cannot be.
        let (mut next, mut leap) = (i64::MIN, 1);
        // Where something that cannot be read begins, until what comes after it is found.
        let mut gap = None;
        loop {
            let run = self.copy_run(from, to, &forth, &[next])?;
            if let (Some(start), Some(_)) = (gap, run.last) {
                // Leaping may have gone too far: what lies before is read backwards, until that fails as well.
                let before = self.copy_run(from, to, &back, &[next, start - 1])?;
                saved += before.saved;
                lost += before.refused;
                let first = before.last.unwrap_or(next);
                lost += if before.failed { u64::try_from(first - start).unwrap_or(0) } else { 0 };
                gap = None;
            }
            saved += run.saved;
            lost += run.refused;
            if let Some(last) = run.last {
                (next, leap) = (last + 1, 1);
            }
            if !run.failed {
                return Ok((saved, lost));
            }
            // A first row that cannot be read: numbers begin with one.
            next = next.max(1);
            let start = *gap.get_or_insert(next);
            let end = match &last {
                Ok(Some(last)) => *last,
                Ok(None) => return Ok((saved, lost)),
                // The end cannot be read either: it is looked for, but not for ever.
                Err(_) => start.saturating_add(1 << 32),
            };
            if next > end {
                return Ok((saved, lost + if last.is_ok() { u64::try_from(end - start + 1).unwrap_or(0) } else { 1 }));
            }
            next = next.saturating_add(leap).min(end.saturating_add(1));
            leap = leap.saturating_mul(2);
        }
    }

    /// Copy rows from both ends, until they meet or neither goes on.
    fn copy_by_key(&self, from: &Connection, to: &Connection, backwards: &str) -> rusqlite::Result<(u64, u64)> {
        let all = format!("SELECT {}, 0 FROM {}", self.columns, self.name);
        let forth = self.copy_run(from, to, &all, &[])?;
        if !forth.failed {
            return Ok((forth.saved, forth.refused));
        }
        let back = self.copy_run(from, to, &format!("{all} ORDER BY {backwards}"), &[])?;
        // How many lie between cannot be told; some do.
        Ok((forth.saved + back.saved, forth.refused + back.refused + 1))
    }

    /// Copy what a question finds, until it ends or fails.
    fn copy_run(&self, from: &Connection, to: &Connection, sql: &str, values: &[i64]) -> rusqlite::Result<Run> {
        let marks = vec!["?"; self.count].join(", ");
        let insert = format!("INSERT INTO {} ({}) VALUES ({marks})", self.name, self.columns);
        let mut insert = to.prepare_cached(&insert)?;
        let mut run = Run::default();
        let Ok(mut select) = from.prepare_cached(sql) else { return Ok(Run { failed: true, ..run }) };
        let Ok(mut rows) = select.query(params_from_iter(values)) else { return Ok(Run { failed: true, ..run }) };
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => return Ok(run),
                Err(_) => return Ok(Run { failed: true, ..run }),
            };
            let values = (0..self.count).map(|column| row.get::<_, Value>(column)).collect::<Result<Vec<_>, _>>();
            match (values, row.get(self.count)) {
                (Ok(values), Ok(number)) => {
                    run.last = Some(number);
                    match insert.execute(params_from_iter(values)) {
                        Ok(_) => run.saved += 1,
                        // Not what this column can hold: the row was damaged.
                        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {
                            run.refused += 1;
                        }
                        Err(error) => return Err(error),
                    }
                }
                _ => return Ok(Run { failed: true, ..run }),
            }
        }
    }
}

/// How far a question came.
#[derive(Default)]
struct Run {
    saved: u64,
    refused: u64,
    last: Option<i64>,
    failed: bool,
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use fumehood_model::{Digest, JobId, JobState, JobTool, KeyId, Lowered, Priority, Timestamp};

    use super::*;
    use crate::{Access, Bounds, Claim, Filter, Jobs, NewJob, NodeId, waiting::wait};

    const JOBS: usize = 400;
    const NOW: Timestamp = Timestamp { unix_ms: 1_000_000 };

    fn job(number: usize) -> NewJob {
        NewJob {
            id: JobId::new(NOW, std::array::from_fn(|place| number.to_be_bytes().get(place).copied().unwrap_or(0))),
            owner: KeyId("k".into()),
            tool: JobTool { module: "m".parse().unwrap(), function: "f".into(), digest: Digest::of(b"m") },
            input: vec![b'1'; 700].into(),
            lowered: Lowered::default(),
            priority: Priority::default(),
            run_at: NOW,
            expires_at: None,
            max_attempts: 1,
            is_repeatable: true,
            tags: Vec::new(),
            idempotency: None,
            schedule: None,
            held_by: None,
            ended: None,
        }
    }

    /// A database with jobs, of which some pages hold rubbish.
    fn damaged(path: &Path, pages: &[usize]) {
        let database = Database::open(path, Access::Own).unwrap();
        let bounds = Bounds { waiting: 1_000, waiting_per_key: 1_000 };
        wait(database.submit((0..JOBS).map(job).collect(), bounds, NOW)).unwrap();
        // Pages in which rows of jobs stand, in their order.
        let numbers = "SELECT pageno FROM dbstat WHERE name = 'jobs' AND pagetype = 'leaf' ORDER BY path";
        let found: Result<Vec<u32>, _> =
            database.with(|db| db.prepare(numbers)?.query_map([], |row| row.get(0))?.collect());
        let found = found.unwrap();
        drop(database);
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        for page in pages {
            let page = found[*page];
            file.write_all_at(&[0xA5; 4_096], u64::from(page - 1) * 4_096).unwrap();
        }
    }

    #[test]
    fn a_damaged_database_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        damaged(&path, &[3]);
        let before = fs::read(&path).unwrap();

        let opened = Database::open(&path, Access::Own);

        assert!(matches!(opened, Err(StoreError::Corrupt { .. })), "{opened:?}");
        assert!(fs::read(&path).unwrap() == before);
    }

    #[test]
    fn a_file_that_is_no_database_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        fs::write(&path, "something else".repeat(1_000)).unwrap();

        assert!(matches!(Database::open(&path, Access::Own), Err(StoreError::Corrupt { .. })));
        assert!(matches!(Database::salvage(&path, &folder.path().join("to")), Err(StoreError::Lost { .. })));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_can_be_read_is_saved_and_what_was_lost_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let (path, saved) = (folder.path().join("db"), folder.path().join("saved"));
        damaged(&path, &[3, 4, 10]);

        let salvaged = Database::salvage(&path, &saved).unwrap();

        let jobs = salvaged.iter().find(|table| table.table == "jobs").unwrap();
        assert_eq!(jobs.saved + jobs.lost, JOBS as u64, "{salvaged:?}");
        assert!((3..=30).contains(&jobs.lost), "{salvaged:?}");
        assert!(matches!(Database::salvage(&path, &saved), Err(StoreError::Taken { .. })));
        let database = Database::open(&saved, Access::Own).unwrap();
        let counts = wait(database.counts(NOW)).unwrap();
        assert_eq!(counts.states, [(JobState::Available, jobs.saved)]);
        let claim = Claim { node: NodeId(1), most: JOBS, at_once: JOBS, per_key: u64::MAX, until: NOW };
        assert_eq!(wait(database.claim(claim, NOW)).unwrap().len() as u64, jobs.saved);
        assert_eq!(wait(database.list(Filter { most: JOBS, ..Filter::default() })).unwrap().len() as u64, jobs.saved);
    }

    #[test]
    fn a_sound_database_is_saved_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (path, saved) = (folder.path().join("db"), folder.path().join("saved"));
        damaged(&path, &[]);

        let salvaged = Database::salvage(&path, &saved).unwrap();

        assert!(salvaged.iter().all(|table| table.lost == 0), "{salvaged:?}");
        assert!(salvaged.iter().any(|table| table.saved == JOBS as u64));
    }
}
