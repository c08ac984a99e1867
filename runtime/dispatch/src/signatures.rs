//! Whose components are served: every way in asks here before anything of a component is read or compiled.

use std::{fs::File, io::Read, path::Path};

use bytes::Bytes;
use fumehood_model::{Composition, Digest, ModuleName, Standing};
use fumehood_signature::{MAX_SIGNATURE_BYTES, Policy};
use fumehood_store::StoreError;

use crate::{DispatchError, Dispatcher, dispatcher::blocking};

impl Dispatcher {
    /// What a signature is worth for these bytes.
    pub(crate) async fn standing(
        &self,
        component: Bytes,
        signature: Option<String>,
    ) -> Result<Standing, DispatchError> {
        let trust = self.inner.config.trust.clone();
        if trust.policy() == Policy::Off {
            return Ok(Standing::Unchecked);
        }
        if let Some(size) = signature.as_ref().map(String::len).filter(|size| *size > MAX_SIGNATURE_BYTES) {
            return Err(DispatchError::SignatureTooLarge { size });
        }
        blocking(move || Ok(trust.check(&component, signature.as_deref()))).await
    }

    /// What a signature is worth for a component that is stored. Who is trusted may have changed since it was.
    pub(crate) async fn stored_standing(
        &self,
        digest: Digest,
        signature: Option<String>,
    ) -> Result<Standing, DispatchError> {
        let (trust, blobs) = (self.inner.config.trust.clone(), self.inner.blobs.clone());
        if trust.policy() == Policy::Off {
            return Ok(Standing::Unchecked);
        }
        let database = self.inner.database.clone();
        blocking(move || {
            let Some(composition) = database.composition(&digest)? else {
                return Ok(trust.check(&blobs.read(&digest)?, signature.as_deref()));
            };
            // What its author signed is what was sent; what was put into it was signed by others.
            let standing = trust.check(&blobs.read(&composition.root)?, signature.as_deref());
            Ok(together(standing, Some(&composition)))
        })
        .await
    }

    /// Whether a component of this standing may be served as `module`; said in the log where it may although nobody who is
    /// trusted has signed it.
    pub(crate) fn admit(&self, module: &ModuleName, standing: &Standing) -> Result<(), DispatchError> {
        let trust = &self.inner.config.trust;
        trust.admit(standing)?;
        if trust.policy() == Policy::Warn && !matches!(standing, Standing::Signed(_)) {
            let what = standing.to_string();
            tracing::warn!(
                module.name = %module, signature = %what,
                "The component of module {module} is not signed by anybody who is trusted, and may be served: {what}"
            );
        }
        Ok(())
    }

    /// Whether an earlier component of a module may still run, for a job that was submitted for it.
    pub(crate) async fn admit_earlier(&self, module: &ModuleName, digest: Digest) -> Result<(), DispatchError> {
        let trust = &self.inner.config.trust;
        if trust.policy() != Policy::Enforce {
            return Ok(());
        }
        let (database, name) = (self.inner.database.clone(), module.clone());
        let versions = blocking(move || Ok(database.versions(&name)?)).await?;
        // Of a file that was replaced, the signature has gone with it.
        let signatures = versions.into_iter().filter(|version| version.digest == digest).filter_map(|v| v.signature);
        let mut found = Standing::Unsigned;
        for signature in signatures {
            found = self.stored_standing(digest, Some(signature)).await?;
            if matches!(found, Standing::Signed(_)) {
                break;
            }
        }
        Ok(trust.admit(&found)?)
    }
}

/// What the signature of a component is worth that was put together with others.
pub(crate) fn together(standing: Standing, composition: Option<&Composition>) -> Standing {
    match (standing, composition.and_then(Composition::unsigned)) {
        (Standing::Signed(_), Some(part)) => Standing::Invalid {
            reason: format!(
                "it was put together with the component of module {}, which nobody who was trusted had signed: \
                 have that one signed and installed first, then install this one again",
                part.module
            ),
        },
        (standing, _) => standing,
    }
}

/// What a line of the log adds of a signature; nothing where nobody looked.
pub(crate) fn signed(standing: &Standing) -> String {
    if *standing == Standing::Unchecked { String::new() } else { format!(", {standing}") }
}

/// The text of a signature's file, which is not read on when it is too large to be one. Blocking.
pub(crate) fn read_signature(path: &Path) -> Result<String, DispatchError> {
    let cannot = |source| StoreError::Io { doing: "read", path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_SIGNATURE_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(cannot)?;
    // What is no text is no signature either, and is told so where it is checked.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
