use super::*;

fn mistakes(text: &str) -> Vec<(usize, String)> {
    let error = Manifest::parse("tool.toml", text).unwrap_err();
    error.mistakes.into_iter().map(|mistake| (mistake.line, mistake.what)).collect()
}

#[test]
fn everything_that_an_author_can_say_is_read() {
    let text = r#"
name = "weather"
version = "1.2.0"
description = "Forecasts."
category = "data"
tags = ["weather", "http"]
mode = "queue"

[functions.forecast]
description = "The forecast for a place."
mode = "auto"
idempotent = true
[functions.forecast.params]
place = "Name of the place."

[limits]
fuel_units = 1_000
deadline_ms = 500
memory = "8 MiB"
result = 1024
concurrent_calls = 2

[[permissions]]
allow = "http:GET https://api.example.com/v1"
reason = "Asks the weather service."
[[permissions]]
allow = "env:LOG_LEVEL"
reason = "How much to log."

[[examples]]
function = "forecast"
args = { place = "Bonn" }
expect = "\"rain\""
[[example]]
function = "forecast"
args = '{"place": ""}'
expect_error = '{"tag": "unknown"}'
"#;

    let manifest = Manifest::parse("tool.toml", text).unwrap();

    assert_eq!(manifest.name.as_deref(), Some("weather"));
    assert_eq!((manifest.mode, manifest.concurrent_calls), (Mode::Queue, Some(2)));
    assert_eq!(manifest.limits.get(Bound::FuelUnits), Some(1_000));
    assert_eq!(manifest.limits.get(Bound::Result), Some(1_024));
    assert_eq!(manifest.functions["forecast"].params["place"], "Name of the place.");
    assert_eq!(
        (manifest.functions["forecast"].mode, manifest.functions["forecast"].is_idempotent),
        (Some(Mode::Auto), true)
    );
    assert_eq!(manifest.asks(), ["http:GET https://api.example.com/v1", "env:LOG_LEVEL"]);
    assert_eq!(manifest.permissions[1].reason, "How much to log.");
    assert_eq!(manifest.examples[0].args, serde_json::json!({ "place": "Bonn" }));
    assert_eq!(manifest.examples[0].expected, Some(Expected::Value("rain".into())));
    assert_eq!(manifest.examples[1].expected, Some(Expected::Error(serde_json::json!({ "tag": "unknown" }))));
}

#[test]
fn every_mistake_is_told_at_once_with_its_line_and_what_was_meant() {
    let text = r#"nam = "x"
mode = "later"
tags = "x"
[limits]
memory = "8 MB"
fuel = 1
deadline_ms = 0
[[permissions]]
allow = "secrt:A"
reason = "x"
[[permissions]]
allow = "files:/etc,at=/data"
reason = ""
[[permissions]]
alow = "scratch"
reason = 5
[functions.f]
descripton = "x"
[[examples]]
function = "f"
args = "{"
"#;

    assert_eq!(
        mistakes(text),
        [
            (1, "unknown key `nam`; did you mean `name`?".to_owned()),
            (2, "`later` is not a mode: use \"direct\", \"queue\" or \"auto\"".to_owned()),
            (3, "`tags` must be a list of texts".to_owned()),
            (5, "`memory`: `8 MB` is not a size: write a number of bytes, or one with KiB, MiB or GiB".to_owned()),
            (6, "unknown key `limits.fuel`; did you mean `fuel_units`?".to_owned()),
            (7, "`deadline_ms` must be a whole number from 1".to_owned()),
            (9, "`secrt:A` is not a permission: there is no kind `secrt`; did you mean `secret`?".to_owned()),
            (11, "a permission needs a `reason`: say in a sentence what it is for".to_owned()),
            (
                12,
                "a module cannot know the operator's folders and values: ask for `files,at=/data,mode=read`".to_owned()
            ),
            (14, "a permission needs a `reason`: say in a sentence what it is for".to_owned()),
            (14, "a permission needs `allow`, as in allow = \"http:GET https://api.example.com\"".to_owned()),
            (15, "unknown key `permissions.alow`; did you mean `allow`?".to_owned()),
            (16, "`reason` must be a text".to_owned()),
            (18, "unknown key `functions.NAME.descripton`; did you mean `description`?".to_owned()),
            (21, "`args` is a text that is not JSON: EOF while parsing an object at line 1 column 1".to_owned()),
        ]
    );
}

#[test]
fn what_is_too_much_is_refused() {
    let permission = |index| format!("[[permissions]]\nallow = \"secret:S{index}\"\nreason = \"x\"\n");
    let many: String = (0..65).map(permission).collect();

    assert_eq!(mistakes(&many), [(1, "there are 65 permissions, and 64 are the most".to_owned())]);
    assert_eq!(
        mistakes(&format!("[[permissions]]\nallow = 'scratch'\nreason = '{}'", "x".repeat(301)))[1],
        (3, "`reason` has 301 characters, and 300 are the most".to_owned())
    );
    assert_eq!(mistakes(&" ".repeat(65_537)), [(1, "the file has 65537 bytes, and 65536 are the most".to_owned())]);
    assert_eq!(mistakes(&format!("tags = {}{}", "[".repeat(5_000), "]".repeat(5_000))).len(), 1);
}

#[test]
fn a_reason_cannot_hide_or_turn_around_what_stands_beside_it() {
    for reason in ["a\\u202eb", "a\\u001b[2J", "a\\nb", "a\\u200bb"] {
        let text = format!("[[permissions]]\nallow = 'scratch'\nreason = \"{reason}\"");

        assert!(
            mistakes(&text).contains(&(3, "`reason` holds a character that cannot be printed".to_owned())),
            "{reason}"
        );
    }
}

#[test]
fn broken_toml_is_told_with_its_line() {
    let error = Manifest::parse("x/tool.toml", "name = 'a'\nversion =\n").unwrap_err();

    assert_eq!(error.mistakes[0].line, 2);
    assert!(error.to_string().starts_with("x/tool.toml:2: "), "{error}");
}

#[test]
fn the_same_permission_twice_is_a_mistake() {
    let text = "[[permissions]]\nallow='scratch'\nreason='x'\n[[permissions]]\nallow='scratch,bytes=64MiB'\nreason='y'";

    assert_eq!(mistakes(text), [(5, "`scratch,bytes=64MiB,files=1000` is asked for twice".to_owned())]);
}
