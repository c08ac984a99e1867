//! The second wall: what happens to worker processes, and what they can do.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use fumehood_tests::{Client, Finished, Server, bombs, eventually, fumehood, guest, wat, zoo::Guest};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use serde_json::{Value, json};

/// The worker processes of a server.
fn workers(server: &Server) -> BTreeSet<u32> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let parent = read("stat").rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        parent == Some(server.pid()) && read("cmdline").contains("sandbox-worker")
    })
    .collect()
}

fn kill(pid: u32) {
    // One that is gone already is as good.
    let _ = kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL);
}

/// Wait until a guest burns the time of one of these processes.
fn wait_until_busy(pids: &BTreeSet<u32>) {
    let ticks = |pid: &u32| -> u64 {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        // proc_pid_stat(5): `utime` is the twelfth after the name.
        fields.split_whitespace().nth(11).and_then(|ticks| ticks.parse().ok()).unwrap_or(0)
    };
    let before: u64 = pids.iter().map(ticks).sum();
    eventually("a guest to run", || pids.iter().map(ticks).sum::<u64>() > before + 10);
}

/// A server with an honest tool and one that loops until its deadline.
fn server() -> Server {
    let setup = Server::setup().set("limits.fuel_units", "9000000000000000000").set("limits.deadline_ms", 20_000);
    let setup = setup.set("isolation.workers", 2);
    setup.api("add", wat("add")).api("spin", wat("spin")).start()
}

fn add(client: &Client) -> Value {
    client.call("add/add", &json!({ "a": 2, "b": 40 })).value()
}

#[test]
fn a_worker_that_dies_takes_its_calls_with_it_and_nothing_else() {
    let server = server();
    assert_eq!(add(server.admin()), json!(42));
    let before = workers(&server);

    let lost = thread::scope(|scope| {
        let call = scope.spawn(|| server.admin().call("spin/spin", &json!({})));
        wait_until_busy(&before);
        before.iter().for_each(|pid| kill(*pid));
        call.join().unwrap()
    });

    lost.refused(502, "trap");
    assert_eq!(add(server.admin()), json!(42));
    eventually("all workers to be replaced", || workers(&server).len() == before.len());
    assert!(workers(&server).is_disjoint(&before));
    assert_eq!(server.admin().health()["status"], "ok");
    server.says("another one takes its place");
}

#[test]
fn a_stop_that_reaches_every_process_of_the_server_lets_calls_finish() {
    let Some(component) = guest("probe") else { return };
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::setup().guest("probe", &component).start();
        assert_eq!(server.admin().call("probe/count", &json!({})).value(), json!(1));
        let client = server.admin().clone();
        let call = thread::spawn(move || client.call("probe/sleep", &json!({ "milliseconds": 1_500 })));
        eventually("the call runs", || server.admin().calls_running() == 1);

        for pid in workers(&server).into_iter().chain([server.pid()]) {
            kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
        }

        assert_eq!(call.join().unwrap().value(), Value::Null);
        assert_eq!(server.ended().code(), Some(0), "{}", server.log());
        assert!(!server.log().contains("ERROR") && !server.log().contains("blame"), "{}", server.log());
    }
}

#[test]
fn workers_that_end_while_the_server_stops_are_nobodys_fault() {
    let Some(component) = guest("probe") else { return };
    let mut server = Server::setup().guest("probe", &component).start();
    assert_eq!(server.admin().call("probe/count", &json!({})).value(), json!(1));
    let client = server.admin().clone();
    let call = thread::spawn(move || client.call("probe/sleep", &json!({ "milliseconds": 20_000 })));
    eventually("the call runs", || server.admin().calls_running() == 1);

    server.signal(Signal::TERM);
    server.says("Stopping");
    workers(&server).into_iter().for_each(kill);

    call.join().unwrap().refused(502, "trap");
    assert_eq!(server.ended().code(), Some(0), "{}", server.log());
    assert!(!server.log().contains("ERROR") && !server.log().contains("blame"), "{}", server.log());
}

