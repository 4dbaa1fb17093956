//! What a schema is.

use lapwing_flow::Flow;
use lapwing_protocol::{Fact, Facts, LocalNetworks};
use sha2::{Digest, Sha256};

use crate::SCHEMAS;

/// How a feature's value is written into the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// One column with a number.
    Number,
    /// One column per class: 1 in the class's column, 0 in the others.
    Classes(&'static [&'static str]),
}

/// One feature of a schema.
#[derive(Clone, Copy, Debug)]
pub struct Feature {
    /// Its name, as it stands in explanations and CSV headers.
    pub name: &'static str,
    /// Unit of the number, or `class`.
    pub unit: &'static str,
    /// What it says.
    pub meaning: &'static str,
    /// The fields of Zeek's `conn.log` it comes from.
    pub source: &'static str,
    /// How its value is written.
    pub values: Values,
}

/// A named, versioned, ordered list of features.
#[derive(Debug)]
pub struct Schema {
    /// Its name.
    pub name: &'static str,
    /// Rises whenever a feature's meaning, order or scale changes.
    pub version: u32,
    /// The features, in column order.
    pub features: &'static [Feature],
    /// Facts that its features come from. Where one is missing or estimated no row is written: a value of zero would lie.
    pub needs: &'static [Fact],
    pub(crate) rows_of: RowsOf,
}

/// What a row stands for.
#[derive(Debug)]
pub(crate) enum RowsOf {
    /// A flow.
    Flows(fn(&Flow, &LocalNetworks, &mut [f32])),
    /// The last packets of a host, at each of them.
    PacketWindows,
}

impl Schema {
    /// Columns of a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.features.iter().map(Feature::width).sum()
    }

    /// The name of each column: the feature's, or `feature=class`.
    #[must_use]
    pub fn columns(&self) -> Vec<String> {
        self.features.iter().flat_map(Feature::columns).collect()
    }

    /// For each column the index of its feature.
    #[must_use]
    pub fn feature_of_column(&self) -> Vec<usize> {
        let widths = self.features.iter().map(Feature::width).enumerate();
        widths.flat_map(|(index, width)| std::iter::repeat_n(index, width)).collect()
    }

    /// SHA-256 over name, version and every feature's name, unit and classes: what a model stores and compares.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(format!("{} {}\n", self.name, self.version));
        for feature in self.features {
            hasher.update(format!("{} [{}]", feature.name, feature.unit));
            if let Values::Classes(classes) = feature.values {
                hasher.update(format!(" {}", classes.join(",")));
            }
            hasher.update("\n");
        }
        hasher.finalize().into()
    }

    /// What a row says about one feature, for people: `3.2 kB`, `1.5 min`, or its class.
    #[must_use]
    pub fn describe(&self, feature: usize, row: &[f32]) -> String {
        let before: usize = self.features.iter().take(feature).map(Feature::width).sum();
        let Some(feature) = self.features.get(feature) else { return String::new() };
        let Some(columns) = row.get(before..before + feature.width()) else { return String::new() };
        match feature.values {
            Values::Number => describe_number(columns[0], feature.unit),
            Values::Classes(classes) => {
                let set = columns.iter().position(|&column| column > 0.5);
                set.map_or_else(|| "mixed".to_owned(), |class| classes[class].to_owned())
            }
        }
    }

    /// The first fact that its features need and `facts` does not have as it was.
    #[must_use]
    pub fn lacks(&self, facts: Facts) -> Option<Fact> {
        self.needs.iter().copied().find(|fact| !facts.has(*fact))
    }

    /// The first column of a feature, and how many it has.
    #[must_use]
    pub fn columns_of(&self, feature: usize) -> std::ops::Range<usize> {
        let before: usize = self.features.iter().take(feature).map(Feature::width).sum();
        before..before + self.features.get(feature).map_or(0, Feature::width)
    }

    /// Appends the row of one flow to `rows` (row-major, [`Schema::width`] columns); none if its rows are no flows.
    pub fn append_row(&self, flow: &Flow, local: &LocalNetworks, rows: &mut Vec<f32>) {
        let RowsOf::Flows(write) = self.rows_of else { return };
        let start = rows.len();
        rows.resize(start + self.width(), 0.0);
        write(flow, local, &mut rows[start..]);
    }
}

impl Feature {
    pub(crate) const fn number(
        name: &'static str,
        unit: &'static str,
        meaning: &'static str,
        source: &'static str,
    ) -> Self {
        Self { name, unit, meaning, source, values: Values::Number }
    }

