use fumehood_model::{KeyLimits, Principal, Role};
use fumehood_policy::Action;
use fumehood_store::{ApiKey, NewKey};

use crate::{DispatchError, Dispatcher, dispatcher::blocking, error::shown};

/// Longest name of a key, in characters.
const MAX_KEY_NAME: usize = 100;

/// A key that is asked for.
#[derive(Debug, Clone)]
pub struct KeyRequest {
    /// What to call it.
    pub name: String,
    /// What it may do.
    pub roles: Vec<Role>,
    /// What it is held to.
    pub limits: KeyLimits,
}

impl Dispatcher {
    /// Make a key.
    ///
    /// # Errors
    ///
    /// When `principal` may not, or the name or roles make no sense.
    pub async fn create_key(&self, principal: &Principal, wanted: KeyRequest) -> Result<NewKey, DispatchError> {
        let KeyRequest { name, roles, limits } = wanted;
        Action::ManageKeys.check(principal)?;
        self.check_writable()?;
        let bad = |what| Err(DispatchError::BadKeyRequest { what });
        if name.trim().is_empty() || name.chars().count() > MAX_KEY_NAME || name.chars().any(char::is_control) {
            return bad("a key needs a name of 1 to 100 printable characters");
        }
        if roles.is_empty() {
            return bad("a key needs at least one role: admin or call");
        }
        if limits.concurrent_calls == Some(0) || limits.call.iter().any(|(_, most)| most == 0) {
            return bad("a bound of a key must be more than nothing");
        }
        let keys = self.inner.keys.clone();
        let new = blocking(move || Ok(keys.create(&name, &roles, limits)?)).await?;
        tracing::info!(key.id = %new.key.id, by = %principal.key, "Key {} created", new.key.id);
        Ok(new)
    }

    /// All keys, without their secrets.
    ///
    /// # Errors
    ///
    /// When `principal` may not see them.
    pub async fn keys(&self, principal: &Principal) -> Result<Vec<ApiKey>, DispatchError> {
        Action::ManageKeys.check(principal)?;
        let keys = self.inner.keys.clone();
        blocking(move || Ok(keys.list()?)).await
    }

    /// Revoke the key `id`, at once and for good.
    ///
    /// # Errors
    ///
    /// When `principal` may not, there is no such key in force, or nobody could administrate any more.
    pub async fn revoke_key(&self, principal: &Principal, id: &str) -> Result<(), DispatchError> {
        Action::ManageKeys.check(principal)?;
        self.check_writable()?;
        let (keys, id, shown) = (self.inner.keys.clone(), id.to_owned(), shown(id));
        let by = principal.key.clone();
        let _turn = self.inner.installing.lock().await;
        blocking(move || {
            let in_force = keys.list()?.into_iter().filter(|key| key.revoked_at.is_none());
            let admins: Vec<_> = in_force.filter(|key| key.roles.contains(&Role::Admin)).collect();
            if admins.len() == 1 && *admins[0].id.0 == *id {
                return Err(DispatchError::LastAdmin);
            }
            if !keys.revoke(&id)? {
                return Err(DispatchError::NotFound { what: "key", name: shown, near: Vec::new() });
            }
            tracing::info!(key.id = %id, by = %by, "Key {id} revoked");
            Ok(())
        })
        .await
    }
}
