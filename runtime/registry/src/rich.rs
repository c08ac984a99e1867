//! Components that describe their tools, prompts and resources themselves, through the package `fumehood:tool`.
//!
//! What they say is text of a stranger: it is bounded and checked once, when the module enters the catalogue. What their
//! tools answer is turned into the content blocks of MCP, which every front end shows in its own way.

mod answer;
mod context;
mod listing;
mod written;

pub use answer::{Aside, Asks, Question, Request, messages, read, renamed, suggestions, tool_result};
pub use context::{CallContext, Capabilities, Resumption, Trace};
pub(crate) use listing::unique;
pub use listing::{Argument, Described, Hints, Prompt, Resource, RichTool, Tasks, Template};
pub use written::{Line, Role};
pub(crate) use written::{WrittenPrompt, WrittenResource};
