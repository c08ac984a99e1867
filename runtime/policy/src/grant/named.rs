/// A name and its value; without a value in a request of `tool.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NamedValue {
    /// The name.
    pub name: String,
    /// The value that an administrator gave it.
    pub value: Option<String>,
}
