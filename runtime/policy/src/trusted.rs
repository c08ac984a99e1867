use fumehood_model::ModuleName;
use serde::{Deserialize, Serialize};

/// The modules that an operator trusts enough to run inside the server.
///
/// Each entry is a name, or the beginning of names with a `*` behind it; `*` alone is all modules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Trusted(pub Vec<String>);

impl Trusted {
    /// Whether `module` is one of them.
    #[must_use]
    pub fn covers(&self, module: &ModuleName) -> bool {
        self.0.iter().any(|entry| match entry.strip_suffix('*') {
            Some(beginning) => module.as_str().starts_with(beginning),
            None => module.as_str() == entry,
        })
    }

    /// Whether it is all modules.
    #[must_use]
    pub fn covers_all(&self) -> bool {
        self.0.iter().any(|entry| entry == "*")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_trusted_unless_it_is_named() {
        let trusted = Trusted(vec!["calculator".to_owned(), "ours.*".to_owned()]);
        let covers = |name: &str| trusted.covers(&name.parse().unwrap());

        assert!(covers("calculator") && covers("ours.tool"));
        assert!(!covers("calculator2") && !covers("ours") && !covers("theirs"));
        assert!(!Trusted::default().covers(&"calculator".parse().unwrap()));
    }
}
