//! The macros of the crate `fumehood`, which documents them.

mod data;
mod list;
mod options;
mod permissions;
mod tool;

use proc_macro::TokenStream;

/// Make a tool of a function.
///
/// The comment above the function is what models and people read of it, the name is that of the tool, and each argument is
/// a member of the object that callers send. Comments above arguments describe them; attributes of [`schemars`] and
/// [`serde`] there work as on a field: `#[schemars(range(min = 0, max = 10))]`, `#[serde(default)]`. An `Option` may be left
/// out. An argument `ctx: &Ctx` is the call itself and no caller sees it.
///
/// The function answers with anything that is `Serialize` and `JsonSchema`, with an `Image` or an `Answer`, or with a
/// `Result` of these. Its error is whatever becomes a `ToolError`.
///
/// | option | |
/// |---|---|
/// | `name = "…"` | another name |
/// | `title = "…"` | a name for people |
/// | `read_only`, `destructive`, `idempotent`, `open_world` | what a client may expect; `= false` says that it is not |
/// | `tasks = "optional"`, `"required"` | whether a call becomes a job |
/// | `example(amount = 2.5, to = "EUR")` | arguments that make sense; may be there several times |
///
/// [`schemars`]: https://docs.rs/schemars
/// [`serde`]: https://docs.rs/serde
#[proc_macro_attribute]
pub fn tool(options: TokenStream, item: TokenStream) -> TokenStream {
    tool::expand(options.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Make a type one of arguments and answers: it becomes `Debug`, `Clone`, `Serialize`, `Deserialize` and `JsonSchema`.
///
/// Whoever wants other names or leaves something out adds attributes of `serde` and `schemars` as usual.
#[proc_macro_attribute]
pub fn data(_options: TokenStream, item: TokenStream) -> TokenStream {
    data::expand(item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Say which functions the component offers: `tools![convert, rates]`, once in a crate.
#[proc_macro]
pub fn tools(list: TokenStream) -> TokenStream {
    list::expand(list.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Say what the component asks to be permitted, each with a reason.
///
/// ```ignore
/// permissions! {
///     "http:GET https://api.example.com/v1" => "Asks the weather service.",
///     "keyvalue:cache,ttl=1h" => "Keeps answers for an hour.",
/// }
/// ```
///
/// It stands in the component where it can be read without running anything, and `fumehood build` puts it into the
/// `tool.toml` that the component carries. Whatever is asked for, nothing is granted before an administrator does.
#[proc_macro]
pub fn permissions(list: TokenStream) -> TokenStream {
    permissions::expand(list.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
