//! From a new version of a module to the first answer that comes of it, idle and while others call it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::task::JoinSet;

use crate::arguments::Swap;
use crate::client::Connection;
use crate::component::unique;
use crate::fumehood::{Fumehood, Home, PATIENCE, time_call};
use crate::http1::header;
use crate::report::{Series, print_series, write_json};
use crate::request::{self, Target};

/// The module whose versions are swapped.
const MODULE: &str = "it";
/// Longest that a new version may be waited for.
const MOST: Duration = Duration::from_secs(60);

/// How a new version comes.
#[derive(Debug, Clone, Copy)]
enum Way {
    Upload,
    File,
}

/// Others that call meanwhile, each on a connection of its own.
struct Callers {
    over: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
    tasks: JoinSet<Result<()>>,
}

/// Swap a module by upload and by file, idle and under load.
pub(crate) async fn run(settings: &Swap) -> Result<()> {
    let mut series = Vec::new();
    for way in [Way::Upload, Way::File] {
        series.extend(measure(settings, way).await?);
    }
    let title = format!(
        "Swap of a module, from sending or writing it to its first answer: {} each, alone and while {} connections call it.",
        settings.swaps, settings.connections
    );
    print_series(&title, &series);
    write_json(settings.json.as_deref(), &series)
}

async fn measure(settings: &Swap, way: Way) -> Result<Vec<Series>> {
    let component = settings.product.calculator()?;
    let home = Home::new()?;
    if matches!(way, Way::File) {
        home.put(MODULE, &unique(&component, 0))?;
    }
    let patient = [("FUMEHOOD_CONCURRENCY__WAITING_PER_KEY", "1000".to_owned())];
    let fumehood = Fumehood::start(&settings.product.binary()?, &home, &patient, PATIENCE).await?;
    let mut connection = Connection::open(fumehood.address()).await?;
    if matches!(way, Way::Upload) {
        let upload = request::upload(fumehood.address(), fumehood.key(), MODULE, &unique(&component, 0));
        connection.exchange(&upload).await?.require_success()?;
    }
    let call = fumehood.add(MODULE);
    let mut number = 0;
    let mut swaps = async |connection: &mut Connection| {
        let mut times = Vec::new();
        for _ in 0..settings.swaps {
            number += 1;
            times.push(swap(&fumehood, &home, connection, &call, way, &unique(&component, number)).await?);
        }
        anyhow::Ok(times)
    };
    let alone = swaps(&mut connection).await?;
    let callers = Callers::start(&call, settings.connections);
    let loaded = swaps(&mut connection).await?;
    let calls = callers.stop().await?;
    fumehood.stop().await?;
    let name = if matches!(way, Way::Upload) { "upload" } else { "file" };
    eprintln!("{name}: {calls} calls of others meanwhile, all of them answered rightly.");
    let title = format!("{name}, while {} call", settings.connections);
    Ok(vec![Series::times(&format!("{name}, alone"), &alone), Series::times(&title, &loaded)])
}

/// How long it takes until an answer comes of this component.
async fn swap(
    fumehood: &Fumehood,
    home: &Home,
    connection: &mut Connection,
    call: &Target,
    way: Way,
    component: &[u8],
) -> Result<Duration> {
    let before = digest(connection, call).await?;
    let begun = Instant::now();
    match way {
        Way::Upload => {
            let upload = request::upload(fumehood.address(), fumehood.key(), MODULE, component);
            connection.exchange(&upload).await?.require_success()?;
            ensure!(digest(connection, call).await? != before, "what was uploaded does not answer the next call");
        }
        Way::File => {
            home.put(MODULE, component)?;
            while digest(connection, call).await? == before {
                ensure!(begun.elapsed() < MOST, "the file was not taken in within {MOST:?}");
            }
        }
    }
    Ok(begun.elapsed())
}

/// Which component answers.
async fn digest(connection: &mut Connection, call: &Target) -> Result<Vec<u8>> {
    let response = connection.exchange(&call.request).await?;
    call.expected.check(&response)?;
    Ok(header(response.head, b"fumehood-digest:").context("an answer without its digest")?.to_vec())
}

impl Callers {
    fn start(call: &Target, connections: u16) -> Self {
        let (over, calls) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let mut tasks = JoinSet::new();
        for _ in 0..connections {
            let (call, over, calls) = (call.clone(), Arc::clone(&over), Arc::clone(&calls));
            tasks.spawn(async move {
                let mut connection = Connection::open(call.address).await?;
                while !over.load(Ordering::Relaxed) {
                    time_call(&mut connection, &call).await?;
                    calls.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            });
        }
        Self { over, calls, tasks }
    }

    /// How many calls there were. An error when one was answered otherwise than rightly.
    async fn stop(mut self) -> Result<u64> {
        self.over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.context("a caller panicked")?.context("a call beside a swap")?;
        }
        let calls = self.calls.load(Ordering::Relaxed);
        ensure!(calls > 0, "nobody called meanwhile");
        Ok(calls)
    }
}
