//! The author's loop: a new project, its build, its tests, and the way to callers.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use fumehood_tests::{Finished, Server, command, eventually, files, wat};
use serde_json::{Value, json};
use tempfile::TempDir;

const INVALID: i32 = 6;
const NOT_FOUND: i32 = 3;

/// A project whose build only copies a component.
pub(crate) struct Project(TempDir);

impl Project {
    pub(crate) fn new(component: &[u8], manifest: &str, tests: &str) -> Self {
        let project = Self(tempfile::tempdir().unwrap());
        project.write("source.wasm", component);
        let build = "[build]\ncommand = \"cp source.wasm built_tool.wasm\"\ncomponent = \"built_tool.wasm\"\n";
        project.write("tool.toml", format!("{manifest}\n{build}").as_bytes());
        fs::create_dir(project.path().join("tests")).unwrap();
        project.write("tests/first.toml", tests.as_bytes());
        project
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, place: &str, bytes: &[u8]) {
        fs::write(self.path().join(place), bytes).unwrap();
    }

    pub(crate) fn read(&self, place: &str) -> String {
        fs::read_to_string(self.path().join(place)).unwrap()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        Finished::of(command().args(arguments).current_dir(self.path()))
    }
}

#[test]
fn a_project_is_made_only_where_there_is_nothing_and_under_a_name_that_fits() {
    let home = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| Finished::of(command().args(arguments).current_dir(home.path()));
    fs::create_dir(home.path().join("taken")).unwrap();
    fs::write(home.path().join("taken/mine"), "mine").unwrap();

    assert!(run(&["new", "taken", "--lang", "rust"]).failed(INVALID).contains("nothing was done"));
    assert_eq!(files(&home.path().join("taken")).len(), 1);
    assert!(run(&["new", "My_Tool", "--lang", "rust"]).failed(2).contains("cannot be the name of a project"));
    assert!(run(&["new", "x", "--lang", "cobol"]).failed(2).contains("possible values: c, go, js, python, rust"));
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
}

#[test]
fn a_build_that_cannot_be_done_says_what_is_missing_and_what_to_do() {
    let project = Project::new(&wat("add"), "", "");
    assert_eq!(project.run(&["build"]).ok().trim(), "./built-tool.wasm");

    let manifest = |build: &str| project.write("tool.toml", build.as_bytes());
    manifest("[build]\ncommand = \"componentize-py --no\"\ncomponent = \"x.wasm\"\n");
    let nothing = |command: &mut Command| Finished::of(command.env("PATH", "/nowhere").current_dir(project.path()));
    let missing = nothing(command().arg("build"));
    assert!(
        missing.failed(NOT_FOUND).contains("`componentize-py`, with which this project is built, is not installed")
    );
    assert!(missing.stderr.contains("pip install componentize-py"), "{}", missing.stderr);
    manifest("[build]\ncommand = \"A=1 B=2 go build\"\ncomponent = \"x.wasm\"\n");
    let missing = nothing(command().arg("build"));
    assert!(missing.failed(NOT_FOUND).contains("`go`, with which this project is built, is not installed"));
    manifest("[build]\ncommand = \"true\"\ncomponent = \"x.wasm\"\nbindings = \"cobol\"\n");
    assert!(project.run(&["build"]).failed(INVALID).contains("tool.toml:4: there are no bindings for `cobol`"));
    manifest("[build]\ncommand = \"true\"\ncomponent = \"x.wasm\"\nbindings = \"c\"\n");
    assert!(project.run(&["build"]).failed(INVALID).contains("no bindings can be made of ./wit"));
    manifest("[build]\ncommand = \"true\"\ncomponent = \"nowhere.wasm\"\n");
    assert!(project.run(&["build"]).failed(NOT_FOUND).contains("no component came of the build"));
    manifest("[build]\ncommand = \"true\"\ncomponent = \"tool.toml\"\n");
    assert!(project.run(&["build"]).failed(INVALID).contains("it is not a component"));
    manifest("[build]\ncommand = \"true\"\n");
    assert!(project.run(&["build"]).failed(INVALID).contains("`build` needs a `command` and the `component`"));
    manifest("version = \"1\"\n");
    let silent = project.run(&["build"]);
    assert!(silent.failed(INVALID).contains("does not say how it is built"));
    assert!(silent.stderr.contains("[build]"), "{}", silent.stderr);
    manifest("[biuld]\ncommand = \"true\"\n");
    assert!(project.run(&["build"]).failed(INVALID).contains("did you mean `build`"));
    fs::remove_file(project.path().join("tool.toml")).unwrap();
    let none = project.run(&["build"]);
    assert!(none.failed(NOT_FOUND).contains("this folder is no project: it has no tool.toml"));
    assert!(none.stderr.contains("fumehood new NAME --lang rust"), "{}", none.stderr);
    project.write("core.wasm", &wat("core-module"));
    manifest("[build]\ncommand = \"true\"\ncomponent = \"core.wasm\"\n");
    let unknown = project.run(&["build"]);
    assert!(unknown.failed(INVALID).contains("core.wasm: no component can be made of it"), "{}", unknown.stderr);
    // With the WIT that it keeps to, it is one.
    fs::create_dir(project.path().join("wit")).unwrap();
    project.write("wit/world.wit", b"package local:core; world tool { export other: func() -> u32; }");
    assert!(project.run(&["build"]).failed(INVALID).contains("other"), "what it lacks is told");
}

