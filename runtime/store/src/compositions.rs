use fumehood_model::{Composition, Digest};
use rusqlite::{OptionalExtension, params};

use crate::{Database, StoreError, database::parsed};

impl Database {
    /// What a component was made of; none if it is as its author sent it.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn composition(&self, component: &Digest) -> Result<Option<Composition>, StoreError> {
        let text: Option<String> = self.with(|db| {
            db.prepare_cached("SELECT made_of FROM compositions WHERE digest = ?1")?
                .query_row([component.to_string()], |row| row.get(0))
                .optional()
        })?;
        // What cannot be read any more is not known: the component itself is whole.
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// All components that were made of others.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn composed(&self) -> Result<Vec<Digest>, StoreError> {
        self.with(|db| {
            db.prepare_cached("SELECT digest FROM compositions")?.query_map([], |row| parsed(row, 0))?.collect()
        })
    }

    /// Keep in mind what a component was made of.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn put_composition(&self, component: &Digest, composition: &Composition) -> Result<(), StoreError> {
        let (digest, root) = (component.to_string(), composition.root.to_string());
        let made_of = serde_json::to_string(composition).unwrap_or_default();
        self.write(move |db| {
            db.prepare_cached("INSERT OR REPLACE INTO compositions (digest, root, made_of) VALUES (?1, ?2, ?3)")?
                .execute(params![digest, root, made_of])
                .map(drop)
        })
    }

    /// Whether a component was made of this one, as its author sent it: its signature is over that.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn is_root(&self, component: &Digest) -> Result<bool, StoreError> {
        self.with(|db| {
            db.prepare_cached("SELECT EXISTS (SELECT 1 FROM compositions WHERE root = ?1)")?
                .query_row([component.to_string()], |row| row.get(0))
        })
    }

    /// Forget what a component was made of that is not there any more.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn forget_composition(&self, component: &Digest) -> Result<(), StoreError> {
        let digest = component.to_string();
        self.write(move |db| {
            db.prepare_cached("DELETE FROM compositions WHERE digest = ?1")?.execute([digest]).map(drop)
        })
    }
}
