//! What models are made of: layers that remember how their gradients are computed.
//!
//! A [`Tape`] is written while a model runs. Each entry is a matrix, a row for each token, and knows which entries it was computed from and
//! how a gradient by it becomes gradients by those. [`Tape::backward`] reads it from the end.
//!
//! Why a tape of our own and no framework: models need about fifteen operations, half of them on sparse voxels, which no framework has and
//! each of which would have to be brought to one as an operation of its own, forward and backward; the rest are products of matrices, norms and
//! activations ([`tessera_kernels::dense`]).
//!
//! Where layers are computed, on the host or on a device, is a property of the parameters ([`Parameters::place_on`]). A device that fails stops
//! nothing at once: what follows is not computed, and whoever reads a result learns of it.

mod dense;
mod device;
mod host;
mod parameters;
mod place;
mod spatial;

pub use device::OnDevice;
pub use host::Host;
pub use parameters::{Initial, Parameter, Parameters, Tensors};
pub use place::{Attended, Numbers, Place, Samples};
pub use spatial::Compressed;

use crate::{Error, Result};
use rayon::prelude::*;
use std::sync::Arc;

/// Numbers that are added by one task.
const CHUNK: usize = 16_384;

/// An entry of a tape: a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Var(usize);

/// A matrix's numbers on the host, row by row; shared with the gradients that need them.
pub type Values = Arc<Vec<f32>>;

/// Gradients by all parameters in their order; none for what nothing depended on.
pub type ByParameters = Vec<Option<Vec<f32>>>;

/// From the gradient by an entry to those by what it was computed from.
type Backward = Box<dyn FnOnce(&dyn Place, Numbers, &mut Gradients) -> Result<()>>;

struct Entry {
    numbers: Numbers,
    rows: usize,
    columns: usize,
    parameter: Option<Parameter>,
    backward: Option<Backward>,
    /// Whether a parameter is among what it was computed from.
    learned: bool,
}

/// Matrices in the order in which they were computed.
pub struct Tape<'p> {
    parameters: &'p Parameters,
    place: Arc<dyn Place>,
    entries: Vec<Entry>,
    /// Which entry each parameter is.
    known: Vec<Option<Var>>,
    recording: bool,
    /// The first thing that went wrong; nothing is computed after it.
    fault: Option<Error>,
}

/// Gradients by entries, as far as they are known.
pub struct Gradients {
    by_entries: Vec<Option<Numbers>>,
    learned: Vec<bool>,
}

impl Gradients {
    /// Whether anybody asks for the gradient by an entry.
    fn wants(&self, var: Var) -> bool {
        self.learned[var.0]
    }

    /// Adds to the gradient by an entry.
    fn add(&mut self, place: &dyn Place, var: Var, gradient: Numbers) -> Result<()> {
        if self.wants(var) {
            let sum = match self.by_entries[var.0].take() {
                None => gradient,
                Some(sum) => place.add(sum, &gradient)?,
            };
            self.by_entries[var.0] = Some(sum);
        }
        Ok(())
    }
}

impl<'p> Tape<'p> {
    /// An empty tape for training.
    pub fn new(parameters: &'p Parameters) -> Self {
        Self {
            parameters,
            place: Arc::clone(parameters.place()),
            entries: Vec::new(),
            known: vec![None; parameters.len()],
            recording: true,
            fault: None,
        }
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
        let rows = values.len() / columns;
        let numbers = self.compute(|place| place.give(values));
        self.push(numbers, [rows, columns], None, None, false)
    }

    /// A matrix that another tape of the same parameters computed.
    ///
    /// # Panics
    /// When there are no whole rows.
    pub fn continued(&mut self, numbers: Numbers, columns: usize) -> Var {
        assert!(numbers.len().is_multiple_of(columns), "rows of {columns} numbers");
        let rows = numbers.len() / columns;
        self.push(numbers, [rows, columns], None, None, false)
    }

    /// A parameter as a matrix, with the columns of its last dimension.
    pub fn parameter(&mut self, parameter: Parameter) -> Var {
        if let Some(var) = self.known[parameter.index()] {
            return var;
        }
        let values = self.parameters.values(parameter);
        let columns = *self.parameters.shape(parameter).last().unwrap_or(&1);
        let numbers = self.compute(|place| place.parameter(values));
        let var = self.push(numbers, [values.len() / columns, columns], Some(parameter), None, true);
        self.known[parameter.index()] = Some(var);
        var
    }

