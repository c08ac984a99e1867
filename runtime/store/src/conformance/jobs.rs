//! What jobs must do.

mod ends;
mod life;
mod turns;

pub(super) async fn all<S, F>(make_store: &impl Fn() -> F)
where
    S: crate::Jobs + crate::Schedules + crate::History,
    F: Future<Output = S>,
{
    life::all(make_store).await;
    turns::all(make_store).await;
    ends::all(make_store).await;
}
