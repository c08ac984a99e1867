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

async fn ask(host: &Arc<dyn Host>, bucket: &str, verb: Verb) -> Result<Response, Fault> {
    match host.ask(Ask::KeyValue(Request { bucket: bucket.to_owned(), verb })).await {
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

async fn done(host: &Arc<dyn Host>, bucket: &str, verb: Verb) -> Result<(), Fault> {
    ask(host, bucket, verb).await.map(drop)
}

async fn values(host: &Arc<dyn Host>, bucket: &str, keys: Vec<String>) -> Result<Vec<Option<ByteBuf>>, Fault> {
    let asked = keys.len();
    match ask(host, bucket, Verb::Get(keys)).await? {
        Response::Values(values) if values.len() == asked => Ok(values),
        _ => Err(MIXED_UP),
    }
}

async fn value(host: &Arc<dyn Host>, bucket: &str, key: String) -> Result<Option<ByteBuf>, Fault> {
    Ok(values(host, bucket, vec![key]).await?.pop().flatten())
}

async fn page(host: &Arc<dyn Host>, bucket: &str, after: Option<String>) -> Result<(Vec<String>, bool), Fault> {
    match ask(host, bucket, Verb::Keys { after }).await? {
        Response::Keys { keys, more } => Ok((keys, more)),
        _ => Err(MIXED_UP),
    }
}

async fn increment(host: &Arc<dyn Host>, bucket: &str, key: String, by: i64) -> Result<i64, Fault> {
    match ask(host, bucket, Verb::Increment { key, by }).await? {
        Response::Number(number) => Ok(number),
        _ => Err(MIXED_UP),
    }
}

impl<X: Send> Guest<X> {
    /// Where to ask, and for which bucket.
    fn bucket(&self, bucket: &Resource<Bucket>) -> wasmtime::Result<(Arc<dyn Host>, String)> {
        Ok((Arc::clone(&self.host), self.table.get(bucket)?.name.clone()))
    }

    async fn open_bucket(&mut self, identifier: String) -> Result<Resource<Bucket>, Fault> {
        if identifier.len() > super::MAX_BUCKET {
            return Err(Fault::Denied);
        }
        done(&self.host, &identifier, Verb::Open).await?;
        self.table.push(Bucket { name: identifier }).map_err(|_| Fault::Other("too many handles"))
    }

    /// A handle for what is under `key` now.
    async fn look(&mut self, bucket: String, key: String) -> Result<Resource<Cas>, Fault> {
        if Arc::strong_count(&self.keyvalue.swaps) > MAX_SWAPS {
            return Err(Fault::Other("too many handles for swapping"));
        }
        let seen = value(&self.host, &bucket, key.clone()).await?;
        let cas = Cas { bucket, key, seen, _counted: Arc::clone(&self.keyvalue.swaps) };
        self.table.push(cas).map_err(|_| Fault::Other("too many handles"))
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
                Ok(self.open_bucket(identifier).await.map_err(Into::into))
            }
        }

        impl<X: Send> $version::batch::Host for Guest<X> {
            async fn get_many(
                &mut self,
                bucket: Resource<Bucket>,
                keys: Vec<String>,
            ) -> wasmtime::Result<Result<Vec<$version::Found>, $version::store::Error>> {
                let (host, bucket) = self.bucket(&bucket)?;
                self.handed.count(keys.iter().map(String::len).sum())?;
                let found = values(&host, &bucket, keys.clone()).await;
                Ok(found.map(|values| keys.into_iter().zip(values).map($version::found).collect()).map_err(Into::into))
            }

            async fn set_many(
                &mut self,
                bucket: Resource<Bucket>,
                values: Vec<(String, Vec<u8>)>,
            ) -> wasmtime::Result<Result<(), $version::store::Error>> {
                let (host, bucket) = self.bucket(&bucket)?;
                self.handed.count(values.iter().map(|(key, value)| key.len() + value.len()).sum())?;
                let values = values.into_iter().map(|(key, value)| (key, value.into())).collect();
                Ok(done(&host, &bucket, Verb::Set(values)).await.map_err(Into::into))
            }

            async fn delete_many(
                &mut self,
                bucket: Resource<Bucket>,
                keys: Vec<String>,
            ) -> wasmtime::Result<Result<(), $version::store::Error>> {
                let (host, bucket) = self.bucket(&bucket)?;
                self.handed.count(keys.iter().map(String::len).sum())?;
                Ok(done(&host, &bucket, Verb::Delete(keys)).await.map_err(Into::into))
            }
        }

        impl<X: Send> $version::store::HostBucket for Guest<X> {
            async fn get(
                &mut self,
                bucket: Resource<Bucket>,
                key: String,
            ) -> wasmtime::Result<Result<Option<Vec<u8>>, $version::store::Error>> {
                let (host, bucket) = self.bucket(&bucket)?;
                let found = value(&host, &bucket, key).await;
                Ok(found.map(|value| value.map(ByteBuf::into_vec)).map_err(Into::into))
            }

            async fn set(
                &mut self,
                bucket: Resource<Bucket>,
                key: String,
                value: Vec<u8>,
            ) -> wasmtime::Result<Result<(), $version::store::Error>> {
                let (host, bucket) = self.bucket(&bucket)?;
                self.handed.count(key.len() + value.len())?;
                Ok(done(&host, &bucket, Verb::Set(vec![(key, value.into())])).await.map_err(Into::into))
            }

            async fn delete(
                &mut self,
                bucket: Resource<Bucket>,
                key: String,
            ) -> wasmtime::Result<Result<(), $version::store::Error>> {
                let (host, bucket) = self.bucket(&bucket)?;
                Ok(done(&host, &bucket, Verb::Delete(vec![key])).await.map_err(Into::into))
            }

            async fn exists(
                &mut self,
                bucket: Resource<Bucket>,
                key: String,
            ) -> wasmtime::Result<Result<bool, $version::store::Error>> {
                let (host, bucket) = self.bucket(&bucket)?;
                Ok(value(&host, &bucket, key).await.map(|value| value.is_some()).map_err(Into::into))
            }

            async fn list_keys(
                &mut self,
                bucket: Resource<Bucket>,
                cursor: Option<$version::Cursor>,
            ) -> wasmtime::Result<Result<$version::store::KeyResponse, $version::store::Error>> {
                let (host, bucket) = self.bucket(&bucket)?;
                let after = match $version::after(&self.keyvalue, cursor) {
                    Ok(after) => after,
                    Err(fault) => return Ok(Err(fault.into())),
                };
                let (keys, more) = match page(&host, &bucket, after).await {
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
        let (host, bucket) = self.bucket(&bucket)?;
        let Ok(by) = i64::try_from(delta) else { return Ok(Err(Fault::from(Refused::NotANumber).into())) };
        let sum = increment(&host, &bucket, key, by).await;
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
        let (host, bucket) = self.bucket(&bucket)?;
        Ok(increment(&host, &bucket, key, delta).await.map_err(Into::into))
    }

    async fn swap(
        &mut self,
        cas: Resource<Cas>,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), draft2::atomics::CasError>> {
        self.handed.count(value.len())?;
        let Cas { bucket, key, seen, .. } = self.table.delete(cas)?;
        let store_error = |fault: Fault| draft2::atomics::CasError::StoreError(fault.into());
        let verb = Verb::Swap { key: key.clone(), from: seen, to: value.into() };
        match ask(&self.host, &bucket, verb).await {
            Ok(Response::Swapped(true)) => Ok(Ok(())),
            Ok(Response::Swapped(false)) => Ok(Err(match self.look(bucket, key).await {
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
        let (_, bucket) = self.bucket(&bucket)?;
        Ok(self.look(bucket, key).await.map_err(Into::into))
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
