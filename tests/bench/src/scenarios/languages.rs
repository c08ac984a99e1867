//! The same tool in each language: what it weighs, and what it costs to build, to load and to call.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use crate::arguments::Languages;
use crate::client::Connection;
use crate::fumehood::{Fumehood, Home, PATIENCE, time_call};
use crate::http1::header;
use crate::report::{median, number, print_table, write_json};
use crate::request::{self, Expected, Target};

/// The languages that `fumehood new` knows.
const LANGUAGES: [&str; 5] = ["rust", "c", "go", "js", "python"];
/// How `fumehood` ends when a toolchain is missing.
const NOT_FOUND: i32 = 3;
/// What the tool is called with, and what it answers.
const ARGUMENTS: &str = r#"{"name":"Ada"}"#;
const ANSWER: &[u8] = b"\"Hello, Ada!\"";

/// What one language costs.
#[derive(Debug, Serialize)]
struct Row {
    language: &'static str,
    bytes: usize,
    first_build_ms: f64,
    next_build_ms: f64,
    upload_ms: f64,
    first_call_ms: f64,
    call_us: f64,
    fuel: f64,
    memory_bytes: f64,
}

/// Make, build, upload and call a project in each language whose toolchain is there.
pub(crate) async fn run(settings: &Languages) -> Result<()> {
    let binary = settings.product.binary()?;
    let home = Home::new()?;
    let patient = [("FUMEHOOD_COMPONENTS__COMPILE_CPU_S", "300".to_owned())];
    let fumehood = Fumehood::start(&binary, &home, &patient, PATIENCE).await?;
    let place = tempfile::Builder::new().prefix("fumehood-bench-").tempdir().context("no directory")?;
    let mut rows = Vec::new();
    for language in LANGUAGES {
        eprintln!("{language}.");
        let folder = place.path().join(format!("in-{language}"));
        let Some(builds) = build(&binary, language, &folder, settings)? else {
            eprintln!("{language} is left out: its toolchain is not here; `fumehood doctor` tells how to install it");
            continue;
        };
        rows.push(measure(&fumehood, language, &folder, builds, settings.calls).await?);
    }
    fumehood.stop().await?;
    ensure!(!rows.is_empty(), "no toolchain is here");
    print(settings, &rows);
    write_json(settings.json.as_deref(), &rows)
}

/// How long the first build takes and one after a change; none without a toolchain.
fn build(binary: &Path, language: &str, folder: &Path, settings: &Languages) -> Result<Option<[Duration; 2]>> {
    run_fumehood(binary, &["new", &folder.display().to_string(), "--lang", language])?;
    if let (Some(package), "go") = (&settings.go_package, language) {
        let file = folder.join("go.mod");
        let module = std::fs::read_to_string(&file)?;
        let module = format!("{module}\nreplace go.bytecodealliance.org/pkg => {}\n", package.display());
        std::fs::write(file, module)?;
    }
    let mut times = [Duration::ZERO; 2];
    for time in &mut times {
        let begun = Instant::now();
        if run_fumehood(binary, &["build", &folder.display().to_string()])? == NOT_FOUND {
            return Ok(None);
        }
        *time = begun.elapsed();
        // Every language ends lines, and whoever builds by what the bytes are builds this again.
        for source in ["src/lib.rs", "tool.c", "export_wit_world/tool.go", "src/tool.js", "app.py"] {
            let source = folder.join(source);
            if let Ok(text) = std::fs::read_to_string(&source) {
                std::fs::write(source, text + "\n")?;
            }
        }
    }
    Ok(Some(times))
}

/// How a command of fumehood ended. Anything but success and a missing toolchain is a failure.
fn run_fumehood(binary: &Path, arguments: &[&str]) -> Result<i32> {
    let ended =
        Command::new(binary).args(arguments).stdin(Stdio::null()).output().context("fumehood does not start")?;
    let code = ended.status.code().unwrap_or(-1);
    ensure!(
        [0, NOT_FOUND].contains(&code),
        "fumehood {} ended with {code}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&ended.stderr)
    );
    Ok(code)
}

async fn measure(
    fumehood: &Fumehood,
    language: &'static str,
    folder: &Path,
    [first_build, next_build]: [Duration; 2],
    calls: u32,
) -> Result<Row> {
    let module = format!("in-{language}");
    let component = std::fs::read(folder.join(format!("{module}.wasm")))?;
    let mut connection = Connection::open(fumehood.address()).await?;
    let upload = request::upload(fumehood.address(), fumehood.key(), &module, &component);
    let sent = Instant::now();
    connection.exchange(&upload).await?.require_success()?;
    let uploaded = sent.elapsed();
    let request = request::call(fumehood.address(), fumehood.key(), &module, "greet", ARGUMENTS);
    let call = Target { address: fumehood.address(), request, expected: Expected::Exactly(ANSWER) };
    let first_call = time_call(&mut connection, &call).await?;
    let mut times = Vec::new();
    for _ in 0..calls {
        times.push(time_call(&mut connection, &call).await?.as_secs_f64() * 1e6);
    }
    let response = connection.exchange(&call.request).await?;
    let told = |name: &str| -> Result<f64> {
        let value = header(response.head, name.as_bytes()).with_context(|| format!("an answer without `{name}`"))?;
        std::str::from_utf8(value)?.trim().parse().with_context(|| format!("{name} is no number"))
    };
    let (fuel, memory_bytes) = (told("fumehood-fuel:")?, told("fumehood-memory-bytes:")?);
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    Ok(Row {
        language,
        bytes: component.len(),
        first_build_ms: ms(first_build),
        next_build_ms: ms(next_build),
        upload_ms: ms(uploaded),
        first_call_ms: ms(first_call),
        call_us: median(times),
        fuel,
        memory_bytes,
    })
}

fn print(settings: &Languages, rows: &[Row]) {
    let title =
        format!("`greet` in each language, over REST with a fresh sandbox; medians of {} calls.", settings.calls);
    let base = rows[0].call_us;
    let line = |row: &Row| {
        vec![
            row.language.to_owned(),
            number(row.bytes as f64 / 1024.0),
            number(row.first_build_ms / 1e3),
            number(row.next_build_ms / 1e3),
            number(row.upload_ms),
            number(row.upload_ms / (row.bytes as f64 / f64::from(1 << 20))),
            number(row.first_call_ms),
            number(row.call_us),
            format!("{:.1} times {}", row.call_us / base, rows[0].language),
            number(row.fuel),
            number(row.memory_bytes / f64::from(1 << 20)),
        ]
    };
    let header = [
        "language",
        "KiB",
        "first build s",
        "next build s",
        "upload ms",
        "ms each MiB",
        "first call ms",
        "call µs",
        "ratio",
        "fuel",
        "MiB",
    ];
    print_table(&title, &header, &rows.iter().map(line).collect::<Vec<_>>());
}
