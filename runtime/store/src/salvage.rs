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
    /// Rows that were lost.
    pub lost: Lost,
}

/// How many rows were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// At most this many: that is for how many there was a place. None if it is zero.
    AtMost(u64),
    /// Nothing tells how many, as the end of the table cannot be read, or nothing of it at all.
    Unknown,
}

impl Lost {
    /// Whether it is certain that nothing was lost.
    #[must_use]
    pub fn is_nothing(self) -> bool {
        self == Self::AtMost(0)
    }

    fn and(self, more: u64) -> Self {
        match self {
            Self::AtMost(rows) => Self::AtMost(rows + more),
            Self::Unknown => Self::Unknown,
        }
    }
}

impl Database {
    /// Copy every row that can be read of the damaged database `from` into a new one, `to`. `from` stays as it is. Blocks.
    ///
    /// Nothing comes of a database that is not damaged: then nothing is written.
    ///
    /// # Errors
    ///
    /// When there is something at `to`, nothing at all can be read of `from`, or `to` cannot be written.
    pub fn salvage(from: &Path, to: &Path) -> Result<Option<Vec<Salvaged>>, StoreError> {
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
        if is_sound(&old)? {
            return Ok(None);
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
        Ok(Some(salvaged))
    }
}

/// Whether nothing is wrong with a database, its indexes included.
fn is_sound(path: &Path) -> Result<bool, StoreError> {
    let verdict = connect(path)?.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
    // Whatever keeps it from being looked through is told by what follows, unless that gets along with it.
    Ok(verdict.is_ok_and(|verdict| verdict == "ok"))
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
    forget_orphans(&to, &mut salvaged).map_err(error)?;
    recount(&to, &mut salvaged).map_err(error)?;
    transaction.commit().map_err(error)?;
    Ok(salvaged)
}

fn tables(db: &Connection) -> rusqlite::Result<Vec<String>> {
    db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// Forget what belongs to jobs that were lost: new jobs get their numbers, and must not find it.
fn forget_orphans(db: &Connection, salvaged: &mut [Salvaged]) -> rusqlite::Result<()> {
    for (name, job) in [("job_events", "job"), ("job_bodies", "body / 4")] {
        let gone = db.execute(&format!("DELETE FROM {name} WHERE {job} NOT IN (SELECT seq FROM jobs)"), [])? as u64;
        for table in salvaged.iter_mut().filter(|table| table.table == name) {
            (table.saved, table.lost) = (table.saved - gone, table.lost.and(gone));
        }
    }
    Ok(())
}

/// What is counted as it changes, as it would have been counted, and rows that must be there.
fn recount(db: &Connection, salvaged: &mut [Salvaged]) -> rusqlite::Result<()> {
    db.execute_batch(
        "INSERT INTO catalogue SELECT 0 WHERE NOT EXISTS (SELECT * FROM catalogue);
         DELETE FROM keyvalue_used;
         INSERT INTO keyvalue_used (module, bucket, bytes, keys)
             SELECT module, bucket, sum(octet_length(key) + octet_length(value)), count(*) FROM keyvalue
             GROUP BY module, bucket;
         INSERT OR IGNORE INTO job_clock VALUES (1, 0, (SELECT ifnull(max(version), 0) FROM schedules));
         INSERT OR IGNORE INTO job_counts VALUES (0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0),
             (9, 0);
         UPDATE job_counts SET count = (SELECT count(*) FROM jobs WHERE jobs.state = job_counts.state);
         INSERT OR IGNORE INTO job_shares (owner, waiting, available, running, used_us, guess_us)
             SELECT DISTINCT owner, 0, 0, 0, 0, 10000 FROM jobs;
         UPDATE job_shares SET
             waiting = (SELECT count(*) FROM jobs WHERE jobs.owner = job_shares.owner AND state IN (0, 1, 4)),
             available = (SELECT count(*) FROM jobs WHERE jobs.owner = job_shares.owner AND state = 0),
             running = (SELECT count(*) FROM jobs WHERE jobs.owner = job_shares.owner AND state = 2);",
    )?;
    // Of these, all that was lost is there again.
    for table in
        salvaged.iter_mut().filter(|table| ["catalogue", "job_counts", "keyvalue_used"].contains(&&*table.table))
    {
        let count = format!("SELECT count(*) FROM {}", table.table);
        table.saved = db.query_row(&count, [], |row| row.get::<_, i64>(0))?.cast_unsigned();
        table.lost = Lost::AtMost(0);
    }
    Ok(())
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
    fn copy_by_row(&self, from: &Connection, to: &Connection) -> rusqlite::Result<(u64, Lost)> {
        let forth = format!("SELECT {}, rowid FROM {} WHERE rowid >= ?1 ORDER BY rowid", self.columns, self.name);
        let back = format!(
            "SELECT {}, rowid FROM {} WHERE rowid < ?1 AND rowid > ?2 ORDER BY rowid DESC",
            self.columns, self.name
        );
        let last = format!("SELECT rowid FROM {} ORDER BY rowid DESC LIMIT 1", self.name);
        let last = from.query_row(&last, [], |row| row.get::<_, i64>(0)).optional();
        let (mut saved, mut lost) = (0, 0);
        // The row after the last one that was read, or to which a leap led.
        let mut next = i64::MIN;
        // Where something that cannot be read begins, until what comes after it is found.
        let mut gap = None;
        loop {
            let run = self.copy_run(from, to, &forth, &[next])?;
            if let Some(start) = gap
                && (run.last.is_some() || !run.failed)
            {
                let before = self.copy_back(from, to, &back, next, start)?;
                (saved, lost) = (saved + before.saved, lost + before.refused);
                gap = None;
            }
            saved += run.saved;
            lost += run.refused;
            if let Some(last) = run.last {
                next = last + 1;
            }
            if !run.failed {
                return Ok((saved, Lost::AtMost(lost)));
            }
            // A first row that cannot be read: numbers begin with one.
            next = next.max(1);
            let start = *gap.get_or_insert(next);
            let end = match &last {
                Ok(Some(last)) => *last,
                Ok(None) => return Ok((saved, Lost::Unknown)),
                // The end cannot be read either: it is looked for, but not for ever.
                Err(_) => start.saturating_add(1 << 32),
            };
            if next > end {
                let Ok(Some(_)) = last else { return Ok((saved, Lost::Unknown)) };
                // The last row is there and cannot be read; what stands before it may be.
                let before = self.copy_back(from, to, &back, end, start)?;
                return Ok((saved + before.saved, Lost::AtMost(lost + before.refused + 1)));
            }
            // Ever further, but never so far that much is leapt over.
            let leap = ((next - start) / 8).max(1);
            next = next.saturating_add(leap).min(end.saturating_add(1));
        }
    }

    /// Leaping may have gone too far: what lies between `start` and `end` is read backwards, until that fails as well. What
    /// is left between them counts as refused.
    fn copy_back(&self, from: &Connection, to: &Connection, back: &str, end: i64, start: i64) -> rusqlite::Result<Run> {
        let mut run = self.copy_run(from, to, back, &[end, start - 1])?;
        if run.failed {
            run.refused += u64::try_from(run.last.unwrap_or(end) - start).unwrap_or(0);
        }
        Ok(run)
    }

    /// Copy rows from both ends, until they meet or neither goes on.
    fn copy_by_key(&self, from: &Connection, to: &Connection, backwards: &str) -> rusqlite::Result<(u64, Lost)> {
        let all = format!("SELECT {}, 0 FROM {}", self.columns, self.name);
        let forth = self.copy_run(from, to, &all, &[])?;
        if !forth.failed {
            return Ok((forth.saved, Lost::AtMost(forth.refused)));
        }
        let back = self.copy_run(from, to, &format!("{all} ORDER BY {backwards}"), &[])?;
        // How many lie between cannot be told.
        Ok((forth.saved + back.saved, Lost::Unknown))
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
    use pollster::block_on;

    use super::*;
    use crate::{Access, Bounds, Claim, Filter, Jobs, NewJob, NodeId};

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
        let leaves = filled(path);
        spoil(path, pages.iter().map(|page| leaves[*page]));
    }

    /// A database with jobs, each with an event and something that stands apart. The pages with rows of jobs, in their order.
    fn filled(path: &Path) -> Vec<u32> {
        let database = Database::open(path, Access::Own).unwrap();
        let bounds = Bounds { waiting: 1_000, waiting_per_key: 1_000 };
        block_on(database.submit((0..JOBS).map(job).collect(), bounds, NOW)).unwrap();
        let more = "INSERT INTO job_events SELECT seq, 2, 0, 0, 'info', 'of ' || seq FROM jobs;
             INSERT INTO job_bodies SELECT 4 * seq + 2, x'00' FROM jobs;
             INSERT INTO keys SELECT seq, 'k', x'00', '[]', 0, NULL, NULL FROM jobs LIMIT 10;";
        database.write(move |db| db.execute_batch(more)).unwrap();
        let numbers = "SELECT pageno FROM dbstat WHERE name = 'jobs' AND pagetype = 'leaf' ORDER BY path";
        let found: Result<Vec<u32>, _> =
            database.with(|db| db.prepare(numbers)?.query_map([], |row| row.get(0))?.collect());
        found.unwrap()
    }

    fn spoil(path: &Path, pages: impl IntoIterator<Item = u32>) {
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        for page in pages {
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

        let salvaged = Database::salvage(&path, &saved).unwrap().unwrap();

        let jobs = of(&salvaged, "jobs");
        let Lost::AtMost(lost) = jobs.lost else { panic!("its end can be read: {salvaged:?}") };
        assert_eq!(jobs.saved + lost, JOBS as u64, "{salvaged:?}");
        assert!((3..=30).contains(&lost), "{salvaged:?}");
        assert!(matches!(Database::salvage(&path, &saved), Err(StoreError::Taken { .. })));
        let database = Database::open(&saved, Access::Own).unwrap();
        let counts = block_on(database.counts(NOW)).unwrap();
        assert_eq!(counts.states, [(JobState::Available, jobs.saved)]);
        let claim = Claim { node: NodeId(1), most: JOBS, at_once: JOBS, per_key: u64::MAX, until: NOW };
        assert_eq!(block_on(database.claim(claim, NOW)).unwrap().len() as u64, jobs.saved);
        assert_eq!(
            block_on(database.list(Filter { most: JOBS, ..Filter::default() })).unwrap().len() as u64,
            jobs.saved
        );
    }

    #[test]
    fn nothing_is_made_of_a_database_that_is_not_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let (path, saved) = (folder.path().join("db"), folder.path().join("saved"));
        filled(&path);
        let before = fs::read(&path).unwrap();

        let salvaged = Database::salvage(&path, &saved).unwrap();

        assert_eq!(salvaged, None);
        assert!(fs::read(&path).unwrap() == before);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_database_of_which_only_an_index_is_damaged_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (path, saved) = (folder.path().join("db"), folder.path().join("saved"));
        filled(&path);
        spoil(&path, [root(&path, "jobs_id")]);

        let salvaged = Database::salvage(&path, &saved).unwrap().unwrap();

        assert!(salvaged.iter().all(|table| table.lost.is_nothing()), "{salvaged:?}");
        assert_eq!(of(&salvaged, "jobs").saved, JOBS as u64);
    }

    #[test]
    fn what_belonged_to_lost_jobs_is_not_found_by_new_ones() {
        let folder = tempfile::tempdir().unwrap();
        let (path, saved) = (folder.path().join("db"), folder.path().join("saved"));
        let leaves = filled(&path);
        spoil(&path, leaves.iter().rev().take(2).copied());

        let salvaged = Database::salvage(&path, &saved).unwrap().unwrap();

        let jobs = of(&salvaged, "jobs");
        assert_eq!(jobs.lost, Lost::Unknown, "nothing tells how many came after the last that can be read");
        assert!((300..JOBS as u64).contains(&jobs.saved), "{salvaged:?}");
        for apart in ["job_events", "job_bodies"] {
            let apart = of(&salvaged, apart);
            assert_eq!((apart.saved, apart.lost), (jobs.saved, Lost::AtMost(JOBS as u64 - jobs.saved)));
        }
        let database = Database::open(&saved, Access::Own).unwrap();
        let bounds = Bounds { waiting: 1_000, waiting_per_key: 1_000 };
        let new = JOBS..JOBS + 20;
        block_on(database.submit(new.clone().map(job).collect(), bounds, NOW)).unwrap();
        for number in new {
            assert_eq!(block_on(database.events(job(number).id, 0, 9)).unwrap(), [], "job {number}");
        }
        let apart = "SELECT count(*) FROM job_bodies WHERE body / 4 NOT IN (SELECT seq FROM jobs WHERE id <= ?1)";
        let last = job(JOBS - 1).id;
        let apart = database.with(move |db| db.query_row(apart, [last.as_bytes()], |row| row.get::<_, i64>(0)));
        assert_eq!(apart.unwrap(), 0);
    }

    #[test]
    fn of_a_table_that_cannot_be_read_at_all_it_is_not_told_how_much_was_lost() {
        for table in ["jobs", "keys", "job_events"] {
            let folder = tempfile::tempdir().unwrap();
            let (path, saved) = (folder.path().join("db"), folder.path().join("saved"));
            filled(&path);
            spoil(&path, [root(&path, table)]);

            let salvaged = Database::salvage(&path, &saved).unwrap().unwrap();

            assert_eq!((of(&salvaged, table).saved, of(&salvaged, table).lost), (0, Lost::Unknown), "{table}");
        }
    }

    #[test]
    fn a_last_row_that_alone_can_be_read_after_a_gap_is_saved() {
        let folder = tempfile::tempdir().unwrap();
        let (path, saved) = (folder.path().join("db"), folder.path().join("saved"));
        let leaves = filled(&path);
        spoil(&path, leaves[1..leaves.len() - 1].iter().copied());

        let salvaged = Database::salvage(&path, &saved).unwrap().unwrap();

        let jobs = of(&salvaged, "jobs");
        assert_eq!(jobs.lost, Lost::AtMost(JOBS as u64 - jobs.saved));
        let database = Database::open(&saved, Access::Own).unwrap();
        assert!(block_on(database.job(job(JOBS - 1).id)).unwrap().is_some());
    }

    #[test]
    fn rows_that_must_be_there_and_what_is_counted_are_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, saved) = (folder.path().join("db"), folder.path().join("saved"));
        filled(&path);
        spoil(&path, ["catalogue", "job_clock", "job_counts", "keyvalue_used"].map(|table| root(&path, table)));

        let salvaged = Database::salvage(&path, &saved).unwrap().unwrap();

        assert!(of(&salvaged, "job_counts").lost.is_nothing());
        let database = Database::open(&saved, Access::Own).unwrap();
        assert_eq!(database.generation().unwrap(), 0);
        assert_eq!(block_on(database.counts(NOW)).unwrap().states, [(JobState::Available, JOBS as u64)]);
    }

    fn of<'a>(salvaged: &'a [Salvaged], table: &str) -> &'a Salvaged {
        salvaged.iter().find(|saved| saved.table == table).unwrap()
    }

    /// The first page of a table or an index.
    fn root(path: &Path, name: &str) -> u32 {
        let sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
        connect(path).unwrap().query_row(sql, [name], |row| row.get(0)).unwrap()
    }
}
