//! Frames for people to look at: lists of packets, and what passes second by second.

mod file;
mod glance;
mod info;
mod page;
mod preview;
mod record;
mod ring;
mod subscription;
mod tap;
mod traffic;

pub use file::{LookError, Survey, packets, survey};
pub use page::{PacketPage, PacketQuery};
pub use record::{Host, PacketReader, PacketRecord, TcpFlags};
pub use subscription::{Subscription, Taken};
pub use tap::{Tap, Tapped};
pub use traffic::{Count as TrafficCount, Totals, TrafficSecond};
