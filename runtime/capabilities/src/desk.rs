//! The host side of every capability, decided and done in the server.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use fumehood_model::{Bound, ModuleName, Reached};
use fumehood_policy::{Grant, Limits};

use crate::{
    call::Progress,
    host::{Ask, Host, Reply},
    http, invoke, job, keyvalue,
    listener::{Heard, Listener},
    listening::Listening,
    secrets,
    told::Piece,
};

/// Most different denials, and bounds reached, that are remembered of one call.
const MAX_DENIALS: usize = 16;

/// The services behind the capabilities, one of each for a server. Cloning is cheap.
#[derive(Clone)]
pub struct Desk {
    /// Requests to the outside.
    pub http: http::Egress,
    /// Values that last.
    pub keyvalue: keyvalue::Buckets,
    /// Secrets by name.
    pub secrets: secrets::Safe,
}

/// Who calls, what it is granted, and who else wants to know.
pub struct Visit {
    desk: Desk,
    about: About,
    /// Who listens, and what was heard.
    listening: Option<Box<Listening>>,
    denied: Mutex<Vec<Grant>>,
    reached: Mutex<Vec<Reached>>,
    pub(crate) used: Mutex<Used>,
}

/// What the host side knows of a call.
pub struct About {
    /// The module that is called.
    pub module: ModuleName,
    /// What this function of it is granted.
    pub grants: Arc<[Grant]>,
    /// What the call may use.
    pub limits: Limits,
    /// When it must have ended.
    pub deadline: Instant,
    /// What it has used together with the calls that it is part of.
    pub together: Together,
    /// Who hears what was used and what was refused.
    pub witness: Arc<dyn Witness>,
    /// The way to other tools, with the rights of the caller.
    pub invoke: Arc<dyn Invoke>,
    /// Who listens to the call while it runs, if anybody does.
    pub listener: Option<Arc<dyn Listener>>,
}

/// What a call from outside and all that tools call for it have used of the bounds that they have in common. Clones count
/// together.
#[derive(Debug, Clone, Default)]
pub struct Together(Arc<Common>);

#[derive(Debug, Default)]
struct Common {
    http_requests: AtomicU64,
    reached: Mutex<Vec<Reached>>,
}

