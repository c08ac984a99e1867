use fumehood_model::{ModuleName, Timestamp};
use rusqlite::{Row, params};

use crate::{Database, StoreError, database::parsed};

/// How often calls of a module used something, or were refused it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The module.
    pub module: ModuleName,
    /// The narrowest grant that covers the use, as text.
    pub text: String,
    /// How often it was allowed.
    pub allowed: u64,
    /// How often it was refused.
    pub denied: u64,
    /// When it was first seen.
    pub first: Timestamp,
    /// When it was last seen.
    pub last: Timestamp,
}

impl Database {
    /// What calls of `module` have used, the last first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn observations(&self, module: &ModuleName) -> Result<Vec<Observation>, StoreError> {
        self.with(|db| {
            db.prepare_cached(
                "SELECT module, text, allowed_count, denied_count, first_ms, last_ms FROM observed
                 WHERE module = ?1 ORDER BY last_ms DESC, text",
            )?
            .query_map([module.as_str()], observation)?
            .collect()
        })
    }

    /// Add what was seen since the last time to what is kept, and keep at most `most` for each module.
    ///
    /// What was allowed is kept before what was only refused, then what was seen last: a guest that tries a thousand
    /// hosts does not push out what it really uses.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn add_observations(&self, seen: &[Observation], most: usize) -> Result<(), StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let seen = seen.to_vec();
        self.write(move |db| {
            for seen in &seen {
                db.prepare_cached(
                    "INSERT INTO observed (module, text, allowed_count, denied_count, first_ms, last_ms)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT (module, text) DO UPDATE SET
                        allowed_count = allowed_count + excluded.allowed_count,
                        denied_count = denied_count + excluded.denied_count,
                        last_ms = max(last_ms, excluded.last_ms)",
                )?
                .execute(params![
                    seen.module.as_str(),
                    seen.text,
                    seen.allowed.cast_signed(),
                    seen.denied.cast_signed(),
                    seen.first.unix_ms.cast_signed(),
                    seen.last.unix_ms.cast_signed(),
                ])?;
            }
            let mut modules: Vec<_> = seen.iter().map(|seen| seen.module.as_str()).collect();
            modules.sort_unstable();
            modules.dedup();
            for module in modules {
                db.prepare_cached(
                    "DELETE FROM observed WHERE module = ?1 AND text NOT IN (
                        SELECT text FROM observed WHERE module = ?1
                        ORDER BY allowed_count > 0 DESC, last_ms DESC, text LIMIT ?2)",
                )?
                .execute(params![module, most])?;
            }
            Ok(())
        })
    }
}

fn observation(row: &Row<'_>) -> rusqlite::Result<Observation> {
    let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
    Ok(Observation {
        module: parsed(row, 0)?,
        text: row.get(1)?,
        allowed: number(2)?,
        denied: number(3)?,
        first: Timestamp { unix_ms: number(4)? },
        last: Timestamp { unix_ms: number(5)? },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Access, DataDirectory};

    fn seen(text: &str, allowed: u64, denied: u64, at: u64) -> Observation {
        let at = Timestamp { unix_ms: at };
        Observation { module: "m".parse().unwrap(), text: text.into(), allowed, denied, first: at, last: at }
    }

    #[test]
    fn counts_add_up_and_what_was_only_refused_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let database = DataDirectory::open(folder.path(), Access::Own).unwrap().database().unwrap();
        database.add_observations(&[seen("a", 1, 0, 10), seen("b", 0, 2, 20)], 2).unwrap();

        database.add_observations(&[seen("a", 2, 1, 30)], 2).unwrap();
        database.add_observations(&[seen("c", 0, 1, 40)], 2).unwrap();

        let kept = database.observations(&"m".parse().unwrap()).unwrap();
        let first = Timestamp { unix_ms: 10 };
        assert_eq!(kept, [seen("c", 0, 1, 40), Observation { first, ..seen("a", 3, 1, 30) }]);
    }
}
