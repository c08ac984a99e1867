use std::io::Write;

use serde_json::json;

use super::*;

fn environment(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn load_text(text: &str, pairs: &[(&str, &str)], flags: Vec<Flag>) -> Result<Loaded, Failure> {
    load(Some(file(text).path()), &environment(pairs), flags)
}

#[test]
fn flags_beat_the_environment_and_the_environment_beats_the_file() {
    let text = "[server]\nlisten = '127.0.0.1:1'\nmax_body = '1 MiB'\n[limits]\nfuel_units = 7\n";
    let variables = [("FUMEHOOD_SERVER__LISTEN", "127.0.0.1:2"), ("FUMEHOOD_SERVER__MAX_BODY", "2 MiB")];
    let flag = Flag { flag: "--listen", key: "server.listen", value: json!("127.0.0.1:3") };

    let loaded = load_text(text, &variables, vec![flag]).unwrap();

    assert_eq!(loaded.config.server.listen.port(), 3);
    assert_eq!(loaded.config.server.max_body, ByteSize::mib(2));
    assert_eq!(loaded.config.limits.fuel_units, 7);
    assert_eq!(*loaded.origin("server.listen"), Origin::Flag("--listen"));
    assert_eq!(*loaded.origin("server.max_body"), Origin::Environment("FUMEHOOD_SERVER__MAX_BODY".to_owned()));
    assert!(matches!(loaded.origin("limits.fuel_units"), Origin::File { line: 5, .. }));
    assert_eq!(*loaded.origin("limits.memory"), Origin::Default);
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_what_was_probably_meant() {
    let error = load_text("[server]\nauth = true\nlisen = '127.0.0.1:1'\n", &[], vec![]).unwrap_err().to_string();

    assert!(error.contains(":3: unknown key `server.lisen`; did you mean `listen`?"), "{error}");
}

#[test]
fn a_key_in_the_wrong_section_and_an_unknown_section_are_told_where_to_go() {
    let error = load_text("listen = 'x'\n[sever]\n[log]\nfuel_units = 1\n", &[], vec![]).unwrap_err().to_string();

    assert!(error.contains(":1: `listen` stands outside a section; did you mean `server.listen`?"), "{error}");
    assert!(error.contains(":2: unknown section `sever`; did you mean `server`?"), "{error}");
    assert!(error.contains(":4: unknown key `log.fuel_units`; did you mean `limits.fuel_units`?"), "{error}");
}

#[test]
fn a_wrong_type_is_named_with_its_line_and_key() {
    let error = load_text("[server]\n\nmax_body = '3 MB'\nauth = 1\n", &[], vec![]).unwrap_err().to_string();

    assert!(error.contains(":3: server.max_body = \"3 MB\": `3 MB` is not a size"), "{error}");
    assert!(error.contains(":4: server.auth = 1: invalid type: integer `1`, expected a boolean"), "{error}");
}

#[test]
fn broken_toml_is_named_with_its_line() {
    let error = load_text("[server]\nlisten = \n", &[], vec![]).unwrap_err().to_string();

    assert!(error.contains(":2: "), "{error}");
}

#[test]
fn environment_variables_are_checked_like_keys() {
    let variables = [("FUMEHOOD_SERVER__AUHT", "true"), ("FUMEHOOD_LOG__FORMAT", "xml"), ("FUMEHOOD_X__Y", "1")];

    let error = load_text("", &variables, vec![]).unwrap_err().to_string();

    assert!(error.contains("FUMEHOOD_SERVER__AUHT: unknown key `server.auht`; did you mean `auth`?"), "{error}");
    assert!(error.contains("FUMEHOOD_LOG__FORMAT: log.format = \"xml\": unknown variant"), "{error}");
    assert!(error.contains("FUMEHOOD_X__Y: unknown section `x`"), "{error}");
}

#[test]
fn variables_of_the_command_line_are_not_sections() {
    let variables = [("FUMEHOOD_SERVER", "http://x"), ("FUMEHOOD_KEY", "fh_1"), ("FUMEHOOD_CONFIG", "x")];

    assert_eq!(load_text("", &variables, vec![]).unwrap().config, load_text("", &[], vec![]).unwrap().config);
}

#[test]
fn lists_and_numbers_come_out_of_the_environment() {
    let variables = [
        ("FUMEHOOD_SERVER__APIS_DIR", "a, b"),
        ("FUMEHOOD_SERVER__ALLOWED_HOSTS", "[\"x.example\"]"),
        ("FUMEHOOD_LIMITS__FUEL_UNITS", "9"),
        ("FUMEHOOD_LOG", "warn"),
    ];

    let config = load_text("", &variables, vec![]).unwrap().config;

    assert_eq!(config.server.apis_dir, [Path::new("a"), Path::new("b")]);
    assert_eq!(config.server.allowed_hosts, ["x.example"]);
    assert_eq!(config.limits.fuel_units, 9);
    assert_eq!(config.log.filter, "warn");
}

#[test]
fn shares_follow_what_they_are_shares_of_unless_set() {
    let text = "[concurrency]\ncalls = 8\nwaiting = 10\nwaiting_per_key = 9\n";

    let concurrency = load_text(text, &[], vec![]).unwrap().config.concurrency;

    assert_eq!(concurrency, Concurrency { calls: 8, waiting: 10, per_key: 6, waiting_per_key: 9 });
    assert_eq!(Concurrency::with_shares(1, 0).per_key, 1);
}

#[test]
fn no_authentication_beyond_loopback_is_refused() {
    let open = "[server]\nauth = false\nlisten = '0.0.0.0:7311'\n";
    let local = "[server]\nauth = false\nlisten = '[::1]:7311'\n";

    assert!(load_text(open, &[], vec![]).is_err());
    assert!(load_text(local, &[], vec![]).is_ok());
}

#[test]
fn bounds_of_zero_that_would_stop_everything_are_refused() {
    let error = load_text("[limits]\ndeadline_ms = 0\n", &[], vec![]).unwrap_err().to_string();

    assert!(error.contains(":2: limits.deadline_ms must be at least 1"), "{error}");
}

#[test]
fn the_data_directory_follows_xdg_and_ignores_relative_paths() {
    let of = |pairs: &[(&str, &str)]| load_text("", pairs, vec![]).unwrap().config.server.data_dir;

    assert_eq!(of(&[("XDG_DATA_HOME", "/x"), ("HOME", "/h")]), Path::new("/x/fumehood"));
    assert_eq!(of(&[("XDG_DATA_HOME", "x"), ("HOME", "/h")]), Path::new("/h/.local/share/fumehood"));
}

#[test]
fn a_missing_file_is_an_error_when_it_was_asked_for() {
    let error = load(Some(Path::new("/nonexistent/fumehood.toml")), &Environment::new(), vec![]).unwrap_err();

    assert_eq!(error.exit(), crate::exit::Exit::NotFound);
}

#[test]
fn an_empty_data_directory_is_refused() {
    assert!(load_text("", &[("FUMEHOOD_SERVER__DATA_DIR", "")], vec![]).is_err());
}
