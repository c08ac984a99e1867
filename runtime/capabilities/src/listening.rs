use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use fumehood_policy::Limits;
use tokio::sync::OnceCell;

use crate::{
    call::{self, Progress},
    listener::{Heard, Listener, Told},
    pace::{PERIOD, Pace},
    secrets::{Safe, strike_text},
    told::{Piece, Relay},
};

/// A call that is listened to, on the host side: nothing that its guest side says has been checked.
pub(crate) struct Listening {
    listener: Arc<dyn Listener>,
    heard: Heard,
    relay: Mutex<Relay>,
    paces: Mutex<Paces>,
    /// The secrets that the call may read, whether it has or not.
    granted: OnceCell<Vec<String>>,
}

#[derive(Default)]
struct Paces {
    progress: Pace,
    told: Pace,
    checkpoints: Pace,
}

impl Listening {
    pub(crate) fn new(listener: Arc<dyn Listener>, limits: &Limits) -> Self {
        let heard = Heard { told: listener.wants_told(), attempt: listener.attempt() };
        let relay = Mutex::new(Relay::new(limits));
        Self { listener, heard, relay, paces: Mutex::default(), granted: OnceCell::new() }
    }

    pub(crate) fn heard(&self) -> Heard {
        self.heard
    }

    /// Pass on how far the guest is.
    pub(crate) async fn progress(&self, progress: Progress, secrets: &[String]) {
        let Some(mut progress) = call::checked(progress) else { return };
        self.wait(|paces| &mut paces.progress, PERIOD).await;
        progress.message = progress.message.map(|message| strike_text(message, call::MAX_MESSAGE, secrets));
        self.listener.progress(progress);
    }

    /// Pass on what the guest logged and printed.
    pub(crate) async fn told(&self, pieces: Vec<Piece>, secrets: &[String]) {
        self.wait(|paces| &mut paces.told, PERIOD).await;
        let mut relay = self.relay();
        self.hand_on(relay.pass(pieces, secrets));
    }

    /// Pass on what was held back, without the secrets that the guest was `handed`.
    pub(crate) fn over(&self, mut handed: Vec<String>) {
        handed.extend_from_slice(self.granted.get().map_or(&[], Vec::as_slice));
        let mut relay = self.relay();
        self.hand_on(relay.finish(&handed));
    }

    /// Called with the relay locked, so that everything is heard in order.
    fn hand_on(&self, told: Vec<Told>) {
        if !told.is_empty() {
            self.listener.told(told);
        }
    }

    /// The values of secrets that the call is `granted`, which are read once.
    ///
    /// A guest may know a secret before it asks for it: from an earlier call, or a checkpoint. What it prints then
    /// would be struck out at the end, when it has asked.
    pub(crate) async fn granted(&self, safe: &Safe, granted: impl Iterator<Item = &str>) -> &[String] {
        let read = async {
            let mut values = Vec::new();
            for name in granted {
                values.extend(safe.value(name).await);
            }
            values
        };
        self.granted.get_or_init(|| read).await
    }

    /// Have `state`, which stands for so much time as `cost`, kept; whether it was.
    pub(crate) async fn checkpoint(&self, state: Bytes, cost: Duration) -> bool {
        self.wait(|paces| &mut paces.checkpoints, cost).await;
        self.listener.checkpoint(state).await
    }

    /// What an earlier attempt left.
    pub(crate) fn resumed(&self) -> Option<Bytes> {
        self.listener.resumed()
    }

    async fn wait(&self, pace: impl FnOnce(&mut Paces) -> &mut Pace, cost: Duration) {
        let now = Instant::now();
        let turn = pace(&mut self.paces.lock().unwrap_or_else(PoisonError::into_inner)).turn(now, cost);
        if turn > now {
            tokio::time::sleep_until(turn.into()).await;
        }
    }

