//! Memory of many calls that are in flight at once.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use tokio::time::sleep;

use crate::arguments::Inflight;
use crate::client::Connection;
use crate::fumehood::{Fumehood, Home, PATIENCE};
use crate::process::allow_many_files;
use crate::report::{Series, Unit, print_series, write_json};
use crate::request;

/// The name of the component under test.
const MODULE: &str = "probe";
/// Most of a call's length that sending all of them may take: no call may end before the last one is sent.
const SENDING_SHARE: f64 = 0.5;
/// Pause between two looks at the memory.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// Memory at the three moments, and how long the calls took.
#[derive(Debug)]
struct Findings {
    idle: u64,
    connected: u64,
    holding: u64,
    sending: Duration,
    longest: Duration,
}

/// Hold many sleeping calls, look at the memory.
pub(crate) async fn run(settings: &Inflight) -> Result<()> {
    allow_many_files()?;
    let home = Home::new()?;
    let probe = &settings.probe;
    home.add(MODULE, &std::fs::read(probe).with_context(|| format!("cannot read {}", probe.display()))?)?;
    let calls = settings.calls.to_string();
    let bounds = [("FUMEHOOD_CONCURRENCY__CALLS", calls.clone()), ("FUMEHOOD_CONCURRENCY__PER_KEY", calls)];
    let fumehood = Fumehood::start(&settings.product.binary()?, &home, &bounds, PATIENCE).await?;
    let findings = measure(settings, &fumehood).await?;
    fumehood.stop().await?;
    let series = findings.into_series(settings.calls);
    let title = format!("{} calls in flight, each asleep for {} ms.", settings.calls, settings.milliseconds);
    print_series(&title, &series);
    write_json(settings.json.as_deref(), &series)
}

async fn measure(settings: &Inflight, fumehood: &Fumehood) -> Result<Findings> {
    let mut first = Connection::open(fumehood.address()).await?;
    first.exchange(&sleep_call(fumehood, 1)).await?.require_success()?;
    let idle = fumehood.memory()?.pss_bytes;
    let mut connections = connect_all(settings, fumehood).await?;
    let connected = fumehood.memory()?.pss_bytes;
    let begun = Instant::now();
    let request = sleep_call(fumehood, settings.milliseconds);
    for connection in &mut connections {
        connection.send(&request).await?;
    }
    let sending = begun.elapsed();
    let pause = Duration::from_millis(settings.milliseconds);
    ensure!(sending < pause.mul_f64(SENDING_SHARE), "sending took {sending:?}: let the calls sleep longer");
    let holding = most_memory_until(fumehood, begun + pause).await?;
    try_join_all(connections.iter_mut().map(receive_success)).await?;
    let longest = begun.elapsed();
    // A call that waited for another one's end answers after two lengths at the earliest.
    ensure!(longest < pause * 2, "the last answer came after {longest:?}: the calls were not in flight all at once");
    Ok(Findings { idle, connected, holding, sending, longest })
}

/// Open all connections, each with a request behind it, so that what belongs to a connection is there already.
async fn connect_all(settings: &Inflight, fumehood: &Fumehood) -> Result<Vec<Connection>> {
    let ready = request::ready(fumehood.address());
    let mut connections = Vec::new();
    for _ in 0..settings.calls {
        let mut connection = Connection::open(fumehood.address()).await?;
        connection.exchange(&ready).await?.require_success()?;
        connections.push(connection);
    }
    Ok(connections)
}

/// The largest memory seen before the moment at which the first call may end.
async fn most_memory_until(fumehood: &Fumehood, end: Instant) -> Result<u64> {
    let mut most = 0;
    while Instant::now() + LOOK_PAUSE < end {
        most = most.max(fumehood.memory()?.pss_bytes);
        sleep(LOOK_PAUSE).await;
    }
    Ok(most)
}

async fn receive_success(connection: &mut Connection) -> Result<()> {
    connection.receive().await?.require_success()
}

fn sleep_call(fumehood: &Fumehood, milliseconds: u64) -> Vec<u8> {
    let arguments = format!(r#"{{"milliseconds":{milliseconds}}}"#);
    request::call(fumehood.address(), fumehood.key(), MODULE, "sleep", &arguments)
}

impl Findings {
    fn into_series(self, calls: u32) -> Vec<Series> {
        let each = |more: u64, less: u64| (more as f64 - less as f64) / f64::from(calls) / 1024.0;
        vec![
            Series::sizes("PSS idle", &[self.idle]),
            Series::sizes("PSS connected", &[self.connected]),
            Series::sizes("PSS while the calls are held", &[self.holding]),
            Series::single("each connection", Unit::Kibibytes, each(self.connected, self.idle)),
            Series::single(
                "each call, its connection not counted",
                Unit::Kibibytes,
                each(self.holding, self.connected),
            ),
            Series::single("each call with its connection", Unit::Kibibytes, each(self.holding, self.idle)),
            Series::times("sending all calls", &[self.sending]),
            Series::times("until the last answer", &[self.longest]),
        ]
    }
}
