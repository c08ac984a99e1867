//! Clients that want to hear when a resource changes. Jobs move; what modules offer changes with the module alone.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fumehood_dispatch::{Dispatcher, Module, OwnResource, Update};
use fumehood_model::{KeyId, Principal};
use rmcp::{
    ErrorData, Peer, RoleServer,
    model::{ResourceUpdatedNotificationParam, SubscribeRequestParams},
    service::RequestContext,
};
use serde_json::json;
use tokio::{sync::mpsc, task::AbortHandle};

use crate::handler::Handler;

/// Most resources that one client follows at a time.
const MAX_FOLLOWED: usize = 100;

/// Most jobs that all clients of one key follow at a time, each counted as often as it is followed.
const MAX_FOLLOWERS: usize = 1_000;

/// How often a client hears of one resource at the most.
const PACE: Duration = Duration::from_millis(100);

/// What a client of the older eras follows, until its session ends. Cloning is cheap.
#[derive(Clone, Default)]
pub(crate) struct Followed(Arc<Tasks>);

/// What follows a resource, by its URI.
#[derive(Default)]
struct Tasks(Mutex<HashMap<String, AbortHandle>>);

impl Followed {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<String, AbortHandle>) -> T) -> T {
        act(&mut self.0.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn end(&self, uri: &str) {
        if let Some(task) = self.with(|followed| followed.remove(uri)) {
            task.abort();
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        let tasks = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        tasks.values().for_each(AbortHandle::abort);
    }
}

/// How many jobs the clients of each key follow. Cloning is cheap.
#[derive(Clone, Default)]
pub(crate) struct Followers(Arc<Mutex<HashMap<KeyId, usize>>>);

/// A place among the followers, until it is dropped.
struct Follower {
    all: Followers,
    key: KeyId,
}

impl Followers {
    fn enter(&self, key: &KeyId) -> Option<Follower> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = all.get(key).copied().unwrap_or_default();
        if own >= MAX_FOLLOWERS {
            return None;
        }
        all.insert(key.clone(), own + 1);
        Some(Follower { all: self.clone(), key: key.clone() })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = all.get_mut(&self.key) {
            *own -= 1;
            if *own == 0 {
                all.remove(&self.key);
            }
        }
    }
}

impl Handler {
    /// Follow a resource for a client of the older eras.
    pub(crate) async fn follow(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let (principal, profile) = (self.principal(&context)?, self.profile(&context)?);
        let uri = request.uri;
        let missing = || ErrorData::resource_not_found("there is no such resource", Some(json!({ "uri": uri })));
        let Some(own) = OwnResource::at(&uri) else {
            let catalogue = self.catalogue(&principal)?;
            let modules: Vec<_> = profile.modules(&catalogue).collect();
            return Module::with_resource(modules.into_iter(), &uri).map(drop).ok_or_else(missing);
        };
        if !self.dispatcher.has_own_resource(&principal, own).await || !profile.shows_own(own) {
            return Err(missing());
        }
        let OwnResource::Job(id) = own else { return Ok(()) };
        let place = self.followers.enter(&principal.key).ok_or_else(|| {
            ErrorData::invalid_request(format!("a key follows at most {MAX_FOLLOWERS} resources"), None)
        })?;
        let (door, peer, id, told) = (self.dispatcher.clone(), context.peer, id.to_owned(), uri.clone());
        self.followed.with(|followed| {
            followed.retain(|_, task| !task.is_finished());
            if followed.len() >= MAX_FOLLOWED && !followed.contains_key(&uri) {
                let what = format!("a session follows at most {MAX_FOLLOWED} resources");
                return Err(ErrorData::invalid_request(what, None));
            }
            let task = tokio::spawn(async move {
                let _place = place;
                moves(&door, &principal, &id, || tell(&peer, &told)).await;
            });
            if let Some(before) = followed.insert(uri, task.abort_handle()) {
                before.abort();
            }
            Ok(())
        })
    }
}

async fn tell(peer: &Peer<RoleServer>, uri: &str) -> bool {
    !peer.is_transport_closed()
        && peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri)).await.is_ok()
}

/// Those of `uris` that can change, each once, and no more than one client follows.
pub(crate) fn followable(uris: &[String]) -> Vec<String> {
    let mut followable: Vec<String> = Vec::new();
    for uri in uris {
        let moves = matches!(OwnResource::at(uri), Some(OwnResource::Job(_)));
        if moves && followable.len() < MAX_FOLLOWED && !followable.contains(uri) {
            followable.push(uri.clone());
        }
    }
    followable
}

/// Those of `uris` that change, whenever one of them does. Nothing comes for those that are not there, or are nobody's
/// business here.
pub(crate) fn changes(door: &Dispatcher, followers: &Followers, principal: &Principal, uris: &[String]) -> Changes {
    let (told, heard) = mpsc::channel(MAX_FOLLOWED);
    let follow = |uri: &String| {
        let Some(OwnResource::Job(id)) = OwnResource::at(uri) else { return None };
        let place = followers.enter(&principal.key)?;
        let (door, principal, id, uri, told) =
            (door.clone(), principal.clone(), id.to_owned(), uri.clone(), told.clone());
        let task = tokio::spawn(async move {
            let _place = place;
            moves(&door, &principal, &id, || async { told.send(uri.clone()).await.is_ok() }).await;
        });
        Some(task.abort_handle())
    };
    let tasks = uris.iter().filter_map(follow).collect();
    Changes { heard, tasks, _told: told }
}

/// What changes, for as long as this is held.
pub(crate) struct Changes {
    heard: mpsc::Receiver<String>,
    tasks: Vec<AbortHandle>,
    /// So that waiting goes on when nothing moves any more.
    _told: mpsc::Sender<String>,
}

impl Changes {
    /// The next that changes.
    pub(crate) async fn next(&mut self) -> Option<String> {
        self.heard.recv().await
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Call `tell` whenever a job moves, until it has ended or nobody listens.
async fn moves<F: Future<Output = bool>>(
    door: &Dispatcher,
    principal: &Principal,
    id: &str,
    mut tell: impl FnMut() -> F,
) {
    let Ok(mut follow) = door.follow_job(principal, id, 0).await else { return };
    // What is so now is no news.
    let mut is_first = true;
    while let Ok(Some(news)) = follow.next().await {
        let ended = news.iter().any(Update::has_ended);
        // Lines of its log are no part of the resource.
        let moved = news.iter().any(|update| matches!(update, Update::Now(_)));
        if moved && (!is_first || ended) && !pin!(tell()).await {
            return;
        }
        is_first = false;
        tokio::time::sleep(PACE).await;
    }
}
