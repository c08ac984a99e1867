//! Every example of every tool is a test, over REST and over both eras of MCP.

use fumehood_tests::{Client, Example, Expected, Mcp, Server, examples, guest, sources};
use jsonschema::Validator;
use serde_json::{Value, json};

#[test]
fn every_example_answers_the_same_over_rest_and_mcp() {
    let mut setup = Server::setup().patient();
    let mut modules = Vec::new();
    for source in sources() {
        let name = source.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(component) = guest(&name) else { return };
        setup = setup.guest(&name, &component);
        modules.push((name, examples(&source)));
    }
    let server = setup.start();
    let clients = [Mcp::legacy(server.admin()), Mcp::modern(server.admin())];

    let mut count = 0;
    for (module, examples) in &modules {
        for example in examples {
            check(server.admin(), &clients, module, example);
            count += 1;
        }
    }

    assert!(count >= 55, "there were 55 examples when this was written, and now {count}");
}

#[test]
fn every_tool_that_people_are_shown_has_an_example() {
    let (mut missing, mut setup, mut shown) = (Vec::new(), Server::setup().patient(), Vec::new());
    for source in sources().into_iter().filter(|source| !source.components().any(|part| part.as_os_str() == "tests")) {
        let name = source.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(component) = guest(&name) else { return };
        setup = setup.guest(&name, &component);
        shown.push((name, source));
    }
    let server = setup.start();
    for (name, source) in &shown {
        let module = server.admin().get(&format!("/api/v1/modules/{name}")).value();
        let shown: Vec<_> = examples(source).into_iter().map(|example| example.function).collect();
        let functions =
            module["functions"].as_array().unwrap().iter().map(|function| function["name"].as_str().unwrap());
        missing.extend(
            functions.filter(|function| !shown.iter().any(|name| name == function)).map(|f| format!("{name}.{f}")),
        );
    }

    // It never returns, which is all that it is for.
    assert_eq!(missing, ["runaway.find-prime-gap"]);
}

fn check(admin: &Client, clients: &[Mcp], module: &str, example: &Example) {
    let Example { function, arguments, expected } = example;
    let label = format!("{module}.{function}({arguments})");
    let rest = admin.call(&format!("{module}/{function}"), arguments);
    let tool = admin.get(&format!("/api/v1/tools/{module}__{function}")).value();
    let executed = admin.post(&format!("/api/v1/tools/{module}__{function}/execute"), &json!({ "input": arguments }));
    match expected {
        Expected::Value(value) => {
            assert_eq!(rest.value(), *value, "{label}");
            let executed = executed.value();
            assert_eq!((&executed["result"], &executed["status"]), (value, &json!("completed")), "{label}");
            let schema = jsonschema::validator_for(&tool["output_schema"]).unwrap();
            clients.iter().for_each(|mcp| succeeds(mcp, &schema, &tool, arguments, value, &label));
        }
        Expected::Error(error) => {
            for answer in [rest, executed] {
                assert_eq!(answer.refused(422, "tool_error").details["error"], *error, "{label}");
            }
            clients.iter().for_each(|mcp| fails(mcp, &tool, arguments, error, &label));
        }
    }
}

fn succeeds(mcp: &Mcp, schema: &Validator, tool: &Value, arguments: &Value, value: &Value, label: &str) {
    let result = mcp.call(tool["name"].as_str().unwrap(), arguments);

    assert_ne!(result["isError"], true, "{label}: {result}");
    let structured = &result["structuredContent"];
    // A record is an object already; anything else is wrapped, and an absent value is left out.
    let wrapped = if value.is_null() { json!({}) } else { json!({ "result": value }) };
    assert!(*structured == wrapped || (value.is_object() && structured == value), "{label}: {structured}");
    assert!(schema.is_valid(structured), "{label}: {structured} does not fit {}", tool["output_schema"]);
    assert_eq!(text(&result).parse::<Value>().unwrap(), *structured, "{label}");
}

fn fails(mcp: &Mcp, tool: &Value, arguments: &Value, error: &Value, label: &str) {
    let result = mcp.call(tool["name"].as_str().unwrap(), arguments);

    assert_eq!(result["isError"], true, "{label}: {result}");
    assert!(result.get("structuredContent").is_none(), "{label}: {result}");
    match error {
        // What the tool was denied stands on a line below.
        Value::String(message) => assert_eq!(text(&result).lines().next(), Some(message.as_str()), "{label}"),
        error => assert_eq!(text(&result).parse::<Value>().unwrap(), *error, "{label}"),
    }
}

fn text(result: &Value) -> &str {
    let content = result["content"].as_array().unwrap();
    assert_eq!(content.len(), 1, "{result}");
    assert_eq!(content[0]["type"], "text", "{result}");
    content[0]["text"].as_str().unwrap()
}
