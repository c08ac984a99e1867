use fumehood_model::{Digest, ModuleName, Timestamp};
use rusqlite::{Connection, Row, params};

use crate::{Database, ModuleRow, PendingRow, StoreError, database::parsed, modules::put};

/// A version of an uploaded module, served or not: one component with one manifest. It never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRow {
    /// Which version of its module: 1, 2, 3, and so on, in the order of the uploads.
    pub number: u64,
    /// Which component it is.
    pub digest: Digest,
    /// Size of the component in bytes.
    pub size_bytes: u64,
    /// The `tool.toml` that was sent with it.
    pub manifest: Option<String>,
    /// The last signature that was sent with it, of whatever worth.
    pub signature: Option<String>,
    /// Name of the key that sent it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// When it was served, in the order in which versions of the module were; none if it never was.
    pub served: Option<u64>,
}

/// What is sent to become a version of a module.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent<'a> {
    pub(crate) digest: Digest,
    pub(crate) size_bytes: u64,
    pub(crate) manifest: Option<&'a str>,
    pub(crate) signature: Option<&'a str>,
    pub(crate) by: &'a str,
    pub(crate) at: Timestamp,
    pub(crate) is_served: bool,
}

impl<'a> Sent<'a> {
    fn waiting(version: &'a PendingRow) -> Self {
        let PendingRow { digest, size_bytes, manifest, signature, by, at } = version;
        Self {
            digest: *digest,
            size_bytes: *size_bytes,
            manifest: manifest.as_deref(),
            signature: signature.as_deref(),
            by,
            at: *at,
            is_served: false,
        }
    }
}

impl Database {
    /// The versions of a module, the newest first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn versions(&self, module: &ModuleName) -> Result<Vec<VersionRow>, StoreError> {
        self.with(|db| {
            db.prepare_cached(
                "SELECT number, digest, size_bytes, manifest, sent_by, sent_at_ms, served, signature
                 FROM versions WHERE module = ?1 ORDER BY number DESC",
            )?
            .query_map([module.as_str()], version_row)?
            .collect()
        })
    }

    /// Whether a component is that of any version of any module.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn is_version(&self, component: &Digest) -> Result<bool, StoreError> {
        self.with(|db| {
            db.prepare_cached("SELECT EXISTS (SELECT 1 FROM versions WHERE digest = ?1)")?
                .query_row([component.to_string()], |row| row.get(0))
        })
    }

    /// Forget all but the newest `most` versions of a module, of those that are neither served nor wait; their components.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn prune_versions(&self, module: &ModuleName, most: u64) -> Result<Vec<Digest>, StoreError> {
        let module = module.clone();
        self.write(move |db| {
            db.prepare_cached(
                "DELETE FROM versions WHERE module = ?1
                    AND number NOT IN (SELECT number FROM versions WHERE module = ?1 ORDER BY number DESC LIMIT ?2)
                    AND NOT EXISTS (SELECT 1 FROM modules WHERE name = ?1
                        AND (modules.digest = versions.digest AND modules.manifest IS versions.manifest
                            OR pending_digest = versions.digest AND pending_manifest IS versions.manifest))
                 RETURNING digest",
            )?
            .query_map(params![module.as_str(), most.cast_signed()], |row| parsed(row, 0))?
            .collect()
        })
    }

    /// Put `row`, whose version that waited is rejected, and forget that version, unless it was served once: all of it or
    /// nothing.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn reject_version(&self, row: &ModuleRow, rejected: &PendingRow) -> Result<(), StoreError> {
        let (row, rejected) = (row.clone(), rejected.clone());
        self.write(move |db| {
            put(db, &row)?;
            let sql = "DELETE FROM versions WHERE module = ?1 AND digest = ?2 AND manifest IS ?3 AND served IS NULL";
            db.execute(sql, params![row.name.as_str(), rejected.digest.to_string(), rejected.manifest]).map(drop)
        })
    }

    /// Keep a version that is not to be served yet; its number.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn add_version(&self, module: &ModuleName, version: &PendingRow) -> Result<u64, StoreError> {
        let (module, version) = (module.clone(), version.clone());
        self.write(move |db| {
            note(db, &module, Sent::waiting(&version))?;
            let PendingRow { digest, manifest, .. } = &version;
            let sql = "SELECT number FROM versions WHERE module = ?1 AND digest = ?2 AND manifest IS ?3";
            db.prepare_cached(sql)?
                .query_row(params![module.as_str(), digest.to_string(), manifest], |row| row.get::<_, i64>(0))
                .map(i64::cast_unsigned)
        })
    }

    /// Put `row` in the place of `before`, and note that it is served anew, right after that one.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn put_module_anew(&self, row: &ModuleRow, before: Option<&ModuleRow>) -> Result<(), StoreError> {
        let (row, before) = (row.clone(), before.cloned());
        self.write(move |db| {
            put(db, &row)?;
            for served in before.iter().chain([&row]) {
                let sql =
                    "UPDATE versions SET served = (SELECT ifnull(max(served), 0) + 1 FROM versions WHERE module = ?1)
                    WHERE module = ?1 AND digest = ?2 AND manifest IS ?3";
                db.execute(sql, params![served.name.as_str(), served.digest.to_string(), served.manifest])?;
            }
            Ok(())
        })
    }
}

