//! The packets of a capture file, page by page.

use std::path::Path;

use lapwing_capture::{Filter, FrameBatch, Inputs, Progress, Source, SourceError};
use lapwing_detect::packets::Judgement;

use super::{PacketPage, PacketQuery, PacketReader};

/// The packets of the capture at `path` that fit, in file order, behind the one of index `after` (0: from the start). `within` is the
/// filter that the capture was analysed with: what it leaves does not exist here.
///
/// O(frames up to the end of the page).
///
/// # Errors
/// When the file cannot be read.
pub fn packets(
    path: &Path,
    within: Option<&Filter>,
    query: &PacketQuery,
    after: u64,
) -> Result<PacketPage, SourceError> {
    let mut inputs = Inputs::open(&[path.to_owned()])?;
    let (mut within, mut query) = (within.cloned(), query.clone());
    let (mut batch, mut reader, mut page) = (FrameBatch::default(), PacketReader::default(), PacketPage::default());
    loop {
        let progress = inputs.read(&mut batch)?;
        for frame in batch.iter() {
            if within.as_mut().is_some_and(|filter| !filter.matches(frame.link, frame.data, frame.length)) {
                continue;
            }
            if frame.number <= after {
                continue;
            }
            let Some(record) = query.pick(frame, Judgement::default(), &mut reader) else { continue };
            if page.packets.len() == query.limit {
                page.next = page.packets.last().map(|last| last.index);
                return Ok(page);
            }
            page.packets.push(record);
        }
        if progress == Progress::End {
            return Ok(page);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn capture() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/first-look/suspicious.pcap")
    }

    #[test]
    fn pages_in_a_row_are_the_whole_file() {
        let query = PacketQuery { limit: 700, ..PacketQuery::default() };
        let (mut indices, mut after) = (Vec::new(), 0);
        loop {
            let page = packets(&capture(), None, &query, after).unwrap();
            indices.extend(page.packets.iter().map(|packet| packet.index));
            let Some(next) = page.next else { break };
            after = next;
        }
        assert!(indices.len() > 1_000 && indices.iter().copied().eq(1..=indices.len() as u64));
    }

    #[test]
    fn filters_of_the_analysis_and_of_the_page_both_hold() {
        let (tcp, port) = (Filter::new("tcp").unwrap(), Filter::new("port 53 or port 443").unwrap());
        let query = PacketQuery { filter: Some(port), limit: 100_000, ..PacketQuery::default() };
        let all = packets(&capture(), None, &query, 0).unwrap().packets;
        let both = packets(&capture(), Some(&tcp), &query, 0).unwrap().packets;
        assert!(!both.is_empty() && both.len() < all.len());
        assert!(both.iter().all(|packet| packet.flags.is_some()));
    }

    #[test]
    fn what_is_no_capture_is_an_error() {
        assert!(packets(Path::new("Cargo.toml"), None, &PacketQuery::default(), 0).is_err());
    }
}
