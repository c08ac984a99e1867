/// Tools that a guest may call, with the rights of its own caller.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InvokeGrant {
    /// The module.
    pub module: String,
    /// One of its functions; none means all of them (`*`).
    pub function: Option<String>,
}
