//! The keys that are pressed, and the terminal that tells of them.

use std::{
    future::pending,
    io::{self, IsTerminal, Read},
    os::fd::AsFd,
    thread,
};

use rustix::{
    process::{Signal, getpgrp, getpid, kill_process},
    termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::JoinHandle,
};

/// The keys that are pressed, one by one.
pub(super) struct Keys(mpsc::Receiver<u8>);

impl Keys {
    /// Those from now on.
    pub(super) fn pressed() -> Self {
        let (sender, keys) = mpsc::channel(8);
        // Reading cannot be given up: the thread ends with the process.
        thread::spawn(move || {
            for key in io::stdin().lock().bytes().map_while(Result::ok) {
                if sender.blocking_send(key).is_err() {
                    return;
                }
            }
        });
        Self(keys)
    }

    /// The next one; never, where nobody is there to press any.
    pub(super) async fn next(&mut self) -> u8 {
        match self.0.recv().await {
            Some(key) => key,
            None => pending().await,
        }
    }
}

/// A terminal that tells of each key at once; as it was when this is dropped, and while the process is stopped.
pub(super) struct Terminal {
    before: Termios,
    /// Who gives the terminal back when Ctrl-Z is pressed, and takes it again when the process goes on.
    stops: Option<JoinHandle<()>>,
}

impl Terminal {
    /// The terminal of this process, if it has one.
    pub(super) fn without_lines() -> Option<Self> {
        if !io::stdin().is_terminal() {
            return None;
        }
        let before = tcgetattr(io::stdin().as_fd()).ok()?;
        take(&before)?;
        let kind = |signal: Signal| SignalKind::from_raw(signal.as_raw());
        let follows = signal(kind(Signal::TSTP)).and_then(|stop| Ok((stop, signal(kind(Signal::CONT))?)));
        let stops = follows.ok().map(|(mut stop, mut goes_on)| {
            let before = before.clone();
            tokio::spawn(async move {
                loop {
                    tokio::select! {
                        Some(()) = stop.recv() => {
                            give_back(&before);
                            let _ = kill_process(getpid(), Signal::STOP);
                        }
                        // In the background the terminal is another's, and whoever touches it is stopped again.
                        Some(()) = goes_on.recv() => {
                            if tcgetpgrp(io::stdin().as_fd()).is_ok_and(|group| group == getpgrp()) {
                                take(&before);
                            }
                        }
                        else => return,
                    }
                }
            })
        });
        Some(Self { before, stops })
    }
}

fn take(before: &Termios) -> Option<()> {
    let mut now = before.clone();
    now.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
    tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &now).ok()
}

fn give_back(before: &Termios) {
    let _ = tcsetattr(io::stdin().as_fd(), OptionalActions::Now, before);
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(stops) = self.stops.take() {
            stops.abort();
        }
        give_back(&self.before);
    }
}
