//! What models are made of: layers that remember how their gradients are computed.
//!
//! A [`Tape`] is written while a model runs. Each entry is a matrix, a row for each token, and knows which entries it was computed from and
//! how a gradient by it becomes gradients by those. [`Tape::backward`] reads it from the end.
//!
//! Why a tape of our own and no framework: models need about fifteen operations, half of them on sparse voxels, which no framework has and
//! each of which would have to be brought to one as an operation of its own, forward and backward; the rest are products of matrices, norms and
//! activations ([`tessera_kernels::dense`]).

mod dense;
mod parameters;
mod spatial;

pub use parameters::{Initial, Parameter, Parameters, Tensors};
pub use spatial::Compressed;

use rayon::prelude::*;
use std::sync::Arc;

/// Numbers that are added by one task.
const CHUNK: usize = 16_384;

/// An entry of a tape: a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Var(usize);

/// A matrix's numbers, row by row; shared with the gradients that need them.
pub type Values = Arc<Vec<f32>>;

/// Gradients by all parameters in their order; none for what nothing depended on.
pub type ByParameters = Vec<Option<Vec<f32>>>;

/// From the gradient by an entry to those by what it was computed from.
type Backward = Box<dyn FnOnce(Vec<f32>, &mut Gradients)>;

struct Entry {
    values: Values,
    columns: usize,
    parameter: Option<Parameter>,
    backward: Option<Backward>,
    /// Whether a parameter is among what it was computed from.
    learned: bool,
}

/// Matrices in the order in which they were computed.
pub struct Tape<'p> {
    parameters: &'p Parameters,
    entries: Vec<Entry>,
    /// Which entry each parameter is.
    known: Vec<Option<Var>>,
    recording: bool,
}

/// Gradients by entries, as far as they are known.
pub struct Gradients {
    by_entries: Vec<Option<Vec<f32>>>,
    learned: Vec<bool>,
}

impl Gradients {
    /// Whether anybody asks for the gradient by an entry.
    fn wants(&self, var: Var) -> bool {
        self.learned[var.0]
    }

    /// Adds to the gradient by an entry.
    fn add(&mut self, var: Var, gradient: Vec<f32>) {
        if !self.wants(var) {
            return;
        }
        match &mut self.by_entries[var.0] {
            None => self.by_entries[var.0] = Some(gradient),
            Some(sum) => add_to(sum, &gradient),
        }
    }
}

impl<'p> Tape<'p> {
    /// An empty tape for training.
    pub fn new(parameters: &'p Parameters) -> Self {
        Self { parameters, entries: Vec::new(), known: vec![None; parameters.len()], recording: true }
    }

    /// An empty tape that remembers no gradients.
    pub fn without_gradients(parameters: &'p Parameters) -> Self {
        Self { recording: false, ..Self::new(parameters) }
    }

    /// A matrix that is given.
    ///
    /// # Panics
    /// When there are no whole rows.
    pub fn constant(&mut self, values: Vec<f32>, columns: usize) -> Var {
        assert!(values.len().is_multiple_of(columns), "rows of {columns} numbers");
        self.push(Entry { values: Arc::new(values), columns, parameter: None, backward: None, learned: false })
    }

    /// A parameter as a matrix, with the columns of its last dimension.
    pub fn parameter(&mut self, parameter: Parameter) -> Var {
        if let Some(var) = self.known[parameter.index()] {
            return var;
        }
        let values = Arc::clone(self.parameters.values(parameter));
        let columns = *self.parameters.shape(parameter).last().unwrap_or(&1);
        let var = self.push(Entry { values, columns, parameter: Some(parameter), backward: None, learned: true });
        self.known[parameter.index()] = Some(var);
        var
    }

    /// The numbers of an entry.
    pub fn values(&self, var: Var) -> &Values {
        &self.entries[var.0].values
    }

    /// The numbers of an entry, where nothing else of the tape is needed any more.
    pub fn take(self, var: Var) -> Vec<f32> {
        let values = self.get(var);
        drop(self);
        Arc::try_unwrap(values).unwrap_or_else(|shared| shared.to_vec())
    }

    /// How many columns an entry has.
    pub fn columns(&self, var: Var) -> usize {
        self.entries[var.0].columns
    }

    /// How many rows an entry has.
    pub fn rows(&self, var: Var) -> usize {
        self.entries[var.0].values.len() / self.entries[var.0].columns
    }

    /// The gradients by all parameters, in their order, from those by a few entries. None for what nothing depends on.
    ///
    /// # Panics
    /// When a gradient has another size than its entry.
    pub fn backward(self, seeds: Vec<(Var, Vec<f32>)>) -> ByParameters {
        let learned = self.entries.iter().map(|entry| entry.learned).collect();
        let mut gradients = Gradients { by_entries: vec![None; self.entries.len()], learned };
        for (var, seed) in seeds {
            assert_eq!(seed.len(), self.entries[var.0].values.len(), "a gradient of the entry's size");
            gradients.add(var, seed);
        }
        let mut by_parameters = vec![None; self.parameters.len()];
        for (i, entry) in self.entries.into_iter().enumerate().rev() {
            let Some(gradient) = gradients.by_entries[i].take() else { continue };
            if let Some(parameter) = entry.parameter {
                by_parameters[parameter.index()] = Some(gradient);
            } else if let Some(backward) = entry.backward {
                backward(gradient, &mut gradients);
            }
        }
        by_parameters
    }

    fn push(&mut self, entry: Entry) -> Var {
        self.entries.push(entry);
        Var(self.entries.len() - 1)
    }

    /// Adds what was computed from `inputs`.
    fn computed(
        &mut self,
        values: Vec<f32>,
        columns: usize,
        inputs: &[Var],
        backward: impl FnOnce(Vec<f32>, &mut Gradients) + 'static,
    ) -> Var {
        let learned = self.recording && inputs.iter().any(|var| self.entries[var.0].learned);
        let backward: Option<Backward> = if learned { Some(Box::new(backward)) } else { None };
        self.push(Entry { values: Arc::new(values), columns, parameter: None, backward, learned })
    }

    fn get(&self, var: Var) -> Values {
        Arc::clone(&self.entries[var.0].values)
    }
}

/// Adds the numbers of another vector.
pub(super) fn add_to(sum: &mut [f32], other: &[f32]) {
    assert_eq!(sum.len(), other.len(), "vectors of one size");
    sum.par_chunks_mut(CHUNK).zip(other.par_chunks(CHUNK)).for_each(|(sum, other)| {
        sum.iter_mut().zip(other).for_each(|(sum, x)| *sum += x);
    });
}
