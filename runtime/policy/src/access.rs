use fumehood_model::{Principal, Role};

/// Something that a principal may or may not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// See which modules and tools there are.
    List,
    /// Run a tool.
    Call,
    /// Add or replace a module.
    Install,
    /// Remove a module.
    Remove,
    /// Create, list or revoke keys.
    ManageKeys,
    /// See what a module asks for, could reach, has used and is granted.
    Review,
    /// Give or take away what a module may touch.
    Grant,
    /// Set, list or remove secrets.
    ManageSecrets,
    /// See and end the jobs of others, and take in those of other systems.
    ManageJobs,
    /// Confirm the calls of others that a person must confirm.
    Confirm,
    /// See what others have called.
    ReadHistory,
}

/// The principal may not do this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key `{key}` may not {}: it needs the role `{needed}`", .action.phrase())]
pub struct Forbidden {
    /// Which key was presented.
    pub key: String,
    /// What it wanted to do.
    pub action: Action,
    /// The role that it would need.
    pub needed: Role,
}

impl Action {
    /// Whether `principal` may do this.
    ///
    /// # Errors
    ///
    /// When it lacks the role.
    pub fn check(self, principal: &Principal) -> Result<(), Forbidden> {
        let needed = self.needed();
        if principal.has(needed) {
            return Ok(());
        }
        Err(Forbidden { key: principal.key.to_string(), action: self, needed })
    }

    fn needed(self) -> Role {
        match self {
            Self::List | Self::Call => Role::Call,
            Self::Install
            | Self::Remove
            | Self::ManageKeys
            | Self::Review
            | Self::Grant
            | Self::ManageSecrets
            | Self::ManageJobs
            | Self::Confirm
            | Self::ReadHistory => Role::Admin,
        }
    }

    fn phrase(self) -> &'static str {
        match self {
            Self::List => "list tools",
            Self::Call => "call tools",
            Self::Install => "install modules",
            Self::Remove => "remove modules",
            Self::ManageKeys => "manage keys",
            Self::Review => "review permissions",
            Self::Grant => "grant permissions",
            Self::ManageSecrets => "manage secrets",
            Self::ManageJobs => "manage jobs of others",
            Self::Confirm => "confirm calls of others",
            Self::ReadHistory => "read the history",
        }
    }
}

#[cfg(test)]
mod tests {
    use fumehood_model::{KeyId, KeyLimits};

    use super::*;

    #[test]
    fn a_calling_key_cannot_administrate_and_an_administrator_can_call() {
        let with = |role| Principal {
            key: KeyId("k".into()),
            name: "k".into(),
            roles: [role].into(),
            limits: KeyLimits::default(),
        };

        assert!(Action::Call.check(&with(Role::Call)).is_ok());
        assert!(Action::Call.check(&with(Role::Admin)).is_ok());
        assert_eq!(Action::Install.check(&with(Role::Call)).unwrap_err().needed, Role::Admin);
    }

    #[test]
    fn a_key_without_roles_can_do_nothing() {
        use Action::{Call, Grant, Install, List, ManageJobs, ManageKeys, ManageSecrets, ReadHistory, Remove, Review};
        let nobody =
            Principal { key: KeyId("k".into()), name: "k".into(), roles: [].into(), limits: KeyLimits::default() };

        for action in [List, Call, Install, Remove, ManageKeys, Review, Grant, ManageSecrets, ManageJobs, ReadHistory] {
            assert!(action.check(&nobody).is_err());
        }
    }
}
