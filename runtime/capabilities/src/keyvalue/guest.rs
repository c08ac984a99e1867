//! The guest side, for both versions of the proposal that are in use.

use std::sync::Arc;

use serde_bytes::ByteBuf;
use wasmtime::component::{HasSelf, Linker, Resource};

use super::{Refused, Request, Response, Verb};
use crate::{Ask, Guest, Host, Reply};

/// The imports that this module links.
pub(crate) const IMPORTS: [&str; 6] = [
    "wasi:keyvalue/atomics@0.2.0-draft",
    "wasi:keyvalue/atomics@0.2.0-draft2",
    "wasi:keyvalue/batch@0.2.0-draft",
    "wasi:keyvalue/batch@0.2.0-draft2",
    "wasi:keyvalue/store@0.2.0-draft",
    "wasi:keyvalue/store@0.2.0-draft2",
];

/// Most pages that one call lists through the older version, whose cursors are numbers: 256 KiB of keys to go on from.
const MAX_CURSORS: usize = 1_024;

/// Most handles for swapping at a time: each holds a value of up to 256 KiB.
const MAX_SWAPS: usize = 32;

mod draft {
    wasmtime::component::bindgen!({
        path: "../../wit/deps/keyvalue-draft",
        world: "wasi:keyvalue/imports",
        imports: { default: async | trappable },
        with: { "wasi:keyvalue/store.bucket": super::Bucket },
    });
    pub(super) use wasi::keyvalue::{atomics, batch, store};

    /// The number of a page that was listed in this call.
    pub(super) type Cursor = u64;
    pub(super) type Found = Option<(String, Vec<u8>)>;

    pub(super) fn found((key, value): (String, Option<super::ByteBuf>)) -> Found {
        value.map(|value| (key, value.into_vec()))
    }

    pub(super) fn after(state: &super::State, cursor: Option<Cursor>) -> Result<Option<String>, super::Fault> {
        let Some(cursor) = cursor else { return Ok(None) };
        let position = usize::try_from(cursor).ok().and_then(|cursor| cursor.checked_sub(1));
        let key = position.and_then(|position| state.cursors.get(position));
        key.cloned().map(Some).ok_or(super::Fault::Other("the cursor is of no page that this call has listed"))
    }

    pub(super) fn cursor(state: &mut super::State, last: String) -> Result<Cursor, super::Fault> {
        if state.cursors.len() >= super::MAX_CURSORS {
            return Err(super::Fault::Other("this call has listed too many pages"));
        }
        state.cursors.push(last);
        Ok(state.cursors.len() as Cursor)
    }
}

mod draft2 {
    wasmtime::component::bindgen!({
        path: "../../wit/deps/keyvalue-draft2",
        world: "wasi:keyvalue/imports",
        imports: { default: async | trappable },
        with: { "wasi:keyvalue/store.bucket": super::Bucket, "wasi:keyvalue/atomics.cas": super::Cas },
    });
    pub(super) use wasi::keyvalue::{atomics, batch, store};

    /// The last key of a page.
    pub(super) type Cursor = String;
    pub(super) type Found = (String, Option<Vec<u8>>);

    pub(super) fn found((key, value): (String, Option<super::ByteBuf>)) -> Found {
        (key, value.map(super::ByteBuf::into_vec))
    }

    #[expect(clippy::unnecessary_wraps, reason = "as in the other version, where a cursor can be wrong")]
    pub(super) fn after(_: &super::State, cursor: Option<Cursor>) -> Result<Option<String>, super::Fault> {
        Ok(cursor)
    }

    #[expect(clippy::unnecessary_wraps, reason = "as in the other version, where there can be too many")]
    pub(super) fn cursor(_: &mut super::State, last: String) -> Result<Cursor, super::Fault> {
        Ok(last)
    }
}

/// An open bucket.
#[expect(unreachable_pub, reason = "the generated code re-exports it, which takes a public type")]
pub struct Bucket {
    name: String,
}

/// A value at one moment.
#[expect(unreachable_pub, reason = "the generated code re-exports it, which takes a public type")]
pub struct Cas {
    bucket: String,
    key: String,
    seen: Option<ByteBuf>,
    /// Counts the handles that there are.
    _counted: Arc<()>,
}

