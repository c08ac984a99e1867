use fumehood_model::{Digest, ModuleName, Timestamp};
use rusqlite::{Connection, Row, params};

use crate::{Database, ModuleRow, StoreError, database::parsed};

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
    /// Name of the key that sent it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Whether it was ever served.
    pub was_served: bool,
}

/// What is sent to become a version of a module.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent<'a> {
    pub(crate) digest: Digest,
    pub(crate) size_bytes: u64,
    pub(crate) manifest: Option<&'a str>,
    pub(crate) by: &'a str,
    pub(crate) at: Timestamp,
    pub(crate) is_served: bool,
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
                "SELECT number, digest, size_bytes, manifest, sent_by, sent_at_ms, was_served
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

    /// Forget one version of a module, as it was sent.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn remove_version(
        &self,
        module: &ModuleName,
        digest: Digest,
        manifest: Option<&str>,
    ) -> Result<(), StoreError> {
        let (module, manifest) = (module.clone(), manifest.map(str::to_owned));
        self.write(move |db| {
            let sql = "DELETE FROM versions WHERE module = ?1 AND digest = ?2 AND manifest IS ?3";
            db.execute(sql, params![module.as_str(), digest.to_string(), manifest]).map(drop)
        })
    }

    /// Keep a version that is not to be served yet.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn add_version(&self, module: &ModuleName, version: &VersionRow) -> Result<(), StoreError> {
        let (module, version) = (module.clone(), version.clone());
        self.write(move |db| {
            let VersionRow { digest, size_bytes, manifest, by, at, .. } = &version;
            let (manifest, by) = (manifest.as_deref(), by.as_str());
            let sent = Sent { digest: *digest, size_bytes: *size_bytes, manifest, by, at: *at, is_served: false };
            note(db, &module, sent)
        })
    }
}

/// Note the versions that a module is served in and that waits. One that is known already stays what it is.
pub(crate) fn note_all(db: &Connection, row: &ModuleRow) -> rusqlite::Result<()> {
    let ModuleRow { name, digest, size_bytes, installed_by, installed_at, manifest, pending, .. } = row;
    let (manifest, by, at) = (manifest.as_deref(), installed_by.as_str(), *installed_at);
    note(db, name, Sent { digest: *digest, size_bytes: *size_bytes, manifest, by, at, is_served: true })?;
    let Some(pending) = pending else { return Ok(()) };
    let (manifest, by, at) = (pending.manifest.as_deref(), pending.by.as_str(), pending.at);
    note(db, name, Sent { digest: pending.digest, size_bytes: pending.size_bytes, manifest, by, at, is_served: false })
}

fn note(db: &Connection, module: &ModuleName, sent: Sent<'_>) -> rusqlite::Result<()> {
    let Sent { digest, size_bytes, manifest, by, at, is_served } = sent;
    let known = "UPDATE versions SET was_served = max(was_served, ?4)
        WHERE module = ?1 AND digest = ?2 AND manifest IS ?3";
    let digest = digest.to_string();
    if db.prepare_cached(known)?.execute(params![module.as_str(), digest, manifest, is_served])? > 0 {
        return Ok(());
    }
    db.prepare_cached(
        // Also where a part of either was lost with a disk.
        "INSERT INTO versions_numbered SELECT ?1, ifnull(max(number), 0) + 1 FROM versions WHERE module = ?1
         ON CONFLICT DO UPDATE SET last = max(last + 1, excluded.last)",
    )?
    .execute([module.as_str()])?;
    db.prepare_cached(
        "INSERT INTO versions (module, number, digest, size_bytes, manifest, sent_by, sent_at_ms, was_served)
         VALUES (?1, (SELECT last FROM versions_numbered WHERE module = ?1), ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        module.as_str(),
        digest,
        size_bytes.cast_signed(),
        manifest,
        by,
        at.unix_ms.cast_signed(),
        is_served
    ])
    .map(drop)
}

fn version_row(row: &Row<'_>) -> rusqlite::Result<VersionRow> {
    Ok(VersionRow {
        number: row.get::<_, i64>(0)?.cast_unsigned(),
        digest: parsed(row, 1)?,
        size_bytes: row.get::<_, i64>(2)?.cast_unsigned(),
        manifest: row.get(3)?,
        by: row.get(4)?,
        at: Timestamp { unix_ms: row.get::<_, i64>(5)?.cast_unsigned() },
        was_served: row.get(6)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Access, PendingRow};

    fn row(component: &[u8], manifest: Option<&str>) -> ModuleRow {
        ModuleRow {
            name: "it".parse().unwrap(),
            digest: Digest::of(component),
            size_bytes: component.len() as u64,
            installed_by: "admin".into(),
            installed_at: Timestamp { unix_ms: 5 },
            manifest: manifest.map(str::to_owned),
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
            by: "ci".into(),
            at: Timestamp { unix_ms: 6 },
        };
        database.put_module(&ModuleRow { pending: Some(pending), ..row(b"b", None) }).unwrap();

        let versions = database.versions(&"it".parse().unwrap()).unwrap();
        let seen: Vec<_> = versions.iter().map(|v| (v.number, v.digest, v.manifest.is_some(), v.was_served)).collect();
        let (a, b, c) = (Digest::of(b"a"), Digest::of(b"b"), Digest::of(b"c"));
        assert_eq!(seen, [(4, c, false, false), (3, a, true, true), (2, b, false, true), (1, a, false, true)]);
        assert!(database.is_version(&c).unwrap() && !database.is_version(&Digest::of(b"d")).unwrap());
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
        database.remove_version(&name, Digest::of(b"d"), None).unwrap();
        database.put_module(&row(b"e", None)).unwrap();
        assert_eq!(numbers(&database), [5, 3, 1], "no number is given again");
        assert!(database.remove_module(&name).unwrap());
        assert_eq!(numbers(&database), [0; 0]);
        database.put_module(&row(b"a", None)).unwrap();
        assert_eq!(numbers(&database), [1], "a name that nothing has begins anew");
    }
}
