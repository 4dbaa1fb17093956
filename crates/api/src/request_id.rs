//! The id of the request that is being answered, for whoever answers.

tokio::task_local! {
    static ID: String;
}

/// The id of the request that is being answered.
pub(crate) fn current() -> Option<String> {
    ID.try_with(Clone::clone).ok()
}

/// Does `work` for the request of that id.
pub(crate) async fn within<T>(id: String, work: impl Future<Output = T>) -> T {
    ID.scope(id, work).await
}

/// Letters, digits and `-_`: what may go into a log.
pub(crate) fn is_one(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}
