//! Versions of uploaded modules: every upload is one, and any of them can be served.

use fumehood_model::{ModuleName, Principal, Standing};
use fumehood_policy::Action;
use fumehood_registry::Origin;
use fumehood_scheduler::Kind;
use fumehood_store::{ModuleRow, PendingRow, VersionRow};

use crate::{
    DispatchError, Dispatcher, Installed,
    dispatcher::{blocking, whole},
    error::shown,
    install::{self, Kept, SENT, Wanted},
};

/// Fewest hexadecimal digits of a digest that stand for it.
const SHORTEST: usize = 6;

/// The versions of a module.
#[derive(Debug, Clone)]
pub struct Versions {
    /// The module.
    pub module: ModuleName,
    /// Whether uploads become versions only, until one is promoted.
    pub is_pinned: bool,
    /// The newest first.
    pub versions: Vec<Version>,
}

/// A version, and what becomes of it.
#[derive(Debug, Clone)]
pub struct Version {
    /// What was sent.
    pub row: VersionRow,
    /// Whether it is served.
    pub is_served: bool,
    /// Whether it waits to be reviewed.
    pub waits: bool,
    /// What its author calls it.
    pub called: Option<String>,
    /// What is known of its signature.
    pub standing: Standing,
}

/// Which version of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The one that was served before the one that is served. Going back is not serving anew: the next step goes further back.
    Before,
    /// The one with this number.
    Number(u64),
    /// The newest one with a component whose digest begins like this, in hexadecimal digits.
    Component(String),
}

impl Which {
    /// `3`, `sha256:635676ce…` or the first digits of that; nothing if it is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(number) = text.parse()
            && text.bytes().all(|byte| byte.is_ascii_digit())
        {
            return Some(Self::Number(number));
        }
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        let is_digest = (SHORTEST..=64).contains(&hex.len()) && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_digest.then(|| Self::Component(hex.to_ascii_lowercase()))
    }

    /// It among all versions, the newest first. The beginning of several digests is none of them.
    fn of<'a>(&self, versions: &'a [Version]) -> Option<&'a Version> {
        match self {
            Self::Before => {
                let serving = versions.iter().find(|version| version.is_served)?.row.served;
                let before =
                    versions.iter().filter(|version| version.row.served.is_some() && version.row.served < serving);
                before.max_by_key(|version| version.row.served)
            }
            Self::Number(number) => versions.iter().find(|version| version.row.number == *number),
            Self::Component(hex) => {
                let mut named = versions.iter().filter(|version| version.row.digest.hex().starts_with(&**hex));
                let newest = named.next()?;
                named.all(|version| version.row.digest == newest.row.digest).then_some(newest)
            }
        }
    }
}

impl Dispatcher {
    /// The versions of the module `name`.
    ///
    /// # Errors
    ///
    /// When `principal` may not see them, or there is no such uploaded module.
    pub async fn versions(&self, principal: &Principal, name: &str) -> Result<Versions, DispatchError> {
        Action::Review.check(principal)?;
        let (_, mut versions) = self.versions_of(&self.uploaded(name)?).await?;
        for Version { row, called, standing, .. } in &mut versions.versions {
            *standing = self.stored_standing(row.digest, row.signature.clone()).await.unwrap_or_default();
            // In the manifest that came with it, or else in the one that it holds.
            // One that may not be served is not asked for its tools either.
            let interface = match self.inner.config.trust.admit(standing) {
                Ok(()) => self.inner.sandbox.describe(&row.digest).await.ok(),
                Err(_) => None,
            };
            let held = interface.and_then(|interface| interface.manifest);
            let manifest = install::manifest(SENT, row.manifest.as_deref(), held.as_deref());
            *called = manifest.ok().and_then(|manifest| manifest.version);
        }
        Ok(versions)
    }

    /// Serve another version of the module `name`. One that was served before is served at once; one that never was is held
    /// to what an upload is held to. A pin stays, and holds this version then.
    ///
    /// # Errors
    ///
    /// When `principal` may not, there is no such version, or it cannot be served any more. Then everything is as it was.
    pub async fn promote(&self, principal: &Principal, name: &str, which: Which) -> Result<Installed, DispatchError> {
        self.may_install(principal)?;
        let module = self.uploaded(name)?;
        let place = self.inner.uploads.enter(&principal.key, Kind::Call).await?;
        let (this, principal) = (self.clone(), principal.clone());
        whole(async move {
            let _place = place;
            this.promote_now(&principal, &module, &which).await
        })
        .await
    }

    async fn promote_now(
        &self,
        principal: &Principal,
        module: &ModuleName,
        which: &Which,
    ) -> Result<Installed, DispatchError> {
        let (_, Versions { versions, .. }) = self.versions_of(module).await?;
        let version = which.of(&versions).ok_or_else(|| DispatchError::NoVersion {
            module: module.clone(),
            which: match which {
                Which::Before => "earlier version that was served".to_owned(),
                Which::Number(number) => format!("version {number}"),
                Which::Component(hex) => format!("one version whose component begins with {}", shown(hex)),
            },
            known: versions.iter().take(10).map(|version| version.row.number).collect(),
        })?;
        let VersionRow { digest, size_bytes, manifest, signature, by, at, served, .. } = version.row.clone();
        // Nobody lets go of it while it is prepared.
        let pin = self.pin(digest).await;
        let standing = self.stored_standing(digest, signature.clone()).await?;
        self.admit(module, &standing)?;
        let kept = Kept { size_bytes, manifest, signature, standing, digest, by, at };
        let wanted = match (which, served) {
            (Which::Before, _) => Wanted::Back,
            (_, Some(_)) => Wanted::Again,
            (_, None) => Wanted::Promoted,
        };
        let installed = self.install_kept(principal, module, kept, wanted).await;
        drop(pin);
        installed
    }