/// Note the versions that a module is served in and that waits. One that is known already stays what it is, but for a newer
/// signature.
pub(crate) fn note_all(db: &Connection, row: &ModuleRow) -> rusqlite::Result<()> {
    let served = Sent {
        digest: row.digest,
        size_bytes: row.size_bytes,
        manifest: row.manifest.as_deref(),
        signature: row.signature.as_deref(),
        by: &row.installed_by,
        at: row.installed_at,
        is_served: true,
    };
    note(db, &row.name, served)?;
    row.pending.as_ref().map_or(Ok(()), |pending| note(db, &row.name, Sent::waiting(pending)))
}

fn note(db: &Connection, module: &ModuleName, sent: Sent<'_>) -> rusqlite::Result<()> {
    let Sent { digest, size_bytes, manifest, signature, by, at, is_served } = sent;
    let digest = digest.to_string();
    let known = "SELECT EXISTS (SELECT 1 FROM versions WHERE module = ?1 AND digest = ?2 AND manifest IS ?3)";
    if !db.prepare_cached(known)?.query_row(params![module.as_str(), digest, manifest], |row| row.get(0))? {
        db.prepare_cached(
            // Also where a part of either was lost with a disk.
            "INSERT INTO versions_numbered SELECT ?1, ifnull(max(number), 0) + 1 FROM versions WHERE module = ?1
             ON CONFLICT DO UPDATE SET last = max(last + 1, excluded.last)",
        )?
        .execute([module.as_str()])?;
        db.prepare_cached(
            "INSERT INTO versions (module, number, digest, size_bytes, manifest, sent_by, sent_at_ms)
             VALUES (?1, (SELECT last FROM versions_numbered WHERE module = ?1), ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            module.as_str(),
            digest,
            size_bytes.cast_signed(),
            manifest,
            by,
            at.unix_ms.cast_signed()
        ])?;
    }
    if signature.is_some() {
        let sql = "UPDATE versions SET signature = ?4 WHERE module = ?1 AND digest = ?2 AND manifest IS ?3";
        db.prepare_cached(sql)?.execute(params![module.as_str(), digest, manifest, signature])?;
    }
    if is_served {
        let first = "UPDATE versions SET served = (SELECT ifnull(max(served), 0) + 1 FROM versions WHERE module = ?1)
            WHERE module = ?1 AND digest = ?2 AND manifest IS ?3 AND served IS NULL";
        db.prepare_cached(first)?.execute(params![module.as_str(), digest, manifest])?;
    }
    Ok(())
}

