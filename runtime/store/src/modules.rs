use std::collections::BTreeMap;

use fumehood_model::{Digest, ModuleName, Timestamp};
use rusqlite::{Connection, Row, params};

use crate::{Database, StoreError, database::parsed, versions::note_all};

/// An uploaded module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleRow {
    /// Its name.
    pub name: ModuleName,
    /// Which component it is.
    pub digest: Digest,
    /// Size of the component in bytes.
    pub size_bytes: u64,
    /// Name of the key that installed it.
    pub installed_by: String,
    /// When.
    pub installed_at: Timestamp,
    /// The `tool.toml` that was sent with it.
    pub manifest: Option<String>,
    /// The signature that was sent with it, of whatever worth.
    pub signature: Option<String>,
    /// What the version before it asked for, until somebody has reviewed what this one asks for.
    pub asked_before: Option<Vec<String>>,
    /// The hash of what each of its functions said of itself when it was first there or last reviewed, also of those that
    /// this version has not; none while that is what this version says.
    pub defined_before: Option<BTreeMap<String, String>>,
    /// A version that waits to be reviewed before it is served.
    pub pending: Option<PendingRow>,
    /// Whether uploads become versions only, and this one stays served.
    pub is_pinned: bool,
}

/// A version of a module that is not served yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingRow {
    /// Which component it is.
    pub digest: Digest,
    /// Size of the component in bytes.
    pub size_bytes: u64,
    /// The `tool.toml` that was sent with it.
    pub manifest: Option<String>,
    /// The signature that was sent with it, of whatever worth.
    pub signature: Option<String>,
    /// Name of the key that sent it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

impl Database {
    /// All uploaded modules, by name.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn modules(&self) -> Result<Vec<ModuleRow>, StoreError> {
        self.with(|db| {
            db.prepare_cached(
                "SELECT name, digest, size_bytes, installed_by, installed_at_ms, manifest, asked_before,
                    pending_digest, pending_size_bytes, pending_manifest, pending_by, pending_at_ms, defined_before, is_pinned,
                    signature, pending_signature
                 FROM modules ORDER BY name",
            )?
            .query_map([], module_row)?
            .collect()
        })
    }

    /// Add or replace a module, and note the versions that are served and that wait.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn put_module(&self, row: &ModuleRow) -> Result<(), StoreError> {
        let row = row.clone();
        self.write(move |db| put(db, &row))
    }

    /// The uploaded module called `name`.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn module(&self, name: &ModuleName) -> Result<Option<ModuleRow>, StoreError> {
        Ok(self.modules()?.into_iter().find(|row| row.name == *name))
    }

    /// Remove a module with its versions and what it was granted, has used and has kept; whether there was one.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn remove_module(&self, name: &ModuleName) -> Result<bool, StoreError> {
        let name = name.clone();
        self.write(move |db| {
            for table in ["grants", "observed", "keyvalue", "keyvalue_used", "versions", "versions_numbered"] {
                db.execute(&format!("DELETE FROM {table} WHERE module = ?1"), [name.as_str()])?;
            }
            db.execute("DELETE FROM modules WHERE name = ?1", [name.as_str()]).map(|rows| rows > 0)
        })
    }
}

/// Add or replace a module, and note its versions.
pub(crate) fn put(db: &Connection, row: &ModuleRow) -> rusqlite::Result<()> {
    let pending = row.pending.as_ref();
    db.execute(
        "INSERT OR REPLACE INTO modules (name, digest, size_bytes, installed_by, installed_at_ms, manifest,
            asked_before, pending_digest, pending_size_bytes, pending_manifest, pending_by, pending_at_ms,
            defined_before, is_pinned, signature, pending_signature)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        params![
            row.name.as_str(),
            row.digest.to_string(),
            row.size_bytes.cast_signed(),
            row.installed_by,
            row.installed_at.unix_ms.cast_signed(),
            row.manifest,
            row.asked_before.as_ref().map(|asks| asks.join("\n")),
            pending.map(|pending| pending.digest.to_string()),
            pending.map(|pending| pending.size_bytes.cast_signed()),
            pending.and_then(|pending| pending.manifest.as_deref()),
            pending.map(|pending| pending.by.as_str()),
            pending.map(|pending| pending.at.unix_ms.cast_signed()),
            row.defined_before.as_ref().map(written),
            row.is_pinned,
            row.signature,
            pending.and_then(|pending| pending.signature.as_deref()),
        ],
    )?;
    note_all(db, row)
}

