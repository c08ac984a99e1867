/// A text in which `*` stands for any text, also none and also with `/` in it, but for `@`, unless it is the last: what comes after
/// that is the branch of a workflow, and whoever may push one names it. All else stands for itself.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(Vec<String>);

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.split('*').map(str::to_owned).collect())
    }

    /// Whether it is like any text.
    pub(crate) fn is_anything(&self) -> bool {
        self.0.iter().all(String::is_empty)
    }

    /// Whether all of `text` is like it. Takes time in proportion to the text times the stars.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let [first, between @ .., last] = &*self.0 else {
            return self.0.first().is_some_and(|only| only == text);
        };
        let Some(mut rest) = text.strip_prefix(&**first).and_then(|rest| rest.strip_suffix(&**last)) else {
            return false;
        };
        between.iter().all(|part| match rest.find(&**part) {
            Some(at) if !rest[..at].contains('@') => {
                rest = &rest[at + part.len()..];
                true
            }
            _ => false,
        }) && (last.is_empty() || !rest.contains('@'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text_and_all_else_is_itself() {
        let matches = |pattern: &str, text: &str| Pattern::new(pattern).matches(text);

        assert!(matches("https://github.com/acme/*@refs/tags/*", "https://github.com/acme/t/w.yml@refs/tags/v1"));
        assert!(
            matches("*@acme.com", "a@acme.com") && matches("a*", "a") && matches("a", "a") && matches("a*b*c", "abc")
        );
        assert!(!matches("*@acme.com", "a@acme.com.evil") && !matches("*@acme.com", "a@acmexcom"));
        // A branch may be called `x@refs/tags/v1`.
        assert!(!matches(
            "https://github.com/acme/*@refs/tags/*",
            "https://github.com/acme/t/w.yml@refs/heads/x@refs/tags/v1"
        ));
        assert!(!matches(
            "https://github.com/acme/*@refs/heads/main",
            "https://github.com/acme/t/w.yml@refs/heads/x@refs/heads/main"
        ));
        assert!(matches("https://github.com/acme/*", "https://github.com/acme/t/w.yml@refs/heads/x@y"));
        assert!(!matches("https://github.com/acme/*", "https://evil/https://github.com/acme/x"));
        assert!(!matches("ab*ba", "aba") && !matches("a*b*b", "ab") && !matches("a", "ab") && !matches("", "a"));
        assert!(Pattern::new("**").is_anything() && !Pattern::new("*a").is_anything());
    }
}