    /// Keep the module `name` on the version that is served, or let uploads be served again.
    ///
    /// # Errors
    ///
    /// When `principal` may not, or there is no such uploaded module.
    pub async fn set_pinned(
        &self,
        principal: &Principal,
        name: &str,
        is_pinned: bool,
    ) -> Result<Versions, DispatchError> {
        self.may_install(principal)?;
        let module = self.uploaded(name)?;
        let (this, principal) = (self.clone(), principal.clone());
        whole(async move {
            let _turn = this.inner.installing.lock().await;
            let (row, mut versions) = this.versions_of(&module).await?;
            this.put_row(ModuleRow { is_pinned, ..row }).await?;
            versions.is_pinned = is_pinned;
            let how = if is_pinned { "pinned" } else { "unpinned" };
            tracing::info!(module.name = %module, key.id = %principal.key, "Module {module} {how} by {}", principal.name);
            Ok(versions)
        })
        .await
    }

    /// A version of a pinned module, which is not served.
    pub(crate) async fn keep_version(
        &self,
        principal: &Principal,
        name: &ModuleName,
        kept: Kept,
    ) -> Result<Installed, DispatchError> {
        let Kept { size_bytes, manifest, signature, digest, by, at, .. } = kept;
        let row = PendingRow { digest, size_bytes, manifest, signature, by, at };
        let (database, module) = (self.inner.database.clone(), name.clone());
        let version = blocking(move || Ok(database.add_version(&module, &row)?)).await?;
        self.prune_versions(name).await;
        tracing::info!(
            module.name = %name, component.digest = %digest, key.id = %principal.key,
            "Version {version} of module {name}, which is pinned, is not served: fumehood modules promote {name} {version}"
        );
        Ok(Installed::Kept { version })
    }

    /// Forget the oldest versions, of more than are to be kept. What cannot be forgotten now is later.
    pub(crate) async fn prune_versions(&self, module: &ModuleName) {
        let (database, name, most) = (self.inner.database.clone(), module.clone(), self.inner.config.versions);
        match blocking(move || Ok(database.prune_versions(&name, most)?)).await {
            Ok(forgotten) => {
                for digest in forgotten {
                    self.forget_unused(digest).await;
                }
            }
            Err(error) => tracing::warn!(module.name = %module, %error, "Old versions could not be forgotten: {error}"),
        }
    }

    async fn versions_of(&self, module: &ModuleName) -> Result<(ModuleRow, Versions), DispatchError> {
        let (database, name) = (self.inner.database.clone(), module.clone());
        let (row, rows) = blocking(move || Ok((database.module(&name)?, database.versions(&name)?))).await?;
        let near = || self.inner.registry.current().near_modules(module.as_str());
        let not_found = || DispatchError::NotFound { what: "module", name: shown(module.as_str()), near: near() };
        let row = row.ok_or_else(not_found)?;
        let versions = rows.into_iter().map(|version| {
            let is_served = version.digest == row.digest && version.manifest == row.manifest;
            let pending = row.pending.as_ref();
            let waits =
                pending.is_some_and(|pending| version.digest == pending.digest && version.manifest == pending.manifest);
            Version { row: version, is_served, waits, called: None, standing: Standing::Unchecked }
        });
        let versions = Versions { module: module.clone(), is_pinned: row.is_pinned, versions: versions.collect() };
        Ok((row, versions))
    }

    /// The name of an uploaded module, also of one that cannot be served.
    fn uploaded(&self, name: &str) -> Result<ModuleName, DispatchError> {
        let catalogue = self.inner.registry.current();
        if let Some(module) = catalogue.module(name)
            && let Origin::File { path } = &module.origin
        {
            return Err(DispatchError::OfFile { module: module.name.clone(), path: path.display().to_string() });
        }
        let not_found =
            |_| DispatchError::NotFound { what: "module", name: shown(name), near: catalogue.near_modules(name) };
        name.parse().map_err(not_found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_named_by_its_number_or_its_component() {
        assert_eq!(Which::parse("3"), Some(Which::Number(3)));
        assert_eq!(Which::parse("635676CE8344"), Some(Which::Component("635676ce8344".to_owned())));
        assert_eq!(Which::parse("sha256:635676"), Some(Which::Component("635676".to_owned())));
        assert_eq!(Which::parse("635676"), Some(Which::Number(635_676)));
        for nothing in ["", "v3", "-1", "+1", "sha256:", "sha256:12345", "12x456", "../../x", &"a".repeat(65)] {
            assert_eq!(Which::parse(nothing), None, "{nothing}");
        }
    }
}
