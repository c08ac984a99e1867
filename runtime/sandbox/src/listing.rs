//! What a component says of itself that describes its own tools.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use fumehood_capabilities::{Granted, Heard, Nothing};
use fumehood_model::{ByteSize, Digest, Outcome};
use fumehood_policy::Limits;
use fumehood_value::{Arguments, DescribeError, Interface};

use crate::{
    call::{Call, Finished},
    error::SandboxError,
    loader::Sandbox,
};

/// The lists of the package `fumehood:tool`: under what name they are kept, in which interface and function they are.
const LISTS: [(&str, &str, &str); 4] = [
    ("tools", "tools", "list-tools"),
    ("prompts", "prompts", "list-prompts"),
    ("resources", "resources", "list-resources"),
    ("templates", "resources", "list-templates"),
];

/// What a list may use. It is made once for a component, and reaches nothing.
fn limits() -> Limits {
    Limits { deadline_ms: 10_000, result: ByteSize::mib(4), ..Limits::default() }
}

impl Sandbox {
    /// Whether the component must still be asked what it has.
    pub(crate) fn must_be_asked(interface: &Interface) -> bool {
        interface.listing.is_none() && interface.self_description("tools", "list-tools").is_some()
    }

    /// Ask a component for its lists: the JSON of an object that holds each.
    pub(crate) async fn ask(&self, digest: &Digest, interface: &Interface) -> Result<String, SandboxError> {
        self.load(digest).await?;
        let mut lists = Vec::with_capacity(LISTS.len());
        for (name, of, export) in LISTS {
            if let Some(function) = interface.self_description(of, export) {
                lists.push(format!("\"{name}\":{}", self.list(digest, function, export).await?));
            }
        }
        Ok(format!("{{{}}}", lists.join(",")))
    }

    async fn list(&self, digest: &Digest, function: usize, export: &str) -> Result<String, SandboxError> {
        let limits = limits();
        let call = Call {
            digest: *digest,
            function,
            arguments: Arguments::Text("{}".into()),
            limits,
            deadline: Instant::now() + Duration::from_millis(limits.deadline_ms),
            granted: Granted::default(),
            host: Arc::new(Nothing),
            heard: Heard::default(),
            trusted: false,
        };
        let refused = |what: String| {
            let what = format!("the component describes its own tools, and its `{export}` {what}");
            SandboxError::NotServable(DescribeError::Reported { what })
        };
        // On the heap: to call a component, it is described, which may be why this is called.
        let Finished { outcome, .. } = Box::pin(self.call(call, ())).await.map_err(|error| match error {
            SandboxError::Input(error) => refused(format!("takes arguments: {error}")),
            error => error,
        })?;
        match outcome {
            Outcome::Value(json) => Ok(String::from_utf8_lossy(&json).into_owned()),
            Outcome::ToolError(_) => Err(refused("failed".to_owned())),
            Outcome::Stopped(stopped) => Err(refused(format!("did not answer: {stopped}"))),
        }
    }
}
