//! What is learned: tensors with names.

use super::host::Host;
use super::{Place, Values};
use crate::{Error, Result};
use rand::RngExt;
use rand_pcg::Pcg64;
use rayon::prelude::*;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tessera_kernels::adam::{self, AdamSettings, Moments};

/// Tensors of a file by their names: their shapes and numbers.
pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// A tensor among [`Parameters`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter(usize);

/// Where a tensor begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initial {
    /// Zeros.
    Zeros,
    /// Ones.
    Ones,
    /// Evenly between minus and plus this.
    Uniform(f32),
}

#[derive(Clone, Debug)]
struct Entry {
    name: String,
    shape: Vec<usize>,
    values: Values,
}

/// Tensors with names, in the order in which they were added.
#[derive(Clone)]
pub struct Parameters {
    entries: Vec<Entry>,
    place: Arc<dyn Place>,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { entries: Vec::new(), place: Arc::new(Host) }
    }
}

impl std::fmt::Debug for Parameters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.entries).finish()
    }
}

impl Parameter {
    /// When it was added.
    pub fn index(self) -> usize {
        self.0
    }
}

impl Parameters {
    /// Says where layers with these parameters are computed; on the host, if nobody says.
    pub fn place_on(&mut self, place: &Arc<dyn Place>) {
        self.place = Arc::clone(place);
    }

    /// Where layers with these parameters are computed.
    pub fn place(&self) -> &Arc<dyn Place> {
        &self.place
    }

    /// Adds a tensor.
    pub fn add(&mut self, name: impl Into<String>, shape: &[usize], initial: Initial, rng: &mut Pcg64) -> Parameter {
        let count = shape.iter().product();
        let values = match initial {
            Initial::Zeros => vec![0.0; count],
            Initial::Ones => vec![1.0; count],
            Initial::Uniform(limit) => (0..count).map(|_| limit * rng.random_range(-1.0..1.0f32)).collect(),
        };
        self.entries.push(Entry { name: name.into(), shape: shape.to_vec(), values: Arc::new(values) });
        Parameter(self.entries.len() - 1)
    }

    /// Adds a tensor whose numbers come from a file: none until [`Self::replace`] brings them.
    pub fn declare(&mut self, name: impl Into<String>, shape: &[usize]) -> Parameter {
        self.entries.push(Entry { name: name.into(), shape: shape.to_vec(), values: Arc::default() });
        Parameter(self.entries.len() - 1)
    }

    /// All names and shapes, in their order.
    pub fn table(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.entries.iter().map(|entry| (entry.name.as_str(), entry.shape.as_slice()))
    }

    /// Gives a tensor another shape and its numbers.
    ///
    /// # Panics
    /// When there are not as many numbers as the shape says.
    pub fn replace(&mut self, parameter: Parameter, shape: &[usize], values: Vec<f32>) {
        let entry = &mut self.entries[parameter.0];
        assert_eq!(shape.iter().product::<usize>(), values.len(), "numbers for {}", entry.name);
        entry.shape = shape.to_vec();
        entry.values = Arc::new(values);
    }

    /// All tensors.
    pub fn all(&self) -> impl Iterator<Item = Parameter> + use<> {
        (0..self.entries.len()).map(Parameter)
    }

    /// The tensor of a name.
    pub fn named(&self, name: &str) -> Option<Parameter> {
        self.entries.iter().position(|entry| entry.name == name).map(Parameter)
    }

    /// Whether others have the same numbers.
    #[cfg(test)]
    pub(in crate::generate) fn same_as(&self, other: &Self) -> bool {
        self.entries.iter().zip(&other.entries).all(|(a, b)| a.values == b.values)
    }

    /// How many tensors there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many numbers there are.
    pub fn count(&self) -> usize {
        self.entries.iter().map(|entry| entry.shape.iter().product::<usize>()).sum()
    }

    /// The numbers of a tensor.
    pub fn values(&self, parameter: Parameter) -> &Values {
        &self.entries[parameter.0].values
    }

    /// The dimensions of a tensor.
    pub fn shape(&self, parameter: Parameter) -> &[usize] {
        &self.entries[parameter.0].shape
    }

    /// Gives a tensor other numbers.
    ///
    /// # Panics
    /// When there are not as many.
    pub fn set(&mut self, parameter: Parameter, values: Vec<f32>) {
        let entry = &mut self.entries[parameter.0];
        assert_eq!(entry.values.len(), values.len(), "numbers for {}", entry.name);
        entry.values = Arc::new(values);
    }

