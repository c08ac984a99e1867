//! What survives a restart: the data directory with its components, modules, keys, jobs and caches.
//!
//! One process serves from a data directory at a time and holds its lock; others may read, and ask that calls be confirmed.
//! The verbs of [`Jobs`], [`Schedules`] and [`History`] are futures that need no runtime. Everything else here is blocking:
//! callers on an async runtime use a blocking thread. One thread writes the database, many changes a sync; see [`Database`].
//! This crate knows nothing of what a component offers, how a key travels or what a schedule means.
//!
//! ```text
//! <data directory>         0700
//! ├── lock                 held by the one process that serves
//! ├── fumehood.db          modules, keys, sealed secrets, what guests keep, jobs, history (SQLite)
//! ├── secret               0600: 32 random bytes; seals caches and secrets, hashes keys
//! ├── admin.key            0600: the first administrator's key
//! ├── components/          the bytes of components, named by digest
//! ├── scratch/             folders of calls that run; swept at the start
//! ├── results/             results that callers fetch later; swept at the start
//! └── cache/               compiled code and read types, sealed; may be deleted at any time
//! ```

mod backup;
mod blobs;
mod cache;
mod compositions;
mod confirmations;
pub mod conformance;
mod database;
mod directory;
mod error;
mod grants;
mod history;
mod jobs;
mod keys;
mod keyvalue;
mod migrations;
mod modules;
mod observations;
mod queue;
mod readers;
mod results;
mod salvage;
mod schedules;
mod scratch;
mod seals;
mod secrets;
mod sessions;
mod versions;
mod writer;

pub use blobs::Blobs;
pub use cache::{Cache, Sealed};
pub use confirmations::{Confirmation, ConfirmationFilter, ConfirmationState, ConfirmedCall, Decided, NewConfirmation};
pub use database::Database;
pub use directory::{Access, DataDirectory};
pub use error::StoreError;
pub use grants::{Added, GrantRow};
pub use history::{CallFilter, CallRecord, History, STATISTICS_WINDOW, StoredCall, ToolStatistics};
pub use jobs::{
    Body, Bounds, Claim, Claimed, Counts, End, Filter, Finish, Held, INLINE, Idempotency, JobEvent, Jobs, Lease,
    MAX_CHECKPOINT, MAX_CRASHES, MAX_EVENTS, NewJob, NodeId, Prune, Report, Signal, SubmitError, Submitted, Sweep,
    Swept, Told, Verb,
};
pub use keys::{ApiKey, KeyRing, NewKey};
pub use keyvalue::{BucketName, KeyPage, KeyValueError, Room};
pub use modules::{ModuleRow, PendingRow};
pub use observations::Observation;
pub use results::{KEPT_FOR, KeepError, Results, fresh_id};
pub use salvage::{Lost, Salvaged};
pub use schedules::{Fire, Fired, Place, Schedule, Schedules};
pub use scratch::{Scratch, ScratchFolder};
pub use seals::Seals;
pub use secrets::{MAX_SECRET, SecretEntry, Secrets, is_secret_name};
pub use sessions::{SessionBounds, SessionChange, SessionRow};
pub use versions::VersionRow;
