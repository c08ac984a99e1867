//! The zoo is let loose: every hostile guest ends as its row says, and nobody else notices.

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

use fumehood_tests::{
    Answer, Client, Server, Setup, eventually, exchange, wat,
    zoo::{Attack, Bomb, End, Fate, Guest, SETTINGS},
};
use serde_json::{Value, json};

/// Most memory by which the server may have grown after the whole walk, in kilobytes.
const GROWTH_KB: u64 = 64 << 10;

/// Most files by which it may have grown: connections of clients that are kept open.
const GROWTH_FILES: usize = 16;

fn setup() -> Setup {
    SETTINGS.iter().fold(Server::setup().api("neighbour", wat("add")), |setup, (key, value)| setup.set(key, value))
}

/// What the walk remembers: everything that went otherwise, told together at its end.
#[derive(Default)]
struct Findings {
    wrong: Vec<String>,
}

impl Findings {
    fn note(&mut self, what: &str, ended: Result<(), String>) {
        if let Err(wrong) = ended {
            self.wrong.push(format!("{what}: {wrong}"));
        }
    }

    fn check(self) {
        assert!(self.wrong.is_empty(), "{} attacks ended otherwise:\n{}", self.wrong.len(), self.wrong.join("\n"));
    }
}

/// Upload a component, let it attack, remove it.
fn let_loose(server: &Server, attacker: &Client, name: &str, bytes: &[u8], fate: &Fate, findings: &mut Findings) {
    let started = Instant::now();
    let uploaded = server.admin().upload(name, bytes);
    match fate {
        Fate::Refused { status, code, messages } => {
            findings.note(name, refused(&uploaded, *status, code, messages));
        }
        Fate::Attacks(attacks) if uploaded.status == 201 => {
            for attack in attacks {
                let what = format!("{name}/{} {}", attack.function, shown(&attack.arguments.to_string()));
                let headers = attack.headers();
                let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
                let answer = attacker.call_with(&format!("{name}/{}", attack.function), &headers, &attack.arguments);
                findings.note(&what, ended(&answer, attack));
            }
        }
        Fate::Attacks(_) => {
            findings.note(name, Err(format!("was not accepted: {}", shown(&uploaded.text()))));
        }
    }
    if uploaded.status == 201 {
        server.admin().delete(&format!("/api/v1/modules/{name}")).empty(204);
    }
    eprintln!("{name}: {} ms", started.elapsed().as_millis());
}

fn refused(answer: &Answer, status: u16, code: &str, messages: &[&str]) -> Result<(), String> {
    if answer.status < 400 {
        return Err(format!("was accepted: {}", shown(&answer.text())));
    }
    let problem = answer.problem();
    let fits = messages.iter().any(|message| problem.message.starts_with(message));
    let is_quiet = problem.message.len() < 1000 && !problem.message.chars().any(char::is_control);
    if (problem.status, problem.code.as_str()) == (status, code) && fits && is_quiet {
        return Ok(());
    }
    Err(format!("{} {}: {}", problem.status, problem.code, shown(&problem.message)))
}

fn ended(answer: &Answer, attack: &Attack) -> Result<(), String> {
    let wrong = |answer: &Answer| Err(format!("{} {}", answer.status, shown(&answer.text())));
    // What a guest says must never be a header, nor bytes that a terminal obeys.
    if answer.headers.contains_key("set-cookie") || answer.body.iter().any(|byte| *byte < b' ') {
        return wrong(answer);
    }
    let fits = match &attack.end {
        End::Value(value) => answer.status == 200 && answer.json() == *value,
        End::ToolError(error) => {
            answer.status == 422 && answer.problem().code == "tool_error" && answer.json()["details"]["error"] == *error
        }
        End::Stopped(stop) if answer.status < 400 => return wrong(answer),
        End::Stopped(stop) => {
            let problem = answer.problem();
            let limit = stop.limit(attack);
            let told = match (&problem.details, limit) {
                (Value::Null, _) => true,
                (details, Some((name, allowed))) => details["limit"] == name && details["allowed"] == allowed,
                (_, None) => false,
            };
            (problem.status, problem.code.as_str()) == (stop.status(), stop.code())
                && problem.message == stop.message(attack)
                && told
        }
    };
    if fits { Ok(()) } else { wrong(answer) }
}

fn shown(text: &str) -> String {
    text.chars().take(300).flat_map(char::escape_debug).collect()
}

/// Do `work` while somebody with another key calls an honest tool without pause. How often that was answered.
fn beside_a_neighbour(server: &Server, work: impl FnOnce()) -> u64 {
    let (_, neighbour) = server.admin().new_key("neighbour", "call");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let calls = scope.spawn(|| {
            let mut calls = 0;
            while !over.load(Ordering::Relaxed) {
                assert_eq!(neighbour.call("neighbour/add", &json!({ "a": 2, "b": 40 })).value(), json!(42));
                calls += 1;
            }
            calls
        });
        let guard = Over(&over);
        work();
        drop(guard);
        calls.join().unwrap()
    })
}

/// Ends the neighbour, also when the work panics.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Memory in kilobytes that is the server's share, and the files that it has open.
fn footprint(server: &Server) -> (u64, usize) {
    let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", server.pid())).unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
    let memory = line.trim().strip_suffix("kB").unwrap().trim().parse().unwrap();
    (memory, fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count())
}

