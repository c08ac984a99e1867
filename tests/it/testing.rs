//! `fumehood test` with answers that were written down, and with clocks that stand still.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    time::{Duration, Instant},
};

use fumehood_tests::{Finished, command, guest};
use serde_json::{Value, json};

use crate::{egress::Web, project::Project};

const INVALID: i32 = 6;
const NOT_FOUND: i32 = 3;

/// Asks for one place, and only for reading.
const ASKS: &str = "[[permissions]]\nallow = \"http:GET https://api.example.com/v1\"\nreason = \"Rates.\"\n";

/// A project of the guest `name`, that asks for `manifest`.
fn project(name: &str, manifest: &str, tests: &str) -> Option<Project> {
    let component = fs::read(guest(name)?).unwrap();
    Some(Project::new(&component, manifest, tests))
}

/// A test that fetches `url` and takes any answer.
fn fetch(url: &str) -> String {
    fetch_by("GET", url, "")
}

fn fetch_by(method: &str, url: &str, body: &str) -> String {
    let args = json!({ "method": method, "url": url, "headers": [["accept", "text/plain"]], "body": body });
    format!("[[test]]\nfunction = \"fetch\"\nargs = '{args}'\n")
}

/// What is wrong, of all tests.
fn wrong(finished: &Finished) -> Vec<String> {
    let told: Value = finished.stdout.parse().unwrap_or_else(|_| panic!("{}{}", finished.stdout, finished.stderr));
    let tests = told["tests"].as_array().unwrap().iter();
    let lines = tests.flat_map(|test| test["wrong"].as_array().unwrap());
    lines.map(|line| line.as_str().unwrap().to_owned()).collect()
}

#[test]
fn requests_are_answered_as_it_was_written_down() {
    let tests = [
        // The whole answer, headers of the connection apart.
        fetch("https://API.example.com:443/v1/rates?base=EUR"),
        "expect = { status = 203, headers = [[\"x-a\", \"1\"], [\"x-a\", \"2\"]], body = \"none\" }\n\
         [[test.http]]\nurl = \"https://api.example.com/v1/rates?base=EUR\"\nstatus = 203\nbody = \"none\"\n\
         headers = { x-a = [\"1\", \"2\"], connection = \"close\" }\n"
            .to_owned(),
        // JSON says what it is, and a file is taken as it is.
        fetch("https://api.example.com/v1/json"),
        "expect_part = { status = 200, headers = [[\"content-type\", \"application/json\"]], body = '{\"eur\":[1,2.5]}' }\n\
         [[test.http]]\nmethod = \"GET\"\nurl = \"https://api.example.com/v1/json\"\njson = { eur = [1, 2.5] }\n"
            .to_owned(),
        fetch("https://api.example.com/v1/file"),
        "expect_part = { body = \"from a file\" }\n\
         [[test.http]]\nurl = \"https://api.example.com/v1/file\"\nfile = \"rates.txt\"\n"
            .to_owned(),
        // A failure is no answer.
        fetch("https://api.example.com/v1/gone"),
        "expect_error = '\"ErrorCode::HttpResponseTimeout\"'\n\
         [[test.http]]\nurl = \"https://api.example.com/v1/gone\"\nfails = \"timed-out\"\n"
            .to_owned(),
        // One after the other.
        "[[test]]\nfunction = \"follow\"\nargs = { url = \"https://api.example.com/v1/a\", most = 3 }\n\
         expect = [[\"https://api.example.com/v1/a\", 302], [\"https://api.example.com/v1/a\", 200]]\n\
         [[test.http]]\nurl = \"https://api.example.com/v1/a\"\nstatus = 302\n\
         headers = { location = \"https://api.example.com/v1/a\" }\n\
         [[test.http]]\nurl = \"https://api.example.com/v1/a\"\n"
            .to_owned(),
        // As often as it says, from the records of the file.
        "[[test]]\nfunction = \"fetch-all\"\nargs = { url = \"https://api.example.com/v1/all\", count = 3 }\n\
         expect_part = [{ val = 418 }, { val = 418 }, { val = 418 }]\n"
            .to_owned(),
    ];
    let shared = "[[http]]\nurl = \"https://api.example.com/v1/all\"\nstatus = 418\ntimes = 3\n";
    let Some(project) = project("fetch", ASKS, &(shared.to_owned() + &tests.concat())) else { return };
    project.write("tests/rates.txt", b"from a file");

    let ran = project.run(&["test", "-o", "json"]);

    assert_eq!(wrong(&ran), [""; 0]);
    assert_eq!(ran.json()["passed"], 6);
}

