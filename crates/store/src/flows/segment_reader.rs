//! Reading a segment of flows: row groups that cannot have what is asked for are passed over, of the others only those columns
//! and rows are read that matter.

use std::cmp::Reverse;
use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use lapwing_capture::Timestamp;
use lapwing_protocol::{CONN_FIELDS, ZeekType};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::Result;
use parquet::file::properties::ReaderProperties;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::file::serialized_reader::ReadOptionsBuilder;
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescriptor;

use super::query::{Condition, FlowQuery};
use super::row::{Cell, FlowRow, column};
use super::segment::{ReadError, damaged, physical};
use crate::StoreError;

/// Rows between two that are wanted which are sooner read than passed over.
const NEAR: usize = 32;

/// A segment to be read.
pub(crate) struct Segment<'a> {
    reader: SerializedFileReader<File>,
    /// For each of [`CONN_FIELDS`] where the file has it.
    places: Vec<Option<usize>>,
    query: &'a FlowQuery,
}

impl<'a> Segment<'a> {
    /// Opens a segment to see what it has of what `query` asks for.
    pub(crate) fn open(path: &Path, query: &'a FlowQuery) -> std::result::Result<Self, StoreError> {
        let file = File::open(path).map_err(|error| StoreError::file(path, &error))?;
        // They take longer to read than all the rest of what a group begins with.
        let filters = query.uid.is_some() || query.device.is_some() || query.peer.is_some();
        let properties = ReaderProperties::builder().set_read_bloom_filter(filters).build();
        let options = ReadOptionsBuilder::new().with_reader_properties(properties).build();
        let reader = SerializedFileReader::new_with_options(file, options).map_err(|error| damaged(path, &error))?;
        let columns = reader.metadata().file_metadata().schema_descr().columns();
        let fits = |(field, column): (&lapwing_protocol::Field, &Arc<ColumnDescriptor>)| {
            column.name() == field.name && column.physical_type() == physical(field.zeek_type)
        };
        let places = CONN_FIELDS.iter().map(|field| columns.iter().position(|column| fits((field, column)))).collect();
        Ok(Self { reader, places, query })
    }

    /// Hands the rows that are asked for to `each`; of every row group only the `most` that ended last, and those that
    /// ended with the last of them.
    pub(crate) fn read(
        &self,
        most: usize,
        each: &mut dyn FnMut(FlowRow) -> std::result::Result<(), StoreError>,
    ) -> std::result::Result<(), ReadError> {
        for index in 0..self.reader.num_row_groups() {
            let group = self.reader.get_row_group(index)?;
            if self.may_hold(group.as_ref()) {
                let group = Group { reader: group, places: &self.places };
                group.read(self.query, most)?.into_iter().try_for_each(&mut *each)?;
            }
        }
        Ok(())
    }

    /// Whether the group may have a row that is asked for, by its ranges and Bloom filters.
    fn may_hold(&self, group: &dyn RowGroupReader) -> bool {
        let query = self.query;
        let place = |name: &str| column(name).and_then(|place| self.places[place]);
        if let Some(Statistics::Int64(range)) = place("ts").and_then(|ts| group.metadata().column(ts).statistics())
            && let Some(first) = range.min_opt().copied().map(Timestamp::from_micros)
            && (query.time.until.is_some_and(|until| first >= until)
                // What ended by then began by then.
                || query.after.as_ref().is_some_and(|cursor| first > cursor.time))
        {
            return false;
        }
        let has = |name: &str, text: &str| {
            let filter = place(name).and_then(|place| group.get_column_bloom_filter(place));
            filter.is_none_or(|filter| filter.check(text))
        };
        let hosts = [&query.device, &query.peer];
        let hosts = hosts.into_iter().flatten().map(ToString::to_string);
        query.uid.as_ref().is_none_or(|uid| has("uid", uid))
            && hosts.into_iter().all(|host| has("id.orig_h", &host) || has("id.resp_h", &host))
    }
}

/// A row group that is read.
struct Group<'a> {
    reader: Box<dyn RowGroupReader + 'a>,
    places: &'a [Option<usize>],
}

