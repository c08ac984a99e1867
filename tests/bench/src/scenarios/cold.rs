//! The first call of a module that was just uploaded.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::arguments::Cold;
use crate::client::Connection;
use crate::component::unique;
use crate::fumehood::{Fumehood, Home, PATIENCE, time_call};
use crate::report::{Series, print_series, write_json};
use crate::request;

/// What happened to each module.
#[derive(Debug, Default)]
struct Times {
    uploads: Vec<Duration>,
    first_calls: Vec<Duration>,
    second_calls: Vec<Duration>,
}

/// Upload modules that the server has never seen, call each twice.
pub(crate) async fn run(settings: &Cold) -> Result<()> {
    let component = settings.product.calculator()?;
    let home = Home::new()?;
    let fumehood = Fumehood::start(&settings.product.binary()?, &home, &[], PATIENCE).await?;
    let mut connection = Connection::open(fumehood.address()).await?;
    let mut times = Times::default();
    for number in 0..settings.modules {
        let component = unique(&component, u64::from(number));
        times.add(&fumehood, &mut connection, &format!("cold{number}"), &component).await?;
    }
    fumehood.stop().await?;
    let series = times.into_series();
    let title = format!("Cold calls: {} modules of {} bytes, one after another.", settings.modules, component.len());
    print_series(&title, &series);
    write_json(settings.json.as_deref(), &series)
}

impl Times {
    async fn add(
        &mut self,
        fumehood: &Fumehood,
        connection: &mut Connection,
        module: &str,
        component: &[u8],
    ) -> Result<()> {
        let upload = request::upload(fumehood.address(), fumehood.key(), module, component);
        let sent = Instant::now();
        connection.exchange(&upload).await?.require_success()?;
        self.uploads.push(sent.elapsed());
        let call = fumehood.add(module);
        self.first_calls.push(time_call(connection, &call).await?);
        self.second_calls.push(time_call(connection, &call).await?);
        Ok(())
    }

    fn into_series(self) -> [Series; 3] {
        [
            Series::times("upload", &self.uploads),
            Series::times("first call", &self.first_calls),
            Series::times("second call", &self.second_calls),
        ]
    }
}
