//! The history of calls in SQLite.

use fumehood_model::{Code, Digest, JobId, KeyId, Timestamp, Usage};
use rusqlite::{Connection, Row, params, params_from_iter, types::Value};
use serde::{Deserialize, de::IntoDeserializer};

use super::{CallFilter, CallRecord, History, STATISTICS_WINDOW, StoredCall, ToolStatistics};
use crate::{
    Database, Verb,
    database::parsed,
    jobs::{ms, timestamp},
};

/// What a call weighs.
const CALL: usize = 256;

impl History for Database {
    fn record(&self, calls: Vec<CallRecord>) -> Verb<'_, ()> {
        self.change_soon(CALL * calls.len(), move |db, _| Ok(calls.iter().try_for_each(|call| insert(db, call))?))
    }

    fn calls(&self, filter: CallFilter) -> Verb<'_, Vec<StoredCall>> {
        self.search_soon(move |db| list(db, &filter))
    }

    fn statistics(&self, filter: CallFilter) -> Verb<'_, Vec<ToolStatistics>> {
        self.search_soon(move |db| statistics(db, &filter))
    }

    fn prune_calls(&self, before: Timestamp, keep: u64, most: usize) -> Verb<'_, u64> {
        self.change_soon(CALL, move |db, _| Ok(prune(db, before, keep, most)?))
    }
}

fn insert(db: &Connection, call: &CallRecord) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO calls (at_ms, tool, digest, key, via, code, fuel_units, memory_bytes, duration_us, job)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        ms(call.at),
        call.tool,
        call.digest.hex(),
        &*call.key.0,
        call.via,
        call.code.map(Code::as_str),
        call.usage.fuel_units.cast_signed(),
        call.usage.memory_bytes.cast_signed(),
        call.usage.duration_us.cast_signed(),
        call.job.map(|id| *id.as_bytes()),
    ])
    .map(drop)
}

/// What a filter asks for: a condition in SQL, and its values.
fn condition(filter: &CallFilter) -> (String, Vec<Value>) {
    let mut sql = "true".to_owned();
    let mut values = Vec::new();
    let mut and = |condition: &str, value: Option<Value>| {
        if let Some(value) = value {
            values.push(value);
            sql.push_str(&format!(" AND {condition} ?{}", values.len()));
        }
    };
    let moment = |at: Option<Timestamp>| at.map(|at| Value::Integer(ms(at)));
    and("tool =", filter.tool.clone().map(Value::Text));
    and("key =", filter.key.as_ref().map(|key| Value::Text(key.to_string())));
    and("at_ms >=", moment(filter.since));
    and("at_ms <", moment(filter.until));
    and("seq <", filter.before.map(|seq| Value::Integer(i64::try_from(seq).unwrap_or(i64::MAX))));
    match filter.outcome.as_deref() {
        None => {}
        Some("ok") => sql.push_str(" AND code IS NULL"),
        Some("error") => sql.push_str(" AND code IS NOT NULL"),
        Some(code) => {
            values.push(Value::Text(code.to_owned()));
            sql.push_str(&format!(" AND code = ?{}", values.len()));
        }
    }
    (sql, values)
}

/// Calls, the newest first. Rows that cannot be read are left out, and named in the log.
fn list(db: &Connection, filter: &CallFilter) -> rusqlite::Result<Vec<StoredCall>> {
    let (condition, values) = condition(filter);
    let sql = format!(
        "SELECT seq, at_ms, tool, digest, key, via, code, fuel_units, memory_bytes, duration_us, job
         FROM calls WHERE {condition} ORDER BY seq DESC LIMIT {}",
        filter.most
    );
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut calls = Vec::new();
    while let Some(row) = rows.next()? {
        match call(row) {
            Ok(call) => calls.push(call),
            Err(error) => {
                let seq: i64 = row.get(0)?;
                tracing::error!(call.seq = seq, %error, blame = "host", "Call {seq} cannot be read and was left out");
            }
        }
    }
    Ok(calls)
}

fn call(row: &Row<'_>) -> rusqlite::Result<StoredCall> {
    let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
    let call = CallRecord {
        at: timestamp(row.get(1)?),
        tool: row.get(2)?,
        digest: parsed::<Digest>(row, 3)?,
        key: KeyId(row.get_ref(4)?.as_str()?.into()),
        via: row.get(5)?,
        code: row.get_ref(6)?.as_str_or_null()?.map(code).transpose()?,
        usage: Usage { fuel_units: number(7)?, memory_bytes: number(8)?, duration_us: number(9)? },
        job: row.get::<_, Option<[u8; 16]>>(10)?.map(JobId::from_bytes),
    };
    Ok(StoredCall { seq: number(0)?, call })
}

