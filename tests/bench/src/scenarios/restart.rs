//! Starting again with many modules.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::arguments::Restart;
use crate::client::Connection;
use crate::component::unique;
use crate::fumehood::{Fumehood, Home, PATIENCE, call_until_right, time_call};
use crate::report::{Series, print_series, write_json};
use crate::request;

/// How long the first start may take for each module, which it may have to compile.
const PATIENCE_PER_MODULE: Duration = Duration::from_secs(1);

/// The series of one table, a value for each start.
#[derive(Debug, Default)]
struct Starts {
    ready: Vec<Duration>,
    first_answer: Vec<Duration>,
    first_call: Vec<Duration>,
    second_call: Vec<Duration>,
    ready_pss: Vec<u64>,
    called_pss: Vec<u64>,
    stop: Vec<Duration>,
}

/// The server, and the module that is called first after each start.
#[derive(Debug)]
struct Restarts {
    binary: PathBuf,
    home: Home,
    module: String,
    patience: Duration,
}

/// Start with one module and with many, several times each.
pub(crate) async fn run(settings: &Restart) -> Result<()> {
    let mut series = measure_one(settings).await?;
    series.extend(measure_many(settings).await?);
    let title = format!("Restart: {} modules, {} restarts.", settings.modules, settings.repeats);
    print_series(&title, &series);
    write_json(settings.json.as_deref(), &series)
}

/// The baseline: a server with nothing but the calculator.
async fn measure_one(settings: &Restart) -> Result<Vec<Series>> {
    let home = Home::new()?;
    home.add("calculator", &settings.product.calculator()?)?;
    let binary = settings.product.binary()?;
    let restarts = Restarts { binary, home, module: "calculator".into(), patience: PATIENCE };
    restarts.prepare(&["calculator".into()]).await?;
    Ok(restarts.measure(settings.repeats).await?.into_series("1 module"))
}

async fn measure_many(settings: &Restart) -> Result<Vec<Series>> {
    let home = Home::new()?;
    let binary = settings.product.binary()?;
    let modules: Vec<String> = (0..settings.modules).map(|number| format!("m{number:04}")).collect();
    let middle = modules[modules.len() / 2].clone();
    let patience = PATIENCE + PATIENCE_PER_MODULE * settings.modules;
    let restarts = Restarts { binary, home, module: middle, patience };
    let component = settings.product.calculator()?;
    let begun = Instant::now();
    if settings.upload {
        restarts.upload(&component, &modules).await?;
    } else {
        restarts.lay_out(&component, &modules)?;
    }
    restarts.prepare(&modules).await?;
    let name = format!("{} modules", settings.modules);
    let mut series = vec![Series::times(&format!("{name}: first start, every module called"), &[begun.elapsed()])];
    series.extend(restarts.measure(settings.repeats).await?.into_series(&name));
    Ok(series)
}

impl Restarts {
    /// Lay the modules into the directory that the server reads.
    fn lay_out(&self, component: &[u8], modules: &[String]) -> Result<()> {
        for (number, module) in (0..).zip(modules) {
            self.home.add(module, &unique(component, number))?;
        }
        Ok(())
    }

    /// Upload the modules one after another.
    async fn upload(&self, component: &[u8], modules: &[String]) -> Result<()> {
        let fumehood = self.start().await?;
        let mut connection = Connection::open(fumehood.address()).await?;
        for (number, module) in (0..).zip(modules) {
            let upload = request::upload(fumehood.address(), fumehood.key(), module, &unique(component, number));
            connection.exchange(&upload).await?.require_success()?;
        }
        fumehood.stop().await?;
        Ok(())
    }

    /// Start once and call every module, so that all that a restart could find ready is ready.
    async fn prepare(&self, modules: &[String]) -> Result<()> {
        eprintln!("Preparing {} modules.", modules.len());
        let fumehood = self.start().await?;
        let deadline = fumehood.started() + self.patience;
        let mut connection = Connection::open(fumehood.address()).await?;
        for module in modules {
            let call = call_until_right(&mut connection, &fumehood.add(module), deadline).await;
            call.with_context(|| format!("cannot call {module}"))?;
        }
        fumehood.stop().await?;
        Ok(())
    }

    async fn measure(&self, repeats: u32) -> Result<Starts> {
        let mut starts = Starts::default();
        for _ in 0..repeats {
            self.measure_once(&mut starts).await?;
        }
        Ok(starts)
    }

    async fn measure_once(&self, starts: &mut Starts) -> Result<()> {
        let fumehood = self.start().await?;
        starts.ready.push(fumehood.ready_after());
        let deadline = fumehood.started() + self.patience;
        let mut connection = Connection::open(fumehood.address()).await?;
        let call = fumehood.add(&self.module);
        let ready_pss = fumehood.memory()?.pss_bytes;
        let asked = Instant::now();
        call_until_right(&mut connection, &call, deadline).await?;
        starts.first_call.push(asked.elapsed());
        starts.first_answer.push(fumehood.started().elapsed());
        starts.second_call.push(time_call(&mut connection, &call).await?);
        starts.ready_pss.push(ready_pss);
        starts.called_pss.push(fumehood.memory()?.pss_bytes);
        starts.stop.push(fumehood.stop().await?);
        Ok(())
    }

    async fn start(&self) -> Result<Fumehood> {
        Fumehood::start(&self.binary, &self.home, &[], self.patience).await
    }
}

impl Starts {
    fn into_series(self, name: &str) -> Vec<Series> {
        let times = |what: &str, values: &[Duration]| Series::times(&format!("{name}: {what}"), values);
        let sizes = |what: &str, values: &[u64]| Series::sizes(&format!("{name}: {what}"), values);
        vec![
            times("start until ready", &self.ready),
            times("start until first answer", &self.first_answer),
            times("first call", &self.first_call),
            times("second call", &self.second_call),
            sizes("PSS when ready", &self.ready_pss),
            sizes("PSS after the calls", &self.called_pss),
            times("SIGTERM until ended", &self.stop),
        ]
    }
}
