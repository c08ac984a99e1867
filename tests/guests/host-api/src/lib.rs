//! What a guest can ask of its host, for the tests of what the host grants.

wit_bindgen::generate!({
    path: [
        "../../../wit/fumehood-host",
        "../../../wit/deps/config",
        "../../../wit/deps/logging",
        "../../../wit/deps/keyvalue-draft",
        "../../../wit/deps/keyvalue-draft2",
        "wit",
    ],
    world: "test:host-api/host-api",
    generate_all,
});

use fumehood::host::{call, invoke, secrets};
use wasi::config::store as config;
use wasi::keyvalue0_2_0_draft::{atomics as old_atomics, store as old};
use wasi::keyvalue0_2_0_draft2::{atomics, batch, store};
use wasi::logging::logging;

/// Levels in the order of the interface.
const LEVELS: [logging::Level; 6] = [
    logging::Level::Trace,
    logging::Level::Debug,
    logging::Level::Info,
    logging::Level::Warn,
    logging::Level::Error,
    logging::Level::Critical,
];

struct HostApi;

impl exports::test::host_api::asks::Guest for HostApi {
    fn get(bucket: String, key: String) -> Result<Option<String>, String> {
        Ok(open(&bucket)?.get(&key).map_err(explain)?.map(text))
    }

    fn set(bucket: String, key: String, value: String) -> Result<(), String> {
        open(&bucket)?.set(&key, value.as_bytes()).map_err(explain)
    }

    fn set_bytes(bucket: String, key: String, bytes: u32) -> Result<(), String> {
        open(&bucket)?.set(&key, &vec![b'x'; bytes as usize]).map_err(explain)
    }

    fn delete(bucket: String, key: String) -> Result<(), String> {
        open(&bucket)?.delete(&key).map_err(explain)
    }

    fn exists(bucket: String, key: String) -> Result<bool, String> {
        open(&bucket)?.exists(&key).map_err(explain)
    }

    fn keys(bucket: String) -> Result<Vec<String>, String> {
        let bucket = open(&bucket)?;
        let mut page = bucket.list_keys(None).map_err(explain)?;
        let mut keys = page.keys;
        while let Some(cursor) = page.cursor {
            page = bucket.list_keys(Some(&cursor)).map_err(explain)?;
            keys.append(&mut page.keys);
        }
        Ok(keys)
    }

    fn keys_draft(bucket: String) -> Result<Vec<String>, String> {
        let bucket = open_old(&bucket)?;
        let mut page = bucket.list_keys(None).map_err(explain_old)?;
        let mut keys = page.keys;
        while let Some(cursor) = page.cursor {
            page = bucket.list_keys(Some(cursor)).map_err(explain_old)?;
            keys.append(&mut page.keys);
        }
        Ok(keys)
    }

    fn increment(bucket: String, key: String, by: i64) -> Result<i64, String> {
        atomics::increment(&open(&bucket)?, &key, by).map_err(explain)
    }

    fn increment_draft(bucket: String, key: String, by: u64) -> Result<u64, String> {
        old_atomics::increment(&open_old(&bucket)?, &key, by).map_err(explain_old)
    }

    fn swap(
        bucket: String,
        key: String,
        meanwhile: Option<String>,
        value: String,
    ) -> Result<(bool, bool, Option<String>), String> {
        let bucket = open(&bucket)?;
        let cas = atomics::Cas::new(&bucket, &key).map_err(explain)?;
        if let Some(meanwhile) = meanwhile {
            bucket.set(&key, meanwhile.as_bytes()).map_err(explain)?;
        }
        let (first, second) = match atomics::swap(cas, value.as_bytes()) {
            Ok(()) => (true, false),
            Err(atomics::CasError::StoreError(error)) => return Err(explain(error)),
            Err(atomics::CasError::CasFailed(fresh)) => (false, atomics::swap(fresh, value.as_bytes()).is_ok()),
        };
        Ok((first, second, bucket.get(&key).map_err(explain)?.map(text)))
    }

    fn batch(bucket: String, values: Vec<(String, String)>) -> Result<Vec<Option<String>>, String> {
        let bucket = open(&bucket)?;
        let mut keys: Vec<_> = values.iter().map(|(key, _)| key.clone()).collect();
        let values: Vec<_> = values.into_iter().map(|(key, value)| (key, value.into_bytes())).collect();
        batch::set_many(&bucket, &values).map_err(explain)?;
        keys.push("not there".to_owned());
        let found = batch::get_many(&bucket, &keys).map_err(explain)?;
        batch::delete_many(&bucket, &keys).map_err(explain)?;
        Ok(found.into_iter().map(|(_, value)| value.map(text)).collect())
    }

