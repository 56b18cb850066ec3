//! Adam for what all fields have: grids and decoder.

use super::field::Field;
use crate::Result;
use crate::train::{CheckpointReader, CheckpointWriter};
use rayon::prelude::*;
use tessera_kernels::adam::{self, AdamSettings, Moments};
use tessera_kernels::hash_grid::{FEATURES, SampleGradients};

pub(super) const SETTINGS: AdamSettings = AdamSettings { beta1: 0.9, beta2: 0.99, epsilon: 1e-15 };

/// Learning rates of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Of grids and of what kernels carry.
    pub features: f32,
    /// Of the decoder.
    pub decoder: f32,
}

/// What descending remembers of a field's grids and decoder, and the gradient of the former.
#[derive(Clone, Debug)]
pub(super) struct Descent {
    table: Moments,
    decoder: Moments,
    of_table: Vec<f32>,
    steps: u64,
}

impl Descent {
    pub fn new(field: &Field) -> Self {
        Self {
            table: Moments::zeros(field.table.len()),
            decoder: Moments::zeros(field.parameters.len()),
            of_table: vec![0.0; field.table.len()],
            steps: 0,
        }
    }

    /// Steps that were taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// One step against what samples say about grids, and against the sum of the decoder's gradients.
    pub fn step(&mut self, field: &mut Field, samples: &[SampleGradients<'_>], of_decoder: &[&[f32]], rates: Rates) {
        self.steps += 1;
        self.of_table.par_chunks_mut(1 << 14).for_each(|part| part.fill(0.0));
        field.grid.accumulate(samples, field.grid.levels().len(), &mut self.of_table);
        adam::step(&mut field.table, &self.of_table, &mut self.table, &SETTINGS, rates.features, self.steps);
        let mut sum = vec![0.0; field.parameters.len()];
        for gradient in of_decoder {
            sum.iter_mut().zip(*gradient).for_each(|(sum, value)| *sum += value);
        }
        adam::step(&mut field.parameters, &sum, &mut self.decoder, &SETTINGS, rates.decoder, self.steps);
    }

    /// Adds all of it to a checkpoint.
    ///
    /// # Errors
    /// When the number of steps cannot be written.
    pub fn save<'a>(&'a self, checkpoint: &mut CheckpointWriter<'a>) -> Result<()> {
        let rows = self.table.first.len() / FEATURES;
        checkpoint.f32("table.first", &[rows, FEATURES], &self.table.first[..]);
        checkpoint.f32("table.second", &[rows, FEATURES], &self.table.second[..]);
        checkpoint.f32("decoder.first", &[self.decoder.first.len()], &self.decoder.first[..]);
        checkpoint.f32("decoder.second", &[self.decoder.second.len()], &self.decoder.second[..]);
        checkpoint.state("descents", &self.steps)
    }

    /// Takes back what [`Descent::save`] handed over.
    ///
    /// # Errors
    /// When something is missing or does not fit.
    pub fn load(&mut self, checkpoint: &CheckpointReader) -> Result<()> {
        checkpoint.f32_into("table.first", &mut self.table.first)?;
        checkpoint.f32_into("table.second", &mut self.table.second)?;
        checkpoint.f32_into("decoder.first", &mut self.decoder.first)?;
        checkpoint.f32_into("decoder.second", &mut self.decoder.second)?;
        self.steps = checkpoint.state("descents")?;
        Ok(())
    }
}