    fn relay(&self) -> MutexGuard<'_, Relay> {
        self.relay.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::Pin};

    use fumehood_policy::Grant;
    use fumehood_store::{Access, DataDirectory};
    use tempfile::TempDir;

    use super::*;
    use crate::{
        About, Ask, Desk, Host, Invoke, Reply, Stream, Together, Visit, Witness,
        http::Egress,
        invoke::{self, Permitted},
        job::{self, MAX_STATE, State},
        keyvalue::Buckets,
    };

    const SECRET: &str = "correct-horse";

    /// What the server sends to others for the guest.
    const CREDENTIAL: &str = "battery-staple";

    #[derive(Default)]
    struct Ear {
        attempt: Option<u32>,
        told: Mutex<Vec<Told>>,
        progress: Mutex<Vec<Progress>>,
    }

    impl Listener for Ear {
        fn progress(&self, progress: Progress) {
            self.progress.lock().unwrap().push(progress);
        }

        fn wants_told(&self) -> bool {
            self.attempt.is_some()
        }

        fn told(&self, told: Vec<Told>) {
            self.told.lock().unwrap().extend(told);
        }

        fn attempt(&self) -> Option<u32> {
            self.attempt
        }

        fn checkpoint(&self, _: Bytes) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
            Box::pin(std::future::ready(true))
        }
    }

    struct Nobody;

    impl Witness for Nobody {
        fn note(&self, _: &fumehood_model::ModuleName, _: &Grant, _: bool) {}

        fn secret_not_set(&self, _: &fumehood_model::ModuleName, _: &str) {}

        fn reached(&self, _: &fumehood_model::ModuleName, _: &fumehood_model::Reached, _: &str) {}
    }

    impl Invoke for Nobody {
        fn invoke(
            &self,
            _: Permitted,
        ) -> Pin<Box<dyn Future<Output = Result<invoke::Response, invoke::Refused>> + Send + '_>> {
            Box::pin(std::future::ready(Err(invoke::Refused::Denied)))
        }
    }

    /// The host side of a call that may read a secret and has not, and what keeps it alive.
    fn visit(ear: &Arc<Ear>) -> (Arc<Visit>, TempDir) {
        let data = tempfile::tempdir().unwrap();
        let directory = DataDirectory::open(data.path(), Access::Own).unwrap();
        let database = directory.database().unwrap();
        let secrets = directory.secrets(&database);
        secrets.set("TOKEN", SECRET, "test").unwrap();
        secrets.set("KEY", CREDENTIAL, "test").unwrap();
        let desk = Desk {
            http: Egress::new(&crate::http::Config::default()).unwrap(),
            keyvalue: Buckets::new(database),
            secrets: Safe::new(secrets),
        };
        let visit = desk.visit(About {
            module: "m".parse().unwrap(),
            grants: Arc::new([Grant::Secret("TOKEN".into()), "http:https://a.test,bearer=KEY".parse().unwrap()]),
            limits: Limits::default(),
            deadline: Instant::now() + Duration::from_secs(20),
            together: Together::default(),
            witness: Arc::new(Nobody),
            invoke: Arc::new(Nobody),
            listener: Some(Arc::clone(ear) as Arc<dyn Listener>),
        });
        (visit, data)
    }

    fn print(text: &str) -> Ask {
        Ask::Told(vec![Piece::Output { stream: Stream::Stderr, bytes: text.into() }])
    }

    #[tokio::test]
    async fn a_secret_is_struck_out_before_the_guest_has_asked_for_it() {
        let ear = Arc::new(Ear { attempt: Some(1), ..Ear::default() });
        let (visit, _data) = visit(&ear);

        visit.ask(print("it is correct-horse, or corr")).await;
        visit.ask(Ask::Progress(Progress { done: 1.0, total: None, message: Some(SECRET.into()) })).await;
        visit.over();

        let told = |text: &str| Told::Output { stream: Stream::Stderr, text: text.into() };
        assert_eq!(*ear.told.lock().unwrap(), [told("it is [secret], or "), told("[secret]")]);
        assert_eq!(ear.progress.lock().unwrap()[0].message.as_deref(), Some("[secret]"));
    }

    #[tokio::test]
    async fn a_credential_is_struck_out_also_where_an_earlier_call_has_seen_it_echoed() {
        let ear = Arc::new(Ear { attempt: Some(2), ..Ear::default() });
        let (visit, _data) = visit(&ear);

        visit.ask(print("sent battery-staple.")).await;
        visit.over();

        let told = |text: &str| Told::Output { stream: Stream::Stderr, text: text.into() };
        assert_eq!(*ear.told.lock().unwrap(), [told("sent [secret].")]);
    }

    #[tokio::test]
    async fn a_worker_tells_and_keeps_nothing_that_nobody_wants() {
        let ear = Arc::new(Ear::default());
        let (visit, _data) = visit(&ear);

        let told = visit.ask(print("hello")).await;
        let kept = visit.ask(Ask::Checkpoint(State(vec![1]))).await;
        let resumed = visit.ask(Ask::Resumed).await;
        visit.over();

        assert!(matches!(told, Reply::Told) && ear.told.lock().unwrap().is_empty());
        assert!(matches!(kept, Reply::Checkpoint(Err(job::Refused::NotAJob))), "{kept:?}");
        assert!(matches!(resumed, Reply::Resumed(None)), "{resumed:?}");
    }

    #[tokio::test]
    async fn a_checkpoint_is_bounded_whatever_the_worker_says() {
        let (visit, _data) = visit(&Arc::new(Ear { attempt: Some(1), ..Ear::default() }));

        let fits = visit.ask(Ask::Checkpoint(State(vec![0; MAX_STATE]))).await;
        let larger = visit.ask(Ask::Checkpoint(State(vec![0; MAX_STATE + 1]))).await;

        assert!(matches!(fits, Reply::Checkpoint(Ok(()))), "{fits:?}");
        assert!(matches!(larger, Reply::Checkpoint(Err(job::Refused::TooLarge))), "{larger:?}");
    }
}