/// What the guest side keeps for the length of a call.
#[derive(Default)]
pub(crate) struct State {
    /// Keys at which pages ended: the cursor 1 leads on from the first of them.
    cursors: Vec<String>,
    swaps: Arc<()>,
}

/// Why nothing was done, in the words of neither version.
enum Fault {
    Denied,
    Other(&'static str),
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Denied => Self::Denied,
            Refused::Invalid => Self::Other("a key has 1 to 256 bytes, and a value at most 256 KiB"),
            Refused::TooMuch => Self::Other("one request has at most 256 keys and 4 MiB of values"),
            Refused::NotANumber => Self::Other("what is there is not a number, or the sum has more than 64 bits"),
            Refused::Full => Self::Other("the bucket is full"),
            Refused::Failed => Self::Other("the store failed"),
        }
    }
}

/// A reply of another kind than what was asked for.
const MIXED_UP: Fault = Fault::Other("the store failed");

/// What is asked of a bucket. What the guest has handed over with it is counted.
struct Question {
    host: Arc<dyn Host>,
    bucket: String,
    verb: Verb,
}

impl Question {
    async fn ask(self) -> Result<Response, Fault> {
        // The host side looks too. What it would refuse is kept from it here, where it is a matter of this guest alone.
        self.verb.check()?;
        match self.host.ask(Ask::KeyValue(Request { bucket: self.bucket, verb: self.verb })).await {
            Reply::KeyValue(answer) => Ok(answer?),
            Reply::Http(_)
            | Reply::Secret(_)
            | Reply::Invoke(_)
            | Reply::Progress
            | Reply::Told
            | Reply::Checkpoint(_)
            | Reply::Resumed(_) => Err(MIXED_UP),
        }
    }

    async fn done(self) -> Result<(), Fault> {
        self.ask().await.map(drop)
    }

    async fn values(self) -> Result<Vec<Option<ByteBuf>>, Fault> {
        let Verb::Get(keys) = &self.verb else { return Err(MIXED_UP) };
        let asked = keys.len();
        match self.ask().await? {
            Response::Values(values) if values.len() == asked => Ok(values),
            _ => Err(MIXED_UP),
        }
    }

    async fn value(self) -> Result<Option<ByteBuf>, Fault> {
        Ok(self.values().await?.pop().flatten())
    }

    async fn page(self) -> Result<(Vec<String>, bool), Fault> {
        match self.ask().await? {
            Response::Keys { keys, more } => Ok((keys, more)),
            _ => Err(MIXED_UP),
        }
    }

    async fn number(self) -> Result<i64, Fault> {
        match self.ask().await? {
            Response::Number(number) => Ok(number),
            _ => Err(MIXED_UP),
        }
    }
}

impl<X: Send> Guest<X> {
    /// What is asked of an open bucket.
    fn question(&mut self, bucket: &Resource<Bucket>, verb: Verb) -> wasmtime::Result<Question> {
        let bucket = self.table.get(bucket)?.name.clone();
        self.question_to(bucket, verb)
    }

    fn question_to(&mut self, bucket: String, verb: Verb) -> wasmtime::Result<Question> {
        self.handed.count(verb.handed_bytes())?;
        Ok(Question { host: Arc::clone(&self.host), bucket, verb })
    }

    async fn open_bucket(&mut self, identifier: String) -> wasmtime::Result<Result<Resource<Bucket>, Fault>> {
        self.handed.count(identifier.len())?;
        if identifier.len() > super::MAX_BUCKET {
            return Ok(Err(Fault::Denied));
        }
        if let Err(fault) = self.question_to(identifier.clone(), Verb::Open)?.done().await {
            return Ok(Err(fault));
        }
        Ok(self.table.push(Bucket { name: identifier }).map_err(|_| Fault::Other("too many handles")))
    }

    /// A handle for what is under `key` now.
    async fn look(&mut self, bucket: String, key: String) -> wasmtime::Result<Result<Resource<Cas>, Fault>> {
        if Arc::strong_count(&self.keyvalue.swaps) > MAX_SWAPS {
            return Ok(Err(Fault::Other("too many handles for swapping")));
        }
        let seen = match self.question_to(bucket.clone(), Verb::Get(vec![key.clone()]))?.value().await {
            Ok(seen) => seen,
            Err(fault) => return Ok(Err(fault)),
        };
        let cas = Cas { bucket, key, seen, _counted: Arc::clone(&self.keyvalue.swaps) };
        Ok(self.table.push(cas).map_err(|_| Fault::Other("too many handles")))
    }
}

