//! The signals that ask a server to stop, in the processes that work for it.

use std::io;

use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

/// Let the signals that ask a server to stop pass by.
///
/// A service manager sends them to every process of the service, a terminal to every process of its group. The server
/// lets its calls finish; the processes in which they run must wait for it. They end when it closes their socket.
///
/// # Errors
///
/// When the kernel refuses a handler.
pub(crate) fn pass_by() -> io::Result<()> {
    // Before anything else is started: a handler stays for the life of the process, whatever becomes of this runtime.
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let _entered = runtime.enter();
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        drop(signal(kind)?);
    }
    Ok(())
}
