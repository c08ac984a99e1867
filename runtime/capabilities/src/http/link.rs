//! `wasi:http` as the library has it, with bounds where it has none.

use wasmtime::{
    StoreContextMut,
    component::{ComponentNamedList, Lift, Linker, LinkerInstance, Lower, Resource},
};
use wasmtime_wasi_http::{
    FieldMap, FieldMapError, WasiHttpView,
    p2::{
        HeaderError,
        bindings::http::types::{self, ErrorCode, HeaderError as HeaderMistake, Method},
        body::HostOutgoingBody,
        types::{HostFutureIncomingResponse, HostIncomingResponse, HostOutgoingRequest},
    },
};

use super::{MAX_URL_BYTES, fields::weight, guest::CHUNK};
use crate::Guest;

/// The interface in the version that the library defines; guests of every 0.2 get it.
const TYPES: &str = "wasi:http/types@0.2.12";

/// Longest method that is not one of the usual ones.
const MAX_METHOD: usize = 64;

/// What each value costs beside its bytes.
const EACH: usize = 160;

/// Offer `wasi:http/outgoing-handler` and `wasi:http/types`.
pub(crate) fn link<X: Send + 'static>(linker: &mut Linker<Guest<X>>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    let bounded = linker.instance(TYPES).and_then(|mut instance| {
        fields(&mut instance)?;
        requests(&mut instance)?;
        bodies(&mut instance)
    });
    linker.allow_shadowing(false);
    bounded
}

type Names = (Resource<FieldMap>, String, Vec<u8>);
type Values = (Resource<FieldMap>, String, Vec<Vec<u8>>);

fn fields<X: Send + 'static>(types: &mut LinkerInstance<'_, Guest<X>>) -> wasmtime::Result<()> {
    define(types, "[static]fields.from-list", |guest, (entries,): (Vec<(String, Vec<u8>)>,)| {
        charge(guest, entries.iter().map(|(name, value)| name.len() + value.len() + EACH).sum())?;
        told(types::HostFields::from_list(&mut guest.http(), entries))
    })?;
    define(types, "[method]fields.set", |guest, (fields, name, values): Values| {
        charge(guest, name.len() + values.iter().map(|value| value.len() + EACH).sum::<usize>())?;
        told(types::HostFields::set(&mut guest.http(), fields, name, values))
    })?;
    define(types, "[method]fields.append", |guest, (fields, name, value): Names| {
        charge(guest, name.len() + value.len() + EACH)?;
        told(types::HostFields::append(&mut guest.http(), fields, name, value))
    })?;
    define(types, "[method]fields.clone", |guest, (fields,): (Resource<FieldMap>,)| {
        let bytes = weight(guest.table.get(&fields)?);
        charge(guest, bytes)?;
        types::HostFields::clone(&mut guest.http(), fields)
    })
}

type Asked = Resource<HostOutgoingRequest>;

fn requests<X: Send + 'static>(types: &mut LinkerInstance<'_, Guest<X>>) -> wasmtime::Result<()> {
    define(types, "[method]outgoing-request.set-method", |guest, (request, method): (Asked, Method)| {
        if matches!(&method, Method::Other(name) if name.len() > MAX_METHOD) {
            return Ok(Err(()));
        }
        types::HostOutgoingRequest::set_method(&mut guest.http(), request, method)
    })?;
    define(
        types,
        "[method]outgoing-request.set-path-with-query",
        |guest, (request, path): (Asked, Option<String>)| {
            if !charge_text(guest, path.as_deref())? {
                return Ok(Err(()));
            }
            types::HostOutgoingRequest::set_path_with_query(&mut guest.http(), request, path)
        },
    )?;
    define(types, "[method]outgoing-request.set-authority", |guest, (request, authority): (Asked, Option<String>)| {
        if !charge_text(guest, authority.as_deref())? {
            return Ok(Err(()));
        }
        types::HostOutgoingRequest::set_authority(&mut guest.http(), request, authority)
    })?;
    define(types, "[method]outgoing-request.body", |guest, (request,): (Asked,)| {
        charge(guest, 2 * CHUNK)?;
        types::HostOutgoingRequest::body(&mut guest.http(), request)
    })
}

type Answer = Result<Result<Resource<HostIncomingResponse>, ErrorCode>, ()>;
type Ending = (Resource<HostOutgoingBody>, Option<Resource<FieldMap>>);

fn bodies<X: Send + 'static>(types: &mut LinkerInstance<'_, Guest<X>>) -> wasmtime::Result<()> {
    // Trailers are not sent, so they are refused rather than kept.
    define(types, "[static]outgoing-body.finish", |guest, (body, trailers): Ending| {
        if let Some(trailers) = trailers {
            guest.table.delete(trailers)?;
            types::HostOutgoingBody::drop(&mut guest.http(), body)?;
            return Ok(Err(ErrorCode::HttpRequestTrailerSectionSize(Some(0))));
        }
        match types::HostOutgoingBody::finish(&mut guest.http(), body, None) {
            Ok(()) => Ok(Ok(())),
            Err(error) => error.downcast().map(Err),
        }
    })?;
    define(
        types,
        "[method]future-incoming-response.get",
        |guest, (future,): (Resource<HostFutureIncomingResponse>,)| {
            let answer: Option<Answer> = types::HostFutureIncomingResponse::get(&mut guest.http(), future)?;
            if let Some(Ok(Ok(response))) = &answer {
                let bytes = weight(&guest.table.get(response)?.headers);
                guest.http.fields.add(&mut guest.table, bytes)?;
            }
            Ok(answer)
        },
    )
}

/// Define a function that gets the guest's state.
fn define<X, P, R>(
    types: &mut LinkerInstance<'_, Guest<X>>,
    name: &str,
    does: impl Fn(&mut Guest<X>, P) -> wasmtime::Result<R> + Send + Sync + 'static,
) -> wasmtime::Result<()>
where
    X: Send + 'static,
    P: ComponentNamedList + Lift + 'static,
    R: Send + Sync + 'static,
    (R,): ComponentNamedList + Lower,
{
    types.func_wrap(name, move |mut store: StoreContextMut<'_, Guest<X>>, given: P| {
        Ok((does(store.data_mut(), given)?,))
    })
}

fn charge<X>(guest: &mut Guest<X>, bytes: usize) -> wasmtime::Result<()> {
    guest.handed.count(bytes)?;
    Ok(guest.http.fields.add(&mut guest.table, bytes)?)
}

/// Count a part of a URL, and tell whether it is as short as it must be.
fn charge_text<X>(guest: &mut Guest<X>, text: Option<&str>) -> wasmtime::Result<bool> {
    let bytes = text.map_or(0, str::len);
    if bytes > MAX_URL_BYTES {
        guest.handed.count(bytes)?;
        return Ok(false);
    }
    charge(guest, bytes).map(|()| true)
}

/// What a guest is told of a header that cannot be: also of too many, for which the library would end the call.
fn told<T>(result: Result<T, HeaderError>) -> wasmtime::Result<Result<T, HeaderMistake>> {
    let Err(error) = result else { return Ok(result.map_err(|_| HeaderMistake::Forbidden)) };
    match error.downcast() {
        Ok(mistake) => Ok(Err(mistake)),
        Err(error) if error.is::<FieldMapError>() => Ok(Err(HeaderMistake::Forbidden)),
        Err(error) => Err(error),
    }
}
