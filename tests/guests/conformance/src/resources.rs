//! Resources.

use serde_json::json;

use crate::{
    Conformance,
    content::{PNG, contents},
    exports::fumehood::tool::resources::{Guest, Info, Outcome, Template},
    fumehood::tool::types::{Annotations, Context, Error, ResourceBody, ResourceContents, Role},
    tools::icon,
};

/// What the template looks like; its resources begin and end as it does.
pub(crate) const TEMPLATE: &str = "test://template/{id}/data";

const TEXT: &str = "This is the content of the static text resource.";

const SHOWN: &str = "Look at it.";

const WATCHED: &str = "This resource can be watched, though it never changes.";

impl Guest for Conformance {
    fn list_resources() -> Vec<Info> {
        vec![
            info("test://static-text", "static-text", "A text that never changes.", "text/plain", TEXT.len()),
            info("test://static-binary", "static-binary", "An image that never changes.", "image/png", PNG.len()),
            info("test://watched-resource", "watched-resource", "A text to subscribe to.", "text/plain", WATCHED.len()),
            Info {
                title: Some("With a title and a picture".to_owned()),
                icons: vec![icon()],
                annotations: Some(Annotations { audience: vec![Role::User], priority: Some(1.0), last_modified: None }),
                ..info("test://shown", "shown", "A text with all that can be told of it.", "text/plain", SHOWN.len())
            },
        ]
    }

    fn list_templates() -> Vec<Template> {
        vec![Template {
            uri_template: TEMPLATE.to_owned(),
            name: "template".to_owned(),
            title: Some("Data by ID".to_owned()),
            description: Some("Data for an ID.".to_owned()),
            mime_type: Some("application/json".to_owned()),
        }]
    }

    fn read_resource(uri: String, _: Context) -> Result<Outcome, Error> {
        let read = match uri.as_str() {
            "test://static-text" => contents(&uri, "text/plain", ResourceBody::Text(TEXT.to_owned())),
            "test://shown" => ResourceContents {
                meta: Some(json!({"com.example/shelf": 3}).to_string()),
                ..contents(&uri, "text/plain", ResourceBody::Text(SHOWN.to_owned()))
            },
            "test://static-binary" => contents(&uri, "image/png", ResourceBody::Blob(PNG.to_vec())),
            "test://watched-resource" => contents(&uri, "text/plain", ResourceBody::Text(WATCHED.to_owned())),
            _ => {
                let id = id_of(&uri).ok_or_else(|| Error::NotFound(uri.clone()))?;
                let data = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
                contents(&uri, "application/json", ResourceBody::Text(data.to_string()))
            }
        };
        Ok(Outcome::Done(vec![read]))
    }
}

fn info(uri: &str, name: &str, description: &str, mime_type: &str, bytes: usize) -> Info {
    Info {
        uri: uri.to_owned(),
        name: name.to_owned(),
        title: None,
        description: Some(description.to_owned()),
        mime_type: Some(mime_type.to_owned()),
        size: Some(bytes as u64),
        icons: vec![],
        annotations: None,
    }
}

/// What stands in the place of `{id}`.
fn id_of(uri: &str) -> Option<&str> {
    let (before, after) = TEMPLATE.split_once("{id}")?;
    uri.strip_prefix(before)?.strip_suffix(after).filter(|id| !id.is_empty() && !id.contains('/'))
}
