use proptest::prelude::*;

use super::*;

fn grant(text: &str) -> Grant {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn canonical(text: &str) -> String {
    grant(text).to_string()
}

fn refused(text: &str) -> String {
    text.parse::<Grant>().map(|grant| grant.to_string()).unwrap_err().what
}

#[test]
fn every_grant_has_one_way_to_be_written() {
    for (text, written) in [
        ("http:https://API.Example.com.:443/v1/", "http:https://api.example.com/v1"),
        ("http:POST+GET+GET http://x:8080", "http:GET+POST http://x:8080"),
        ("http:https://*.Example.com,bearer=T", "http:https://*.example.com,bearer=T"),
        ("http:https://x,header.Authorization=T", "http:https://x,header.authorization=T"),
        ("http:http://[0:0::1]:80/", "http:http://[::1]"),
        (
            "http:http://x,address=10.1.2.3/8,address=127.0.0.1,address=127.0.0.1/32",
            "http:http://x,address=10.0.0.0/8,address=127.0.0.1",
        ),
        ("files:/srv//data/./,at=/data/", "files:/srv/data,at=/data,mode=read"),
        ("files,at=/,mode=read-write,files=5", "files,at=/,mode=read-write,bytes=100MiB,files=5"),
        ("scratch", "scratch,bytes=64MiB,files=1000"),
        ("scratch,bytes=1000", "scratch,bytes=1000,files=1000"),
        ("env:A=b=c, d", "env:A=b=c, d"),
        ("env:A", "env:A"),
        ("env:A=", "env:A="),
        ("config:region=eu", "config:region=eu"),
        ("keyvalue", "keyvalue:default,bytes=1MiB,keys=1000"),
        ("keyvalue:cache,ttl=1h,keys=5", "keyvalue:cache,bytes=1MiB,keys=5,ttl=3600s"),
        ("secret:API_TOKEN", "secret:API_TOKEN"),
        ("invoke:geo.maps.find", "invoke:geo.maps.find"),
        ("invoke:geo.maps.*", "invoke:geo.maps.*"),
    ] {
        assert_eq!(canonical(text), written, "{text}");
        assert_eq!(canonical(written), written, "{text}");
    }
}

#[test]
fn what_is_wrong_is_told_with_what_would_be_right() {
    for (text, what) in [
        ("htp:https://x", "there is no kind `htp`; did you mean `http`?"),
        ("gpu:x", "there is no kind `gpu`: use http, files, scratch, env, config, keyvalue, secret, invoke"),
        ("", "it does not begin with a kind, as in `secret:API_TOKEN`"),
        ("scratch,byte=1", "there is no option `byte`; did you mean `bytes`?"),
        ("scratch,bytes=1,bytes=2", "`bytes=` stands in it twice"),
        ("scratch,bytes", "`bytes` is not an option: write `name=value`"),
        ("scratch,bytes=0", "`bytes=` must be more than nothing"),
        ("scratch,files=+5", "`files=+5` must be a whole number from 1"),
        (
            "secret:a b",
            "the name of a secret has 1 to 128 letters, digits, `_`, `-` or `.`, as in `secret:API_TOKEN`, unlike `a b`",
        ),
        ("env", "it has no name: write `env:LOG_LEVEL=debug`"),
        ("files:data,at=/d", "the folder `data` must be an absolute path, such as `/srv/data`"),
        ("files:/srv", "it does not tell where the guest sees it: write `at=/data`"),
        ("files:/srv,at=/d,bytes=5", "`bytes=` and `files=` are for `mode=read-write`: who only reads adds nothing"),
        ("files:/srv,at=/d,mode=rw", "there is no mode `rw`: use read or read-write"),
        ("files:/srv,at=/scratch/x", "`at=/scratch/x` is where scratch is: choose another place"),
        ("http:get https://x", "`get` is not a method: write `GET+POST`"),
        ("http:CONNECT https://x", "CONNECT cannot be granted"),
        ("http:ftp://x", "there is no scheme `ftp`; did you mean `http`?"),
        (
            "http:https://*",
            "`*` may stand only for the first part of a host with others after it, as in `*.example.com`, unlike `*`",
        ),
        (
            "http:https://é.example",
            "`é.example` is not the name of a host; write an international name in its ASCII form, `xn--…`",
        ),
        ("http:https://x,bearer=A,header.x=B", "it has two secrets, and a request carries one"),
        ("http:https://x,header.host=B", "the header host belongs to the connection: it cannot carry a secret"),
        (
            "http:https://x,header.Proxy-Authorization=B",
            "the header proxy-authorization belongs to the connection: it cannot carry a secret",
        ),
        (
            "http:https://x,header.http2-settings=B",
            "the header http2-settings belongs to the connection: it cannot carry a secret",
        ),
        ("keyvalue:Cache", "the name of a bucket has 1 to 64 of a-z, 0-9, `_`, `-` and `.`, unlike `Cache`"),
        ("invoke:calculator", "it names no tool: write `invoke:calculator.add`, or `invoke:calculator.*` for all"),
    ] {
        assert_eq!(refused(text), what, "{text}");
    }
}

#[test]
fn hosts_and_paths_that_readers_disagree_about_are_refused() {
    for url in [
        "https://a@b",
        "https://a:b@c",
        "https://x\\@y",
        "https://x\\y",
        "https://x?y",
        "https://x#y",
        "https://",
        "https://x..y",
        "https://.x",
        "https://-x",
        "https://0x7f.0x1",
        "https://2130706433",
        "https://127.1",
        "https://[::1",
        "https://[x]",
        "https://x:0",
        "https://x:65536",
        "https://x:+1",
        "https://x:",
        "https://a*.x",
        "https://x.*.y",
        "https://*.10.0.0.1",
        "https://x/..",
        "https://x/a/../b",
        "https://x/%2e%2E/b",
        "https://x/a%2fb",
        "https://x/a%5Cb",
        "https://x/a//b",
        "https://x/%zz",
        "https://x/%2",
        "https://x/ä",
    ] {
        assert!(format!("http:{url}").parse::<Grant>().is_err(), "{url} must be refused");
    }
}

#[test]
fn names_and_texts_that_could_mislead_are_refused() {
    let long = format!("env:A={}", "x".repeat(1_020));
    for text in [
        "env:=x",
        "env:A\0=x",
        "env:A=x\ny",
        "env:a b=x",
        "env:ä=x",
        "files:/a/../b,at=/d",
        "files:/a,at=/d/../e",
        &long,
    ] {
        assert!(text.parse::<Grant>().is_err(), "{text:?} must be refused");
    }
}

#[test]
fn a_request_to_the_outside_is_covered_by_method_scheme_host_port_path_and_address() {
    let own = grant("http:GET+POST https://*.example.com/v1,address=10.0.0.0/8,bearer=T");

    for covered in [
        "http:GET https://a.example.com/v1",
        "http:POST https://a.b.example.com/v1/x",
        "http:GET https://*.b.example.com/v1",
        "http:GET https://a.example.com/v1,address=10.2.0.0/16",
        "http:GET https://a.example.com/v1,bearer=T",
    ] {
        assert!(own.covers(&grant(covered)), "{covered}");
    }
    for not in [
        "http:https://a.example.com/v1",
        "http:PUT https://a.example.com/v1",
        "http:GET http://a.example.com/v1",
        "http:GET https://example.com/v1",
        "http:GET https://aexample.com/v1",
        "http:GET https://a.example.com/v10",
        "http:GET https://a.example.com",
        "http:GET https://a.example.com:8443/v1",
        "http:GET https://a.example.com/v1,address=11.0.0.1",
        "http:GET https://a.example.com/v1,bearer=U",
    ] {
        assert!(!own.covers(&grant(not)), "{not}");
    }
}

#[test]
fn a_path_that_walks_about_is_never_covered() {
    let own = grant("http:https://x/v1");
    let Grant::Http(base) = grant("http:GET https://x/v1") else { panic!() };

    for path in ["/v1/../admin", "/v1/%2e%2e/admin", "/v1/.%2E/admin", "/v1/a%2f..%2fb", "/v1\\..\\admin"] {
        assert!(!own.covers(&Grant::Http(HttpGrant { path: path.into(), ..base.clone() })), "{path}");
    }
    assert!(own.covers(&Grant::Http(HttpGrant { path: "/v1//a".into(), ..base })));
}

#[test]
fn what_is_asked_for_is_covered_without_what_only_the_operator_knows() {
    for (own, asked, covered) in [
        ("files:/srv,at=/data,mode=read-write", "files,at=/data", true),
        ("files:/srv,at=/data", "files,at=/data,mode=read-write", false),
        ("files:/srv,at=/data", "files,at=/other", false),
        ("files:/srv,at=/data", "files:/etc,at=/data", false),
        ("env:A=1", "env:A", true),
        ("env:A=1", "env:A=2", false),
        ("env:A=1", "config:A", false),
        ("scratch,bytes=1MiB", "scratch", false),
        ("scratch,bytes=1GiB", "scratch", true),
        ("keyvalue:a", "keyvalue:b", false),
        ("keyvalue:a,ttl=1h", "keyvalue:a", true),
        ("secret:A", "secret:B", false),
        ("invoke:calculator.*", "invoke:calculator.add", true),
        ("invoke:calculator.add", "invoke:calculator.*", false),
        ("invoke:calculator.*", "invoke:calculator.more.add", false),
    ] {
        assert_eq!(grant(own).covers(&grant(asked)), covered, "{own} and {asked}");
    }
}

#[test]
fn functions_with_dots_are_compared_as_they_are_written() {
    let own = grant("invoke:text.stats.mean");

    assert!(own.covers(&Grant::Invoke(InvokeGrant { module: "text".into(), function: Some("stats.mean".into()) })));
    assert!(!own.covers(&Grant::Invoke(InvokeGrant { module: "text".into(), function: Some("stats.mode".into()) })));
}

#[test]
fn json_carries_the_text() {
    let json = serde_json::to_string(&grant("secret:A")).unwrap();

    assert_eq!(json, "\"secret:A\"");
    assert_eq!(serde_json::from_str::<Grant>(&json).unwrap(), grant("secret:A"));
    assert!(serde_json::from_str::<Grant>("\"sekret:A\"").unwrap_err().to_string().contains("did you mean `secret`?"));
}

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9]{1,5}(\\.[a-z]{1,5}){0,3}\\.?",
        "\\*\\.[a-zA-Z]{1,5}\\.[a-z]{2}",
        Just("[2001:DB8::1]".to_owned()),
        Just("10.0.0.7".to_owned())
    ]
}

