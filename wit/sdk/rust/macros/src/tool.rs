//! `#[tool]`.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::{
    Attribute, Error, Expr, ExprLit, FnArg, GenericArgument, ItemFn, Lit, LitStr, Meta, Pat, PathArguments, Result,
    ReturnType, Signature, Type, ext::IdentExt, parse2, spanned::Spanned,
};

use crate::options::{Example, Options};

/// Longest description of a tool.
const MAX_DESCRIPTION: usize = 4_000;

/// An argument as the function has it.
enum Argument {
    /// The call itself; whether the function takes a reference to it.
    Ctx { by_reference: bool },
    /// What a caller sends, with what is said of it.
    Sent { name: Ident, kind: Box<Type>, attributes: Vec<Attribute> },
}

/// The function as it was, and beside it a type of its name that implements `Tool`.
pub(crate) fn expand(options: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let options: Options = parse2(options)?;
    let mut function: ItemFn = parse2(item)?;
    check(&function.sig)?;
    let arguments = function.sig.inputs.iter_mut().map(argument).collect::<Result<Vec<_>>>()?;
    let own = &function.sig.ident;
    let description = description(own, &function.attrs)?;
    let name = options.name.clone().unwrap_or_else(|| LitStr::new(&own.unraw().to_string(), own.span()));
    let title = match &options.title {
        Some(title) => quote!(::core::option::Option::Some(#title)),
        None => quote!(::core::option::Option::None),
    };
    let (hints, tasks) = (options.hints(), options.tasks()?);

    let sent: Vec<_> = arguments.iter().filter_map(Argument::sent).collect();
    let fields = sent.iter().map(|(name, kind, attributes)| quote!(#(#attributes)* #name: #kind));
    let names: Vec<_> = sent.iter().map(|(name, ..)| name).collect();
    let fits = sent.iter().map(|(name, kind, _)| {
        let name = name.unraw().to_string();
        quote!((#name, |value| {
            <#kind as ::fumehood::serde::Deserialize>::deserialize(value).err().map(|error| error.to_string())
        }))
    });
    let examples = options.examples.iter().map(|example| json(example, &names)).collect::<Result<Vec<_>>>()?;
    let passed = arguments.iter().map(|argument| match argument {
        Argument::Ctx { by_reference: true } => quote!(ctx),
        Argument::Ctx { by_reference: false } => quote!(*ctx),
        Argument::Sent { name, .. } => quote!(#name),
    });
    let (reply, is_result) = reply(&function.sig.output);
    let fails = is_result.then(|| quote!(?));
    let visibility = &function.vis;
    let holder = format_ident!("{}", own);
    Ok(quote! {
        #function

        #[doc(hidden)]
        #[allow(non_camel_case_types, missing_docs, unreachable_pub, clippy::allow_attributes)]
        #visibility struct #holder {}

        #[allow(clippy::allow_attributes, clippy::question_mark, clippy::let_unit_value)]
        const _: () = {
            /// What callers send.
            #[derive(::fumehood::serde::Deserialize, ::fumehood::schemars::JsonSchema)]
            #[serde(crate = "::fumehood::serde", deny_unknown_fields)]
            #[schemars(crate = "::fumehood::schemars", description = "")]
            struct Arguments { #(#fields,)* }

            impl ::fumehood::Tool for #holder {
                const NAME: &'static str = #name;

                fn describe() -> ::fumehood::Description {
                    ::fumehood::private::description::<Arguments, #reply>(
                        ::fumehood::Description {
                            name: #name,
                            title: #title,
                            description: #description,
                            input: ::fumehood::Value::Null,
                            output: ::core::option::Option::None,
                            hints: #hints,
                            tasks: #tasks,
                        },
                        ::std::vec![#(#examples),*],
                    )
                }

                fn call(
                    ctx: &::fumehood::Ctx,
                    arguments: &str,
                ) -> ::core::result::Result<::fumehood::Answer, ::fumehood::ToolError> {
                    let _ = ctx;
                    let Arguments { #(#names,)* } = ::fumehood::private::arguments(arguments, &[#(#fits),*])?;
                    let answer = #own(#(#passed),*) #fails;
                    ::fumehood::Reply::reply(answer)
                }
            }
        };
    })
}

impl Argument {
    fn sent(&self) -> Option<(&Ident, &Type, &[Attribute])> {
        match self {
            Self::Ctx { .. } => None,
            Self::Sent { name, kind, attributes } => Some((name, kind, attributes)),
        }
    }
}

/// What a tool cannot be is said in the author's words, before the compiler says it in its own.
fn check(signature: &Signature) -> Result<()> {
    if let Some(keyword) = &signature.asyncness {
        return Err(Error::new(keyword.span(), "a call is one run from beginning to end: write it without `async`"));
    }
    if !signature.generics.params.is_empty() {
        let what = "callers send JSON of one form: a tool has no generic arguments";
        return Err(Error::new(signature.generics.span(), what));
    }
    Ok(())
}

/// The argument, whose attributes are taken off the function: they belong to the member that callers send.
fn argument(argument: &mut FnArg) -> Result<Argument> {
    let argument = match argument {
        FnArg::Typed(argument) => argument,
        FnArg::Receiver(own) => return Err(Error::new(own.span(), "a tool is a function, and not a method")),
    };
    let attributes = std::mem::take(&mut argument.attrs);
    if let Some(by_reference) = is_ctx(&argument.ty) {
        if !by_reference {
            return Err(Error::new(argument.ty.span(), "the call is lent: write `&Ctx`"));
        }
        return Ok(Argument::Ctx { by_reference });
    }
    if let Type::Reference(reference) = &*argument.ty {
        let what = "an argument belongs to the function: write `String` for `&str`, and `Vec<T>` for `&[T]`";
        return Err(Error::new(reference.span(), what));
    }
    let Pat::Ident(pattern) = &*argument.pat else {
        return Err(Error::new(argument.pat.span(), "an argument needs a name: callers send it under that"));
    };
    Ok(Argument::Sent { name: pattern.ident.clone(), kind: argument.ty.clone(), attributes })
}

/// Whether a type is the call, and then whether it is a reference to it.
fn is_ctx(kind: &Type) -> Option<bool> {
    match kind {
        Type::Path(path) => path.path.segments.last().is_some_and(|last| last.ident == "Ctx").then_some(false),
        Type::Reference(reference) => is_ctx(&reference.elem).map(|_| true),
        _ => None,
    }
}

/// What stands in the comment above the function.
fn description(own: &Ident, attributes: &[Attribute]) -> Result<String> {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    let lines: Vec<_> = lines.map(|line| line.strip_prefix(' ').unwrap_or(&line).to_owned()).collect();
    let text = lines.join("\n").trim().to_owned();
    if text.is_empty() {
        return Err(Error::new(own.span(), "say in a comment above it (`/// …`) what the tool does: models read it"));
    }
    if text.chars().count() > MAX_DESCRIPTION {
        let what = format!("the comment above a tool has at most {MAX_DESCRIPTION} characters");
        return Err(Error::new(own.span(), what));
    }
    Ok(text)
}

/// What the function answers with, and whether that stands in a `Result`.
fn reply(output: &ReturnType) -> (TokenStream, bool) {
    let ReturnType::Type(_, kind) = output else { return (quote!(()), false) };
    if let Type::Path(path) = &**kind
        && let Some(last) = path.path.segments.last()
        && last.ident == "Result"
        && let PathArguments::AngleBracketed(arguments) = &last.arguments
        && let Some(GenericArgument::Type(value)) = arguments.args.first()
    {
        return (quote!(#value), true);
    }
    (quote!(#kind), false)
}

/// The JSON of an example.
fn json(Example { span, arguments }: &Example, names: &[&&Ident]) -> Result<TokenStream> {
    let mut members = Vec::new();
    for (name, value) in arguments {
        if !names.iter().any(|known| **known == name) {
            let known: Vec<_> = names.iter().map(ToString::to_string).collect();
            let what = format!("the tool has no argument `{name}`: it has {}", known.join(", "));
            return Err(Error::new(name.span(), what));
        }
        let name = LitStr::new(&name.unraw().to_string(), name.span());
        members.push(quote!(#name: #value));
    }
    if members.is_empty() && !names.is_empty() {
        return Err(Error::new(*span, "an example has arguments: `example(name = \"Ada\")`"));
    }
    Ok(quote!(::fumehood::json!({ #(#members),* })))
}
