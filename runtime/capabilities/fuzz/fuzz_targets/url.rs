//! Any authority and path of a guest: what is accepted is one thing only, however it is read again.

#![no_main]

use fumehood_capabilities::http::fuzzing::target;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|request: (&str, &str, bool)| {
    let (authority, path, https) = request;
    let Some((host, line)) = target(authority, path, https) else { return };
    assert!(line.starts_with('/') && line.bytes().all(|byte| byte.is_ascii_graphic()), "{line}");
    assert!(host.bytes().all(|byte| byte.is_ascii_graphic() && !b"@/?#\\".contains(&byte)), "{host}");
    assert_eq!(target(&host, &line, https), Some((host, line)));
});
