use fumehood_model::ModuleName;

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
}

fn reasons(rejected: &[String]) -> String {
    if rejected.is_empty() {
        return ": it exports none".to_owned();
    }
    format!(": {}", rejected.join("; "))
}
