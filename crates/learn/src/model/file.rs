//! The model file: `.lapwing`.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `89 4c 50 57 0d 0a 1a 0a`: not text, `LPW`, and line ends that a text transfer would damage |
//! | 4 | version of the format, little-endian as all numbers here |
//! | 3 × 4 | lengths of the three sections |
//! | | the card, the parameters, the calibration, each in postcard encoding |
//! | 32 | SHA-256 of everything before |
//!
//! Numbers and names only: nothing in a file is ever executed. Reading trusts nothing: sizes are capped before memory is
//! taken, and the content is checked so that scoring cannot leave an array.

use std::{borrow::Cow, fs::File, io::Read, path::Path};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::{Algorithm, FileError, Model, ModelError, SchemaId};
use crate::{
    Calibration, IsolationForest,
    forest::{Node, Tree},
};

const MAGIC: [u8; 8] = *b"\x89LPW\r\n\x1a\n";
/// Version of the format, which changes with anything that older programs would misread.
const VERSION: u32 = 1;
const HEADER: usize = MAGIC.len() + 4 + 4 * SECTIONS.len();
const CHECKSUM: usize = 32;
/// The sections with the most bytes that each may have.
const SECTIONS: [(&str, usize); 3] = [("card", 1 << 20), ("parameters", 1 << 26), ("calibration", 1 << 24)];
/// Most bytes of a model file.
pub const MAX_FILE: usize = HEADER + SECTIONS[0].1 + SECTIONS[1].1 + SECTIONS[2].1 + CHECKSUM;

/// The algorithm as it is stored: flat lists, whose elements take at most six times as much memory as bytes in the file.
#[derive(Serialize, Deserialize)]
enum StoredAlgorithm {
    IsolationForest {
        width: u32,
        sample: u32,
        /// Nodes of each tree.
        sizes: Vec<u32>,
        /// Nodes of all trees.
        nodes: Vec<Node>,
    },
}

#[derive(Serialize, Deserialize)]
struct Parameters<'a> {
    algorithm: StoredAlgorithm,
    usual: Cow<'a, [f32]>,
}

impl Model {
    /// Reads a model file.
    ///
    /// # Errors
    /// [`FileError`] with the path and what is wrong.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let read = || {
            let mut bytes = Vec::new();
            File::open(path)?.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes)?;
            Self::from_bytes(&bytes)
        };
        read().map_err(|source| FileError { path: path.to_owned(), source })
    }

    /// The bytes of its file; the same model gives the same bytes.
    ///
    /// # Errors
    /// [`ModelError::SectionSize`] or [`ModelError::Text`] when the card holds what [`Model::from_bytes`] would refuse.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        let Algorithm::IsolationForest(forest) = &self.algorithm;
        let algorithm = StoredAlgorithm::IsolationForest {
            width: forest.width() as u32,
            sample: forest.sample() as u32,
            sizes: forest.trees().iter().map(|tree| tree.nodes().len() as u32).collect(),
            nodes: forest.trees().iter().flat_map(Tree::nodes).copied().collect(),
        };
        if let Some(text) = self.card.unfit_text() {
            return Err(ModelError::Text(text.chars().take(80).collect()));
        }
        let parameters = Parameters { algorithm, usual: Cow::Borrowed(&self.usual) };
        let sections = [encode(0, &self.card)?, encode(1, &parameters)?, encode(2, &self.calibration)?];
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        for section in &sections {
            bytes.extend((section.len() as u32).to_le_bytes());
        }
        bytes.extend(sections.concat());
        bytes.extend(Sha256::digest(&bytes));
        Ok(bytes)
    }

    /// Takes a model from the bytes of its file, trusting nothing about them.
    ///
    /// # Errors
    /// [`ModelError`] when they are not exactly what [`Model::to_bytes`] writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        let [card, parameters, calibration] = sections(bytes)?;
        Self::from_parts(decode(0, card)?, decode(1, parameters)?, decode(2, calibration)?)
    }

    fn from_parts(
        card: super::ModelCard,
        parameters: Parameters<'_>,
        calibration: Calibration,
    ) -> Result<Self, ModelError> {
        let StoredAlgorithm::IsolationForest { width, sample, sizes, nodes } = parameters.algorithm;
        let forest = IsolationForest::from_trees(width as usize, sample as usize, trees(&sizes, &nodes)?)?;
        let (names, usual) = (card.columns.len(), parameters.usual.len());
        if names != forest.width() || usual != forest.width() {
            return Err(ModelError::Columns { names, width: forest.width(), usual });
        }
        if let Some(column) = parameters.usual.iter().position(|value| !value.is_finite()) {
            return Err(ModelError::Usual { column });
        }
        if let Some(text) = card.unfit_text() {
            return Err(ModelError::Text(text.chars().take(80).collect()));
        }
        calibration.validate()?;
        let algorithm = Algorithm::IsolationForest(forest);
        Ok(Self { card, algorithm, usual: parameters.usual.into_owned(), calibration })
    }

    /// Makes sure that rows of `schema` are what this model was trained on.
    ///
    /// # Errors
    /// [`ModelError::SchemaMismatch`] when name, version or hash differ.
    pub fn expect_schema(&self, schema: &SchemaId) -> Result<(), ModelError> {
        if self.card.schema == *schema {
            return Ok(());
        }
        let expected = Box::new(self.card.schema.clone());
        Err(ModelError::SchemaMismatch { expected, found: Box::new(schema.clone()) })
    }
}

