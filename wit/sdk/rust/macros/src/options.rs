//! What stands in the brackets of `#[tool(…)]`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::{
    Error, Expr, LitBool, LitStr, Result, Token, parenthesized,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
};

/// Longest name of a tool.
const MAX_NAME: usize = 64;

/// What an author says of a tool beside its function.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) name: Option<LitStr>,
    pub(crate) title: Option<LitStr>,
    read_only: Option<bool>,
    destructive: Option<bool>,
    idempotent: Option<bool>,
    open_world: Option<bool>,
    tasks: Option<LitStr>,
    pub(crate) examples: Vec<Example>,
}

/// Arguments that make sense.
pub(crate) struct Example {
    pub(crate) span: Span,
    pub(crate) arguments: Vec<(Ident, Expr)>,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut options = Self::default();
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            match &*key.to_string() {
                "name" => options.name = Some(name(text(input)?)?),
                "title" => options.title = Some(text(input)?),
                "read_only" => options.read_only = Some(flag(input)?),
                "destructive" => options.destructive = Some(flag(input)?),
                "idempotent" => options.idempotent = Some(flag(input)?),
                "open_world" => options.open_world = Some(flag(input)?),
                "tasks" => options.tasks = Some(text(input)?),
                "example" => options.examples.push(Example::parse(key.span(), input)?),
                other => {
                    let known = "name, title, read_only, destructive, idempotent, open_world, tasks and example";
                    return Err(Error::new(key.span(), format!("there is no option `{other}`: there are {known}")));
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(options)
    }
}

impl Options {
    /// The value of `Hints`.
    pub(crate) fn hints(&self) -> TokenStream {
        let hint = |value: Option<bool>| match value {
            Some(value) => quote!(::core::option::Option::Some(#value)),
            None => quote!(::core::option::Option::None),
        };
        let (read_only, destructive) = (hint(self.read_only), hint(self.destructive));
        let (idempotent, open_world) = (hint(self.idempotent), hint(self.open_world));
        quote!(::fumehood::Hints {
            read_only: #read_only, destructive: #destructive, idempotent: #idempotent, open_world: #open_world,
        })
    }

    /// The value of `Tasks`.
    pub(crate) fn tasks(&self) -> Result<TokenStream> {
        let Some(tasks) = &self.tasks else { return Ok(quote!(::fumehood::Tasks::Forbidden)) };
        match &*tasks.value() {
            "forbidden" => Ok(quote!(::fumehood::Tasks::Forbidden)),
            "optional" => Ok(quote!(::fumehood::Tasks::Optional)),
            "required" => Ok(quote!(::fumehood::Tasks::Required)),
            _ => Err(Error::new(tasks.span(), "it is \"forbidden\", \"optional\" or \"required\"")),
        }
    }
}

impl Example {
    fn parse(span: Span, input: ParseStream<'_>) -> Result<Self> {
        struct Argument(Ident, Expr);
        impl Parse for Argument {
            fn parse(input: ParseStream<'_>) -> Result<Self> {
                let name = input.parse()?;
                input.parse::<Token![=]>()?;
                Ok(Self(name, input.parse()?))
            }
        }
        let content;
        parenthesized!(content in input);
        let arguments = Punctuated::<Argument, Token![,]>::parse_terminated(&content)?;
        Ok(Self { span, arguments: arguments.into_iter().map(|Argument(name, value)| (name, value)).collect() })
    }
}

fn text(input: ParseStream<'_>) -> Result<LitStr> {
    input.parse::<Token![=]>()?;
    input.parse()
}

/// `read_only`, or `read_only = false`.
fn flag(input: ParseStream<'_>) -> Result<bool> {
    if !input.peek(Token![=]) {
        return Ok(true);
    }
    input.parse::<Token![=]>()?;
    Ok(input.parse::<LitBool>()?.value)
}

fn name(name: LitStr) -> Result<LitStr> {
    let text = name.value();
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "_.-".contains(letter);
    if text.is_empty() || text.len() > MAX_NAME || !text.chars().all(is_allowed) {
        let rule = format!("a name has 1 to {MAX_NAME} of the characters A-Z, a-z, 0-9, `_`, `.` and `-`");
        return Err(Error::new(name.span(), rule));
    }
    Ok(name)
}
