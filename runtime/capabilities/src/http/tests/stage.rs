//! A call and what surrounds it.

use std::{
    collections::HashMap,
    future::ready,
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use fumehood_model::ModuleName;
use fumehood_policy::{Grant, HostPattern, HttpGrant, Limits, Scheme};
use fumehood_store::{Access, DataDirectory};
use tempfile::TempDir;

use crate::{
    About, Ask, Desk, Host, Invoke, Reply, Together, Visit, Witness,
    http::{
        Config, Egress, Refused, Request, Response,
        egress::Admitted,
        resolve::{Resolve, Resolving},
    },
    invoke, keyvalue, secrets,
};

/// Longest that any of these tests may wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// One call with its grants, and names that stand for what the test says.
pub(crate) struct Stage {
    pub(crate) names: Arc<Names>,
    pub(crate) notes: Arc<Notes>,
    egress: Egress,
    visit: Arc<Visit>,
    _data: TempDir,
}

/// Answers of the name service: the first of each name, then the next.
#[derive(Default)]
pub(crate) struct Names {
    answers: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    asked: Mutex<Vec<String>>,
}

/// What the operator hears.
#[derive(Default)]
pub(crate) struct Notes(Mutex<Vec<(Grant, bool)>>);

impl Stage {
    pub(crate) fn new(grants: Vec<HttpGrant>) -> Self {
        Self::within(grants, Limits::default(), PATIENCE, &Config::default())
    }

    pub(crate) fn within(grants: Vec<HttpGrant>, limits: Limits, patience: Duration, config: &Config) -> Self {
        let data = tempfile::tempdir().unwrap();
        let directory = DataDirectory::open(data.path(), Access::Own).unwrap();
        let database = directory.database().unwrap();
        let (names, notes) = (Arc::new(Names::default()), Arc::new(Notes::default()));
        let egress = Egress::resolving(config, Arc::clone(&names) as Arc<dyn Resolve>).unwrap();
        let desk = Desk {
            http: egress.clone(),
            keyvalue: keyvalue::Buckets::new(database.clone()),
            secrets: secrets::Safe::new(directory.secrets(&database)),
        };
        let visit = desk.visit(About {
            module: "m".parse::<ModuleName>().unwrap(),
            grants: grants.into_iter().map(Grant::Http).collect(),
            limits,
            deadline: Instant::now() + patience,
            together: Together::default(),
            witness: Arc::clone(&notes) as Arc<dyn Witness>,
            invoke: Arc::new(NoTools),
            listener: None,
        });
        Self { names, notes, egress, visit, _data: data }
    }

    /// Let `name` stand for these addresses, once more often.
    pub(crate) fn name(self, name: &str, addresses: &[&str]) -> Self {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.names.answers.lock().unwrap().entry(name.to_owned()).or_default().push(addresses);
        self
    }

    /// What the guest is answered.
    pub(crate) async fn ask(&self, request: Request) -> Result<Response, Refused> {
        let Reply::Http(answer) = self.visit.ask(Ask::Http(request)).await else { panic!("another kind of reply") };
        answer
    }

    /// The same, when the credential's secret has this value.
    pub(crate) async fn ask_with(&self, request: Request, secret: &str) -> Result<Response, Refused> {
        let admitted = Admitted::new(&self.visit, request)?;
        let secret = admitted.credential().map(|_| secret.to_owned());
        self.egress.deliver(&self.visit, admitted, secret).await
    }

    /// What is struck out of what the guest prints and logs.
    pub(crate) fn struck(&self) -> Vec<String> {
        self.visit.secrets()
    }

    /// What the call was refused.
    pub(crate) fn denied(&self) -> Vec<Grant> {
        self.visit.denied()
    }
}

impl Names {
    /// Which names were asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Resolve for Names {
    fn resolve(&self, name: String) -> Resolving {
        let mut answers = self.answers.lock().unwrap();
        let found = answers.get_mut(&name).filter(|left| !left.is_empty()).map(|left| left.remove(0));
        self.asked.lock().unwrap().push(name);
        Box::pin(ready(found.ok_or_else(|| std::io::Error::other("no such name"))))
    }
}

impl Notes {
    pub(crate) fn all(&self) -> Vec<(Grant, bool)> {
        self.0.lock().unwrap().clone()
    }
}

impl Witness for Notes {
    fn note(&self, _: &ModuleName, grant: &Grant, allowed: bool) {
        self.0.lock().unwrap().push((grant.clone(), allowed));
    }

    fn secret_not_set(&self, _: &ModuleName, _: &str) {}

    fn reached(&self, _: &ModuleName, _: &fumehood_model::Reached, _: &str) {}
}

struct NoTools;

impl Invoke for NoTools {
    fn invoke(
        &self,
        _: invoke::Permitted,
    ) -> Pin<Box<dyn Future<Output = Result<invoke::Response, invoke::Refused>> + Send + '_>> {
        Box::pin(ready(Err(invoke::Refused::Denied)))
    }
}

/// A grant of plain HTTP to `host`, which may stand for any of `addresses`.
pub(crate) fn grant(host: &str, port: u16, addresses: &[&str]) -> HttpGrant {
    HttpGrant {
        methods: Vec::new(),
        scheme: Scheme::Http,
        host: HostPattern::Exactly(host.to_owned()),
        port,
        path: "/".into(),
        addresses: addresses.iter().map(|network| network.parse().unwrap()).collect(),
        credential: None,
    }
}
