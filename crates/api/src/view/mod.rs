//! What is shown, in the form in which it is shown.

pub(crate) mod alert;
pub(crate) mod job;
pub(crate) mod packet;
pub(crate) mod second;
pub(crate) mod sn;
pub(crate) mod time;

use schemars::JsonSchema;
use serde::Serialize;

/// One page of a list.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Listed<T> {
    /// How many are on this page.
    pub(crate) count: usize,
    /// They.
    pub(crate) data: Vec<T>,
    /// What gives the next page as `cursor`; `null` on the last.
    pub(crate) next: Option<String>,
}

impl<T> Listed<T> {
    pub(crate) fn new(data: Vec<T>, next: Option<String>) -> Self {
        Self { count: data.len(), data, next }
    }
}

/// A whole list.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct All<T> {
    /// All there is.
    pub(crate) data: Vec<T>,
}