impl Together {
    /// Count one more request to the outside; false when there were `most`.
    pub(crate) fn request(&self, most: u64) -> bool {
        let more = |made: u64| (made < most).then_some(made + 1);
        self.0.http_requests.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// The bounds that refused any of the guests something, each once.
    #[must_use]
    pub fn reached(&self) -> Vec<Reached> {
        self.0.reached.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn remember(known: &Mutex<Vec<Reached>>, reached: &Reached) {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    if known.len() < MAX_DENIALS && !known.contains(reached) {
        known.push(reached.clone());
    }
}

/// What a call has used of the bounds that the host side keeps.
#[derive(Debug, Default)]
pub(crate) struct Used {
    /// Bytes of requests and answers that are under way.
    pub(crate) http_held: Arc<AtomicUsize>,
    /// Secrets that were handed to the guest, or sent for it to a server that may echo them, so that they can be struck from what it prints.
    pub(crate) secrets: Vec<String>,
}

/// Hears what calls do.
pub trait Witness: Send + Sync {
    /// A guest of `module` used what `grant` stands for, or was refused it.
    ///
    /// The grant is the narrowest that would cover the use.
    fn note(&self, module: &ModuleName, grant: &Grant, allowed: bool);

    /// A guest of `module` needed a secret that it is granted and that nobody has set.
    fn secret_not_set(&self, module: &ModuleName, secret: &str);

    /// A guest of `module` was refused something because it had `reached` a bound; `place` says of what it is, for a quota.
    fn reached(&self, module: &ModuleName, reached: &Reached, place: &str);
}

/// Calls other tools for a guest, as whoever called the guest.
pub trait Invoke: Send + Sync {
    /// Call the tool. The grant was checked; everything else was not.
    fn invoke(
        &self,
        call: invoke::Permitted,
    ) -> Pin<Box<dyn Future<Output = Result<invoke::Response, invoke::Refused>> + Send + '_>>;
}

impl Desk {
    /// The host side of one call.
    #[must_use]
    pub fn visit(&self, about: About) -> Arc<Visit> {
        let listening = about.listener.clone().map(|listener| Box::new(Listening::new(listener, &about.limits)));
        Arc::new(Visit {
            desk: self.clone(),
            about,
            listening,
            denied: Mutex::default(),
            reached: Mutex::default(),
            used: Mutex::default(),
        })
    }
}

impl Visit {
    /// What the call is granted, and within which bounds.
    pub(crate) fn about(&self) -> &About {
        &self.about
    }

    /// Say that `grant` was used, or refused.
    pub(crate) fn note(&self, grant: &Grant, allowed: bool) {
        if !allowed {
            let mut denied = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
            if denied.len() < MAX_DENIALS && !denied.contains(grant) {
                denied.push(grant.clone());
            }
        }
        self.about.witness.note(&self.about.module, grant, allowed);
    }

    /// Say that a secret was needed that nobody has set.
    pub(crate) fn secret_not_set(&self, secret: &str) {
        self.about.witness.secret_not_set(&self.about.module, secret);
    }

    /// Say that the quota of `place`, `of` such a kind, was used up: `allowed`, as grants are written.
    pub(crate) fn spent(&self, of: &str, allowed: String, place: &str) {
        self.reach(&Reached::Quota { of: of.to_owned(), allowed }, place);
    }

    /// Say that a bound of the call refused the guest something.
    pub(crate) fn bounded(&self, bound: Bound) {
        self.reach(&Reached::Bound { bound, allowed: self.about.limits.get(bound) }, "");
    }

    fn reach(&self, reached: &Reached, place: &str) {
        self.about.witness.reached(&self.about.module, reached, place);
        remember(&self.reached, reached);
        remember(&self.about.together.0.reached, reached);
    }

    /// Remember that the guest was handed the value of a secret, or may be by who was sent it.
    pub(crate) fn remember_secret(&self, value: &str) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if !used.secrets.iter().any(|known| known == value) {
            used.secrets.push(value.to_owned());
        }
    }

    /// What the guest side must know of who listens.
    #[must_use]
    pub fn heard(&self) -> Heard {
        self.listening.as_ref().map(|listening| listening.heard()).unwrap_or_default()
    }

    /// Say that the call is over: whoever listens hears what was held back.
    pub fn over(&self) {
        if let Some(listening) = &self.listening {
            listening.over(self.secrets());
        }
    }

    /// Who keeps the checkpoints of the call, if it is an attempt of a job.
    pub(crate) fn job(&self) -> Option<&Listening> {
        self.listening.as_deref().filter(|listening| listening.heard().attempt.is_some())
    }

    async fn progress(&self, progress: Progress) {
        tracing::trace!(module.name = %self.about.module, "Module {} told how far it is", self.about.module);
        if let Some(listening) = &self.listening {
            let secrets = self.secrets_of(listening).await;
            listening.progress(progress, &secrets).await;
        }
    }

    async fn told(&self, pieces: Vec<Piece>) {
        let Some(listening) = self.listening.as_ref().filter(|listening| listening.heard().told) else { return };
        let secrets = self.secrets_of(listening).await;
        listening.told(pieces, &secrets).await;
    }

    /// What is struck out of all that is passed on to who listens.
    async fn secrets_of(&self, listening: &Listening) -> Vec<String> {
        let granted = self.about.grants.iter().filter_map(|grant| match grant {
            Grant::Secret(name) => Some(name.as_str()),
            Grant::Http(grant) => grant.credential.as_ref().map(|credential| credential.secret.as_str()),
            _ => None,
        });
        let granted = listening.granted(&self.desk.secrets, granted).await;
        [granted, &self.secrets()].concat()
    }

    /// The bounds that refused this guest something, each once.
    #[must_use]
    pub fn reached(&self) -> Vec<Reached> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it has used together with the calls that it is part of.
    #[must_use]
    pub fn together(&self) -> &Together {
        &self.about.together
    }

    /// What the call was refused, each once.
    #[must_use]
    pub fn denied(&self) -> Vec<Grant> {
        self.denied.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Secrets that the guest was handed, or may have been by who was sent them.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).secrets.clone()
    }
}

impl Host for Visit {
    fn module(&self) -> Option<&ModuleName> {
        Some(&self.about.module)
    }

    fn ask(&self, ask: Ask) -> Pin<Box<dyn Future<Output = Reply> + Send + '_>> {
        Box::pin(async move {
            match ask {
                Ask::Http(request) => {
                    let answer = self.desk.http.send(self, &self.desk.secrets, request).await;
                    if let Some(bound) = answer.as_ref().err().and_then(|refused| refused.bound()) {
                        self.bounded(bound);
                    }
                    Reply::Http(answer)
                }
                Ask::KeyValue(request) => Reply::KeyValue(self.desk.keyvalue.answer(self, request).await),
                Ask::Secret(request) => Reply::Secret(self.desk.secrets.answer(self, request).await),
                Ask::Invoke(request) => {
                    let answer = invoke::answer(self, request).await;
                    if let Err(invoke::Refused::TooDeep) = answer {
                        self.bounded(Bound::InvokeDepth);
                    }
                    Reply::Invoke(answer)
                }
                Ask::Progress(progress) => {
                    self.progress(progress).await;
                    Reply::Progress
                }
                Ask::Told(pieces) => {
                    self.told(pieces).await;
                    Reply::Told
                }
                Ask::Checkpoint(state) => Reply::Checkpoint(job::checkpoint(self, state).await),
                Ask::Resumed => Reply::Resumed(job::resumed(self)),
                Ask::Spent(exhausted) => {
                    // The text is made of the grants: what a guest side says may be anything.
                    if let Some((of, allowed)) = exhausted.quota(&self.about.grants) {
                        self.spent(of, allowed, exhausted.at());
                    }
                    Reply::Progress
                }
                Ask::BodyTooLarge => {
                    self.bounded(Bound::HttpBody);
                    Reply::Progress
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_and_those_that_it_makes_of_other_tools_share_what_they_may_ask_of_the_outside() {
        let (outer, other) = (Together::default(), Together::default());
        let inner = outer.clone();

        let asked = [outer.request(3), inner.request(3), inner.request(3), outer.request(3), inner.request(3)];

        assert_eq!(asked, [true, true, true, false, false]);
        assert!(other.request(3), "another call has its own");
    }
}
