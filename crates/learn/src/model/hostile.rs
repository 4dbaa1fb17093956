//! Claims about files that nobody trustworthy wrote.

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::{Model, ModelError, tests::model};
use crate::Rows;

fn bytes() -> Vec<u8> {
    model().to_bytes().unwrap()
}

/// Replaces the checksum by the one that fits, as someone who means harm would.
fn signed(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len() - 32;
    let checksum = Sha256::digest(&bytes[..end]);
    bytes[end..].copy_from_slice(&checksum);
    bytes
}

/// Uses a model in every way that walks its content.
fn use_all(model: &Model) {
    let rows = [f32::MIN, -1.0, 0.0, 1.0, f32::MAX].map(|value| vec![value; model.width()]);
    for row in &rows {
        let mut scores = Vec::new();
        model.score_into(Rows::new(model.width(), row).unwrap(), &mut scores).unwrap();
        assert!(model.p_value(scores[0]) > 0.0);
        model.explain(row).unwrap();
        model.would_not_alert(row, 0).unwrap();
        model.class_that_would_not_alert(row, 0..model.width()).unwrap();
    }
}

#[test]
fn other_files_and_versions_are_told_apart() {
    assert!(matches!(Model::from_bytes(b""), Err(ModelError::NotAModel)));
    assert!(matches!(Model::from_bytes(b"PK\x03\x04 a zip archive"), Err(ModelError::NotAModel)));
    let mut newer = bytes();
    newer[8] = 2;
    assert!(matches!(Model::from_bytes(&newer), Err(ModelError::UnknownVersion { found: 2, known: 1 })));
}

#[test]
fn a_file_cut_anywhere_is_cut_short() {
    let bytes = bytes();
    for end in (8..bytes.len()).step_by(61) {
        assert!(matches!(Model::from_bytes(&bytes[..end]), Err(ModelError::Truncated { .. })), "{end}");
    }
    let longer = [&bytes[..], b"x"].concat();
    assert!(matches!(Model::from_bytes(&longer), Err(ModelError::TooLong { .. })));
}

#[test]
fn a_section_of_hostile_size_is_refused_before_memory_is_taken() {
    let mut bytes = bytes();
    bytes[16..20].fill(0xff);
    let error = Model::from_bytes(&bytes).unwrap_err();
    assert!(matches!(error, ModelError::SectionSize { section: "parameters", size: 0xffff_ffff, .. }));
}

#[test]
fn a_changed_byte_breaks_the_checksum() {
    let mut bytes = bytes();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    assert!(matches!(Model::from_bytes(&bytes), Err(ModelError::Checksum)));
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused(mut noise in proptest::collection::vec(any::<u8>(), 0..2_000), as_model in any::<bool>()) {
        if as_model && noise.len() > 60 {
            noise[..12].copy_from_slice(&bytes()[..12]);
        }
        prop_assert!(Model::from_bytes(&noise).is_err());
    }

    #[test]
    fn a_model_with_changed_bits_and_a_fitting_checksum_is_refused_or_safe(
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..4)
    ) {
        let mut changed = bytes();
        let content = changed.len() - 32;
        for (at, bit) in flips {
            changed[at.index(content)] ^= 1 << bit;
        }
        if let Ok(model) = Model::from_bytes(&signed(changed)) {
            use_all(&model);
        }
    }
}