/// What is the same in both versions, word for word.
macro_rules! version {
    ($version:ident) => {
        impl From<Fault> for $version::store::Error {
            fn from(fault: Fault) -> Self {
                match fault {
                    Fault::Denied => Self::AccessDenied,
                    Fault::Other(what) => Self::Other(what.to_owned()),
                }
            }
        }

        impl<X: Send> $version::store::Host for Guest<X> {
            async fn open(
                &mut self,
                identifier: String,
            ) -> wasmtime::Result<Result<Resource<Bucket>, $version::store::Error>> {
                Ok(self.open_bucket(identifier).await?.map_err(Into::into))
            }
        }

        impl<X: Send> $version::batch::Host for Guest<X> {
            async fn get_many(
                &mut self,
                bucket: Resource<Bucket>,
                keys: Vec<String>,
            ) -> wasmtime::Result<Result<Vec<$version::Found>, $version::store::Error>> {
                let found = self.question(&bucket, Verb::Get(keys.clone()))?.values().await;
                Ok(found.map(|values| keys.into_iter().zip(values).map($version::found).collect()).map_err(Into::into))
            }

            async fn set_many(
                &mut self,
                bucket: Resource<Bucket>,
                values: Vec<(String, Vec<u8>)>,
            ) -> wasmtime::Result<Result<(), $version::store::Error>> {
                let values = values.into_iter().map(|(key, value)| (key, value.into())).collect();
                Ok(self.question(&bucket, Verb::Set(values))?.done().await.map_err(Into::into))
            }

            async fn delete_many(
                &mut self,
                bucket: Resource<Bucket>,
                keys: Vec<String>,
            ) -> wasmtime::Result<Result<(), $version::store::Error>> {
                Ok(self.question(&bucket, Verb::Delete(keys))?.done().await.map_err(Into::into))
            }
        }

        impl<X: Send> $version::store::HostBucket for Guest<X> {
            async fn get(
                &mut self,
                bucket: Resource<Bucket>,
                key: String,
            ) -> wasmtime::Result<Result<Option<Vec<u8>>, $version::store::Error>> {
                let found = self.question(&bucket, Verb::Get(vec![key]))?.value().await;
                Ok(found.map(|value| value.map(ByteBuf::into_vec)).map_err(Into::into))
            }

            async fn set(
                &mut self,
                bucket: Resource<Bucket>,
                key: String,
                value: Vec<u8>,
            ) -> wasmtime::Result<Result<(), $version::store::Error>> {
                Ok(self.question(&bucket, Verb::Set(vec![(key, value.into())]))?.done().await.map_err(Into::into))
            }

            async fn delete(
                &mut self,
                bucket: Resource<Bucket>,
                key: String,
            ) -> wasmtime::Result<Result<(), $version::store::Error>> {
                Ok(self.question(&bucket, Verb::Delete(vec![key]))?.done().await.map_err(Into::into))
            }

            async fn exists(
                &mut self,
                bucket: Resource<Bucket>,
                key: String,
            ) -> wasmtime::Result<Result<bool, $version::store::Error>> {
                let found = self.question(&bucket, Verb::Get(vec![key]))?.value().await;
                Ok(found.map(|value| value.is_some()).map_err(Into::into))
            }

            async fn list_keys(
                &mut self,
                bucket: Resource<Bucket>,
                cursor: Option<$version::Cursor>,
            ) -> wasmtime::Result<Result<$version::store::KeyResponse, $version::store::Error>> {
                let after = match $version::after(&self.keyvalue, cursor) {
                    Ok(after) => after,
                    Err(fault) => return Ok(Err(fault.into())),
                };
                let (keys, more) = match self.question(&bucket, Verb::Keys { after })?.page().await {
                    Ok(page) => page,
                    Err(fault) => return Ok(Err(fault.into())),
                };
                let last = keys.last().filter(|_| more).cloned();
                let cursor = last.map(|last| $version::cursor(&mut self.keyvalue, last)).transpose();
                Ok(cursor.map(|cursor| $version::store::KeyResponse { keys, cursor }).map_err(Into::into))
            }

            async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
                self.table.delete(bucket)?;
                Ok(())
            }
        }
    };
}

