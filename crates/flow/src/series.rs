//! The first packets of a flow, one by one.

/// Packets kept at most.
pub const SERIES_LENGTH: usize = 32;
/// Packets a flow needs before its series is kept in full; shorter flows have none.
pub const SERIES_FROM: usize = 4;

/// Sizes, directions and gaps of a flow's first packets, as sequence models take them (SPLT, after Joy).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PacketSeries {
    length: u8,
    packets: [SeriesPacket; SERIES_LENGTH],
}

/// One packet of a [`PacketSeries`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SeriesPacket {
    /// Payload bytes; negative from the responder. Saturates.
    pub payload: i16,
    /// Bytes of the IP packet; negative from the responder. Saturates.
    pub size: i16,
    /// Seconds since the flow's packet before; 0 for the first.
    pub gap: f32,
}

impl PacketSeries {
    /// The packets kept, oldest first.
    #[must_use]
    pub fn packets(&self) -> &[SeriesPacket] {
        &self.packets[..usize::from(self.length)]
    }

    /// Turns all directions: originator and responder changed places.
    pub(crate) fn turn(&mut self) {
        for packet in &mut self.packets {
            packet.payload = packet.payload.saturating_neg();
            packet.size = packet.size.saturating_neg();
        }
    }

    pub(crate) fn push(&mut self, packet: SeriesPacket) {
        if let Some(place) = self.packets.get_mut(usize::from(self.length)) {
            *place = packet;
            self.length += 1;
        }
    }
}