    /// Moves all towards those of `other` by a share.
    pub fn approach(&mut self, other: &Self, share: f32) {
        self.entries.par_iter_mut().zip(&other.entries).for_each(|(own, other)| {
            let values = Arc::make_mut(&mut own.values);
            values.iter_mut().zip(other.values.iter()).for_each(|(x, y)| *x += share * (y - *x));
        });
    }

    /// One step of Adam against gradients, which are shortened to the length `longest` where they are longer. How long they were.
    pub fn step(
        &mut self,
        gradients: &[Option<Vec<f32>>],
        moments: &mut [Moments],
        rate: f32,
        step: u64,
        longest: f32,
    ) -> f32 {
        const SETTINGS: AdamSettings = AdamSettings { beta1: 0.9, beta2: 0.99, epsilon: 1e-8 };
        let square = |gradient: &Option<Vec<f32>>| gradient.iter().flatten().map(|x| f64::from(*x).powi(2)).sum();
        let squares: Vec<f64> = gradients.par_iter().map(square).collect();
        let length = squares.iter().sum::<f64>().sqrt() as f32;
        let factor = (longest / length).min(1.0);
        let tensors = self.entries.par_iter_mut().zip(gradients).zip(moments);
        tensors.for_each(|((entry, gradient), moments)| {
            let Some(gradient) = gradient else { return };
            let scaled: Vec<f32> = gradient.iter().map(|x| factor * x).collect();
            let values: &mut Vec<f32> = Arc::make_mut(&mut entry.values);
            adam::step(values, &scaled, moments, &SETTINGS, rate, step);
        });
        length
    }

    /// Moments for all.
    pub fn moments(&self) -> Vec<Moments> {
        self.entries.iter().map(|entry| Moments::zeros(entry.values.len())).collect()
    }

    /// All tensors for a file, their names after `prefix`.
    pub fn tensors<'a>(&'a self, prefix: &str) -> Result<Vec<(String, TensorView<'a>)>> {
        let named = self.entries.iter().map(|entry| {
            let bytes = bytemuck::cast_slice(&entry.values);
            let view = TensorView::new(Dtype::F32, entry.shape.clone(), bytes);
            let view = view.map_err(|e| Error::setting(format!("{prefix}{} cannot be written ({e})", entry.name)))?;
            Ok((format!("{prefix}{}", entry.name), view))
        });
        named.collect()
    }

    /// Takes all tensors whose names begin with `prefix` from a file: exactly those that there are, of their shapes.
    ///
    /// # Errors
    /// When one is missing, superfluous or of another shape; then nothing was taken.
    pub fn load(&mut self, prefix: &str, tensors: &Tensors, path: &Path) -> Result<()> {
        let remedy = "use a model that this version of tessera has trained";
        let own: Vec<String> = self.entries.iter().map(|entry| format!("{prefix}{}", entry.name)).collect();
        let missing: Vec<&str> = own.iter().filter(|n| !tensors.contains_key(*n)).map(String::as_str).collect();
        let begin = |name: &&String| name.starts_with(prefix);
        let extra: Vec<&str> = tensors.keys().filter(begin).filter(|n| !own.contains(n)).map(String::as_str).collect();
        let listed = |names: &[&str]| {
            let first = names.iter().take(5).copied().collect::<Vec<_>>().join(", ");
            if names.len() > 5 { format!("{first} and {} more", names.len() - 5) } else { first }
        };
        match (missing.is_empty(), extra.is_empty()) {
            (true, true) => {}
            (false, true) => return Err(Error::file(path, format!("lacks the tensors {}", listed(&missing)), remedy)),
            (true, false) => {
                return Err(Error::file(path, format!("has tensors that no model has: {}", listed(&extra)), remedy));
            }
            (false, false) => {
                let reason = format!("lacks the tensors {}, and has {} instead", listed(&missing), listed(&extra));
                return Err(Error::file(path, reason, remedy));
            }
        }
        for (entry, name) in self.entries.iter().zip(&own) {
            let shape = &tensors[name].0;
            if *shape != entry.shape {
                let reason = format!("tensor {name} is {shape:?} and not {:?}", entry.shape);
                return Err(Error::file(path, reason, remedy));
            }
        }
        for (entry, name) in self.entries.iter_mut().zip(&own) {
            entry.values = Arc::new(tensors[name].1.clone());
        }
        Ok(())
    }
}
