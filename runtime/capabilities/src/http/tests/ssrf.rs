//! Nothing leads to where no grant leads: directly, by way of a redirect, or by a name that changes its mind.

use fumehood_policy::HttpGrant;

use super::{
    corpus::places,
    get,
    peer::{Canary, Does, Peer},
    stage::{Stage, grant},
};
use crate::http::{
    Refused,
    target::{Host, Target},
};

/// Grants that an attacker would want there to be: for a public name, names below it, and whatever the URL names.
///
/// An address in its usual form is not among them: granting that is how it becomes allowed.
fn tempting(authority: &str, port: u16) -> Vec<HttpGrant> {
    let mut grants = vec![grant("public.test", port, &[]), grant("nip.io", port, &[])];
    match Target::of(&get(&format!("http://{authority}:{port}/"))).map(|target| target.host) {
        Ok(Host::Name(name)) => grants.push(grant(&name, port, &[])),
        Ok(Host::Address(_)) => {}
        Err(_) => grants.push(grant(authority, port, &[])),
    }
    grants
}

fn assert_refused(url: &str, refused: Option<Refused>) {
    let refusals = [Refused::Denied, Refused::BadUrl, Refused::AddressProhibited];
    assert!(refused.is_some_and(|refused| refusals.contains(&refused)), "{url} ended with {refused:?}");
}

#[test]
fn the_corpus_has_five_hundred_places() {
    assert!(places().len() >= 500, "{}", places().len());
}

#[tokio::test]
async fn no_url_of_the_corpus_leads_anywhere_directly() {
    let canary = Canary::new();
    let limits = fumehood_policy::Limits { http_requests: u64::MAX, ..Default::default() };
    for place in places() {
        let url = format!("http://{}:{}/", place.authority, canary.port);
        let address = place.leads_to.to_string();
        let grants = tempting(&place.authority, canary.port);
        let stage = Stage::within(grants, limits, std::time::Duration::from_secs(20), &Default::default());
        let host = Target::of(&get(&url)).map_or_else(|_| place.authority.clone(), |target| target.host.to_string());
        let stage = stage.name(&host, &[&address]);

        let answer = stage.ask(get(&url)).await;

        assert_refused(&url, answer.err());
        canary.assert_unseen(&url);
    }
}

#[tokio::test]
async fn no_redirect_to_a_url_of_the_corpus_is_followed_and_a_guest_that_follows_it_is_refused() {
    let canary = Canary::new();
    let port = canary.port;
    let urls: Vec<_> = places().iter().map(|place| format!("http://{}:{port}/", place.authority)).collect();
    let locations = urls.clone();
    let peer = Peer::doing(move |request| {
        let index: usize = request.split([' ', '/']).nth(2).unwrap().parse().unwrap();
        let head = "HTTP/1.1 302 Found\r\ncontent-length: 0\r\nlocation: ";
        Does::Say(format!("{head}{}\r\n\r\n", locations[index].trim()).into_bytes())
    });
    let peer = peer.await;
    let limits = fumehood_policy::Limits { http_requests: u64::MAX, ..Default::default() };
    let own = grant("public.test", peer.port, &["127.0.0.1/32"]);
    let mut stage = Stage::within(vec![own], limits, std::time::Duration::from_secs(120), &Default::default());

    for (index, url) in urls.iter().enumerate() {
        stage = stage.name("public.test", &["127.0.0.1"]);
        let redirect = stage.ask(get(&format!("http://public.test:{}/{index}", peer.port))).await.unwrap();
        assert_eq!(redirect.status, 302, "{url}");
        canary.assert_unseen(url);

        let followed = stage.ask(get(url)).await;

        assert_refused(url, followed.err());
        canary.assert_unseen(url);
    }
    assert_eq!(peer.heard().len(), urls.len());
}

#[tokio::test]
async fn a_granted_name_that_stands_for_an_address_of_the_corpus_is_not_dialled() {
    let canary = Canary::new();
    for place in places() {
        let address = place.leads_to.to_string();
        let stage = Stage::new(vec![grant("rebind.test", canary.port, &[])]).name("rebind.test", &[&address]);

        let answer = stage.ask(get(&format!("http://rebind.test:{}/", canary.port))).await;

        assert_eq!(answer.err(), Some(Refused::AddressProhibited), "{address}");
        canary.assert_unseen(&address);
    }
}

#[tokio::test]
async fn what_is_dialled_is_what_was_looked_at_whatever_the_name_says_next() {
    let peer = Peer::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let stage = Stage::new(vec![grant("rebind.test", peer.port, &["127.0.0.1/32"])])
        .name("rebind.test", &["127.0.0.1"])
        .name("rebind.test", &["127.0.0.2"]);
    let url = format!("http://rebind.test:{}/", peer.port);

    let (first, second) = (stage.ask(get(&url)).await, stage.ask(get(&url)).await);

    assert_eq!(first.unwrap().status, 200);
    assert_eq!(second.err(), Some(Refused::AddressProhibited));
    assert_eq!(stage.names.asked(), ["rebind.test", "rebind.test"]);
    assert_eq!(peer.heard().len(), 1);
}

#[tokio::test]
async fn of_several_addresses_only_those_that_are_allowed_are_tried() {
    let peer = Peer::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let stage = Stage::new(vec![grant("mixed.test", peer.port, &["127.0.0.1/32"])])
        .name("mixed.test", &["127.0.0.2", "169.254.169.254", "127.0.0.1"]);

    let answer = stage.ask(get(&format!("http://mixed.test:{}/", peer.port))).await;

    assert_eq!(answer.unwrap().status, 200);
}
