/// Tools that a guest may call, with the rights of its own caller.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InvokeGrant {
    /// The module.
    pub module: String,
    /// One of its functions; none means all of them (`*`).
    pub function: Option<String>,
}

impl InvokeGrant {
    /// Whether `function` of `module` may be called.
    ///
    /// Names of modules and of functions may both hold dots: a grant of one function is meant as it is written.
    #[must_use]
    pub fn permits(&self, module: &str, function: &str) -> bool {
        match &self.function {
            None => self.module == module,
            Some(own) => format!("{}.{own}", self.module) == format!("{module}.{function}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_of_all_functions_is_about_its_module_alone() {
        let all = InvokeGrant { module: "a".into(), function: None };

        assert!(all.permits("a", "f") && all.permits("a", "i.f"));
        assert!(!all.permits("a.b", "f") && !all.permits("ab", "f"));
    }

    #[test]
    fn a_grant_of_one_function_is_about_that_one() {
        let one = InvokeGrant { module: "a".into(), function: Some("b.f".into()) };

        assert!(one.permits("a", "b.f") && one.permits("a.b", "f"));
        assert!(!one.permits("a", "f") && !one.permits("a", "b.g"));
    }
}