/// Cuts the nodes of all trees into trees.
fn trees(sizes: &[u32], mut nodes: &[Node]) -> Result<Vec<Tree>, ModelError> {
    let found = nodes.len();
    let mut trees = Vec::new();
    for &size in sizes {
        let (tree, rest) = nodes.split_at_checked(size as usize).ok_or(ModelError::Nodes { found })?;
        if tree.is_empty() {
            return Err(ModelError::Nodes { found });
        }
        trees.push(Tree::new(tree.to_vec()));
        nodes = rest;
    }
    if nodes.is_empty() { Ok(trees) } else { Err(ModelError::Nodes { found }) }
}

/// Cuts the file into its sections and checks everything around them.
fn sections(bytes: &[u8]) -> Result<[&[u8]; 3], ModelError> {
    let found = bytes.len();
    if !bytes.starts_with(&MAGIC) {
        return Err(ModelError::NotAModel);
    }
    let numbers = bytes.get(MAGIC.len()..HEADER).ok_or(ModelError::Truncated { expected: HEADER, found })?;
    let (numbers, _) = numbers.as_chunks::<4>();
    let version = u32::from_le_bytes(numbers[0]);
    if version != VERSION {
        return Err(ModelError::UnknownVersion { found: version, known: VERSION });
    }
    let mut ends = [HEADER; 4];
    for (index, (section, most)) in SECTIONS.into_iter().enumerate() {
        let size = u32::from_le_bytes(numbers[index + 1]) as usize;
        if size > most {
            return Err(ModelError::SectionSize { section, size, most });
        }
        ends[index + 1] = ends[index] + size;
    }
    let expected = ends[3] + CHECKSUM;
    if found < expected {
        return Err(ModelError::Truncated { expected, found });
    }
    if found > expected {
        return Err(ModelError::TooLong { expected, found });
    }
    let (content, checksum) = bytes.split_at(ends[3]);
    if Sha256::digest(content).as_slice() != checksum {
        return Err(ModelError::Checksum);
    }
    Ok([0, 1, 2].map(|index| &content[ends[index]..ends[index + 1]]))
}

fn encode(section: usize, content: &impl Serialize) -> Result<Vec<u8>, ModelError> {
    let (section, most) = SECTIONS[section];
    let bytes =
        postcard::to_stdvec(content).map_err(|error| ModelError::Section { section, reason: error.to_string() })?;
    if bytes.len() > most {
        return Err(ModelError::SectionSize { section, size: bytes.len(), most });
    }
    Ok(bytes)
}

/// Decodes a whole section. Takes no more memory than some multiple of its bytes: every element of a list has at least one, and
/// only the card nests lists.
fn decode<T: DeserializeOwned>(section: usize, bytes: &[u8]) -> Result<T, ModelError> {
    let section = SECTIONS[section].0;
    let error = |reason: String| ModelError::Section { section, reason };
    match postcard::take_from_bytes(bytes) {
        Ok((content, [])) => Ok(content),
        Ok((_, rest)) => Err(error(format!("{} bytes too many", rest.len()))),
        Err(reason) => Err(error(reason.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::model;
    use super::*;
    use crate::Rows;

    #[test]
    fn what_was_written_reads_back_and_scores_alike() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("example.lapwing");
        let model = model();
        std::fs::write(&path, model.to_bytes().unwrap()).unwrap();
        let back = Model::read(&path).unwrap();
        assert_eq!((back.card(), back.calibration(), back.usual()), (model.card(), model.calibration(), model.usual()));
        let rows = Rows::new(3, &[1.0, 0.5, 1.5, 9.0, 9.0, 9.0]).unwrap();
        let (mut before, mut after) = (Vec::new(), Vec::new());
        model.score_into(rows, &mut before).unwrap();
        back.score_into(rows, &mut after).unwrap();
        assert_eq!(before, after);
        assert_eq!(back.to_bytes().unwrap(), model.to_bytes().unwrap());
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Model::read(Path::new("nowhere/none.lapwing")).unwrap_err();
        assert!(error.to_string().starts_with("model nowhere/none.lapwing: "));
    }

    #[test]
    fn another_schema_is_refused_with_both_names() {
        let model = model();
        let mut schema = model.card().schema.clone();
        assert!(model.expect_schema(&schema).is_ok());
        schema.hash[0] ^= 1;
        let error = model.expect_schema(&schema).unwrap_err().to_string();
        assert!(error.contains("expects schema example v1 (07070707)") && error.contains("example v1 (06070707)"));
    }
}
