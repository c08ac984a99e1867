//! `permissions!`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Error, LitStr, Result, Token,
    parse::{Parse, ParseStream, Parser},
    punctuated::Punctuated,
};

/// The kinds that there are.
const KINDS: [&str; 8] = ["http", "files", "scratch", "env", "config", "keyvalue", "secret", "invoke"];

/// Most permissions of a component; longest of each, and longest reason.
const MOST: usize = 64;
const MAX_ALLOW: usize = 1024;
const MAX_REASON: usize = 300;

/// What is asked for, and why.
struct Permission {
    allow: LitStr,
    reason: LitStr,
}

impl Parse for Permission {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let allow: LitStr = input.parse()?;
        if !input.peek(Token![=>]) {
            let what = "say why after it: `\"keyvalue:cache\" => \"Keeps answers for an hour.\"`";
            return Err(Error::new(allow.span(), what));
        }
        input.parse::<Token![=>]>()?;
        Ok(Self { allow, reason: input.parse()? })
    }
}

/// A section of the component with tables for a `tool.toml`.
pub(crate) fn expand(list: TokenStream) -> Result<TokenStream> {
    let list = Punctuated::<Permission, Token![,]>::parse_terminated.parse2(list)?;
    if let Some(more) = list.iter().nth(MOST) {
        return Err(Error::new(more.allow.span(), format!("a component asks for at most {MOST} permissions")));
    }
    let mut text = String::new();
    for permission in &list {
        check(permission)?;
        let (allow, reason) = (permission.allow.value(), permission.reason.value());
        text += &format!("\n[[permissions]]\nallow = {}\nreason = {}\n", quoted(&allow), quoted(&reason));
    }
    let (bytes, length) = (proc_macro2::Literal::byte_string(text.as_bytes()), text.len());
    Ok(quote! {
        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code, clippy::allow_attributes)]
        const _: () = {
            #[used]
            #[unsafe(link_section = "fumehood:permissions")]
            static PERMISSIONS: [u8; #length] = *#bytes;
        };
    })
}

fn check(Permission { allow, reason }: &Permission) -> Result<()> {
    let text = allow.value();
    let kind = text.split([':', ',']).next().unwrap_or_default();
    if !KINDS.contains(&kind) {
        let what = format!("there is no permission `{kind}`: there are {}", KINDS.join(", "));
        return Err(Error::new(allow.span(), what));
    }
    if text.len() > MAX_ALLOW || text.chars().any(char::is_control) {
        return Err(Error::new(allow.span(), format!("a permission is one line of at most {MAX_ALLOW} bytes")));
    }
    let why = reason.value();
    if why.trim().is_empty() || why.chars().count() > MAX_REASON || why.chars().any(char::is_control) {
        let what = format!("whoever reviews it reads the reason: one line of 1 to {MAX_REASON} characters");
        return Err(Error::new(reason.span(), what));
    }
    Ok(())
}

/// `text`, which has no control characters, as TOML writes it.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