fn version_row(row: &Row<'_>) -> rusqlite::Result<VersionRow> {
    Ok(VersionRow {
        number: row.get::<_, i64>(0)?.cast_unsigned(),
        digest: parsed(row, 1)?,
        size_bytes: row.get::<_, i64>(2)?.cast_unsigned(),
        manifest: row.get(3)?,
        by: row.get(4)?,
        at: Timestamp { unix_ms: row.get::<_, i64>(5)?.cast_unsigned() },
        served: row.get::<_, Option<i64>>(6)?.map(i64::cast_unsigned),
        signature: row.get(7)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Access;

    fn row(component: &[u8], manifest: Option<&str>) -> ModuleRow {
        ModuleRow {
            name: "it".parse().unwrap(),
            digest: Digest::of(component),
            size_bytes: component.len() as u64,
            installed_by: "admin".into(),
            installed_at: Timestamp { unix_ms: 5 },
            manifest: manifest.map(str::to_owned),
            signature: None,
            asked_before: None,
            defined_before: None,
            pending: None,
            is_pinned: false,
        }
    }

    fn numbers(database: &Database) -> Vec<u64> {
        database.versions(&"it".parse().unwrap()).unwrap().iter().map(|version| version.number).collect()
    }

    #[test]
    fn every_component_with_its_manifest_is_a_version_once() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("db"), Access::Own).unwrap();
        for (component, manifest) in
            [(b"a", None), (b"b", None), (b"a", Some("version = '2'")), (b"a", None), (b"b", None)]
        {
            database.put_module(&row(component, manifest)).unwrap();
        }
        let pending = PendingRow {
            digest: Digest::of(b"c"),
            size_bytes: 1,
            manifest: None,
            signature: None,
            by: "ci".into(),
            at: Timestamp { unix_ms: 6 },
        };
        database.put_module(&ModuleRow { pending: Some(pending), ..row(b"b", None) }).unwrap();

        let versions = database.versions(&"it".parse().unwrap()).unwrap();
        let seen: Vec<_> = versions.iter().map(|v| (v.number, v.digest, v.manifest.is_some(), v.served)).collect();
        let (a, b, c) = (Digest::of(b"a"), Digest::of(b"b"), Digest::of(b"c"));
        assert_eq!(seen, [(4, c, false, None), (3, a, true, Some(3)), (2, b, false, Some(2)), (1, a, false, Some(1))]);
        assert!(database.is_version(&c).unwrap() && !database.is_version(&Digest::of(b"d")).unwrap());
    }

    #[test]
    fn a_version_has_the_last_signature_that_came_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("db"), Access::Own).unwrap();
        let signed = |signature: Option<&str>| ModuleRow { signature: signature.map(str::to_owned), ..row(b"a", None) };
        let kept = || database.versions(&"it".parse().unwrap()).unwrap().remove(0).signature;

        for (sent, expected) in [(None, None), (Some("1"), Some("1")), (Some("2"), Some("2")), (None, Some("2"))] {
            database.put_module(&signed(sent)).unwrap();
            assert_eq!(kept().as_deref(), expected);
        }
    }

    #[test]
    fn old_versions_go_but_for_the_one_that_is_served() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("db"), Access::Own).unwrap();
        let name = "it".parse().unwrap();
        for component in [b"a", b"b", b"c", b"d", b"a"] {
            database.put_module(&row(component, None)).unwrap();
        }

        let gone = database.prune_versions(&name, 2).unwrap();

        assert_eq!((gone, numbers(&database)), (vec![Digest::of(b"b")], vec![4, 3, 1]));
        let pending = |component: &[u8]| PendingRow {
            digest: Digest::of(component),
            size_bytes: 1,
            manifest: None,
            signature: None,
            by: "ci".into(),
            at: Timestamp { unix_ms: 6 },
        };
        assert_eq!(database.add_version(&name, &pending(b"x")).unwrap(), 5);
        // What was served once is not forgotten because it is rejected when it comes again.
        for rejected in [b"d", b"x"] {
            database.reject_version(&row(b"a", None), &pending(rejected)).unwrap();
        }
        assert_eq!(numbers(&database), [4, 3, 1]);
        // Served anew, right after the one that it takes the place of.
        database.put_module_anew(&row(b"c", None), Some(&row(b"a", None))).unwrap();
        let served = |database: &Database| -> Vec<_> {
            database.versions(&name).unwrap().iter().map(|version| (version.number, version.served)).collect()
        };
        assert_eq!(served(&database), [(4, Some(4)), (3, Some(6)), (1, Some(5))]);
        database.put_module(&row(b"a", None)).unwrap();
        database.put_module(&row(b"e", None)).unwrap();
        assert_eq!(numbers(&database), [6, 4, 3, 1], "no number is given again");
        assert!(database.remove_module(&name).unwrap());
        assert_eq!(numbers(&database), [0; 0]);
        database.put_module(&row(b"a", None)).unwrap();
        assert_eq!(numbers(&database), [1], "a name that nothing has begins anew");
    }
}