fn text() -> impl Strategy<Value = String> {
    let http = (
        "(|GET |POST\\+GET )",
        "https?",
        host(),
        "(|:[1-9][0-9]{0,3})",
        "(/[a-z0-9.~%2A-]{1,4}){0,3}/?",
        "(|,bearer=[A-Z]{1,4}|,header\\.[a-zA-Z]{1,4}=[A-Z]{1,4}|,address=10\\.[0-9]\\.0\\.0/1[0-9])",
    )
        .prop_map(|(methods, scheme, host, port, path, option)| {
            format!("http:{methods}{scheme}://{host}{port}{path}{option}")
        });
    prop_oneof![
        http,
        "files(|:(/[a-z.]{1,4}){1,3}/?),at=(/[a-z.]{1,4}){1,3}(|,mode=read|,mode=read-write(|,bytes=[1-9][0-9]{0,3}(|KiB|MiB))(|,files=[1-9][0-9]{0,2}))",
        "scratch(|,bytes=[1-9][0-9]{0,5}(|KiB|MiB|GiB))(|,files=[1-9][0-9]{0,5})",
        "(env|config):[A-Za-z_./-]{1,8}(|=\\PC{0,20})",
        "keyvalue(|:[a-z0-9_.-]{1,8})(|,bytes=[1-9]KiB)(|,keys=[1-9])(|,ttl=[1-9]{1,3}[smhd])",
        "secret:[A-Za-z0-9_.-]{1,12}",
        "invoke:[a-z0-9][a-z0-9-]{0,5}(\\.[a-z0-9]{1,4})?\\.(\\*|[a-zA-Z0-9_-]{1,8})",
        "\\PC{0,60}",
    ]
}

proptest! {
    #[test]
    fn what_is_read_is_written_back_as_the_same_and_covers_itself(text in text()) {
        if let Ok(grant) = text.parse::<Grant>() {
            let written = grant.to_string();

            let again: Grant = written.parse().unwrap();
            prop_assert_eq!(&again, &grant, "{}", &written);
            prop_assert_eq!(again.to_string(), written);
            prop_assert!(grant.covers(&grant));
            prop_assert!(grant.covers(&grant.as_ask()));
        }
    }
}

#[test]
fn a_grant_that_is_too_long_when_it_is_written_out_is_refused() {
    let folder = |length: usize| format!("files:/{},at=/data", "d".repeat(length));

    assert!(folder(1_000).len() <= 1_024);
    assert!(folder(1_000).parse::<Grant>().unwrap_err().to_string().contains("1024 are the most"));
    assert!(folder(900).parse::<Grant>().is_ok());
}
