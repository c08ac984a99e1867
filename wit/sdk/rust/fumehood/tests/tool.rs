//! What is told of a function, and what callers hear of it.

use fumehood::{Kind, Tool, prelude::*};

/// Tell who somebody is.
///
/// In one line.
#[tool(
    name = "who-is",
    title = "Who is it?",
    read_only,
    destructive = false,
    tasks = "optional",
    example(name = "Ada")
)]
fn who_is(
    ctx: &Ctx,
    /// What somebody is called.
    #[schemars(length(min = 1))]
    name: String,
    #[serde(default)] loud: bool,
    since: Option<Year>,
    friends: Option<Vec<Option<String>>>,
) -> Result<Person, ToolError> {
    ctx.info(&name);
    if friends.is_some_and(|friends| friends.is_empty()) {
        return Err(ToolError::not_found("somebody has no friends"));
    }
    Ok(Person { name: if loud { name.to_uppercase() } else { name }, since: since.map(|year| year.number) })
}

/// A year.
#[data]
struct Year {
    /// Its number.
    number: i32,
}

/// Somebody.
#[data]
struct Person {
    name: String,
    since: Option<i32>,
}

/// Either of two.
#[data]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Shape {
    Circle { radius: f64 },
    Square { side: f64 },
}

/// A shape that is an object either way.
#[tool]
fn shape() -> Shape {
    Shape::Circle { radius: 1.0 }
}

/// Say nothing.
#[tool]
fn nothing() {}

/// Find a number, or not.
#[tool]
fn perhaps(found: bool) -> Option<u64> {
    found.then_some(7)
}

tools![who_is, shape, nothing, perhaps];

#[test]
fn what_the_author_wrote_is_what_is_told() {
    let told = who_is::describe();

    assert_eq!((told.name, told.title), ("who-is", Some("Who is it?")));
    assert_eq!(told.description, "Tell who somebody is.\n\nIn one line.");
    assert_eq!((told.hints.read_only, told.hints.destructive, told.hints.idempotent), (Some(true), Some(false), None));
    assert_eq!(told.tasks, fumehood::Tasks::Optional);
    assert_eq!(
        told.input,
        json!({
            "type": "object",
            "properties": {
                "name": { "type": "string", "minLength": 1, "description": "What somebody is called." },
                "loud": { "type": "boolean", "default": false },
                "since": { "$ref": "#/$defs/Year" },
                "friends": { "type": "array", "items": { "anyOf": [{ "type": "string" }, { "type": "null" }] } },
            },
            "required": ["name"],
            "additionalProperties": false,
            "examples": [{ "name": "Ada" }],
            "$defs": { "Year": {
                "type": "object",
                "description": "A year.",
                "properties": { "number": { "type": "integer", "description": "Its number." } },
                "required": ["number"],
            } },
        })
    );
    assert_eq!(told.output.unwrap()["required"], json!(["name"]), "an answer leaves out what is not there");
}

#[test]
fn answers_are_objects_whatever_functions_answer() {
    let answer = |called: Result<Answer, ToolError>| called.unwrap().structured.unwrap();
    let ctx = Ctx::fake();

    assert_eq!(answer(who_is::call(&ctx, r#"{"name":"Ada"}"#)), json!({ "name": "Ada" }));
    assert_eq!(answer(shape::call(&ctx, "{}")), json!({ "kind": "circle", "radius": 1.0 }));
    assert_eq!(answer(nothing::call(&ctx, "{}")), json!({}));
    assert_eq!(answer(perhaps::call(&ctx, r#"{"found":true}"#)), json!({ "result": 7 }));
    assert_eq!(answer(perhaps::call(&ctx, r#"{"found":false}"#)), json!({}));
    for entry in TOOLS {
        let told = (entry.describe)();
        assert_eq!((&told.input["type"], &told.output.unwrap()["type"]), (&json!("object"), &json!("object")));
    }
    assert_eq!(perhaps::describe().output.unwrap().get("required"), None);
}

#[test]
fn mistakes_in_arguments_name_their_place() {
    let told = |arguments: &str| who_is::call(&Ctx::fake(), arguments).unwrap_err();

    assert_eq!(told(r#"{"name":7}"#).to_string(), "/name: invalid type: integer `7`, expected a string");
    assert_eq!(told("{}").to_string(), "missing field `name`");
    assert_eq!(told(r#"{"name":"a","nam":1}"#).kind(), Some(Kind::Invalid));
    assert_eq!(told(r#"{"name":"a","friends":[]}"#).kind(), Some(Kind::NotFound));
}

#[test]
fn an_error_is_an_answer_that_says_what_kind_it_is() {
    let error = ToolError::rate_limited(std::time::Duration::from_secs(2), "not so fast");

    let answer = error.into_answer().unwrap();

    assert!(answer.is_error());
    assert_eq!(answer.content, [Content::Text("not so fast".to_owned())]);
    assert_eq!(answer.meta.unwrap()["fumehood/error"], json!({ "kind": "rate_limited", "retry_after_ms": 2000 }));
}

#[test]
fn an_answer_counts_only_after_its_question() {
    #[data]
    struct Sure {
        sure: bool,
    }
    let sure = |ctx: &Ctx| ctx.ask::<Sure>("sure", "Really?").map(|sure| sure.is_some_and(|sure| sure.sure));

    let asked = sure(&Ctx::fake()).unwrap_err();

    let schema = json!({ "type": "object", "properties": { "sure": { "type": "boolean" } }, "required": ["sure"] });
    let question = fumehood::Question::Form { message: "Really?".to_owned(), schema };
    assert_eq!(asked.asks().unwrap().requests[0].question, question);
    assert!(sure(&Ctx::fake().accepts("sure", &json!({ "sure": true }))).unwrap());
    assert!(!sure(&Ctx::fake().declines("sure")).unwrap());
    assert_eq!(sure(&Ctx::fake().accepts("sure", &json!({ "sure": 7 }))).unwrap_err().kind(), Some(Kind::Failed));
}