#[test]
fn what_a_manifest_says_is_stamped_into_the_component_and_counts_without_a_file_beside_it() {
    let manifest = "version = \"7\"\n[functions.add]\ndescription = \"Adds.\"\n";
    let project = Project::new(&wat("add"), manifest, "");

    let built = project.run(&["build"]);
    assert_eq!(built.code, 0, "{}", built.stderr);
    let again = project.run(&["build"]);
    assert_eq!(again.code, 0, "what was stamped is stamped again: {}", again.stderr);
    let server = Server::start();
    let component = fs::read(project.path().join("built-tool.wasm")).unwrap();
    assert_eq!(server.admin().upload("it", &component).status, 201);

    let module = server.admin().get("/api/v1/modules/it").value();
    assert_eq!((&module["version"], &module["holds_manifest"]), (&json!("7"), &json!(true)));
    assert_eq!(module["functions"][0]["description"], "Adds.");
}

#[test]
fn tests_expect_a_value_a_part_a_schema_or_an_error_and_say_what_came_instead() {
    let passing = r#"
        [[test]]
        name = "adds"
        function = "add"
        args = { a = 2, b = 40 }
        expect = 42
        max_fuel = 10_000
        max_memory = "1 MiB"
        [[test]]
        function = "add"
        args = '{"a": 1, "b": 1}'
        expect_schema = { type = "integer", minimum = 2 }
        [[test]]
        function = "add"
        args = { a = 1, b = 1 }
        expect_part = 2.0
        [[test]]
        function = "add"
        args = { a = 1, b = 1 }
    "#;
    let manifest = "[[example]]\nfunction = \"add\"\nargs = { a = 1, b = 2 }\nexpect = 3\n";
    let project = Project::new(&wat("add"), manifest, passing);
    let passed = project.run(&["test", "-o", "json"]).json();
    assert_eq!((&passed["passed"], &passed["failed"]), (&json!(5), &json!(0)), "{passed}");
    assert!(passed["tests"][0]["fuel_units"].as_u64().unwrap() > 0);
    let chosen = project.run(&["test", "-k", "adds"]);
    assert!(
        chosen.ok().lines().count() == 1 && chosen.ok().starts_with("ok      ./tests/first.toml: adds ("),
        "{}",
        chosen.ok()
    );

    for (test, told) in [
        ("args = { a = 2, b = 40 }\nexpect = 43", "expected  43|came      42"),
        ("args = { a = 2, b = 40 }\nexpect_error = '\"no\"'", "expected the error \"no\"|came      42"),
        ("args = { a = 2, b = 40 }\nexpect_part = { x = 1 }", "expected at least {\"x\":1}"),
        ("args = { a = 2, b = 40 }\nexpect_schema = { type = \"text\" }", "`expect_schema` cannot be used"),
        ("args = { a = 2, b = 40 }\nexpect_schema = { maximum = 9 }", "42 is greater than the maximum of 9"),
        ("args = { a = 2, b = 40 }\nmax_fuel = 1", "of fuel, more than 1"),
        ("args = { a = 2 }", "/b"),
        ("args = { a = -1, b = 0 }", "/a"),
        ("args = 'half {'", "`args` is a text that is not JSON"),
        ("expect = 1\nexpect_error = 1", "more than one of `expect`"),
        ("expects = 1", "first.toml:3: unknown field `expects`"),
    ] {
        project.write("tests/first.toml", format!("[[test]]\nfunction = \"add\"\n{test}\n").as_bytes());
        let failed = project.run(&["test"]);
        assert!([1, INVALID].contains(&failed.code), "{test}: {}", failed.stderr);
        let all = failed.stdout.clone() + &failed.stderr;
        assert!(told.split('|').all(|told| all.contains(told)), "{test}: {all}");
    }
    project.write("tests/first.toml", b"[[test]]\nfunction = \"sub\"\n");
    let unknown = project.run(&["test"]);
    assert!(
        unknown.code == 1 && unknown.stdout.contains("there is no function `sub`: there are add"),
        "{}",
        unknown.stdout
    );

    let stopped = Project::new(&wat("trap"), "", "[[test]]\nfunction = \"unreachable\"\n");
    let stopped = stopped.run(&["test", "-o", "json"]);
    assert_eq!(stopped.code, 1, "{}", stopped.stderr);
    let told: Value = stopped.stdout.parse().unwrap();
    assert!(told["tests"][0]["wrong"][0].as_str().unwrap().contains("crashed"), "{told}");
}

