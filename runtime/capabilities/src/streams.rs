//! `wasi:io/streams`, counted: whatever a guest writes, wherever it goes, is summed over its call.

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, DynPollable, StreamError, StreamResult,
    bindings::io::streams::{self, Host, HostInputStream, HostOutputStream},
};

use crate::{Guest, handed::Handed};

/// The streams of a call, with what may still be written to them.
pub(crate) struct Counted<'a> {
    table: &'a mut ResourceTable,
    handed: &'a mut Handed,
}

struct HasStreams;

impl HasData for HasStreams {
    type Data<'a> = Counted<'a>;
}

type Input = Resource<DynInputStream>;
type Output = Resource<DynOutputStream>;

/// Put counted streams in the place of WASI's own.
pub(crate) fn link<X: Send + 'static>(linker: &mut Linker<Guest<X>>) -> wasmtime::Result<()> {
    streams::add_to_linker::<_, HasStreams>(linker, counted)
}

fn counted<X>(guest: &mut Guest<X>) -> Counted<'_> {
    Counted { table: &mut guest.table, handed: &mut guest.handed }
}

impl Counted<'_> {
    fn count(&mut self, bytes: usize) -> StreamResult<()> {
        self.handed.count(bytes).map_err(|exhausted| StreamError::Trap(exhausted.into()))
    }
}

impl Host for Counted<'_> {
    fn convert_stream_error(&mut self, error: StreamError) -> wasmtime::Result<streams::StreamError> {
        self.table.convert_stream_error(error)
    }
}

impl HostOutputStream for Counted<'_> {
    fn check_write(&mut self, stream: Output) -> StreamResult<u64> {
        HostOutputStream::check_write(self.table, stream)
    }

    fn write(&mut self, stream: Output, bytes: Vec<u8>) -> StreamResult<()> {
        self.count(bytes.len())?;
        HostOutputStream::write(self.table, stream, bytes)
    }

    async fn blocking_write_and_flush(&mut self, stream: Output, bytes: Vec<u8>) -> StreamResult<()> {
        self.count(bytes.len())?;
        HostOutputStream::blocking_write_and_flush(self.table, stream, bytes).await
    }

    fn flush(&mut self, stream: Output) -> StreamResult<()> {
        HostOutputStream::flush(self.table, stream)
    }

    async fn blocking_flush(&mut self, stream: Output) -> StreamResult<()> {
        HostOutputStream::blocking_flush(self.table, stream).await
    }

    fn subscribe(&mut self, stream: Output) -> wasmtime::Result<Resource<DynPollable>> {
        HostOutputStream::subscribe(self.table, stream)
    }

    fn write_zeroes(&mut self, stream: Output, length: u64) -> StreamResult<()> {
        HostOutputStream::write_zeroes(self.table, stream, length)
    }

    async fn blocking_write_zeroes_and_flush(&mut self, stream: Output, length: u64) -> StreamResult<()> {
        HostOutputStream::blocking_write_zeroes_and_flush(self.table, stream, length).await
    }

    fn splice(&mut self, to: Output, from: Input, length: u64) -> StreamResult<u64> {
        HostOutputStream::splice(self.table, to, from, length)
    }

    async fn blocking_splice(&mut self, to: Output, from: Input, length: u64) -> StreamResult<u64> {
        HostOutputStream::blocking_splice(self.table, to, from, length).await
    }

    async fn drop(&mut self, stream: Output) -> wasmtime::Result<()> {
        HostOutputStream::drop(self.table, stream).await
    }
}

impl HostInputStream for Counted<'_> {
    fn read(&mut self, stream: Input, length: u64) -> StreamResult<Vec<u8>> {
        HostInputStream::read(self.table, stream, length)
    }

    async fn blocking_read(&mut self, stream: Input, length: u64) -> StreamResult<Vec<u8>> {
        HostInputStream::blocking_read(self.table, stream, length).await
    }

    fn skip(&mut self, stream: Input, length: u64) -> StreamResult<u64> {
        HostInputStream::skip(self.table, stream, length)
    }

    async fn blocking_skip(&mut self, stream: Input, length: u64) -> StreamResult<u64> {
        HostInputStream::blocking_skip(self.table, stream, length).await
    }

    fn subscribe(&mut self, stream: Input) -> wasmtime::Result<Resource<DynPollable>> {
        HostInputStream::subscribe(self.table, stream)
    }

    async fn drop(&mut self, stream: Input) -> wasmtime::Result<()> {
        HostInputStream::drop(self.table, stream).await
    }
}
