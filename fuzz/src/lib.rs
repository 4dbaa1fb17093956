//! What the fuzz targets share: the forms of their inputs, and the stages behind them.
//!
//! `examples/seed.rs` writes inputs in these forms, so both directions of each lie here.

mod capture;
mod frames;
mod logs;
mod model;
mod traffic;

pub use capture::read_both_ways;
pub use frames::{Frames, encode_frame, encode_frames};
pub use logs::read_every_way;
pub use model::{encode_model, signed_model, use_model};
pub use traffic::Traffic;
