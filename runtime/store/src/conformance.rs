//! What every backend must do, as tests that any of them can run.
//!
//! Each behaviour is a function of its own that gets a fresh store. They panic where a backend does something else.

mod history;
mod jobs;
mod schedules;
mod stage;

use crate::{History, Jobs, Schedules};

/// Run every behaviour on a fresh store each.
///
/// # Panics
///
/// When the backend behaves differently, in the function that is named after what it should do.
pub async fn conformance<S, F>(make_store: impl Fn() -> F)
where
    S: Jobs + Schedules + History,
    F: Future<Output = S>,
{
    jobs::all(&make_store).await;
    schedules::all(&make_store).await;
    history::all(&make_store).await;
}

/// Run each behaviour on a store of its own.
macro_rules! each {
    ($($behaviour:path),+ $(,)?) => {
        pub(super) async fn all<S, F>(make_store: &impl Fn() -> F)
        where
            S: crate::Jobs + crate::Schedules + crate::History,
            F: Future<Output = S>,
        {
            $($behaviour(&make_store().await).await;)+
        }
    };
}
use each;

#[cfg(test)]
mod tests {
    use pollster::block_on;

    use crate::{Access, Database, database::Durability};

    #[test]
    fn sqlite_conforms() {
        let folder = tempfile::tempdir().unwrap();
        let count = std::cell::Cell::new(0);

        block_on(super::conformance(|| {
            count.set(count.get() + 1);
            let path = folder.path().join(format!("{}.db", count.get()));
            async move { Database::open_with(&path, Access::Own, Durability::Process).unwrap() }
        }));
    }
}
