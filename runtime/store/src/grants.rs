use fumehood_model::{ModuleName, Timestamp};
use rusqlite::{Row, params};

use crate::{Database, StoreError, database::parsed};

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
            let key = params![grant.module.as_str(), grant.function, grant.text];
            let known = "SELECT count(*) FROM grants WHERE module = ?1 AND function IS ?2 AND text = ?3";
            if db.query_row(known, key, |row| row.get::<_, i64>(0))? > 0 {
                return Ok(Added::Before);
            }
            let count = "SELECT count(*) FROM grants WHERE module = ?1";
            if db.query_row(count, [grant.module.as_str()], |row| row.get::<_, i64>(0))? >= most {
                return Ok(Added::Full);
            }
            db.execute(
                "INSERT INTO grants (module, function, text, granted_by, granted_at_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    grant.module.as_str(),
                    grant.function,
                    grant.text,
                    grant.granted_by,
                    grant.granted_at.unix_ms.cast_signed()
                ],
            )?;
            Ok(Added::New)
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
}
