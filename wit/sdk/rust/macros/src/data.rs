//! `#[data]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Result, parse2};

/// The type with what arguments and answers need.
pub(crate) fn expand(item: TokenStream) -> Result<TokenStream> {
    let item: DeriveInput = parse2(item)?;
    Ok(quote! {
        #[derive(
            ::core::fmt::Debug, ::core::clone::Clone,
            ::fumehood::serde::Serialize, ::fumehood::serde::Deserialize, ::fumehood::schemars::JsonSchema,
        )]
        #[serde(crate = "::fumehood::serde")]
        #[schemars(crate = "::fumehood::schemars")]
        #item
    })
}
