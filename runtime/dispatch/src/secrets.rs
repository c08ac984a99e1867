use fumehood_model::Principal;
use fumehood_policy::Action;
use fumehood_store::{MAX_SECRET, SecretEntry, is_secret_name};

use crate::{DispatchError, Dispatcher, dispatcher::blocking, error::shown};

impl Dispatcher {
    /// Set or replace the secret called `name`; whether there was none.
    ///
    /// # Errors
    ///
    /// When `principal` may not, the name cannot be one, or the value is empty or too large. No error shows the value.
    pub async fn set_secret(&self, principal: &Principal, name: String, value: String) -> Result<bool, DispatchError> {
        Action::ManageSecrets.check(principal)?;
        self.check_writable()?;
        let bad = |what| Err(DispatchError::BadSecret { what });
        if !is_secret_name(&name) {
            return bad(
                "a secret needs a name of 1 to 64 letters, digits, `_`, `.` or `-` that begins with a letter or `_`",
            );
        }
        if value.is_empty() || value.len() as u64 > MAX_SECRET.0 {
            return bad("a secret has 1 byte to 64 KiB");
        }
        let (secrets, by, set) = (self.inner.secrets.clone(), principal.name.clone(), name.clone());
        let made = blocking(move || Ok(secrets.set(&set, &value, &by)?)).await?;
        tracing::info!(secret.name = name, key.id = %principal.key, "Secret {name} set by {}", principal.name);
        Ok(made)
    }

    /// All secrets by name, without their values.
    ///
    /// # Errors
    ///
    /// When `principal` may not see them.
    pub async fn secrets(&self, principal: &Principal) -> Result<Vec<SecretEntry>, DispatchError> {
        Action::ManageSecrets.check(principal)?;
        let secrets = self.inner.secrets.clone();
        blocking(move || Ok(secrets.list()?)).await
    }

    /// Forget the secret called `name`.
    ///
    /// # Errors
    ///
    /// When `principal` may not, or there is no such secret.
    pub async fn remove_secret(&self, principal: &Principal, name: &str) -> Result<(), DispatchError> {
        Action::ManageSecrets.check(principal)?;
        self.check_writable()?;
        let (secrets, removed) = (self.inner.secrets.clone(), name.to_owned());
        if !blocking(move || Ok(secrets.remove(&removed)?)).await? {
            return Err(DispatchError::NotFound { what: "secret", name: shown(name), near: Vec::new() });
        }
        tracing::info!(secret.name = name, key.id = %principal.key, "Secret {name} removed by {}", principal.name);
        Ok(())
    }
}
