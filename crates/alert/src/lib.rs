//! Detections in, alerts out: merged, ranked, explained, mapped to techniques.
//!
//! The [`Merger`] owns every open alert: detections of one kind about one subject within a window are one alert, whose
//! [`Alert::id`] rests on nothing but what was seen. [`Suppressions`] say which alerts nobody wants to be told of. [`format`](mod@format) writes alerts for people and programs.

mod alert;
pub mod format;
mod merge;
mod place;
mod suppress;
mod time;

pub use alert::{Alert, Contribution, Evidence, Measure, Missed, SIMULATED, Status};
pub use merge::{AlertConfig, Merger};
pub use place::{Place, PlaceError, Places};
pub use suppress::{Direction, HostPattern, Matcher, PatternError, Preview, Suppression, Suppressions};
pub use time::{from_rfc3339, rfc3339};
