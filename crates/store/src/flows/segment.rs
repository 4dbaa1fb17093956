//! The flows of an hour as a Parquet file, under Zeek's names, for whoever reads it: DuckDB, pandas, Lapwing.
//!
//! Every column may be without a value. Times are microseconds UTC, intervals seconds, addresses text. Each row group has the
//! range of every column, and Bloom filters on the addresses and the uid, so that most groups need not be read.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use lapwing_protocol::{CONN_FIELDS, ZeekType};
use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnPath, Type};

use super::row::{Cell, FlowRow};
use crate::StoreError;

/// Rows of a row group: what is read at least, and what is held in memory while it is written.
pub(crate) const GROUP: usize = 1 << 14;

/// Columns by which single flows are looked for.
const LOOKED_FOR: [&str; 3] = ["id.orig_h", "id.resp_h", "uid"];

pub(super) fn physical(zeek_type: ZeekType) -> Physical {
    match zeek_type {
        ZeekType::Time | ZeekType::Count | ZeekType::Int => Physical::INT64,
        ZeekType::Port => Physical::INT32,
        ZeekType::Interval => Physical::DOUBLE,
        ZeekType::Bool => Physical::BOOLEAN,
        ZeekType::String | ZeekType::Enum | ZeekType::Addr | ZeekType::StringSet => Physical::BYTE_ARRAY,
    }
}

fn schema() -> parquet::errors::Result<Arc<Type>> {
    let columns = CONN_FIELDS.iter().map(|field| {
        let physical = physical(field.zeek_type);
        let logical = match (field.zeek_type, physical) {
            (ZeekType::Time, _) => Some(LogicalType::timestamp(true, TimeUnit::MICROS)),
            (_, Physical::BYTE_ARRAY) => Some(LogicalType::String),
            _ => None,
        };
        Type::primitive_type_builder(field.name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical)
            .build()
            .map(Arc::new)
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    Type::group_type_builder("conn").with_fields(columns).build().map(Arc::new)
}

/// Writes rows into a file that becomes a segment when it is closed.
pub(crate) struct SegmentWriter {
    writer: SerializedFileWriter<File>,
    rows: Vec<FlowRow>,
}

impl SegmentWriter {
    pub(crate) fn new(file: File) -> parquet::errors::Result<Self> {
        let level = ZstdLevel::try_new(1)?;
        let mut properties = WriterProperties::builder()
            .set_created_by(concat!("lapwing ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::ZSTD(level))
            // Uids and Community IDs are all different: a dictionary of them would be made for nothing.
            .set_column_dictionary_enabled(ColumnPath::from(vec!["uid".to_owned()]), false)
            .set_column_dictionary_enabled(ColumnPath::from(vec!["community_id".to_owned()]), false);
        for name in LOOKED_FOR {
            let path = ColumnPath::from(vec![name.to_owned()]);
            properties = properties
                .set_column_bloom_filter_enabled(path.clone(), true)
                .set_column_bloom_filter_max_ndv(path, GROUP as u64);
        }
        let writer = SerializedFileWriter::new(file, schema()?, Arc::new(properties.build()))?;
        Ok(Self { writer, rows: Vec::with_capacity(GROUP) })
    }

    pub(crate) fn push(&mut self, row: FlowRow) -> parquet::errors::Result<()> {
        self.rows.push(row);
        if self.rows.len() == GROUP { self.write_group() } else { Ok(()) }
    }

    /// Writes what is left and the footer; the file is whole then, though not yet on the disk.
    pub(crate) fn close(mut self) -> parquet::errors::Result<File> {
        if !self.rows.is_empty() {
            self.write_group()?;
        }
        self.writer.into_inner()
    }

    fn write_group(&mut self) -> parquet::errors::Result<()> {
        let rows = &self.rows;
        let mut levels = Vec::with_capacity(rows.len());
        let mut group = self.writer.next_row_group()?;
        for (place, field) in CONN_FIELDS.iter().enumerate() {
            let Some(mut column) = group.next_column()? else { break };
            levels.clear();
            let cells = rows.iter().map(|row| &row.cells()[place]);
            levels.extend(cells.clone().map(|cell| i16::from(*cell != Cell::Unset)));
            match physical(field.zeek_type) {
                Physical::INT64 => {
                    let values: Vec<i64> = cells.filter_map(integer).collect();
                    column.typed::<Int64Type>().write_batch(&values, Some(&levels), None)?;
                }
                Physical::INT32 => {
                    let values: Vec<i32> = cells.filter_map(port).collect();
                    column.typed::<Int32Type>().write_batch(&values, Some(&levels), None)?;
                }
                Physical::DOUBLE => {
                    let values: Vec<f64> = cells.filter_map(seconds).collect();
                    column.typed::<DoubleType>().write_batch(&values, Some(&levels), None)?;
                }
                Physical::BOOLEAN => {
                    let values: Vec<bool> = cells.filter_map(boolean).collect();
                    column.typed::<BoolType>().write_batch(&values, Some(&levels), None)?;
                }
                _ => {
                    let text = |cell: &Cell| (*cell != Cell::Unset).then(|| ByteArray::from(cell.text().into_bytes()));
                    let values: Vec<ByteArray> = cells.filter_map(text).collect();
                    column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None)?;
                }
            }
            column.close()?;
        }
        group.close()?;
        self.rows.clear();
        Ok(())
    }
}

// A cell's kind follows from its column's type, by `CONN_FIELDS` and by how cells are read back.

fn integer(cell: &Cell) -> Option<i64> {
    match cell {
        Cell::Time(time) => Some(time.micros()),
        Cell::Count(count) => Some(i64::try_from(*count).unwrap_or(i64::MAX)),
        Cell::Unset => None,
        _ => Some(0),
    }
}

fn port(cell: &Cell) -> Option<i32> {
    match cell {
        Cell::Port(port) => Some(i32::from(*port)),
        Cell::Unset => None,
        _ => Some(0),
    }
}

fn seconds(cell: &Cell) -> Option<f64> {
    match cell {
        Cell::Interval(micros) => Some(*micros as f64 / 1e6),
        Cell::Unset => None,
        _ => Some(0.0),
    }
}

fn boolean(cell: &Cell) -> Option<bool> {
    match cell {
        Cell::Bool(value) => Some(*value),
        Cell::Unset => None,
        _ => Some(false),
    }
}

/// A segment could not be read, or whoever was given its rows failed.
pub(crate) enum ReadError {
    Damaged(parquet::errors::ParquetError),
    Other(StoreError),
}

impl From<parquet::errors::ParquetError> for ReadError {
    fn from(error: parquet::errors::ParquetError) -> Self {
        Self::Damaged(error)
    }
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> Self {
        Self::Other(error)
    }
}

impl ReadError {
    pub(crate) fn of(self, path: &Path) -> StoreError {
        match self {
            Self::Damaged(error) => damaged(path, &error),
            Self::Other(error) => error,
        }
    }
}

/// What a failure of the Parquet library comes to: a full disk is told apart, for it passes.
pub(crate) fn damaged(path: &Path, error: &parquet::errors::ParquetError) -> StoreError {
    if let parquet::errors::ParquetError::External(cause) = error
        && let Some(cause) = cause.downcast_ref::<std::io::Error>()
    {
        return StoreError::file(path, cause);
    }
    StoreError::File { path: path.to_owned(), reason: error.to_string() }
}
