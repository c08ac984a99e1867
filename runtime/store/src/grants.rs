use fumehood_model::{ModuleName, Timestamp};
use rusqlite::{Connection, Row, params};

use crate::{Database, ModuleRow, StoreError, database::parsed, modules::put};

/// Something that a module is allowed, as an administrator wrote it down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantRow {
    /// The module.
    pub module: ModuleName,
    /// The one function that may; none for all of them.
    pub function: Option<String>,
    /// The grant as text, in the one way in which it is written.
    pub text: String,
    /// Name of the key that granted it.
    pub granted_by: String,
    /// When.
    pub granted_at: Timestamp,
}

/// What came of adding a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It is in force from now on.
    New,
    /// It was in force already, and is as it was.
    Before,
    /// The module has as many as it may have.
    Full,
}

impl Database {
    /// All grants of all modules, by module and in the order in which they were given.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn grants(&self) -> Result<Vec<GrantRow>, StoreError> {
        self.with(|db| {
            db.prepare_cached(
                "SELECT module, function, text, granted_by, granted_at_ms FROM grants ORDER BY module, rowid",
            )?
            .query_map([], grant_row)?
            .collect()
        })
    }

    /// Add a grant, unless its module has `most` already.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn add_grant(&self, grant: &GrantRow, most: usize) -> Result<Added, StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let grant = grant.clone();
        self.write(move |db| {
            if is_known(db, &grant)? {
                return Ok(Added::Before);
            }
            if count(db, &grant.module)? >= most {
                return Ok(Added::Full);
            }
            insert(db, &grant)?;
            Ok(Added::New)
        })
    }

    /// Add all of `grants`, which are of one module, and put `reviewed` in place of what is stored of it; nothing of it if
    /// the module would have more than `most` grants. Whether it is done.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn approve(&self, reviewed: Option<&ModuleRow>, grants: &[GrantRow], most: usize) -> Result<bool, StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let (reviewed, grants) = (reviewed.cloned(), grants.to_vec());
        self.write(move |db| {
            let mut room = match grants.first() {
                Some(first) => most - count(db, &first.module)?,
                None => 0,
            };
            for grant in &grants {
                room -= i64::from(!is_known(db, grant)?);
            }
            if room < 0 {
                return Ok(false);
            }
            grants.iter().try_for_each(|grant| insert(db, grant))?;
            if let Some(reviewed) = &reviewed {
                put(db, reviewed)?;
            }
            Ok(true)
        })
    }

    /// Take a grant away; whether there was one.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn remove_grant(&self, module: &ModuleName, function: Option<&str>, text: &str) -> Result<bool, StoreError> {
        let (module, function, text) = (module.clone(), function.map(str::to_owned), text.to_owned());
        self.write(move |db| {
            let statement = "DELETE FROM grants WHERE module = ?1 AND function IS ?2 AND text = ?3";
            db.execute(statement, params![module.as_str(), function, text]).map(|rows| rows > 0)
        })
    }
}

/// Whether a grant is in force already.
fn is_known(db: &Connection, grant: &GrantRow) -> rusqlite::Result<bool> {
    let known = "SELECT count(*) FROM grants WHERE module = ?1 AND function IS ?2 AND text = ?3";
    let key = params![grant.module.as_str(), grant.function, grant.text];
    db.query_row(known, key, |row| row.get::<_, i64>(0)).map(|count| count > 0)
}

/// Add a grant that may be there already.
fn insert(db: &Connection, grant: &GrantRow) -> rusqlite::Result<()> {
    db.execute(
        "INSERT OR IGNORE INTO grants (module, function, text, granted_by, granted_at_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            grant.module.as_str(),
            grant.function,
            grant.text,
            grant.granted_by,
            grant.granted_at.unix_ms.cast_signed()
        ],
    )
    .map(drop)
}

/// How many grants a module has.
fn count(db: &Connection, module: &ModuleName) -> rusqlite::Result<i64> {
    db.query_row("SELECT count(*) FROM grants WHERE module = ?1", [module.as_str()], |row| row.get(0))
}

fn grant_row(row: &Row<'_>) -> rusqlite::Result<GrantRow> {
    Ok(GrantRow {
        module: parsed(row, 0)?,
        function: row.get(1)?,
        text: row.get(2)?,
        granted_by: row.get(3)?,
        granted_at: Timestamp { unix_ms: row.get::<_, i64>(4)?.cast_unsigned() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Access, DataDirectory};

    fn row(function: Option<&str>, text: &str) -> GrantRow {
        GrantRow {
            module: "m".parse().unwrap(),
            function: function.map(str::to_owned),
            text: text.into(),
            granted_by: "admin".into(),
            granted_at: Timestamp { unix_ms: 7 },
        }
    }

    #[test]
    fn a_grant_is_kept_once_for_the_module_and_once_for_each_function() {
        let folder = tempfile::tempdir().unwrap();
        let database = DataDirectory::open(folder.path(), Access::Own).unwrap().database().unwrap();
        let rows = [row(None, "scratch"), row(Some("f"), "scratch"), row(None, "secret:A")];
        for row in &rows {
            assert_eq!(database.add_grant(row, 3).unwrap(), Added::New);
        }

        assert_eq!(database.add_grant(&rows[0], 3).unwrap(), Added::Before);
        assert_eq!(database.add_grant(&row(None, "secret:B"), 3).unwrap(), Added::Full);
        assert_eq!(database.grants().unwrap(), rows);

        assert!(database.remove_grant(&rows[0].module, None, "scratch").unwrap());
        assert!(!database.remove_grant(&rows[0].module, None, "scratch").unwrap());
        assert_eq!(database.grants().unwrap(), rows[1..]);
    }

    #[test]
    fn what_does_not_fit_as_a_whole_is_not_approved_in_part() {
        let folder = tempfile::tempdir().unwrap();
        let database = DataDirectory::open(folder.path(), Access::Own).unwrap().database().unwrap();
        let reviewed = ModuleRow {
            name: "m".parse().unwrap(),
            digest: fumehood_model::Digest::of(b"x"),
            size_bytes: 1,
            installed_by: "admin".into(),
            installed_at: Timestamp { unix_ms: 5 },
            manifest: None,
            signature: None,
            asked_before: None,
            defined_before: None,
            pending: None,
            is_pinned: false,
        };
        let rows = [row(None, "secret:A"), row(None, "secret:B"), row(None, "secret:C")];
        database.add_grant(&rows[0], 2).unwrap();

        assert!(!database.approve(Some(&reviewed), &rows, 2).unwrap());
        assert_eq!((database.grants().unwrap(), database.modules().unwrap()), (rows[..1].to_vec(), vec![]));

        assert!(database.approve(Some(&reviewed), &rows, 3).unwrap());
        assert_eq!((database.grants().unwrap(), database.modules().unwrap()), (rows.to_vec(), vec![reviewed]));
    }
}
