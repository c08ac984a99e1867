//! The tests of a project: the examples of its `tool.toml`, and the tests in the `.toml` files of its folder `tests`.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use fumehood_dispatch::{Example, Expected};
use fumehood_model::{ByteSize, Code};
use fumehood_value::Declared;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{MANIFEST, Project};
use crate::exit::Failure;

mod records;

pub(crate) use records::Recorded;

/// Where tests are.
const TESTS: &str = "tests";

/// Largest file of tests.
const MAX_FILE: u64 = 4 << 20;

/// A call, and what should come of it.
#[derive(Debug)]
pub(crate) struct Case {
    /// What it is called.
    pub(crate) name: String,
    /// Where it stands: the file, and which of its tests or examples it is, from 0.
    pub(crate) place: (PathBuf, usize),
    /// Whether it is an example of the manifest.
    pub(crate) is_example: bool,
    /// The function.
    pub(crate) function: String,
    /// Its arguments.
    pub(crate) arguments: Value,
    /// What should come of it.
    pub(crate) expected: Wanted,
    /// Most fuel that it may burn.
    pub(crate) max_fuel: Option<u64>,
    /// Most memory that it may hold.
    pub(crate) max_memory: Option<ByteSize>,
    /// What surrounds the call.
    pub(crate) around: Around,
}

/// What surrounds a call, in place of what is there otherwise.
#[derive(Debug, Clone, Default)]
pub(crate) struct Around {
    /// The time at which its clocks stand still, since 1970.
    pub(crate) now: Option<Duration>,
    /// What its random bytes are made of.
    pub(crate) seed: Option<u64>,
    /// Answers to its requests.
    pub(crate) own: Vec<Recorded>,
    /// Answers to the requests of any test in its file.
    pub(crate) shared: Arc<Vec<Recorded>>,
}

/// What should come of a call.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// An answer, whatever it is.
    Answer,
    /// This answer.
    Exactly(Value),
    /// An answer that holds this, and may hold more members of objects.
    Part(Value),
    /// An answer that fits this schema.
    Schema(Box<Declared>),
    /// This error of the tool.
    Error(Value),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    now: Option<toml::Value>,
    seed: Option<u64>,
    #[serde(default)]
    http: Vec<records::Entry>,
    #[serde(default, rename = "test")]
    tests: Vec<Test>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    name: Option<String>,
    function: String,
    #[serde(default)]
    args: Value,
    expect: Option<Value>,
    expect_part: Option<Value>,
    expect_schema: Option<Value>,
    expect_error: Option<Value>,
    max_fuel: Option<u64>,
    max_memory: Option<ByteSize>,
    now: Option<toml::Value>,
    seed: Option<u64>,
    #[serde(default)]
    http: Vec<records::Entry>,
}

impl Project {
    /// All tests, those of the manifest first.
    ///
    /// # Errors
    ///
    /// With a [`Failure`] that names file and place of the first mistake.
    pub(crate) fn cases(&self) -> Result<Vec<Case>, Failure> {
        let manifest = self.folder.join(MANIFEST);
        let examples = self.manifest.examples.iter().enumerate();
        let mut cases: Vec<_> =
            examples.map(|(position, example)| of_example(example, (manifest.clone(), position))).collect();
        let folder = self.folder.join(TESTS);
        for path in self.test_files()? {
            let wrong = |what: String| Failure::new(Code::InvalidInput, format!("{}: {what}", path.display()));
            let about = fs::metadata(&path).map_err(|error| wrong(format!("it cannot be read: {error}")))?;
            if about.len() > MAX_FILE {
                return Err(wrong(format!("it has more than {} MiB", MAX_FILE >> 20)));
            }
            let text = fs::read_to_string(&path).map_err(|error| wrong(format!("it cannot be read: {error}")))?;
            let file: File = toml::from_str(&text).map_err(|error| {
                let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
                Failure::new(Code::InvalidInput, format!("{}:{line}: {}", path.display(), error.message()))
            })?;
            let around = Around {
                now: file.now.map(moment).transpose().map_err(&wrong)?,
                seed: file.seed,
                own: Vec::new(),
                shared: Arc::new(records::of(file.http, &folder).map_err(&wrong)?),
            };
            for (position, test) in file.tests.into_iter().enumerate() {
                let named = test.name.clone();
                let case = of_test(test, (path.clone(), position), &around).map_err(|what| {
                    let which = named.unwrap_or_else(|| format!("test {}", position + 1));
                    wrong(format!("{which}: {what}"))
                })?;
                cases.push(case);
            }
        }
        Ok(cases)
    }