#[test]
fn the_log_of_a_lost_worker_names_whose_calls_were_in_it_and_blames_no_guest_for_none() {
    let server = server();
    assert_eq!(add(server.admin()), json!(42));
    eventually("both workers to run", || workers(&server).len() == 2);

    workers(&server).into_iter().for_each(kill);
    server.says("with no call in it");
    let idle = server.log();
    eventually("all workers to be replaced", || workers(&server).len() == 2);
    thread::scope(|scope| {
        let call = scope.spawn(|| server.admin().call("spin/spin", &json!({})));
        wait_until_busy(&workers(&server));
        workers(&server).into_iter().for_each(kill);
        call.join().unwrap().refused(502, "trap");
    });

    assert!(idle.contains("blame=\"host\"") && !idle.contains("blame=\"guest\""), "{idle}");
    server.says("with 1 call of spin in it");
    assert!(server.log().contains("blame=\"guest\""), "{}", server.log());
}

#[test]
fn a_neighbour_in_another_worker_goes_on() {
    let server = server();
    assert_eq!(add(server.admin()), json!(42));
    eventually("both workers to run", || workers(&server).len() == 2);
    let all = workers(&server);

    thread::scope(|scope| {
        let call = scope.spawn(|| server.admin().call("spin/spin", &json!({})));
        wait_until_busy(&all);
        // One of the workers holds the call: whichever it is, the others answer.
        for pid in all {
            kill(pid);
            eventually("the worker to be gone", || !workers(&server).contains(&pid));
            eventually("an answer", || server.admin().call("add/add", &json!({ "a": 2, "b": 40 })).status == 200);
        }
        call.join().unwrap().refused(502, "trap");
    });
}

/// Where a worker may hold one component, calls of two make each other's be let go; and the larger one is, the longer it
/// is on its way, with other calls behind it.
#[test]
fn no_call_passes_its_component_or_finds_it_let_go() {
    let setup = Server::setup().set("components.loaded", 1).set("isolation.workers", 1).patient();
    // The same under two digests.
    let one = bombs::many_functions_of(10_000);
    let two = bombs::with_section(one.clone(), "another", b"two");
    let server =
        setup.set("concurrency.per_key", 6).set("concurrency.calls", 6).api("one", one).api("two", two).start();

    thread::scope(|scope| {
        for name in ["one", "two", "one", "two", "one", "two"] {
            let client = server.admin().clone();
            scope.spawn(move || {
                for _ in 0..20 {
                    assert_eq!(client.call(&format!("{name}/run"), &json!({})).value(), Value::Null);
                }
            });
        }
    });
}

/// However long one component takes to compile, what is compiled runs.
#[test]
fn whoever_needs_another_component_does_not_wait_for_a_compiler() {
    let setup = Server::setup().set("components.loaded", 1).set("isolation.workers", 1);
    let setup = setup.set("components.compile_cpu_s", 8).api("add", wat("add")).api("trap", wat("trap"));
    let server = setup.api("bomb", bombs::many_functions_of(79_000)).start();
    assert_eq!(add(server.admin()), json!(42));
    // Now the worker has let go of the first.
    server.admin().call("trap/unreachable", &json!({})).refused(502, "trap");

    thread::scope(|scope| {
        let bomb = scope.spawn(|| server.admin().call("bomb/run", &json!({})));
        eventually("the bomb to be called", || server.admin().calls_running() == 1);
        for _ in 0..5 {
            assert_eq!(add(server.admin()), json!(42));
            server.admin().call("trap/unreachable", &json!({})).refused(502, "trap");
        }
        assert!(!bomb.is_finished(), "nobody waited for it");
        // Whether it compiles in time is the machine's business.
        bomb.join().unwrap();
    });
}

