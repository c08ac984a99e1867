use fumehood_model::ModuleName;

use crate::ManifestError;

/// Why a component cannot become a module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdmitError {
    /// Nothing in it can be called.
    #[error("module {module} has no function that can become a tool{}", reasons(.rejected))]
    NoTools {
        /// The module.
        module: ModuleName,
        /// The exports that it has, with why each is not a tool.
        rejected: Vec<String>,
    },
    /// Its schemas would be too large to serve.
    #[error("the schemas of module {module} are too large: together they may have {most} bytes")]
    SchemasTooLarge {
        /// The module.
        module: ModuleName,
        /// The bound.
        most: usize,
    },
    /// Its manifest describes what it does not have.
    #[error("tool.toml:{line}: module {module} has no {what}{}", meant(.near))]
    UnknownInManifest {
        /// The module.
        module: ModuleName,
        /// Where it is described.
        line: usize,
        /// What it does not have.
        what: String,
        /// What was probably meant.
        near: Vec<String>,
    },
    /// What it says of itself cannot be used.
    #[error("module {module} describes its own tools, and {what}")]
    SelfDescription {
        /// The module.
        module: ModuleName,
        /// Why, in words for its author.
        what: String,
    },
    /// The manifest is not valid.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

fn meant(near: &[String]) -> String {
    near.first().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

fn reasons(rejected: &[String]) -> String {
    if rejected.is_empty() {
        return ": it exports none".to_owned();
    }
    format!(": {}", rejected.join("; "))
}