version!(draft);
version!(draft2);

impl<X: Send> draft::atomics::Host for Guest<X> {
    async fn increment(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        delta: u64,
    ) -> wasmtime::Result<Result<u64, draft::store::Error>> {
        let Ok(by) = i64::try_from(delta) else { return Ok(Err(Fault::from(Refused::NotANumber).into())) };
        let sum = self.question(&bucket, Verb::Increment { key, by })?.number().await;
        // Through the newer version a number can have become negative, which this one cannot say.
        let sum = sum.and_then(|sum| u64::try_from(sum).map_err(|_| Refused::NotANumber.into()));
        Ok(sum.map_err(Into::into))
    }
}

impl<X: Send> draft2::atomics::Host for Guest<X> {
    async fn increment(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        delta: i64,
    ) -> wasmtime::Result<Result<i64, draft2::store::Error>> {
        Ok(self.question(&bucket, Verb::Increment { key, by: delta })?.number().await.map_err(Into::into))
    }

    async fn swap(
        &mut self,
        cas: Resource<Cas>,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), draft2::atomics::CasError>> {
        let Cas { bucket, key, seen, .. } = self.table.delete(cas)?;
        let store_error = |fault: Fault| draft2::atomics::CasError::StoreError(fault.into());
        let verb = Verb::Swap { key: key.clone(), from: seen, to: value.into() };
        match self.question_to(bucket.clone(), verb)?.ask().await {
            Ok(Response::Swapped(true)) => Ok(Ok(())),
            Ok(Response::Swapped(false)) => Ok(Err(match self.look(bucket, key).await? {
                Ok(fresh) => draft2::atomics::CasError::CasFailed(fresh),
                Err(fault) => store_error(fault),
            })),
            Ok(_) => Ok(Err(store_error(MIXED_UP))),
            Err(fault) => Ok(Err(store_error(fault))),
        }
    }
}

impl<X: Send> draft2::atomics::HostCas for Guest<X> {
    async fn new(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
    ) -> wasmtime::Result<Result<Resource<Cas>, draft2::store::Error>> {
        let bucket = self.table.get(&bucket)?.name.clone();
        Ok(self.look(bucket, key).await?.map_err(Into::into))
    }

    async fn current(&mut self, cas: Resource<Cas>) -> wasmtime::Result<Result<Option<Vec<u8>>, draft2::store::Error>> {
        Ok(Ok(self.table.get(&cas)?.seen.clone().map(ByteBuf::into_vec)))
    }

    async fn drop(&mut self, cas: Resource<Cas>) -> wasmtime::Result<()> {
        self.table.delete(cas)?;
        Ok(())
    }
}

