//! How long a caller waits for the disk.

use std::{future::Future, time::Duration};

use crate::DispatchError;

/// Longest that a change may take of which a caller waits to hear.
///
/// A transaction takes milliseconds, and on a disk that is very busy a second or two. One that has not answered by then
/// may never do so: the caller is told what is known rather than held.
const PATIENCE: Duration = Duration::from_secs(10);

/// What `change` comes to, unless the disk does not answer. Then it may still be done later: nobody knows.
pub(crate) async fn patiently<T, E>(change: impl Future<Output = Result<T, E>>) -> Result<T, DispatchError>
where
    DispatchError: From<E>,
{
    if let Ok(done) = tokio::time::timeout(PATIENCE, change).await {
        return Ok(done?);
    }
    tracing::error!(
        blame = "host",
        "The disk of the data directory has not answered for {} s: direct calls go on, what must be kept waits",
        PATIENCE.as_secs()
    );
    Err(DispatchError::Unanswered { waited: PATIENCE })
}