fn code(text: &str) -> rusqlite::Result<Code> {
    Code::deserialize(text.into_deserializer()).map_err(|error: serde::de::value::Error| {
        rusqlite::Error::FromSqlConversionFailure(6, rusqlite::types::Type::Text, Box::new(error))
    })
}

/// Figures of each tool, exact over the newest calls that fit.
fn statistics(db: &Connection, filter: &CallFilter) -> rusqlite::Result<Vec<ToolStatistics>> {
    let (condition, values) = condition(filter);
    let window = if filter.most == 0 { STATISTICS_WINDOW } else { filter.most.min(STATISTICS_WINDOW) };
    // Percentiles by the nearest rank: the duration that is at place ceil(n * p) of n sorted ones.
    let sql = format!(
        "WITH fits AS (
             SELECT tool, code, fuel_units, memory_bytes, duration_us, at_ms FROM calls
             WHERE {condition} ORDER BY seq DESC LIMIT {window}
         ), placed AS (
             SELECT *, row_number() OVER (PARTITION BY tool ORDER BY duration_us) AS place,
                 count(*) OVER (PARTITION BY tool) AS calls
             FROM fits
         )
         SELECT tool, max(calls), count(code),
             max(duration_us) FILTER (WHERE place <= (calls * 50 + 99) / 100),
             max(duration_us) FILTER (WHERE place <= (calls * 95 + 99) / 100),
             max(duration_us) FILTER (WHERE place <= (calls * 99 + 99) / 100),
             total(fuel_units), max(memory_bytes), max(at_ms)
         FROM placed GROUP BY tool ORDER BY tool"
    );
    db.prepare_cached(&sql)?
        .query_map(params_from_iter(values), |row| {
            let number = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
            Ok(ToolStatistics {
                tool: row.get(0)?,
                calls: number(1)?,
                errors: number(2)?,
                p50_us: number(3)?,
                p95_us: number(4)?,
                p99_us: number(5)?,
                // A sum of integers that overflows is an error in SQLite; as a float it only loses its last digits.
                fuel_units: row.get::<_, f64>(6)? as u64,
                max_memory_bytes: number(7)?,
                last_at: timestamp(row.get(8)?),
            })
        })?
        .collect()
}

/// Calls that stand too far behind the newest one. Nothing is counted: that would look at all that are kept.
const BEYOND: &str = "DELETE FROM calls WHERE seq IN (
    SELECT seq FROM calls WHERE seq <= (SELECT max(seq) FROM calls) - ?1 ORDER BY seq LIMIT ?2)";

fn prune(db: &Connection, before: Timestamp, keep: u64, most: usize) -> rusqlite::Result<u64> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let keep = i64::try_from(keep).unwrap_or(i64::MAX);
    let old = db
        .prepare_cached(
            "DELETE FROM calls WHERE seq IN (SELECT seq FROM calls WHERE at_ms < ?1 ORDER BY at_ms LIMIT ?2)",
        )?
        .execute([ms(before), most])?;
    let left = most.saturating_sub(i64::try_from(old).unwrap_or(i64::MAX));
    let beyond = db.prepare_cached(BEYOND)?.execute([keep, left])?;
    Ok((old + beyond) as u64)
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;
    use crate::{Access, database::Durability};

    #[test]
    fn forgetting_by_number_does_not_look_at_what_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open_with(&folder.path().join("db"), Access::Own, Durability::Process).unwrap();
        let calls = "WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers LIMIT 50000)
             INSERT INTO calls (at_ms, tool, digest, key, via, fuel_units, memory_bytes, duration_us)
             SELECT number, 't', 'd', 'k', 'rest', 0, 0, 0 FROM numbers";
        database.write(move |db| db.execute(calls, [])).unwrap();

        let (gone, steps) = database
            .write(|db| {
                let gone = prune(db, Timestamp { unix_ms: 0 }, 49_998, 10)?;
                let steps = db.prepare_cached(BEYOND)?.get_status(StatementStatus::VmStep);
                let is_least = "SELECT min(seq) = 3 FROM calls";
                assert!(db.query_row(is_least, [], |row| row.get::<_, bool>(0))?);
                Ok((gone, steps))
            })
            .unwrap();

        assert_eq!(gone, 2);
        assert!((1..1_000).contains(&steps), "it took {steps} steps");
    }
}