    /// The numbers of an entry on the host.
    ///
    /// # Errors
    /// When a device failed on the way to it.
    pub fn read(&mut self, var: Var) -> Result<Values> {
        match self.fault.take() {
            Some(fault) => Err(fault),
            None => self.place.read(&self.entries[var.0].numbers),
        }
    }

    /// The numbers of an entry, where nothing else of the tape is needed any more.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn take(mut self, var: Var) -> Result<Vec<f32>> {
        let values = self.read(var)?;
        drop(self);
        Ok(Arc::try_unwrap(values).unwrap_or_else(|shared| shared.to_vec()))
    }

    /// The numbers of an entry where they are, for another tape of the same parameters, where nothing else of this one is needed any more.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn hand_on(&mut self, var: Var) -> Result<Numbers> {
        match self.fault.take() {
            Some(fault) => Err(fault),
            None => Ok(std::mem::take(&mut self.entries[var.0].numbers)),
        }
    }

    /// How many columns an entry has.
    pub fn columns(&self, var: Var) -> usize {
        self.entries[var.0].columns
    }

    /// How many rows an entry has.
    pub fn rows(&self, var: Var) -> usize {
        self.entries[var.0].rows
    }

    /// The gradients by all parameters, in their order, from those by a few entries. None for what nothing depends on.
    ///
    /// # Errors
    /// When a device failed on the way.
    ///
    /// # Panics
    /// When a gradient has another size than its entry.
    pub fn backward(self, seeds: Vec<(Var, Vec<f32>)>) -> Result<ByParameters> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let place = &*self.place;
        let learned = self.entries.iter().map(|entry| entry.learned).collect();
        let mut gradients = Gradients { by_entries: vec![None; self.entries.len()], learned };
        for (var, seed) in seeds {
            assert_eq!(seed.len(), self.entries[var.0].numbers.len(), "a gradient of the entry's size");
            gradients.add(place, var, place.give(seed)?)?;
        }
        let mut by_parameters: Vec<Option<Numbers>> = vec![None; self.parameters.len()];
        for (i, entry) in self.entries.into_iter().enumerate().rev() {
            let Some(gradient) = gradients.by_entries[i].take() else { continue };
            if let Some(parameter) = entry.parameter {
                by_parameters[parameter.index()] = Some(gradient);
            } else if let Some(backward) = entry.backward {
                backward(place, gradient, &mut gradients)?;
            }
        }
        let read = |numbers: Numbers| {
            let values = place.read(&numbers)?;
            drop(numbers);
            Ok(Arc::try_unwrap(values).unwrap_or_else(|shared| shared.to_vec()))
        };
        by_parameters.into_iter().map(|numbers| numbers.map(read).transpose()).collect()
    }

    fn push(
        &mut self,
        numbers: Numbers,
        [rows, columns]: [usize; 2],
        parameter: Option<Parameter>,
        backward: Option<Backward>,
        learned: bool,
    ) -> Var {
        self.entries.push(Entry { numbers, rows, columns, parameter, backward, learned });
        Var(self.entries.len() - 1)
    }

    /// What an operation gives; nothing when one before it failed.
    fn compute<T: Default>(&mut self, operation: impl FnOnce(&dyn Place) -> Result<T>) -> T {
        if self.fault.is_some() {
            return T::default();
        }
        operation(&*self.place).unwrap_or_else(|fault| {
            self.fault = Some(fault);
            T::default()
        })
    }

    /// Adds what was computed from `inputs`.
    fn computed(
        &mut self,
        numbers: Numbers,
        shape: [usize; 2],
        inputs: &[Var],
        backward: impl FnOnce(&dyn Place, Numbers, &mut Gradients) -> Result<()> + 'static,
    ) -> Var {
        let learned = self.recording && inputs.iter().any(|var| self.entries[var.0].learned);
        let backward: Option<Backward> = if learned { Some(Box::new(backward)) } else { None };
        self.push(numbers, shape, None, backward, learned)
    }

    fn get(&self, var: Var) -> Numbers {
        self.entries[var.0].numbers.clone()
    }

    fn shape(&self, var: Var) -> [usize; 2] {
        [self.rows(var), self.columns(var)]
    }
}

/// Adds the numbers of another vector.
pub(super) fn add_to(sum: &mut [f32], other: &[f32]) {
    assert_eq!(sum.len(), other.len(), "vectors of one size");
    sum.par_chunks_mut(CHUNK).zip(other.par_chunks(CHUNK)).for_each(|(sum, other)| {
        sum.iter_mut().zip(other).for_each(|(sum, x)| *sum += x);
    });
}