    fn secret_length(name: String) -> Result<u32, String> {
        Ok(secret(&name)?.len() as u32)
    }

    fn needed_secret_length(name: String) -> u32 {
        secret(&name).expect("the secret is granted").len() as u32
    }

    fn print_secret(name: String) -> Result<(), String> {
        let secret = secret(&name)?;
        println!("the secret is {secret}");
        eprintln!("the secret is {secret}");
        Ok(())
    }

    fn log_secret(name: String) -> Result<(), String> {
        let secret = secret(&name)?;
        logging::log(logging::Level::Error, &secret, &format!("the secret is {secret}"));
        Ok(())
    }

    fn log(context: String, message: String) {
        for level in LEVELS {
            logging::log(level, &context, &message);
        }
    }

    fn log_many(lines: u32) {
        for line in 0..lines {
            logging::log(logging::Level::Info, "", &format!("line {line}"));
        }
    }

    fn config(name: String) -> Result<Option<String>, String> {
        config::get(&name).map_err(|error| error.to_string())
    }

    fn config_all() -> Result<Vec<(String, String)>, String> {
        let mut all = config::get_all().map_err(|error| error.to_string())?;
        all.sort();
        Ok(all)
    }

    fn environment(name: String) -> Option<String> {
        std::env::var(name).ok()
    }

    fn remaining_ms() -> u64 {
        call::remaining_ms()
    }

    fn cancelled() -> bool {
        call::cancelled()
    }

    fn progress(times: u32, message: Option<String>) {
        for done in 1..=times {
            call::progress(done.into(), Some(times.into()), message.as_deref());
        }
    }

    fn strange_progress() {
        call::progress(f64::NAN, None, None);
        call::progress(1.0, Some(f64::INFINITY), Some(&"x".repeat(100_000)));
    }

    fn invoke(tool: String, arguments: String) -> Result<String, String> {
        invoke::call(&tool, &arguments).map_err(explain_invoke)
    }

    fn dive(module: String, depth: u32) -> Result<u32, String> {
        if depth == 0 {
            return Ok(0);
        }
        let arguments = format!("{{\"module\": \"{module}\", \"depth\": {}}}", depth - 1);
        let below = invoke::call(&format!("{module}.dive"), &arguments).map_err(explain_invoke)?;
        below.parse::<u32>().map(|below| below + 1).map_err(|error| error.to_string())
    }
}

fn open(bucket: &str) -> Result<store::Bucket, String> {
    store::open(bucket).map_err(explain)
}

fn open_old(bucket: &str) -> Result<old::Bucket, String> {
    old::open(bucket).map_err(explain_old)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

fn secret(name: &str) -> Result<String, String> {
    secrets::get(name).map_err(|error| {
        match error {
            secrets::Error::NotGranted => "not-granted",
            secrets::Error::NotSet => "not-set",
            secrets::Error::Unavailable => "unavailable",
        }
        .to_owned()
    })
}

fn explain(error: store::Error) -> String {
    match error {
        store::Error::NoSuchStore => "no-such-store".to_owned(),
        store::Error::AccessDenied => "access-denied".to_owned(),
        store::Error::Other(what) => what,
    }
}

fn explain_old(error: old::Error) -> String {
    match error {
        old::Error::NoSuchStore => "no-such-store".to_owned(),
        old::Error::AccessDenied => "access-denied".to_owned(),
        old::Error::Other(what) => what,
    }
}

fn explain_invoke(error: invoke::Error) -> String {
    match error {
        invoke::Error::Denied => "denied".to_owned(),
        invoke::Error::NotFound => "not-found".to_owned(),
        invoke::Error::BadArguments(why) => format!("bad-arguments: {why}"),
        invoke::Error::ToolError(error) => format!("tool-error: {error}"),
        invoke::Error::Stopped(why) => format!("stopped: {why}"),
        invoke::Error::TooDeep => "too-deep".to_owned(),
        invoke::Error::Unavailable => "unavailable".to_owned(),
    }
}

export!(HostApi);