    fn test_files(&self) -> Result<Vec<PathBuf>, Failure> {
        let folder = self.folder.join(TESTS);
        if !folder.is_dir() {
            return Ok(Vec::new());
        }
        let entries = fs::read_dir(&folder)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| Failure::new(Code::NotFound, format!("{} cannot be read: {error}", folder.display())))?;
        let is_test = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "toml");
        let mut files: Vec<_> = entries.into_iter().map(|entry| entry.path()).filter(is_test).collect();
        files.sort();
        Ok(files)
    }
}

fn of_example(example: &Example, place: (PathBuf, usize)) -> Case {
    let expected = match example.expected.clone() {
        None => Wanted::Answer,
        Some(Expected::Value(value)) => Wanted::Exactly(value),
        Some(Expected::Error(error)) => Wanted::Error(error),
    };
    Case {
        name: format!("example {} of {}", place.1 + 1, example.function),
        place,
        is_example: true,
        function: example.function.clone(),
        arguments: example.args.clone(),
        expected,
        max_fuel: None,
        max_memory: None,
        around: Around::default(),
    }
}

/// The case that `test` is, with what surrounds all tests of its file.
fn of_test(test: Test, place: (PathBuf, usize), around: &Around) -> Result<Case, String> {
    let Test { name, function, args, expect, expect_part, expect_schema, expect_error, .. } = test;
    let folder = place.0.parent().unwrap_or(Path::new(""));
    let around = Around {
        now: test.now.map(moment).transpose()?.or(around.now),
        seed: test.seed.or(around.seed),
        own: records::of(test.http, folder)?,
        shared: Arc::clone(&around.shared),
    };
    let (max_fuel, max_memory) = (test.max_fuel, test.max_memory);
    let schema = |value: Value| {
        let schema = Declared::parse(&of_answer(json("expect_schema", value)?).to_string());
        schema.map(Box::new).map_err(|why| format!("`expect_schema` cannot be used: {why}"))
    };
    let wanted = [
        expect.map(|value| json("expect", value).map(Wanted::Exactly)),
        expect_part.map(|value| json("expect_part", value).map(Wanted::Part)),
        expect_schema.map(|value| schema(value).map(Wanted::Schema)),
        expect_error.map(|value| json("expect_error", value).map(Wanted::Error)),
    ];
    let mut wanted = wanted.into_iter().flatten();
    let expected = wanted.next().transpose()?.unwrap_or(Wanted::Answer);
    if wanted.next().is_some() {
        return Err("it has more than one of `expect`, `expect_part`, `expect_schema` and `expect_error`".to_owned());
    }
    let arguments = match args {
        Value::Null => Value::Object(Map::new()),
        args => json("args", args)?,
    };
    let name = name.unwrap_or_else(|| format!("test {} of {function}", place.1 + 1));
    Ok(Case { name, place, is_example: false, function, arguments, expected, max_fuel, max_memory, around })
}

/// The moment that `now` is, since 1970: a time of TOML, or one in a text.
fn moment(now: toml::Value) -> Result<Duration, String> {
    let text = match now {
        toml::Value::String(text) => text,
        toml::Value::Datetime(time) => time.to_string(),
        other => other.to_string(),
    };
    let wrong = || format!("`now` is `{}`, and no time like 2026-01-02T03:04:05Z", text.escape_debug());
    let time = chrono::DateTime::parse_from_rfc3339(&text).map_err(|_| wrong())?;
    let seconds = u64::try_from(time.timestamp());
    let seconds = seconds.map_err(|_| format!("`now` is {text}, and clocks of guests begin with 1970"))?;
    // A leap second is the end of the second before it.
    Ok(Duration::new(seconds, time.timestamp_subsec_nanos().min(999_999_999)))
}

/// A value as TOML, or as JSON in a text: as in the examples of a manifest.
fn json(key: &str, value: Value) -> Result<Value, String> {
    match value {
        Value::String(text) => {
            serde_json::from_str(&text).map_err(|error| format!("`{key}` is a text that is not JSON: {error}"))
        }
        value => Ok(value),
    }
}

/// The member under which an answer is checked: schemas are checked of objects.
pub(crate) const ANSWER: &str = "answer";

/// The schema of an object whose member [`ANSWER`] fits `schema`.
fn of_answer(mut schema: Value) -> Value {
    // What it refers to is looked for from the root.
    let definitions = schema.as_object_mut().and_then(|schema| schema.remove("$defs"));
    let mut whole = json!({ "type": "object", "properties": { ANSWER: schema }, "required": [ANSWER] });
    if let Some(definitions) = definitions {
        whole["$defs"] = definitions;
    }
    whole
}
