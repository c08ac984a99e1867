//! The hostile side of a load: every attack of the zoo, as requests.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::Result;
use fumehood_tests::zoo::{Attack, End, Fate, Guest, SETTINGS};
use serde_json::Value;

use crate::client::{Connection, Response};
use crate::fumehood::Home;
use crate::request;

/// One attack, ready to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Shot {
    /// `guest/function`.
    pub(crate) name: String,
    /// The attack.
    pub(crate) attack: Attack,
    /// The request.
    pub(crate) request: Vec<u8>,
}

/// What attacks came to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    /// How often each code was answered; what was no failure counts as `answered`.
    pub(crate) codes: BTreeMap<String, u64>,
    /// Attacks that ended with another status than their row in the zoo says, by name.
    pub(crate) unexpected: BTreeMap<String, u64>,
    /// Attacks to which the server said nothing at all.
    pub(crate) unanswered: u64,
}

/// The environment that gives a server the bounds for which the zoo is written.
pub(crate) fn environment() -> Vec<(String, String)> {
    let variable = |key: &str| format!("FUMEHOOD_{}", key.replace('.', "__").to_uppercase());
    SETTINGS.iter().map(|(key, value)| (variable(key), (*value).to_owned())).collect()
}

/// Lay every guest that can be loaded where a server reads it.
pub(crate) fn lay_out(home: &Home) -> Result<()> {
    for guest in Guest::ALL.iter().filter(|guest| matches!(guest.fate(), Fate::Attacks(_))) {
        home.add(guest.name(), &guest.component())?;
    }
    Ok(())
}

/// The attacks that `choose` picks and perhaps changes.
pub(crate) fn shots(address: SocketAddr, key: &str, choose: impl Fn(Guest, Attack) -> Option<Attack>) -> Vec<Shot> {
    let mut shots = Vec::new();
    for guest in Guest::ALL {
        let Fate::Attacks(attacks) = guest.fate() else { continue };
        for attack in attacks.into_iter().filter_map(|attack| choose(*guest, attack)) {
            shots.push(Shot::new(address, key, guest.name(), attack));
        }
    }
    shots
}

impl Shot {
    /// An attack by the module of this name.
    pub(crate) fn new(address: SocketAddr, key: &str, module: &str, attack: Attack) -> Self {
        let headers = attack.headers();
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        let arguments = attack.arguments.to_string();
        let request = request::bounded_call(address, key, module, attack.function, &arguments, &headers);
        Self { name: format!("{module}/{}", attack.function), attack, request }
    }

    /// The status that the zoo says it must end with.
    fn expected_status(&self) -> u16 {
        match &self.attack.end {
            End::Value(_) => 200,
            End::ToolError(_) => 422,
            End::Stopped(stop) => stop.status(),
        }
    }
}

impl Tally {
    /// Send an attack and count what comes of it. A connection that broke is opened again.
    pub(crate) async fn shoot(&mut self, connection: &mut Connection, address: SocketAddr, shot: &Shot) -> Result<()> {
        if let Ok(response) = connection.exchange(&shot.request).await {
            self.count(shot, &response);
            return Ok(());
        }
        self.unanswered += 1;
        *connection = Connection::open(address).await?;
        Ok(())
    }

    fn count(&mut self, shot: &Shot, response: &Response<'_>) {
        let code = if response.status < 400 { "answered".to_owned() } else { code_of(response) };
        if shot.expected_status() != response.status {
            *self.unexpected.entry(format!("{} {code}", shot.name)).or_default() += 1;
        }
        *self.codes.entry(code).or_default() += 1;
    }

    /// Add what another has counted.
    pub(crate) fn merge(&mut self, other: Self) {
        for (code, count) in other.codes {
            *self.codes.entry(code).or_default() += count;
        }
        for (name, count) in other.unexpected {
            *self.unexpected.entry(name).or_default() += count;
        }
        self.unanswered += other.unanswered;
    }

    /// How many attacks were answered.
    pub(crate) fn answered(&self) -> u64 {
        self.codes.values().sum()
    }
}

/// The stable code of a failure.
fn code_of(response: &Response<'_>) -> String {
    let problem: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    problem["error"].as_str().map_or_else(|| format!("status {}", response.status), str::to_owned)
}