impl Group<'_> {
    fn read(&self, query: &FlowQuery, most: usize) -> Result<Vec<FlowRow>> {
        let count = usize::try_from(self.reader.metadata().num_rows()).unwrap_or_default();
        let mut wanted: Vec<usize> = (0..count).collect();
        for condition in query.conditions() {
            let mut fulfilled = Vec::with_capacity(wanted.len());
            self.visit(&wanted, condition.columns(), |row| fulfilled.push(query.fulfils(condition, row)))?;
            let mut fulfilled = fulfilled.into_iter();
            wanted.retain(|_| fulfilled.next() == Some(true));
        }
        if wanted.len() > most && most > 0 {
            let mut ends = Vec::with_capacity(wanted.len());
            self.visit(&wanted, Condition::Time.columns(), |row| ends.push(Reverse(row.span().1)))?;
            let mut sorted = ends.clone();
            let (_, last, _) = sorted.select_nth_unstable(most - 1);
            let last = *last;
            // With all that ended at the same moment as the last: which of them comes first, their uids decide.
            let mut ends = ends.into_iter();
            wanted.retain(|_| ends.next().is_some_and(|end| end <= last));
        }
        let mut rows = vec![FlowRow::unset(); wanted.len()];
        for place in 0..CONN_FIELDS.len() {
            for (row, cell) in rows.iter_mut().zip(self.cells(place, &wanted)?) {
                row.set(place, cell);
            }
        }
        Ok(rows)
    }

    /// Shows `each` the rows that `wanted` names, in rising order, with no other columns than these.
    fn visit(&self, wanted: &[usize], columns: &[&str], mut each: impl FnMut(&FlowRow)) -> Result<()> {
        let places = columns.iter().filter_map(|name| column(name));
        let read = places.map(|place| Ok((place, self.cells(place, wanted)?.into_iter())));
        let mut read = read.collect::<Result<Vec<_>>>()?;
        let mut row = FlowRow::unset();
        for _ in wanted {
            for (place, cells) in &mut read {
                row.set(*place, cells.next().unwrap_or(Cell::Unset));
            }
            each(&row);
        }
        Ok(())
    }

    /// A column of the rows that `wanted` names, in rising order; nothing if the file does not have it.
    fn cells(&self, place: usize, wanted: &[usize]) -> Result<Vec<Cell>> {
        let Some(in_file) = self.places[place].filter(|_| !wanted.is_empty()) else { return Ok(Vec::new()) };
        match (self.reader.get_column_reader(in_file)?, CONN_FIELDS[place].zeek_type) {
            (ColumnReader::Int64ColumnReader(reader), ZeekType::Time) => {
                cells(reader, wanted, |value| Cell::Time(Timestamp::from_micros(*value)))
            }
            (ColumnReader::Int64ColumnReader(reader), _) => {
                cells(reader, wanted, |value| Cell::Count(u64::try_from(*value).unwrap_or_default()))
            }
            (ColumnReader::Int32ColumnReader(reader), _) => {
                cells(reader, wanted, |value| Cell::Port(u16::try_from(*value).unwrap_or_default()))
            }
            (ColumnReader::DoubleColumnReader(reader), _) => {
                cells(reader, wanted, |value| Cell::Interval((value * 1e6).round() as i64))
            }
            (ColumnReader::BoolColumnReader(reader), _) => cells(reader, wanted, |value| Cell::Bool(*value)),
            (ColumnReader::ByteArrayColumnReader(reader), ZeekType::Addr) => {
                cells(reader, wanted, |text: &ByteArray| {
                    let address = std::str::from_utf8(text.data()).ok().and_then(|text| text.parse().ok());
                    address.map_or(Cell::Unset, Cell::Address)
                })
            }
            (ColumnReader::ByteArrayColumnReader(reader), _) => {
                cells(reader, wanted, |text: &ByteArray| Cell::Text(String::from_utf8_lossy(text.data()).into_owned()))
            }
            _ => Ok(Vec::new()),
        }
    }
}

/// The rows `wanted` of a column, in rising order.
fn cells<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    wanted: &[usize],
    cell: impl Fn(&T::T) -> Cell,
) -> Result<Vec<Cell>> {
    let mut found = Vec::with_capacity(wanted.len());
    let (mut levels, mut values, mut reached) = (Vec::new(), Vec::new(), 0);
    for near in wanted.chunk_by(|one, next| next - one <= NEAR) {
        let span = Range { start: near[0], end: near[near.len() - 1] + 1 };
        reader.skip_records(span.start - reached)?;
        levels.clear();
        values.clear();
        while levels.len() < span.len() {
            if reader.read_records(span.len() - levels.len(), Some(&mut levels), None, &mut values)?.0 == 0 {
                break;
            }
        }
        reached = span.end;
        let mut values = values.iter();
        let mut place = near.iter().peekable();
        for (row, level) in span.zip(&levels) {
            let value = if *level > 0 { values.next() } else { None };
            if place.next_if_eq(&&row).is_some() {
                found.push(value.map_or(Cell::Unset, &cell));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use lapwing_protocol::LocalNetworks;

    use super::super::row::tests::flow;
    use super::super::segment::SegmentWriter;
    use super::*;

    #[test]
    fn rows_that_lie_far_apart_come_out_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.parquet");
        let mut writer = SegmentWriter::new(File::create(&path).unwrap()).unwrap();
        let row = |uid: u64| {
            // Now 3, now 50 rows apart, and columns with and without a value.
            let host = if (uid % 300 < 9 && uid.is_multiple_of(3)) || uid.is_multiple_of(50) { 7 } else { 8 };
            let mut flow = flow(uid, host, 10_000 - uid as i64 % 1_000);
            flow.orig.mac = uid.is_multiple_of(3).then_some([uid as u8; 6]);
            flow.protocol = if uid.is_multiple_of(7) { 17 } else { 6 };
            FlowRow::new(&flow, &LocalNetworks::default())
        };
        let written: Vec<FlowRow> = (0..20_000).map(row).collect();
        written.iter().for_each(|row| writer.push(row.clone()).unwrap());
        writer.close().unwrap();
        let device = FlowQuery { device: "192.168.0.7".parse().ok(), ..FlowQuery::default() };
        let udp = FlowQuery { protocol: Some("udp".to_owned()), ..device.clone() };
        let none = FlowQuery { port: Some(80), ..device.clone() };
        for query in [FlowQuery::default(), device, udp, none] {
            let mut found = Vec::new();
            let mut each = |row| {
                found.push(row);
                Ok(())
            };
            assert!(Segment::open(&path, &query).unwrap().read(usize::MAX, &mut each).is_ok());
            let expected: Vec<FlowRow> = written.iter().filter(|row| query.matches(row)).cloned().collect();
            assert_eq!(found, expected);
        }
    }
}
