//! `tools!`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, Path, Result, Token, parse::Parser, punctuated::Punctuated};

/// The list of tools, and on WebAssembly what the component exports.
pub(crate) fn expand(list: TokenStream) -> Result<TokenStream> {
    let tools = Punctuated::<Path, Token![,]>::parse_terminated.parse2(list)?;
    if tools.is_empty() {
        return Err(Error::new(proc_macro2::Span::call_site(), "name the functions that are tools: `tools![convert]`"));
    }
    let entries = tools.iter().map(|tool| quote!(::fumehood::Entry::of::<#tool>()));
    Ok(quote! {
        /// The tools of this component.
        #[allow(dead_code, clippy::allow_attributes)]
        pub(crate) const TOOLS: &[::fumehood::Entry] = &[#(#entries),*];

        #[cfg(target_family = "wasm")]
        #[allow(unsafe_code, clippy::allow_attributes)]
        const _: () = {
            use ::fumehood::private::bindings::{
                exports::fumehood::tool::tools::{Guest, Outcome, Tool},
                fumehood::tool::types::{Context, Error},
            };

            struct Component;

            impl Guest for Component {
                fn list_tools() -> ::std::vec::Vec<Tool> {
                    ::fumehood::private::list(TOOLS)
                }

                fn call_tool(
                    name: ::std::string::String,
                    arguments: ::std::string::String,
                    context: Context,
                ) -> ::core::result::Result<Outcome, Error> {
                    ::fumehood::private::call(TOOLS, &name, &arguments, context)
                }
            }

            ::fumehood::private::bindings::export!(Component with_types_in ::fumehood::private::bindings);
        };
    })
}
