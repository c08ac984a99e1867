//! Prompts and resources of modules, and what completes their arguments.

use std::sync::Arc;

use fumehood_dispatch::{
    Catalogue, DispatchError, Module, OwnResource, Terms, Via,
    rich::{Aside, CallContext, Prompt, Resource, Template},
};
use fumehood_model::{Code, Principal};
use rmcp::{
    ErrorData, RoleServer,
    model::{
        self, Annotations, CompleteRequestParams, CompletionInfo, GetPromptRequestParams, GetPromptResponse,
        GetPromptResult, Icon, ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, Reference,
        ResultType,
    },
    service::RequestContext,
};
use serde_json::{Value, json};

use crate::{
    convert,
    handler::Handler,
    input::{Given, Step, rounds},
    view::Profile,
};

/// A prompt as the protocol lists it.
pub(crate) fn prompt(name: String, prompt: &Prompt) -> model::Prompt {
    let arguments = prompt.arguments.iter().map(|argument| {
        let mut shown = model::PromptArgument::new(argument.name.clone()).with_required(argument.required);
        shown.description.clone_from(&argument.description);
        shown
    });
    let mut shown = model::Prompt::from_raw(name, prompt.description.clone(), Some(arguments.collect()));
    shown.title.clone_from(&prompt.title);
    shown.icons = icons(&prompt.icons);
    shown
}

/// A resource as the protocol lists it.
pub(crate) fn resource(resource: &Resource) -> model::Resource {
    let mut shown = model::Resource::new(resource.uri.clone(), resource.name.clone());
    shown.title.clone_from(&resource.title);
    shown.description.clone_from(&resource.description);
    shown.mime_type.clone_from(&resource.mime_type);
    shown.size = resource.size;
    shown.icons = icons(&resource.icons);
    shown.annotations = resource.annotations.clone().and_then(annotations);
    shown
}

/// A template as the protocol lists it.
pub(crate) fn template(template: &Template) -> model::ResourceTemplate {
    let mut shown = model::ResourceTemplate::new(template.uri_template.clone(), template.name.clone());
    shown.title.clone_from(&template.title);
    shown.description.clone_from(&template.description);
    shown.mime_type.clone_from(&template.mime_type);
    shown
}

/// Whether a template of the server is shown at this address.
pub(crate) fn is_shown(profile: &Profile, template: &Template) -> bool {
    OwnResource::at(&template.uri_template).is_some_and(|own| profile.shows_own(own))
}

fn is_own(profile: &Profile, uri_template: &str) -> bool {
    let mut templates = OwnResource::templates().into_iter();
    templates.any(|own| own.uri_template == uri_template && is_shown(profile, &own))
}

pub(crate) fn icons(icons: &[Value]) -> Option<Vec<Icon>> {
    let shown = |icon: &Value| {
        let mut icon = icon.clone();
        if let Some(members) = icon.as_object_mut()
            && let Some(kind) = members.remove("mime_type")
        {
            members.insert("mimeType".to_owned(), kind);
        }
        serde_json::from_value(icon).ok()
    };
    let icons: Vec<_> = icons.iter().filter_map(shown).collect();
    Some(icons).filter(|icons| !icons.is_empty())
}

fn annotations(annotations: Value) -> Option<Annotations> {
    serde_json::from_value(fumehood_dispatch::rich::renamed(annotations)).ok()
}

impl Handler {
    pub(crate) async fn messages(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let (principal, profile) = (self.principal(&context)?, self.profile(&context)?);
        let catalogue = self.catalogue(&principal)?;
        let (module, prompt) = find_prompt(&catalogue, profile, &request.name)?;
        let arguments = prompt.filled(request.arguments.unwrap_or_default());
        let arguments = arguments.map_err(|what| ErrorData::invalid_params(what, None))?;
        let whose = module.as_ref().map(|module| format!("{} {}", module.name, module.digest)).unwrap_or_default();
        let call = format!("prompts/get {whose} {} {}", prompt.name, json!(arguments));
        let given = Given { responses: request.input_responses, state: request.request_state };
        let step = rounds(&self.dispatcher, &principal, Some(&call), given, &context, |told| {
            let (module, arguments, principal, prompt) = (module.as_deref(), &arguments, &principal, &prompt);
            async move { told_of(self.dispatcher.prompt(principal, module, prompt, arguments, terms(told)).await) }
        });
        Ok(match step.await? {
            Step::Done(result) => {
                let mut result = typed::<GetPromptResult>(result)?;
                result.result_type = Some(ResultType::COMPLETE);
                result.into()
            }
            Step::Asks(asks) => asks.into(),
        })
    }