#[test]
fn what_is_sent_chooses_the_answer() {
    let url = "https://api.example.com/v1/orders";
    let asks = ASKS.replace("GET ", "POST ");
    let record = |sent: &str, body: &str| {
        format!("[[test.http]]\nmethod = \"POST\"\nurl = \"{url}\"\n{sent}\nbody = \"{body}\"\n")
    };
    let tests = [
        fetch_by("POST", url, r#"{"a": 1, "b": [2]}"#),
        "expect_part = { body = \"json\" }\n".to_owned(),
        record("sent_json = { b = [2], a = 1 }", "json"),
        fetch_by("POST", url, "plain"),
        "expect_part = { body = \"text\" }\n".to_owned(),
        record("sent = \"plain\"", "text"),
    ];
    let Some(project) = project("fetch", &asks, &tests.concat()) else { return };

    assert_eq!(wrong(&project.run(&["test", "-o", "json"])), [""; 0]);
    project.write("tests/first.toml", tests.concat().replace("sent = \"plain\"", "sent = \"other\"").as_bytes());
    let wrong = wrong(&project.run(&["test", "-o", "json"]));

    assert!(wrong.contains(&format!("no record answers POST {url}")), "{wrong:?}");
}

#[test]
fn a_request_without_a_record_and_a_record_without_a_request_fail_and_nothing_is_dialled() {
    let canary = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    canary.set_nonblocking(true).unwrap();
    let port = canary.local_addr().unwrap().port();
    let asks = format!("[[permissions]]\nallow = \"http:http://127.0.0.1:{port}\"\nreason = \"x\"\n{ASKS}");
    let url = format!("http://127.0.0.1:{port}/live");
    let record = "[[test.http]]\nurl = \"https://api.example.com/v1/other\"\n";
    let Some(project) = project("fetch", &asks, &(fetch(&url) + record)) else { return };

    let missed = project.run(&["test", "-o", "json"]);

    assert_eq!(missed.code, 1, "{}", missed.stderr);
    assert_eq!(
        wrong(&missed),
        [
            "expected  an answer",
            "came the error \"ErrorCode::ConnectionRefused\"",
            &format!("no record answers GET {url}"),
            "there is  GET https://api.example.com/v1/other",
            "it never asked for what is recorded: GET https://api.example.com/v1/other",
        ]
    );
    let dialled = canary.accept().map_err(|error| error.kind());
    assert_eq!(dialled.err(), Some(std::io::ErrorKind::WouldBlock), "somebody has connected");

    // Answered less often than it is written, and never from the records of the file.
    let few =
        fetch("https://api.example.com/v1/a") + "[[test.http]]\nurl = \"https://api.example.com/v1/a\"\ntimes = 2\n";
    project.write("tests/first.toml", few.as_bytes());
    assert_eq!(
        wrong(&project.run(&["test", "-o", "json"])),
        ["it asked 1 times and not 2 for GET https://api.example.com/v1/a"]
    );
    let shared = few.replace("times = 2\n", "");
    let shared = format!("[[http]]\nurl = \"https://api.example.com/v1/b\"\n{shared}");
    project.write("tests/first.toml", shared.as_bytes());
    let unused = "no test of this file asks for its record: GET https://api.example.com/v1/b";
    assert_eq!(wrong(&project.run(&["test", "-o", "json"])), [unused]);
    let both = shared + &fetch("https://api.example.com/v1/b").replace("[[test]]", "[[test]]\nname = \"asks\"");
    project.write("tests/first.toml", both.as_bytes());
    assert_eq!(wrong(&project.run(&["test", "-o", "json"])), [""; 0]);
    assert_eq!(project.run(&["test", "-k", "test 1"]).code, 0, "what is not run may be who asks");
}

#[test]
fn what_is_not_asked_for_is_refused_though_it_is_recorded() {
    let url = "https://elsewhere.example.com/v1/rates";
    let tests = fetch(url)
        + "expect_error = '\"ErrorCode::HttpRequestDenied\"'\n"
        + &format!("[[test.http]]\nurl = \"{url}\"\n");
    let Some(project) = project("fetch", ASKS, &tests) else { return };

    let refused = project.run(&["test", "-o", "json"]);

    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert_eq!(
        wrong(&refused),
        [
            "it was refused `http:GET https://elsewhere.example.com`, as on a server: tool.toml does not ask for it \
             under [[permissions]]"
                .to_owned(),
            format!("it never asked for what is recorded: GET {url}"),
        ]
    );
    // Without any record nothing is granted, asked for or not.
    let denied = fetch("https://api.example.com/v1") + "expect_error = '\"ErrorCode::HttpRequestDenied\"'\n";
    project.write("tests/first.toml", denied.as_bytes());
    assert_eq!(wrong(&project.run(&["test", "-o", "json"])), [""; 0]);
}

#[test]
fn bounds_of_a_call_hold_for_what_was_written_down() {
    let url = "https://api.example.com/v1/large";
    let tests = fetch(url)
        + "expect_error = '\"ErrorCode::HttpResponseBodySize(None)\"'\n"
        + &format!("[[test.http]]\nurl = \"{url}\"\nfile = \"large\"\n");
    let Some(project) = project("fetch", &format!("{ASKS}[limits]\nhttp_body = \"1 MiB\"\n"), &tests) else { return };
    project.write("tests/large", &vec![b'x'; 2 << 20]);

    assert_eq!(wrong(&project.run(&["test", "-o", "json"])), [""; 0]);
}

#[test]
fn a_record_that_cannot_be_is_told_with_its_file_and_its_place() {
    let Some(project) = project("fetch", ASKS, "") else { return };
    let url = "url = \"https://api.example.com/v1\"";
    for (record, told) in [
        ("url = \"example.com\"", "record 1, `GET example.com`: this is no URL of a request"),
        ("url = \"https://a.example/#x\"", "this is no URL of a request"),
        ("url = \"ftp://a.example/\"", "this is no URL of a request"),
        (&format!("method = \"FETCH\"\n{url}"), "no request can have this method"),
        (&format!("{url}\nstatus = 101"), "no answer has this status"),
        (&format!("{url}\nheaders = {{ \"a b\" = \"x\" }}"), "no answer has such headers"),
        (&format!("{url}\nheaders = {{ a = 1 }}"), "the header `a` is no text"),
        (&format!("{url}\nbody = \"x\"\njson = 1"), "more than one of `body`, `json` and `file`"),
        (&format!("{url}\nfails = \"broken\"\nstatus = 200"), "what `fails` has no `status`"),
        (&format!("{url}\nfails = \"sometimes\""), "unknown variant `sometimes`"),
        (&format!("{url}\nsent = \"x\"\nsent_json = 1"), "it has both `sent` and `sent_json`"),
        (&format!("{url}\ntimes = 0"), "`times` is 0"),
        (&format!("{url}\nfile = \"nowhere\""), "nowhere cannot be read"),
        (&format!("{url}\nanswer = \"x\""), "unknown field `answer`"),
    ] {
        let test = fetch("https://api.example.com/v1") + "[[test.http]]\n" + record;
        project.write("tests/first.toml", test.as_bytes());
        let failed = project.run(&["test"]);
        assert!(failed.failed(INVALID).contains(told), "{record}: {}", failed.stderr);
        assert!(failed.stderr.contains("tests/first.toml"), "{record}: {}", failed.stderr);
    }
    for (now, told) in [
        ("now = \"yesterday\"", "`now` is `yesterday`, and no time like 2026-01-02T03:04:05Z"),
        ("now = 7", "`now` is `7`"),
        ("now = 2026-01-02", "`now` is `2026-01-02`"),
        ("now = \"1969-12-31T23:59:59Z\"", "clocks of guests begin with 1970"),
    ] {
        project.write("tests/first.toml", format!("{now}\n{}", fetch("https://api.example.com/v1")).as_bytes());
        assert!(project.run(&["test"]).failed(INVALID).contains(told), "{now}");
    }
}

#[test]
fn clocks_stand_still_and_move_by_what_is_slept_which_takes_no_time() {
    let tests = "now = \"2026-01-02T03:04:05Z\"\n\
        [[test]]\nfunction = \"now\"\nexpect = 1767323045\n\
        [[test]]\nfunction = \"now\"\nnow = 1970-01-01T01:00:07+01:00\nexpect = 7\n\
        [[test]]\nname = \"sleeps\"\nfunction = \"sleep\"\nargs = { milliseconds = 86_400_000 }\n";
    let Some(project) = project("probe", "", tests) else { return };

    let started = Instant::now();
    let ran = project.run(&["test", "-o", "json"]);

    assert_eq!(wrong(&ran), [""; 0]);
    assert!(started.elapsed() < Duration::from_secs(60), "a day was slept in {:?}", started.elapsed());
    // As long as nothing is said, clocks go as they do.
    project.write("tests/first.toml", b"[[test]]\nfunction = \"now\"\nexpect = 1767323045\n");
    assert_eq!(project.run(&["test"]).code, 1);
}

#[test]
fn what_is_left_to_a_call_is_by_its_own_clock() {
    let tests = "[[test]]\nnow = \"2026-01-02T03:04:05Z\"\nfunction = \"remaining-ms\"\nexpect = 1234\n";
    let Some(project) = project("host-api", "[limits]\ndeadline_ms = 1234\n", tests) else { return };

    assert_eq!(wrong(&project.run(&["test", "-o", "json"])), [""; 0]);
}

#[test]
fn random_bytes_are_those_of_the_seed() {
    let draws = ["seed = 7", "seed = 8", "", ""];
    let draw = |seed: &str| format!("[[test]]\n{seed}\nfunction = \"random-bytes\"\nargs = {{ n = 24 }}\nexpect = 1\n");
    let tests = "seed = 7\n".to_owned() + &draws.map(draw).concat();
    let Some(project) = project("probe", "", &tests) else { return };
    let drawn = || -> Vec<String> {
        let wrong = wrong(&project.run(&["test", "-o", "json"]));
        wrong.into_iter().filter(|line| line.starts_with("came      ")).collect()
    };

    let seeded = drawn();
    project.write("tests/first.toml", tests.replacen("seed = 7\n", "", 1).as_bytes());
    let unseeded = drawn();

    assert_eq!((seeded.len(), unseeded.len()), (4, 4), "{seeded:?}, {unseeded:?}");
    assert_ne!(seeded[0], seeded[1]);
    assert!(seeded[2] == seeded[0] && seeded[3] == seeded[0], "the seed of the file is that of its tests: {seeded:?}");
    assert_eq!(unseeded[..2], seeded[..2], "what is seeded is the same again");
    assert_ne!(unseeded[2], unseeded[3], "without a seed they are random");
}

#[test]
fn an_answer_comes_before_a_sleep_is_over() {
    let url = "https://api.example.com/v1/slow";
    let test = "[[test]]\nnow = \"2026-01-02T03:04:05Z\"\nfunction = \"fetch-or-sleep\"\n\
        args = { url = \"URL\", nanoseconds = 1_000_000 }\nexpect = 204\n\
        [[test.http]]\nurl = \"URL\"\nstatus = 204\n";
    let Some(project) = project("fetch", ASKS, &test.replace("URL", url).repeat(10)) else { return };

    assert_eq!(wrong(&project.run(&["test", "-o", "json"])), [""; 0]);
}

#[test]
fn what_real_servers_answer_is_written_down_without_secrets_and_then_nobody_is_asked() {
    let web = Web::saying(|request| {
        let body = match request.starts_with("GET /long") {
            true => "x".repeat(20 << 10),
            false => "you said s3cr3t".to_owned(),
        };
        let length = body.len();
        format!(
            "HTTP/1.1 203 Fine\r\nconnection: close\r\nset-cookie: s=1\r\nx-a: 1\r\nx-a: s3cr3t\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    });
    let asks = format!(
        "[[permissions]]\nallow = \"http:GET {},bearer=API_TOKEN\"\nreason = \"x\"\n",
        web.url("").trim_end_matches('/')
    );
    let one = fetch(&web.url("/one?x=1"));
    let tests = "# Mine.\n".to_owned() + &one + "expect = 1 # what?\n" + &fetch(&web.url("/long"));
    let Some(project) = project("fetch", &asks, &tests) else { return };
    let record = |token: &str| {
        let mut record = command();
        record.args(["test", "--record", "--update"]).current_dir(project.path());
        Finished::of(record.env("API_TOKEN", token))
    };

    let unset = record("");
    assert!(unset.failed(NOT_FOUND).contains("recording needs the secret `API_TOKEN`"), "{}", unset.stderr);
    assert!(web.heard().is_empty() && project.read("tests/first.toml") == tests);
    let recorded = record("s3cr3t");

    assert_eq!(recorded.code, 0, "{}{}", recorded.stdout, recorded.stderr);
    assert!(recorded.stderr.contains("2 answers were written down"), "{}", recorded.stderr);
    assert_eq!(web.heard().len(), 2);
    assert!(web.heard().iter().all(|request| request.contains("authorization: Bearer s3cr3t")), "{:?}", web.heard());
    let written = project.read("tests/first.toml");
    for kept in [
        "# Mine.",
        "expect = ",
        "# what?",
        "you said [API_TOKEN]",
        "status = 203",
        "x-a = [\"1\", \"[API_TOKEN]\"]",
        "/one?x=1",
    ] {
        assert!(written.contains(kept), "{kept}: {written}");
    }
    assert!(!written.contains("s3cr3t") && !written.contains("set-cookie"), "{written}");
    assert_eq!(project.read("tests/recorded/first-2-1").len(), 20 << 10);

    let played = project.run(&["test"]);
    assert_eq!(played.code, 0, "{}{}", played.stdout, played.stderr);
    assert_eq!(record("s3cr3t").code, 0, "what has records is not asked again");
    assert_eq!((web.heard().len(), project.read("tests/first.toml")), (2, written));
}
