//! A tensor of parameters with what the optimiser remembers of it, whose rows move together.

use bytemuck::Pod;
use tessera_kernels::adam::Moments;
use tessera_kernels::adam::packed::StoredMoments;

/// One tensor `[N, columns]` with Adam's moments.
#[derive(Debug)]
pub struct Parameter<M = StoredMoments> {
    /// Row major.
    pub values: Vec<f32>,
    /// As many as there are values, in the same order.
    pub(crate) moments: M,
    columns: usize,
}

/// Numbers that move with the rows of a tensor. Lengths and places are counted in elements.
pub(crate) trait Rows {
    /// Makes room for `len` elements in all.
    fn reserve(&mut self, len: usize);
    /// New elements are zero.
    fn resize(&mut self, len: usize);
    fn clear(&mut self, start: usize, len: usize);
    fn copy(&mut self, from: usize, to: usize, len: usize);
    /// Puts row `order[i]` in place `i`, for all `i`.
    fn permute(&mut self, order: &[u32], columns: usize, scratch: &mut Vec<u8>);
}

impl<T: Pod> Rows for Vec<T> {
    fn reserve(&mut self, len: usize) {
        self.reserve_exact(len.saturating_sub(self.len()));
    }

    fn resize(&mut self, len: usize) {
        Self::resize(self, len, T::zeroed());
    }

    fn clear(&mut self, start: usize, len: usize) {
        self[start..start + len].fill(T::zeroed());
    }

    fn copy(&mut self, from: usize, to: usize, len: usize) {
        self.copy_within(from..from + len, to);
    }

    fn permute(&mut self, order: &[u32], columns: usize, scratch: &mut Vec<u8>) {
        scratch.clear();
        for &row in order {
            scratch.extend_from_slice(bytemuck::cast_slice(&self[row as usize * columns..][..columns]));
        }
        self.truncate(order.len() * columns);
        bytemuck::cast_slice_mut(self).copy_from_slice(scratch);
    }
}

impl Rows for Moments {
    fn reserve(&mut self, len: usize) {
        Rows::reserve(&mut self.first, len);
        Rows::reserve(&mut self.second, len);
    }

    fn resize(&mut self, len: usize) {
        Rows::resize(&mut self.first, len);
        Rows::resize(&mut self.second, len);
    }

    fn clear(&mut self, start: usize, len: usize) {
        Rows::clear(&mut self.first, start, len);
        Rows::clear(&mut self.second, start, len);
    }

    fn copy(&mut self, from: usize, to: usize, len: usize) {
        self.first.copy(from, to, len);
        self.second.copy(from, to, len);
    }

    fn permute(&mut self, order: &[u32], columns: usize, scratch: &mut Vec<u8>) {
        self.first.permute(order, columns, scratch);
        self.second.permute(order, columns, scratch);
    }
}

/// The rows of whichever moments there are.
fn rows_of(moments: &mut StoredMoments) -> &mut dyn Rows {
    match moments {
        StoredMoments::Full(moments) => moments,
        StoredMoments::Wide(codes) => codes,
        StoredMoments::Narrow(codes) => codes,
    }
}

impl Rows for StoredMoments {
    fn reserve(&mut self, len: usize) {
        rows_of(self).reserve(len);
    }

    fn resize(&mut self, len: usize) {
        rows_of(self).resize(len);
    }

    fn clear(&mut self, start: usize, len: usize) {
        rows_of(self).clear(start, len);
    }

    fn copy(&mut self, from: usize, to: usize, len: usize) {
        rows_of(self).copy(from, to, len);
    }

    fn permute(&mut self, order: &[u32], columns: usize, scratch: &mut Vec<u8>) {
        rows_of(self).permute(order, columns, scratch);
    }
}

#[expect(private_bounds, reason = "how rows move is nobody else's business")]
impl<M: Rows> Parameter<M> {
    /// Values with moments of zero, and room for `capacity` rows.
    pub(crate) fn new(values: Vec<f32>, columns: usize, capacity: usize) -> Self
    where
        M: Default,
    {
        Self::with_moments(values, M::default(), columns, capacity)
    }

    /// As [`Self::new`], with moments that are kept as `moments` are.
    pub(crate) fn with_moments(values: Vec<f32>, mut moments: M, columns: usize, capacity: usize) -> Self {
        moments.resize(values.len());
        let mut parameter = Self { values, moments, columns };
        parameter.each(|rows| rows.reserve(capacity * columns));
        parameter
    }

    fn each(&mut self, mut change: impl FnMut(&mut dyn Rows)) {
        change(&mut self.values);
        change(&mut self.moments);
    }

    /// The columns of one row.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.columns..][..self.columns]
    }

    /// The columns of one row.
    pub fn row_mut(&mut self, i: usize) -> &mut [f32] {
        &mut self.values[i * self.columns..][..self.columns]
    }

    /// Numbers in a row.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    pub(crate) fn forget(&mut self, row: usize) {
        self.moments.clear(row * self.columns, self.columns);
    }

    /// Without its moments.
    pub(crate) fn copy_row(&mut self, from: usize, to: usize) {
        self.values.copy(from * self.columns, to * self.columns, self.columns);
    }

    /// With its moments.
    pub(crate) fn move_row(&mut self, from: usize, to: usize) {
        let columns = self.columns;
        self.each(|rows| rows.copy(from * columns, to * columns, columns));
    }

    pub(crate) fn resize(&mut self, rows: usize) {
        let len = rows * self.columns;
        self.each(|rows| rows.resize(len));
    }

    pub(crate) fn permute(&mut self, order: &[u32], scratch: &mut Vec<u8>) {
        let columns = self.columns;
        self.each(|rows| rows.permute(order, columns, scratch));
    }
}

impl Parameter {
    /// Takes over other rows; their moments are kept as before. What room there was stays.
    pub(crate) fn replace(&mut self, values: &[f32], moments: StoredMoments) {
        self.values.clear();
        self.values.extend_from_slice(values);
        self.moments = moments.converted(&self.moments);
        self.moments.reserve(self.values.capacity());
    }
}

impl Parameter<Moments> {
    /// The values and both moments.
    pub(crate) fn planes(&mut self) -> [&mut Vec<f32>; 3] {
        [&mut self.values, &mut self.moments.first, &mut self.moments.second]
    }

    /// Adam's first and second moments.
    pub(crate) fn moments(&self) -> [&[f32]; 2] {
        [&self.moments.first, &self.moments.second]
    }
}