fn module_row(row: &Row<'_>) -> rusqlite::Result<ModuleRow> {
    Ok(ModuleRow {
        name: parsed(row, 0)?,
        digest: parsed(row, 1)?,
        size_bytes: row.get::<_, i64>(2)?.cast_unsigned(),
        installed_by: row.get(3)?,
        installed_at: Timestamp { unix_ms: row.get::<_, i64>(4)?.cast_unsigned() },
        manifest: row.get(5)?,
        asked_before: row.get::<_, Option<String>>(6)?.map(|asks| asks.lines().map(str::to_owned).collect()),
        defined_before: row.get::<_, Option<String>>(12)?.map(|text| read(&text)),
        is_pinned: row.get(13)?,
        signature: row.get(14)?,
        pending: if row.get::<_, Option<String>>(7)?.is_some() { Some(pending_row(row)?) } else { None },
    })
}

/// Hashes by functions, one to a line. No function has a tab or an end of a line in its name.
fn written(definitions: &BTreeMap<String, String>) -> String {
    definitions.iter().map(|(function, hash)| format!("{function}\t{hash}\n")).collect()
}

fn read(text: &str) -> BTreeMap<String, String> {
    let pairs = text.lines().filter_map(|line| line.split_once('\t'));
    pairs.map(|(function, hash)| (function.to_owned(), hash.to_owned())).collect()
}

fn pending_row(row: &Row<'_>) -> rusqlite::Result<PendingRow> {
    Ok(PendingRow {
        digest: parsed(row, 7)?,
        size_bytes: row.get::<_, i64>(8)?.cast_unsigned(),
        manifest: row.get(9)?,
        signature: row.get(15)?,
        by: row.get(10)?,
        at: Timestamp { unix_ms: row.get::<_, i64>(11)?.cast_unsigned() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Access, Added, GrantRow};

    #[test]
    fn modules_survive_reopening_and_a_newer_database_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let row = ModuleRow {
            name: "a.b-c".parse().unwrap(),
            digest: Digest::of(b"x"),
            size_bytes: 1,
            installed_by: "admin".into(),
            installed_at: Timestamp { unix_ms: 5 },
            manifest: Some("name = 'a'".into()),
            signature: Some("MEUC".into()),
            asked_before: Some(vec!["scratch".into(), "secret:A".into()]),
            defined_before: Some([("add".into(), "1".into()), ("b.c".into(), "2".into())].into()),
            is_pinned: true,
            pending: Some(PendingRow {
                digest: Digest::of(b"y"),
                size_bytes: 2,
                manifest: None,
                signature: Some("{}".into()),
                by: "ci".into(),
                at: Timestamp { unix_ms: 6 },
            }),
        };
        Database::open(&path, Access::Own).unwrap().put_module(&row).unwrap();

        let database = Database::open(&path, Access::Own).unwrap();
        assert_eq!(database.modules().unwrap(), [row]);

        database.write(|db| db.pragma_update(None, "user_version", 99)).unwrap();
        assert!(matches!(Database::open(&path, Access::Own), Err(StoreError::Newer { found: 99, .. })));
    }

    #[test]
    fn a_module_takes_what_belongs_to_it_along_when_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("db"), Access::Own).unwrap();
        let (gone, stays): (ModuleName, ModuleName) = ("gone".parse().unwrap(), "stays".parse().unwrap());
        for module in [&gone, &stays] {
            let row = GrantRow {
                module: module.clone(),
                function: None,
                text: "scratch".into(),
                granted_by: "admin".into(),
                granted_at: Timestamp { unix_ms: 1 },
            };
            assert_eq!(database.add_grant(&row, 10).unwrap(), Added::New);
            let insert = "INSERT INTO keyvalue (module, bucket, key, value) VALUES (?1, 'b', 'k', x'00')";
            let module = module.clone();
            database.write(move |db| db.execute(insert, [module.as_str()])).unwrap();
        }

        assert!(!database.remove_module(&gone).unwrap());

        let left: Vec<_> = database.grants().unwrap().into_iter().map(|grant| grant.module).collect();
        assert_eq!(left, [stays]);
        let kept = database.with(|db| db.query_row("SELECT count(*) FROM keyvalue", [], |row| row.get::<_, i64>(0)));
        assert_eq!(kept.unwrap(), 1);
    }
}
