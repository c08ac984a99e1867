/// Why a text is not a grant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a permission: {what}")]
pub struct GrantError {
    /// The text, shortened and escaped.
    pub text: String,
    /// What is wrong with it, and what would be right.
    pub what: String,
}