/// What must hold when all is over.
fn assert_unharmed(server: &Server, before: (u64, usize)) {
    assert_eq!(server.admin().anonymous().get("/api/v1/health").value()["status"], "ok");
    eventually("no call is left", || server.admin().calls_running() == 0);
    let after = footprint(server);
    assert!(after.0 < before.0 + GROWTH_KB, "the server grew from {} to {} kB", before.0, after.0);
    assert!(after.1 < before.1 + GROWTH_FILES, "the server's files grew from {} to {}", before.1, after.1);
    let log = server.log();
    assert!(!log.contains(['\u{1b}', '\u{9b}', '\u{202e}', '\u{7}', '\0', '\r']), "a guest reached the terminal");
    assert!(!log.lines().any(|line| line.starts_with("2026-01-01") || line.starts_with('{')), "a guest forged a line");
}

#[test]
fn every_hostile_guest_ends_as_its_row_says_and_nobody_else_notices() {
    let server = setup().start();
    let (_, attacker) = server.admin().new_key("attacker", "call");
    let mut findings = Findings::default();
    // The first calls fill pools that are kept.
    let_loose(&server, &attacker, "add", &wat("add"), &Guest::Add.fate(), &mut findings);
    let before = footprint(&server);

    let calls = beside_a_neighbour(&server, || {
        for guest in Guest::ALL {
            let_loose(&server, &attacker, guest.name(), &guest.component(), &guest.fate(), &mut findings);
        }
    });

    findings.check();
    assert!(calls > Guest::ALL.len() as u64, "the neighbour was answered only {calls} times");
    assert_unharmed(&server, before);
}

#[test]
fn every_bomb_is_defused_in_bounded_time_and_nobody_else_notices() {
    let server = setup().set("components.compile_cpu_s", 2).start();
    let (_, attacker) = server.admin().new_key("attacker", "call");
    let mut findings = Findings::default();
    let_loose(&server, &attacker, "add", &wat("add"), &Guest::Add.fate(), &mut findings);
    let before = footprint(&server);

    let calls = beside_a_neighbour(&server, || {
        for bomb in Bomb::ALL {
            let name = format!("{bomb:?}").to_lowercase();
            let_loose(&server, &attacker, &name, &bomb.bytes(), &bomb.fate(), &mut findings);
        }
    });

    findings.check();
    assert!(calls > Bomb::ALL.len() as u64, "the neighbour was answered only {calls} times");
    assert_unharmed(&server, before);
}

#[test]
fn the_zoo_covers_more_than_sixty_guests_each_with_its_own_words() {
    let mut wrong = Vec::new();
    for guest in Guest::ALL {
        assert!(guest.text().starts_with(";; "), "{} does not say what it does", guest.name());
        if let Err(error) = guest.parse() {
            wrong.push(format!("{}: {error}", guest.name()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(Guest::ALL.len() + Bomb::ALL.len() >= 60);
}

#[test]
fn what_a_guest_calls_its_functions_is_no_line_of_the_log() {
    let server = setup().api("tool", Guest::ForgedFrames.component()).set("log.filter", "debug").start();
    let before = footprint(&server);

    server.admin().call("tool/crash", &json!({})).refused(502, "trap");

    server.says("it panicked or reached code that it declared unreachable");
    assert_unharmed(&server, before);
}

/// What the server has compiled itself is native code, and nobody may bring such code.
#[test]
fn compiled_code_is_never_taken_from_an_upload() {
    let server = Server::start();
    assert_eq!(server.admin().upload("tool", &wat("add")).status, 201);
    let cache = fs::read_dir(server.data().join("cache")).unwrap().map(|entry| entry.unwrap().path());
    let compiled = cache.filter(|path| path.extension().is_some_and(|extension| extension == "cwasm"));

    for file in compiled {
        let refused = server.admin().upload("planted", &fs::read(file).unwrap()).refused(422, "invalid_component");
        assert_eq!(refused.message, "this is not WebAssembly: it does not start with `\\0asm`");
    }
    server.admin().call("planted/add", &json!({ "a": 1, "b": 2 })).refused(404, "not_found");
}

/// A description reaches people and models: neither may see something else than the other.
#[test]
fn descriptions_hold_no_words_that_a_person_cannot_see() {
    let server = Server::setup().api("tool", Guest::DocsWithHiddenWords.component()).start();

    let tool = server.admin().get("/api/v1/tools/tool__one").value();

    assert_eq!(tool["description"], "Counts.[2J31m Done.");
}

/// Whoever says that a hundred megabytes follow is answered before they do.
#[test]
fn a_component_that_says_it_is_too_large_is_refused_before_it_is_sent() {
    let server = Server::start();
    let (address, key, length) = (server.address(), server.admin().key(), 100 << 20);

    let head = format!(
        "PUT /api/v1/modules/large HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n\
         content-type: application/wasm\r\ncontent-length: {length}\r\n\r\n"
    );

    exchange(address, head.as_bytes()).refused(413, "too_large");
}

#[test]
fn a_long_description_is_cut() {
    let server = Server::start();
    assert_eq!(server.admin().upload("tool", &Bomb::LongDescription.bytes()).status, 201);

    let tool = server.admin().get("/api/v1/tools/tool__one").value();

    assert_eq!(tool["description"], "x".repeat(4_000));
}
