//! Zeek logs, Suricata EVE and flow tables in; the observations of a capture out.
//!
//! [`LogInputs`] reads logs as they lie on the disk, compressed or not, and merges several by time; each line becomes a
//! [`Record`]: a [`Flow`](lapwing_flow::Flow) as far as the log tells of it, with the [`Facts`](lapwing_protocol::Facts) that say how far.
//! [`Followed`] reads logs that grow.
//! [`Window`] puts records in the order of time. What a file is, its content says ([`recognise`]), never its name. A line that
//! cannot be read is counted and told with file and line, and costs nothing but itself.
//!
//! Reading is split in two. A *syntax* finds values in lines: Zeek's text (`zeek`), JSON lines (`json`), separated values
//! (`separated`). A *vocabulary* says what a column means: Zeek's `conn.log` (`conn`), Suricata's EVE (`eve`), Argus's
//! tables (`argus`). Another kind of Zeek log is another vocabulary. Nothing here reads the wall clock.

mod argus;
mod conn;
mod connection;
mod eve;
mod file;
mod folder;
mod follow;
mod inputs;
mod json;
mod lines;
mod open;
mod recognise;
mod record;
mod report;
mod separated;
mod service;
mod syntax;
mod text;
mod vocabulary;
mod window;
mod zeek;

pub use folder::{Found, ZEEK_FOLDERS, find, look};
pub use follow::{FollowConfig, FollowError, FollowEvent, Followed};
pub use inputs::LogInputs;
pub use open::peek;
pub use recognise::{LogKind, Recognised, recognise};
pub use record::{LineProblem, Record};
pub use report::{LogError, LogReport};
pub use window::Window;
