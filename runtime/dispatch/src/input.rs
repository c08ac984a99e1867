//! Components that describe their own prompts and resources, and what they ask of whoever calls.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use fumehood_model::{Outcome, Principal, Timestamp};
use fumehood_policy::Action;
use fumehood_registry::{
    Module, Tool,
    rich::{self, Aside, Prompt, Resource},
};
use fumehood_value::Arguments;
use serde_json::{Value, json};

use crate::{Answer, DispatchError, Dispatcher, Terms};

/// How long whoever is asked may take to answer.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// What modules offer beside tools: numbers that change when that does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offers {
    /// Of all prompts.
    pub prompts: u64,
    /// Of all resources and templates.
    pub resources: u64,
}

impl Dispatcher {
    /// What is offered beside tools at this moment.
    #[must_use]
    pub fn offers(&self) -> Offers {
        let (mut prompts, mut resources) = (DefaultHasher::new(), DefaultHasher::new());
        let catalogue = self.inner.registry.current();
        let hash = |prompt: &Prompt, prompts: &mut DefaultHasher| {
            (&prompt.name, &prompt.title, &prompt.description, &prompt.said).hash(prompts);
            prompt.arguments.iter().for_each(|argument| (&argument.name, argument.required).hash(prompts));
        };
        catalogue.library().prompts().for_each(|prompt| hash(prompt, &mut prompts));
        for module in catalogue.modules() {
            // What a module offers comes from its component and from what its author wrote beside it.
            let offered = (&module.name, module.digest);
            module.manifest.prompts.iter().for_each(|prompt| hash(prompt, &mut prompts));
            module.manifest.resources.iter().for_each(|resource| (&resource.uri, &resource.text).hash(&mut resources));
            if !module.prompts.is_empty() {
                offered.hash(&mut prompts);
            }
            if !module.resources.is_empty() || !module.templates.is_empty() {
                offered.hash(&mut resources);
            }
        }
        Offers { prompts: prompts.finish(), resources: resources.finish() }
    }

    /// The messages of `prompt`, which is of `module` or of nobody: the object of a result of `prompts/get`.
    ///
    /// # Errors
    ///
    /// As [`Dispatcher::call`].
    pub async fn prompt(
        &self,
        principal: &Principal,
        module: Option<&Module>,
        prompt: &Prompt,
        arguments: &[(String, String)],
        terms: Terms,
    ) -> Result<Result<Value, Aside>, DispatchError> {
        if let Some(written) = prompt.written(arguments) {
            Action::Call.check(principal)?;
            return Ok(written.map_err(Aside::Refused));
        }
        let (name, answering) = (&prompt.name, module.and_then(|module| module.answers.get_prompt.as_ref()));
        let arguments = json!({ "name": name, "arguments": arguments, "context": terms.context.to_json() });
        self.ask(principal, answering, arguments, terms, rich::messages).await
    }

    /// What is in the resource `uri` of `module`: the object of a result of `resources/read`.
    ///
    /// # Errors
    ///
    /// As [`Dispatcher::call`].
    pub async fn resource(
        &self,
        principal: &Principal,
        module: &Module,
        uri: &str,
        terms: Terms,
    ) -> Result<Result<Value, Aside>, DispatchError> {
        if let Some(written) = module.resources.iter().find(|known| known.uri == uri).and_then(Resource::written) {
            Action::Call.check(principal)?;
            return Ok(Ok(written));
        }
        let arguments = json!({ "uri": uri, "context": terms.context.to_json() });
        self.ask(principal, module.answers.read_resource.as_ref(), arguments, terms, rich::read).await
    }

    /// What could stand in an argument, as `module` says: the object `completion` of a result of `completion/complete`.
    ///
    /// `question` is the record of this name in `fumehood:tool`.
    ///
    /// # Errors
    ///
    /// As [`Dispatcher::call`].
    pub async fn complete(
        &self,
        principal: &Principal,
        module: &Module,
        question: Value,
        terms: Terms,
    ) -> Result<Result<Value, Aside>, DispatchError> {
        let read = |json: &[u8]| rich::suggestions(json).map(Ok);
        self.ask(principal, module.answers.complete.as_ref(), json!({ "question": question }), terms, read).await
    }

    async fn ask(
        &self,
        principal: &Principal,
        function: Option<&Arc<Tool>>,
        arguments: Value,
        terms: Terms,
        read: impl Fn(&[u8]) -> Result<Result<Value, Aside>, String>,
    ) -> Result<Result<Value, Aside>, DispatchError> {
        let Some(function) = function else { return Ok(Err(Aside::Refused("there is no such thing here".to_owned()))) };
        let Answer { outcome, .. } = self.call(principal, function, Arguments::Parsed(arguments), terms).await?;
        let read = match outcome {
            Outcome::Value(json) => read(&json),
            Outcome::ToolError(json) => Aside::of_error(&json).map(Err),
            Outcome::Stopped(stopped) => Ok(Err(Aside::Refused(stopped.to_string()))),
        };
        Ok(read.unwrap_or_else(|fault| {
            tracing::warn!(
                module.name = %function.module, component.digest = %function.digest, blame = "guest",
                "Module {} broke the rules of fumehood:tool: {fault}", function.module
            );
            Err(Aside::Refused("the module answered with something that is not what it promises".to_owned()))
        }))
    }

    /// Hand what a guest wants to remember to `principal`, who can neither read nor change it, nor use it for another call.
    ///
    /// # Errors
    ///
    /// When there is no randomness.
    pub fn seal(&self, principal: &Principal, call: &str, state: &[u8]) -> Result<String, DispatchError> {
        let expires = Timestamp { unix_ms: Timestamp::now().unix_ms.saturating_add(PATIENCE.as_millis() as u64) };
        Ok(self.inner.seals.seal(&purpose(principal, call), state, expires)?)
    }

    /// What a guest wanted to remember, if `text` was sealed for this call of `principal`, and not too long ago.
    #[must_use]
    pub fn unseal(&self, principal: &Principal, call: &str, text: &str) -> Option<Vec<u8>> {
        self.inner.seals.open(&purpose(principal, call), text, Timestamp::now())
    }
}

fn purpose(principal: &Principal, call: &str) -> Vec<u8> {
    format!("{}\n{call}", principal.key).into_bytes()
}