    pub(crate) const fn class(
        name: &'static str,
        meaning: &'static str,
        source: &'static str,
        classes: &'static [&'static str],
    ) -> Self {
        Self { name, unit: "class", meaning, source, values: Values::Classes(classes) }
    }

    fn width(&self) -> usize {
        match self.values {
            Values::Number => 1,
            Values::Classes(classes) => classes.len(),
        }
    }

    fn columns(&self) -> Vec<String> {
        match self.values {
            Values::Number => vec![self.name.to_owned()],
            Values::Classes(classes) => classes.iter().map(|class| format!("{}={class}", self.name)).collect(),
        }
    }
}

/// The schema of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Schema> {
    SCHEMAS.iter().copied().find(|schema| schema.name == name)
}

/// A number in its unit; what is kept as a logarithm is turned back.
fn describe_number(value: f32, unit: &str) -> String {
    let (value, unit) = match unit.strip_prefix("ln(1 + ").and_then(|rest| rest.strip_suffix(')')) {
        Some(unit) => (value.exp_m1(), unit),
        None => (value, unit),
    };
    match unit {
        "-1 to 1" => format!("{value:.2}"),
        "ms" => in_steps(value, &[("ms", 1_000.0), ("s", 60.0), ("min", 60.0), ("h", f32::INFINITY)]),
        "bytes" => in_steps(value, &BYTES),
        "bytes/s" => format!("{}/s", in_steps(value, &BYTES)),
        "packets" if value.round() == 1.0 => "1 packet".to_owned(),
        "packets" => format!("{value:.0} packets"),
        _ => in_steps(value, &[(unit, f32::INFINITY)]),
    }
}

const BYTES: [(&str, f32); 4] = [("bytes", 1_000.0), ("kB", 1_000.0), ("MB", 1_000.0), ("GB", f32::INFINITY)];

/// In the first unit in which the number stays below what makes one of the next.
fn in_steps(mut value: f32, units: &[(&str, f32)]) -> String {
    let mut name = "";
    for (unit, next) in units {
        name = unit;
        if value.abs() < *next {
            break;
        }
        value /= next;
    }
    let digits = usize::from(value.abs() < 10.0 && value.fract().abs() > 0.05);
    format!("{value:.digits$} {name}")
}

/// Fills a row from left to right.
pub(crate) struct Row<'a> {
    columns: &'a mut [f32],
    next: usize,
}

impl<'a> Row<'a> {
    pub(crate) fn new(columns: &'a mut [f32]) -> Self {
        Self { columns, next: 0 }
    }

    pub(crate) fn number(&mut self, value: f32) {
        self.columns[self.next] = value;
        self.next += 1;
    }

    /// One column per class of `count`, 1 in that of `class`; the columns hold zeros before.
    pub(crate) fn class(&mut self, class: usize, count: usize) {
        debug_assert!(class < count, "a class is one of its feature's");
        self.columns[self.next + class] = 1.0;
        self.next += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_is_found_by_its_name() {
        for schema in SCHEMAS {
            assert_eq!(find(schema.name).map(Schema::hash), Some(schema.hash()));
        }
        assert!(find("no-such-schema").is_none());
    }

    #[test]
    fn numbers_are_told_in_units_of_their_size() {
        let told = |value: f32, unit| describe_number(value, unit);
        assert_eq!(told(8_200_000_f32.ln_1p(), "ln(1 + bytes)"), "8.2 MB");
        assert_eq!(told(90_000_f32.ln_1p(), "ln(1 + ms)"), "1.5 min");
        assert_eq!(told(1_f32.ln_1p(), "ln(1 + packets)"), "1 packet");
        assert_eq!(told(0.042, "-1 to 1"), "0.04");
        assert_eq!(told(88.0, "bytes"), "88 bytes");
        assert_eq!(told(177_f32.ln_1p(), "ln(1 + packets/s)"), "177 packets/s");
    }

    #[test]
    fn columns_and_features_belong_together() {
        for schema in SCHEMAS {
            let columns = schema.columns();
            assert_eq!(columns.len(), schema.width());
            for (column, feature) in columns.iter().zip(schema.feature_of_column()) {
                assert!(column.starts_with(schema.features[feature].name));
            }
        }
    }

    #[test]
    fn no_two_schemas_share_a_hash() {
        let mut hashes: Vec<_> = SCHEMAS.iter().map(|schema| schema.hash()).collect();
        hashes.dedup();
        assert_eq!(hashes.len(), SCHEMAS.len());
    }
}