/// One component can bring down the process that it runs in, but not its neighbours again and again.
#[test]
fn a_component_that_was_in_a_crash_runs_apart_from_its_neighbours() {
    let server = server();
    assert_eq!(add(server.admin()), json!(42));
    eventually("both workers to run", || workers(&server).len() == 2);
    let first = workers(&server);
    thread::scope(|scope| {
        let call = scope.spawn(|| server.admin().call("spin/spin", &json!({})));
        wait_until_busy(&first);
        first.iter().for_each(|pid| kill(*pid));
        call.join().unwrap().refused(502, "trap");
    });
    eventually("the workers to be replaced", || {
        let all = workers(&server);
        all.len() == 2 && all.is_disjoint(&first)
    });
    let shared = workers(&server);

    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let neighbour = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                assert_eq!(add(server.admin()), json!(42));
            }
        });
        for _ in 0..3 {
            let call = scope.spawn(|| server.admin().call("spin/spin", &json!({})));
            eventually("a worker of its own to start", || workers(&server).len() == 3);
            let own: Vec<_> = workers(&server).difference(&shared).copied().collect();
            wait_until_busy(&own.iter().copied().collect());
            own.into_iter().for_each(kill);
            call.join().unwrap().refused(502, "trap");
        }
        over.store(true, Ordering::Relaxed);
        neighbour.join().unwrap();
    });

    assert!(shared.is_subset(&workers(&server)), "nobody else lost a worker");
}

/// Calls of the host burn no fuel: a guest that does nothing else yields by the clock and ends by it.
#[test]
fn a_guest_that_only_calls_its_host_holds_nobody_up_and_ends_at_its_deadline_by_itself() {
    let setup = Server::setup().set("limits.fuel_units", "9000000000000000000").set("limits.host_bytes", "100000 GiB");
    let setup = setup.set("isolation.workers", 1).set("limits.output", "1 KiB");
    let server = setup.api("add", wat("add")).api("flood", Guest::WriteWithoutAsking.component()).start();
    let (_, neighbour) = server.admin().new_key("neighbour", "call");
    assert_eq!(add(&neighbour), json!(42));
    let flood =
        |ms| server.admin().call_with("flood/flood", &[("fumehood-deadline-ms", ms)], &json!({ "times": u32::MAX }));
    flood("5000").refused(504, "deadline");
    let before = workers(&server);

    let (answer, longest, during) = thread::scope(|scope| {
        let flood = scope.spawn(|| flood("4000"));
        wait_until_busy(&before);
        let mut waits = Vec::new();
        while !flood.is_finished() {
            let started = Instant::now();
            assert_eq!(add(&neighbour), json!(42));
            waits.push(started.elapsed());
        }
        (flood.join().unwrap(), waits.iter().max().copied().unwrap_or_default(), waits.len())
    });

    answer.refused(504, "deadline");
    // Held up, it would have waited for all four seconds.
    assert!(longest.as_millis() < 2_000 && during > 4, "{during} calls, the longest took {longest:?}");
    assert_eq!(add(&neighbour), json!(42));
    assert_eq!(workers(&server), before, "no worker was replaced");
}

#[test]
fn a_caller_that_goes_away_frees_its_worker() {
    let server = server();
    let request = format!(
        "POST /api/spin/spin HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-length: 2\r\n\r\n{{}}",
        server.address(),
        server.admin().key()
    );

    for _ in 0..4 {
        let mut caller = TcpStream::connect(server.address()).unwrap();
        caller.write_all(request.as_bytes()).unwrap();
        eventually("the call to run", || server.admin().calls_running() == 1);
        drop(caller);
        eventually("no call to run", || server.admin().calls_running() == 0);
    }

    assert_eq!(add(server.admin()), json!(42));
}

/// Thirteen megabytes are half a gigabyte of values. A worker that has no room for them says so, and nobody is blamed.
#[test]
fn a_worker_without_memory_for_the_arguments_of_a_call_goes_on() {
    let Some(component) = guest("files") else { return };
    let server = Server::setup().set("isolation.workers", 2).guest("files", &component).start();
    let size = |bytes: usize| {
        let arguments = json!({ "bytes": STANDARD.encode(vec![b'x'; bytes]) });
        server.admin().call("files/size", &arguments)
    };
    assert_eq!(size(1_000).value(), json!(1_000));
    let before = workers(&server);
    for pid in &before {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let data = status.lines().find_map(|line| line.strip_prefix("VmData:")).unwrap();
        let held: u64 = data.trim().trim_end_matches(" kB").parse().unwrap();
        let most = Some((held << 10) + (200 << 20));
        let pid = Pid::from_raw(pid.cast_signed());
        prlimit(pid, Resource::Data, Rlimit { current: most, maximum: most }).unwrap();
    }

    let refused = size(11_000_000).refused(503, "unavailable");

    assert!(refused.message.starts_with("there is no memory for arguments of this size now"), "{}", refused.message);
    assert_eq!(size(1_000).value(), json!(1_000));
    assert_eq!(workers(&server), before);
}