#[test]
fn tests_are_brought_up_to_what_came_and_nothing_else_in_their_files_changes() {
    let tests = "# Mine.\n[[test]]\nfunction = \"add\"\nargs = { a = 2, b = 40 } # two\nexpect = 1\n\n[[test]]\nfunction = \"add\"\nargs = { a = 1, b = 1 }\nexpect = 2\n";
    let manifest = "[[example]]\nfunction = \"add\"\nargs = { a = 1, b = 2 }\nexpect = 4 # wrong\n";
    let project = Project::new(&wat("add"), manifest, tests);
    assert_eq!(project.run(&["test"]).code, 1);

    let updated = project.run(&["test", "--update"]);

    assert_eq!(updated.code, 0, "{}", updated.stderr);
    assert!(updated.stderr.contains("2 of them expect now what came"), "{}", updated.stderr);
    assert_eq!(project.read("tests/first.toml"), tests.replace("expect = 1\n", "expect = \"42\"\n"));
    assert!(project.read("tool.toml").contains("expect = \"3\""), "{}", project.read("tool.toml"));
    assert_eq!(project.run(&["test"]).code, 0);
}

#[test]
fn a_check_names_the_rule_the_place_and_the_fix() {
    let project = Project::new(&wat("add"), "", "");
    let check = |arguments: &[&str]| project.run(&[&["check"], arguments].concat());
    let rules = |found: &Finished| -> Vec<String> {
        let findings: Value = found.stdout.parse().unwrap();
        let all = findings["findings"].as_array().unwrap();
        all.iter().map(|finding| finding["rule"].as_str().unwrap().to_owned()).collect()
    };

    assert_eq!(rules(&check(&["-o", "json"])), ["unbuilt"]);
    assert_eq!(project.run(&["build"]).code, 0);
    let found = check(&["-o", "json"]);
    assert_eq!(found.code, 0, "warnings do not fail unless that is wanted: {}", found.stderr);
    let expected = ["undocumented-function", "undocumented-parameter", "undocumented-parameter", "no-example"];
    assert_eq!(rules(&found), expected);
    assert_eq!(check(&["--strict"]).code, INVALID);
    let told = check(&[]);
    assert!(
        told.ok().contains("warning[undocumented-function] ./tool.toml: nothing says what `add` does\n    fix: "),
        "{}",
        told.ok()
    );
    assert!(told.stderr.contains("0 errors, 1 warnings, 3 notes"), "{}", told.stderr);

    fs::create_dir(project.path().join("wit")).unwrap();
    project.write("wit/world.wit", b"package a:b;\n\nworld w {\n    export add: func(a: u32, b: u32) -> u32;\n}\n");
    let findings: Value = check(&["-o", "json"]).stdout.parse().unwrap();
    let first = &findings["findings"][0];
    assert_eq!((&first["file"], &first["line"]), (&json!("./wit/world.wit"), &json!(4)));
    let sarif: Value = check(&["--sarif"]).stdout.parse().unwrap();
    assert_eq!(
        (&sarif["version"], &sarif["runs"][0]["results"][0]["ruleId"]),
        (&json!("2.1.0"), &json!("undocumented-function"))
    );
    let region = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(region["artifactLocation"]["uri"], "wit/world.wit");
    assert_eq!(region["region"]["startLine"], 4);
    let declared = sarif["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    assert!(declared.iter().any(|rule| rule["id"] == "undocumented-function"), "{sarif}");

    let good = "[build]\ncommand = \"cp source.wasm built_tool.wasm\"\ncomponent = \"built_tool.wasm\"\n\
        [functions.add]\ndescription = \"Adds.\"\nparams = { a = \"One.\", b = \"The other.\" }\n\
        [[example]]\nfunction = \"add\"\nargs = { a = 1, b = 2 }\nexpect = 3\n";
    project.write("tool.toml", good.as_bytes());
    assert_eq!(project.run(&["build"]).code, 0);
    assert_eq!(rules(&check(&["-o", "json", "--strict"])), [""; 0]);
    project.write(
        "tool.toml",
        format!("{good}[[permissions]]\nallow = \"http:GET https://a.example/\"\nreason = \"x\"\n").as_bytes(),
    );
    assert_eq!(rules(&check(&["-o", "json"])), ["unneeded-permission"]);
    project.write("tool.toml", format!("{good}[functions.add]\n").as_bytes());
    let broken = check(&["-o", "json"]);
    assert_eq!((broken.code, rules(&broken)), (INVALID, vec!["bad-manifest".to_owned()]));
    project.write("tool.toml", good.as_bytes());
    project.write("tests/first.toml", b"[[test]]\n");
    assert_eq!(rules(&check(&["-o", "json"])), ["bad-test"]);

    for (component, rule) in
        [("unknown-import", "missing-import"), ("core-module", "bad-component"), ("resource", "unserved-export")]
    {
        project.write("it.wasm", &wat(component));
        let found = rules(&check(&["it.wasm", "-o", "json"]));
        assert!(found.iter().any(|found| found == rule), "{component}: {found:?}");
    }
    assert_eq!(check(&["nowhere"]).code, NOT_FOUND);
}

/// `fumehood dev`, and what it has said so far.
struct Dev {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Dev {
    fn start(folder: &Path) -> Self {
        let mut dev = command();
        dev.args(["dev", "--listen", "127.0.0.1:0"]).current_dir(folder);
        let mut child =
            dev.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("dev starts");
        let said = Arc::new(Mutex::new(String::new()));
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for stream in streams {
            let said = Arc::clone(&said);
            thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    said.lock().unwrap().push_str(&(line + "\n"));
                }
            });
        }
        Self { child, said }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Wait until it has said `text` so many times.
    fn hear(&self, text: &str, times: usize) {
        eventually(&format!("dev says {text}"), || self.said().matches(text).count() >= times);
    }

    fn press(&mut self, key: u8) {
        self.child.stdin.as_mut().unwrap().write_all(&[key]).unwrap();
    }

    /// The port on which it serves.
    fn port(&self) -> u16 {
        self.hear("serves http://127.0.0.1:", 1);
        let said = self.said();
        let rest = said.split("serves http://127.0.0.1:").nth(1).unwrap();
        rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn dev_builds_what_is_saved_serves_the_last_that_could_be_built_and_calls_again() {
    let example = "[[example]]\nfunction = \"add\"\nargs = { a = 20, b = 22 }\n";
    let project = Project::new(&wat("add"), example, "");
    let mut dev = Dev::start(project.path());
    dev.hear("is served now", 1);

    // Before anything was called, its example is; what is refused to a stranger counts for nothing.
    let refused = exchange(dev.port(), "/api/built-tool/add", "nobody", r#"{"a":1,"b":1}"#);
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    dev.press(b'r');
    dev.hear("/api/built-tool/add 200 OK\n", 1);
    dev.hear("\n42\n", 1);
    let key = project.read(".fumehood/data/admin.key");
    let called = exchange(dev.port(), "/api/built-tool/add", &key, r#"{"a":1,"b":2}"#);
    assert!(called.ends_with("\r\n\r\n3"), "{called}");
    dev.press(b'r');
    dev.hear("\n3\n", 1);

    // What cannot be built leaves what there was.
    let manifest = project.read("tool.toml");
    project.write("tool.toml", manifest.replace("cp source.wasm", "echo nonsense && false # ").as_bytes());
    dev.hear("nonsense\n", 1);
    dev.hear("the last one that could be built is still served", 1);
    assert!(exchange(dev.port(), "/api/built-tool/add", &key, r#"{"a":1,"b":2}"#).ends_with("\r\n\r\n3"));

    // Another one in the same folder takes nothing away.
    let second = Finished::of(command().args(["dev", "--listen", "127.0.0.1:0"]).current_dir(project.path()));
    assert!(second.code != 0 && second.stderr.contains("in use"), "{}", second.stderr);
    assert!(exchange(dev.port(), "/api/built-tool/add", &key, r#"{"a":1,"b":2}"#).ends_with("\r\n\r\n3"));

    // What is saved is built and served; the same is not served anew.
    project.write("tool.toml", manifest.as_bytes());
    dev.hear("built: nothing has changed", 1);
    project.write("tool.toml", format!("description = \"New words.\"\n{manifest}").as_bytes());
    dev.hear("is served anew", 1);
    assert!(dev.said().matches("is served anew").count() == 1, "{}", dev.said());

    dev.press(b'q');
    eventually("dev ends", || dev.child.try_wait().unwrap().is_some());
    assert!(dev.child.wait().unwrap().success(), "{}", dev.said());
}

#[test]
fn keys_are_heard_while_it_is_built() {
    let example = "[[example]]\nfunction = \"add\"\nargs = { a = 20, b = 22 }\n";
    let project = Project::new(&wat("add"), example, "");
    let mut dev = Dev::start(project.path());
    dev.hear("is served now", 1);

    // A build that goes on for as long as the test wants it.
    let manifest = project.read("tool.toml");
    let waits = "command = \"echo begun && while [ ! -e .on ]; do sleep 0.05; done && cp source.wasm";
    project.write("tool.toml", manifest.replace("command = \"cp source.wasm", waits).as_bytes());
    dev.hear("begun\n", 1);
    dev.press(b'r');
    dev.hear("\n42\n", 1);
    dev.press(b'b');
    dev.hear("once more after this build", 1);
    project.write(".on", b"");
    dev.hear("begun\n", 2);
    dev.hear("built: nothing has changed", 1);
    fs::remove_file(project.path().join(".on")).unwrap();
    dev.press(b'b');
    dev.hear("begun\n", 3);
    dev.press(b'q');
    dev.hear("this ends when the build has ended", 1);
    assert!(dev.child.try_wait().unwrap().is_none());
    project.write(".on", b"");

    eventually("dev ends", || dev.child.try_wait().unwrap().is_some());
    assert!(dev.child.wait().unwrap().success(), "{}", dev.said());
}

/// What a POST of this body is answered.
fn exchange(port: u16, path: &str, key: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (length, key) = (body.len(), key.trim());
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