    pub(crate) async fn contents(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let (principal, profile) = (self.principal(&context)?, self.profile(&context)?);
        let catalogue = self.catalogue(&principal)?;
        let uri = &request.uri;
        if let Some(own) = OwnResource::at(uri) {
            return self.own_contents(&principal, profile, uri, own).await;
        }
        let missing = || ErrorData::resource_not_found("there is no such resource", Some(json!({ "uri": uri })));
        let module = Module::with_resource(profile.modules(&catalogue).collect::<Vec<_>>().into_iter(), uri)
            .ok_or_else(missing)?;
        let given = Given { responses: request.input_responses, state: request.request_state };
        let call = format!("resources/read {} {} {uri}", module.name, module.digest);
        let step = rounds(&self.dispatcher, &principal, Some(&call), given, &context, |told| {
            let principal = &principal;
            async move { told_of(self.dispatcher.resource(principal, module, uri, terms(told)).await) }
        });
        Ok(match step.await? {
            Step::Done(result) => {
                let mut result = typed::<ReadResourceResult>(result)?;
                result.result_type = Some(ResultType::COMPLETE);
                result.into()
            }
            Step::Asks(asks) => asks.into(),
        })
    }

    async fn own_contents(
        &self,
        principal: &Principal,
        profile: &Profile,
        uri: &str,
        own: OwnResource<'_>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let missing = || ErrorData::resource_not_found("there is no such resource", Some(json!({ "uri": uri })));
        if !profile.shows_own(own) {
            return Err(missing());
        }
        let told = self.dispatcher.own_resource(principal, uri, own).await;
        let told = told.map_err(|error| match error.code() {
            Code::NotFound => missing(),
            _ => convert::refused(&error).err().unwrap_or_else(|| ErrorData::internal_error(error.to_string(), None)),
        })?;
        let mut result = typed::<ReadResourceResult>(told)?;
        result.result_type = Some(ResultType::COMPLETE);
        Ok(result.into())
    }

    pub(crate) async fn completion(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompletionInfo, ErrorData> {
        let (principal, profile) = (self.principal(&context)?, self.profile(&context)?);
        let catalogue = self.catalogue(&principal)?;
        let (module, subject) = match &request.r#ref {
            Reference::Prompt(prompt) => {
                let (module, prompt) = find_prompt(&catalogue, profile, &prompt.name)?;
                let argument = &request.argument;
                let Some(module) = module.filter(|_| prompt.said.is_none()) else {
                    return typed(prompt.completed(&argument.name, &argument.value));
                };
                (module, json!({ "tag": "prompt", "val": prompt.name }))
            }
            Reference::Resource(resource) if is_own(profile, &resource.uri) => {
                let argument = &request.argument;
                let told = self.dispatcher.complete_own(&principal, &resource.uri, &argument.name, &argument.value);
                return typed(told.map_err(|error| ErrorData::invalid_request(error.to_string(), None))?);
            }
            Reference::Resource(resource) => {
                let has = |module: &&Arc<Module>| {
                    module.templates.iter().any(|template| template.uri_template == resource.uri)
                };
                let module = profile.modules(&catalogue).find(has).cloned();
                let missing = || ErrorData::invalid_params("there is no such template of resources", None);
                (module.ok_or_else(missing)?, json!({ "tag": "template", "val": resource.uri }))
            }
            _ => return Err(ErrorData::invalid_params("only prompts and templates have arguments to complete", None)),
        };
        if module.answers.complete.is_none() {
            return typed(json!({ "values": [] }));
        }
        let chosen = request.context.and_then(|context| context.arguments).unwrap_or_default();
        let chosen: Vec<_> = chosen.into_iter().collect();
        let argument = request.argument;
        let question =
            json!({ "subject": subject, "argument": argument.name, "value": argument.value, "chosen": chosen });
        let told = self.dispatcher.complete(&principal, &module, question, terms(CallContext::default())).await;
        match told_of(told)? {
            Ok(completion) => typed(completion),
            Err(aside) => Err(ErrorData::invalid_params(aside.sentence(), None)),
        }
    }
}

fn terms(context: CallContext) -> Terms {
    Terms { via: Via::Mcp, context, ..Terms::default() }
}

type Found = (Option<Arc<Module>>, Prompt);

fn find_prompt(catalogue: &Catalogue, profile: &Profile, name: &str) -> Result<Found, ErrorData> {
    let found = profile.prompts(catalogue).into_iter().find(|(known, ..)| known == name);
    let (_, module, prompt) = found.ok_or_else(|| ErrorData::invalid_params("there is no such prompt", None))?;
    Ok((module.cloned(), prompt.clone()))
}

/// What a module told, or why it was not asked.
fn told_of(told: Result<Result<Value, Aside>, DispatchError>) -> Result<Result<Value, Aside>, ErrorData> {
    told.map_err(|error| match convert::refused(&error) {
        Err(error) => error,
        Ok(_) if error.code() == Code::InvalidInput => {
            // The guest declares other parameters than the package says.
            ErrorData::internal_error("the module does not speak fumehood:tool as it should", None)
        }
        Ok(_) => ErrorData::internal_error(error.to_string(), None),
    })
}

fn typed<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, ErrorData> {
    serde_json::from_value(value).map_err(|error| {
        tracing::warn!(%error, blame = "guest", "A module answered with what the protocol does not know: {error}");
        ErrorData::internal_error("the module answered with what the protocol does not know", None)
    })
}
