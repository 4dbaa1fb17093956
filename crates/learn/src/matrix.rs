//! Rows of features, one after the other.

/// A table of `f32`, row-major: row `i` is `values[i * width..(i + 1) * width]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    width: usize,
    values: Vec<f32>,
}

/// A borrowed run of rows, all of one width.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    width: usize,
    values: &'a [f32],
}

impl Matrix {
    /// No rows yet, each to be `width` values wide.
    ///
    /// # Panics
    /// When `width` is zero: a table without columns has no number of rows.
    #[must_use]
    pub fn new(width: usize) -> Self {
        assert!(width > 0, "a matrix has at least one column");
        Self { width, values: Vec::new() }
    }

    /// Takes `values` as rows of `width`; `None` when they do not fill whole rows or `width` is zero.
    #[must_use]
    pub fn from_values(width: usize, values: Vec<f32>) -> Option<Self> {
        (width > 0 && values.len().is_multiple_of(width)).then_some(Self { width, values })
    }

    /// Values in a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len() / self.width
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Forgets the rows, keeps their memory.
    pub fn clear(&mut self) {
        self.values.clear();
    }

    /// Appends one row, all zeros, and lends it to be filled in.
    pub fn push_zeros(&mut self) -> &mut [f32] {
        let start = self.values.len();
        self.values.resize(start + self.width, 0.0);
        &mut self.values[start..]
    }

    /// Appends a copy of `row`.
    ///
    /// # Panics
    /// When `row` has another width.
    pub fn push(&mut self, row: &[f32]) {
        self.push_zeros().copy_from_slice(row);
    }

    /// Row `index`.
    ///
    /// # Panics
    /// When there is no such row.
    #[must_use]
    pub fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.width..][..self.width]
    }

    /// Row `index`, to be changed.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row_mut(&mut self, index: usize) -> &mut [f32] {
        &mut self.values[index * self.width..][..self.width]
    }

    /// All rows, borrowed.
    #[must_use]
    pub fn view(&self) -> Rows<'_> {
        Rows { width: self.width, values: &self.values }
    }
}

impl<'a> Rows<'a> {
    /// Views `values` as rows of `width`; `None` when they do not fill whole rows or `width` is zero.
    #[must_use]
    pub fn new(width: usize, values: &'a [f32]) -> Option<Self> {
        (width > 0 && values.len().is_multiple_of(width)).then_some(Self { width, values })
    }

    /// Values in a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len() / self.width
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Row `index`.
    ///
    /// # Panics
    /// When there is no such row.
    #[must_use]
    pub fn row(&self, index: usize) -> &'a [f32] {
        &self.values[index * self.width..][..self.width]
    }

    /// Every row in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [f32]> + use<'a> {
        self.values.chunks_exact(self.width)
    }

    /// All values, row after row.
    pub(crate) fn values(&self) -> &'a [f32] {
        self.values
    }

    /// The rows in runs of at most `rows`.
    pub(crate) fn blocks(&self, rows: usize) -> impl Iterator<Item = Rows<'a>> + use<'a> {
        let width = self.width;
        self.values.chunks(rows * width).map(move |values| Rows { width, values })
    }

    /// The first `rows` rows and the rest: how the last quarter by time is held back for calibration.
    ///
    /// # Panics
    /// When there are fewer rows.
    #[must_use]
    pub fn split_at(&self, rows: usize) -> (Rows<'a>, Rows<'a>) {
        let (first, rest) = self.values.split_at(rows * self.width);
        (Rows { width: self.width, values: first }, Rows { width: self.width, values: rest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_do_not_fill_whole_rows_are_refused() {
        assert!(Matrix::from_values(3, vec![0.0; 7]).is_none());
        assert!(Rows::new(0, &[]).is_none());
        assert_eq!(Matrix::from_values(3, vec![0.0; 6]).map(|matrix| matrix.len()), Some(2));
    }

    #[test]
    fn a_pushed_row_reads_back() {
        let mut matrix = Matrix::new(2);
        matrix.push(&[1.0, 2.0]);
        matrix.push_zeros()[1] = 4.0;
        assert_eq!(matrix.view().iter().collect::<Vec<_>>(), [[1.0, 2.0], [0.0, 4.0]]);
        let (first, rest) = matrix.view().split_at(1);
        assert_eq!((first.row(0), rest.row(0)), (matrix.row(0), matrix.row(1)));
    }
}
