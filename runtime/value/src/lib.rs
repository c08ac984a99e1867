//! JSON on one side, component values on the other.
//!
//! When a module is loaded, [`describe()`] reads the types of its functions from the component, and [`Plan::of`] turns
//! them into one conversion plan a function. From then on a call parses its JSON once, straight into component values
//! ([`Plan::lower_slice`]), and its answer is written once, straight into JSON ([`Plan::lift`]); nothing is derived
//! from types again. The same plan writes the JSON Schemas, so what is advertised and what is accepted cannot differ.
//!
//! This crate runs no WebAssembly, and knows nothing of HTTP, MCP or files.
//!
//! | WIT | JSON |
//! |---|---|
//! | `bool`, `string`, `char` | boolean, string, string of one character |
//! | `u8` … `s32`, `f32`, `f64` | number; a non-finite answer is `"NaN"`, `"Infinity"` or `"-Infinity"` |
//! | `u64`, `s64` | number or decimal string; answers from 2^53 on are strings |
//! | `list<u8>` | base64 string; a `data:` URL is accepted |
//! | `list<T>`, `tuple<…>` | array |
//! | `record` | object, names in snake_case; kebab-case is accepted |
//! | `variant`, inner `result` | `{"tag": …, "val": …}` |
//! | `enum`, `flags` | string, array of strings |
//! | `option<T>` | absent or `null`; an option directly inside an option is `{"tag": "some", "val": …}` or `{"tag": "none"}` |
//! | `result<T, E>` returned | `T`; `E` becomes the tool's error |

mod compose;
mod count;
mod declared;
mod describe;
mod docs;
mod lift;
mod lower;
mod mistake;
mod part;
mod plan;
mod schema;
mod section;
#[cfg(test)]
mod tests;
mod types;

pub use compose::{Recipe, compose};
pub use count::{Bound, Counts, Quantity};
pub use declared::Declared;
pub use describe::{DOCS_SECTION, DescribeError, MANIFEST_SECTION, describe};
pub use lift::LiftError;
pub use lower::{Arguments, Input, MAX_VALUE_BYTES};
pub use mistake::{InputError, Mistake};
pub use part::Part;
pub use plan::Plan;
pub use schema::{LOCAL, Object, Schema};
pub use section::Section;
pub use types::{Case, Definition, Field, Function, Interface, Kind, Rejected, Type};
