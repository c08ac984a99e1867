use std::fmt;

use fumehood_model::ModuleName;

use super::syntax::shown;

/// Longest name of a function.
const MAX_FUNCTION: usize = 256;

/// Tools that a guest may call, with the rights of its own caller.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InvokeGrant {
    /// The module.
    pub module: String,
    /// One of its functions; none means all of them (`*`).
    pub function: Option<String>,
}

impl InvokeGrant {
    pub(super) fn parsed(subject: Option<&str>) -> Result<Self, String> {
        let subject = subject.unwrap_or_default();
        let Some((module, function)) = subject.rsplit_once('.') else {
            return Err("it names no tool: write `invoke:calculator.add`, or `invoke:calculator.*` for all".to_owned());
        };
        let _: ModuleName = module.parse().map_err(|error: fumehood_model::NameError| error.to_string())?;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if function != "*" && (function.is_empty() || function.len() > MAX_FUNCTION || !function.bytes().all(fits)) {
            return Err(format!("`{}` is not the name of a function", shown(function)));
        }
        Ok(Self { module: module.to_owned(), function: (function != "*").then(|| function.to_owned()) })
    }

    pub(super) fn covers(&self, wanted: &Self) -> bool {
        match &wanted.function {
            Some(function) => self.permits(&wanted.module, function),
            None => self.function.is_none() && self.module == wanted.module,
        }
    }

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

impl fmt::Display for InvokeGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.module, self.function.as_deref().unwrap_or("*"))
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
