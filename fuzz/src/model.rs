//! Model files whose frame fits, so that what lies inside is reached.

use lapwing_learn::{Model, Rows};
use sha2::{Digest, Sha256};

/// Magic and version, as `lapwing_learn::model` documents the file.
const BEGIN: &[u8] = b"\x89LPW\r\n\x1a\n\x01\0\0\0";
const HEADER: usize = BEGIN.len() + 3 * 4;
const CHECKSUM: usize = 32;

/// Wider models are not walked column by column.
const MOST_COLUMNS: usize = 64;

/// The input of the `model` target for a model's file: the lengths of card and calibration, then card, calibration and
/// parameters.
#[must_use]
pub fn encode_model(file: &[u8]) -> Option<Vec<u8>> {
    let length = |index: usize| -> Option<usize> {
        let at = BEGIN.len() + 4 * index;
        Some(u32::from_le_bytes(*file.get(at..)?.first_chunk()?) as usize)
    };
    let (card, parameters, calibration) = (length(0)?, length(1)?, length(2)?);
    let content = file.get(HEADER..file.len().checked_sub(CHECKSUM)?)?;
    let (card, rest) = content.split_at_checked(card)?;
    let (parameters, calibration) = (rest.get(..parameters)?, rest.get(parameters..parameters + calibration)?);
    let lengths = [card, calibration].map(|section| (section.len() as u16).to_le_bytes()).concat();
    Some([&lengths, card, calibration, parameters].concat())
}

/// The file for an input of the `model` target: lengths and checksum fit whatever the sections are.
#[must_use]
pub fn signed_model(input: &[u8]) -> Option<Vec<u8>> {
    let [a, b, c, d, content @ ..] = input else { return None };
    let (card, rest) = content.split_at_checked(usize::from(u16::from_le_bytes([*a, *b])))?;
    let (calibration, parameters) = rest.split_at_checked(usize::from(u16::from_le_bytes([*c, *d])))?;
    let mut bytes = BEGIN.to_vec();
    for section in [card, parameters, calibration] {
        bytes.extend((section.len() as u32).to_le_bytes());
    }
    bytes.extend([card, parameters, calibration].concat());
    bytes.extend(Sha256::digest(&bytes));
    Some(bytes)
}

/// Uses a model in every way that walks its content.
pub fn use_model(model: &Model) {
    let width = model.width();
    let mut scores = Vec::new();
    for value in [f32::NAN, f32::NEG_INFINITY, f32::MIN, -0.5, 0.0, 0.5, 1.0, f32::MAX] {
        let mut row = vec![value; width];
        if let Some(first) = row.first_mut() {
            *first = 0.25;
        }
        let Some(rows) = Rows::new(width, &row) else { return };
        scores.clear();
        model.score_into(rows, &mut scores).expect("the row is as wide as the model");
        assert!(scores.iter().all(|score| score.is_nan() || (0.0..=1.0).contains(score)), "{scores:?}");
        let p_value = model.p_value(scores[0]);
        assert!(p_value.is_nan() || (0.0..=1.0).contains(&p_value), "{p_value}");
        model.explain(&row).expect("the row is as wide as the model");
        for column in 0..width.min(MOST_COLUMNS) {
            model.would_not_alert(&row, column).expect("the row is as wide as the model");
        }
    }
    let bytes = model.to_bytes().expect("what was read can be written");
    let again = Model::from_bytes(&bytes).expect("what was written can be read");
    assert_eq!(again.to_bytes().expect("as before"), bytes);
}