#[test]
fn workers_are_replaced_after_a_number_of_calls_and_no_call_notices() {
    let server = Server::setup().set("isolation.recycle_after", 20).api("add", wat("add")).start();
    let mut seen = BTreeSet::new();

    for round in 0..150 {
        assert_eq!(add(server.admin()), json!(42), "call {round}");
        seen.extend(workers(&server));
    }

    let most = workers(&server).len();
    assert!(seen.len() > most, "{seen:?}");
    eventually("the replaced ones to end", || workers(&server).len() <= most);
}

#[test]
fn trusted_modules_run_inside_the_server_with_the_same_answers() {
    let names = ["add", "trap", "recursion", "invalid-utf8", "grow", "spin", "string-out-of-bounds", "huge-list"];
    let setup = || {
        let setup = Server::setup().set("limits.fuel_units", 20_000_000);
        names.iter().fold(setup, |setup, name| setup.api(name, wat(name)))
    };
    let (outside, inside) = (setup().start(), setup().set("isolation.trusted", "*").start());
    let answers = |server: &Server| -> BTreeMap<String, (u16, Value)> {
        let tools = server.admin().get("/api/v1/tools").value();
        let tools = tools["tools"].as_array().unwrap().clone();
        let call = |tool: &Value| {
            let path = format!("{}/{}", tool["module"].as_str().unwrap(), tool["function"].as_str().unwrap());
            let answer = server.admin().call(&path, &json!({ "a": 2, "b": 40 }));
            let mut body = answer.json();
            for changing in ["timestamp", "request_id"] {
                body.as_object_mut().map(|body| body.remove(changing));
            }
            if let Some(used) = body.pointer_mut("/details/used") {
                *used = Value::Null;
            }
            (path, (answer.status, body))
        };
        tools.iter().map(call).collect()
    };

    assert_eq!(answers(&outside), answers(&inside));
    assert!(!workers(&outside).is_empty());
    assert!(workers(&inside).is_empty());
}

#[test]
fn nothing_gets_past_the_wall() {
    let found = fumehood(&["doctor", "-o", "json"]).json();

    assert_eq!(found["isolated"], true, "{found:#}");
    let attempts = found["attempts"].as_array().unwrap();
    assert!(attempts.len() >= 12);
    for attempt in attempts {
        assert_eq!(attempt["refused"], true, "{attempt}");
    }
}

/// Run `command` where the kernel knows neither Landlock nor seccomp.
fn on_an_old_kernel<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    // `landlock_create_ruleset` and `seccomp`, as an old kernel would answer. Children inherit it.
    let calls = BTreeMap::from([(444, Vec::new()), (317, Vec::new())]);
    let filter = SeccompFilter::new(
        calls,
        SeccompAction::Allow,
        SeccompAction::Errno(38),
        std::env::consts::ARCH.try_into().unwrap(),
    );
    let program: BpfProgram = filter.unwrap().try_into().unwrap();
    thread::scope(|scope| {
        let thread = scope.spawn(move || {
            apply_filter(&program).unwrap();
            work()
        });
        thread.join().unwrap()
    })
}

#[test]
#[cfg(target_arch = "x86_64")]
fn without_the_kernels_help_it_says_so_loudly_and_refuses_when_told_to() {
    let (doctor, required, server) = on_an_old_kernel(|| {
        let setup = Server::setup().argument("--require-isolation");
        let required = Finished::of(&mut setup.command());
        (fumehood(&["doctor"]), required, Server::setup().api("add", wat("add")).start())
    });

    assert_eq!(doctor.code, 3);
    assert!(doctor.stdout.contains("missing  Landlock"), "{}", doctor.stdout);
    assert!(doctor.stderr.contains("tools are not fully isolated on this machine"), "{}", doctor.stderr);
    let refused = required.failed(3);
    assert!(refused.contains("Landlock is not in force"), "{refused}");
    assert!(refused.contains("seccomp is not in force"), "{refused}");
    server.says("Tools are not fully isolated: Landlock is not in force");
    assert_eq!(add(server.admin()), json!(42));
}
