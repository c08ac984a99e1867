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

    /// Names of functions may hold dots as those of modules do, and the text does not tell where one ends: one function
    /// is compared as it is written.
    pub(super) fn covers(&self, wanted: &Self) -> bool {
        match &self.function {
            None => self.module == wanted.module,
            Some(_) => wanted.function.is_some() && self.to_string() == wanted.to_string(),
        }
    }
}

impl fmt::Display for InvokeGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.module, self.function.as_deref().unwrap_or("*"))
    }
}