pub(crate) fn link<X: Send + 'static>(linker: &mut Linker<Guest<X>>) -> wasmtime::Result<()> {
    draft::store::add_to_linker::<_, HasSelf<Guest<X>>>(linker, |guest| guest)?;
    draft::atomics::add_to_linker::<_, HasSelf<Guest<X>>>(linker, |guest| guest)?;
    draft::batch::add_to_linker::<_, HasSelf<Guest<X>>>(linker, |guest| guest)?;
    draft2::store::add_to_linker::<_, HasSelf<Guest<X>>>(linker, |guest| guest)?;
    draft2::atomics::add_to_linker::<_, HasSelf<Guest<X>>>(linker, |guest| guest)?;
    draft2::batch::add_to_linker::<_, HasSelf<Guest<X>>>(linker, |guest| guest)
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::Pin,
        sync::Mutex,
        time::{Duration, Instant},
    };

    use fumehood_model::ByteSize;

    use super::{
        draft2::{
            atomics::{Host as _, HostCas},
            batch::Host as _,
            store::{Error, HostBucket},
        },
        *,
    };
    use crate::{Bounds, Cancelled, Granted, Heard, Setup};

    /// A store that is empty, and remembers what was asked of it.
    #[derive(Default)]
    struct Empty(Mutex<Vec<String>>);

    impl Host for Empty {
        fn ask(&self, ask: Ask) -> Pin<Box<dyn Future<Output = Reply> + Send + '_>> {
            let Ask::KeyValue(Request { verb, .. }) = ask else { panic!("another kind of ask") };
            self.0.lock().unwrap().push(format!("{verb:?}"));
            let response = match verb {
                Verb::Get(keys) => Response::Values(vec![None; keys.len()]),
                Verb::Keys { .. } => Response::Keys { keys: Vec::new(), more: false },
                Verb::Increment { by, .. } => Response::Number(by),
                Verb::Swap { .. } => Response::Swapped(true),
                Verb::Open | Verb::Set(_) | Verb::Delete(_) => Response::Done,
            };
            Box::pin(std::future::ready(Reply::KeyValue(Ok(response))))
        }
    }

    /// A guest that may hand over so much, and the number of its open bucket.
    async fn guest(host: &Arc<Empty>, host_bytes: ByteSize) -> (Guest<()>, u32) {
        let setup = Setup {
            bounds: Bounds { host_bytes, ..(&fumehood_policy::Limits::default()).into() },
            granted: Granted::default(),
            host: Arc::clone(host) as Arc<dyn Host>,
            deadline: Instant::now() + Duration::from_secs(20),
            cancelled: Cancelled::default(),
            heard: Heard::default(),
        };
        let mut guest = Guest::new(setup, ());
        let bucket = draft2::store::Host::open(&mut guest, "b".into()).await.unwrap().unwrap();
        (guest, bucket.rep())
    }

    #[tokio::test]
    async fn a_key_that_no_bucket_takes_does_not_reach_the_server() {
        let host = Arc::new(Empty::default());
        let (mut guest, bucket) = guest(&host, ByteSize::mib(64)).await;
        let (guest, open) = (&mut guest, || Resource::<Bucket>::new_borrow(bucket));

        for key in ["k".repeat(super::super::MAX_KEY + 1), String::new()] {
            let key = || key.clone();
            let refusals = [
                guest.get(open(), key()).await.unwrap().map(drop),
                guest.set(open(), key(), Vec::new()).await.unwrap(),
                guest.delete(open(), key()).await.unwrap(),
                guest.exists(open(), key()).await.unwrap().map(drop),
                guest.list_keys(open(), Some(key())).await.unwrap().map(drop),
                guest.get_many(open(), vec![key()]).await.unwrap().map(drop),
                guest.set_many(open(), vec![(key(), Vec::new())]).await.unwrap(),
                guest.delete_many(open(), vec![key()]).await.unwrap(),
                guest.increment(open(), key(), 1).await.unwrap().map(drop),
                HostCas::new(guest, open(), key()).await.unwrap().map(drop),
            ];
            for (position, refused) in refusals.into_iter().enumerate() {
                let is_told = matches!(&refused, Err(Error::Other(why)) if why.starts_with("a key has"));
                assert!(is_told, "{position}: {refused:?}");
            }
        }

        assert_eq!(*host.0.lock().unwrap(), ["Open"]);
    }

    #[tokio::test]
    async fn every_key_is_counted_among_what_a_guest_hands_over() {
        const KEY: usize = 100;
        let host = Arc::new(Empty::default());
        // For the name of the bucket and one key.
        let (mut one, bucket) = guest(&host, ByteSize(1 + KEY as u64)).await;
        let open = || Resource::<Bucket>::new_borrow(bucket);
        let key = || "k".repeat(KEY);

        one.get(open(), key()).await.unwrap().unwrap();

        assert!(one.get(open(), key()).await.is_err());
        for verb in 0..5 {
            let (mut none, bucket) = guest(&host, ByteSize(KEY as u64)).await;
            let open = Resource::<Bucket>::new_borrow(bucket);
            let exhausted = match verb {
                0 => none.delete(open, key()).await.is_err(),
                1 => none.exists(open, key()).await.is_err(),
                2 => none.list_keys(open, Some(key())).await.is_err(),
                3 => none.increment(open, key(), 1).await.is_err(),
                _ => HostCas::new(&mut none, open, key()).await.is_err(),
            };
            assert!(exhausted, "{verb}");
        }
    }
}
