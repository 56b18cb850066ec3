//! Descending: Adam for the networks, sparse Adam for the hash table.

use super::config::Rates;
use super::field::Field;
use crate::Result;
use crate::train::{CheckpointReader, CheckpointWriter};
use rayon::prelude::*;
use tessera_kernels::adam::{self, AdamSettings, Moments, SparseMoments};
use tessera_kernels::hash_grid::{FEATURES, LevelGradient};

const SETTINGS: AdamSettings = AdamSettings { beta1: 0.9, beta2: 0.99, epsilon: 1e-15 };

/// What descending remembers, and the table's gradient.
#[derive(Clone, Debug)]
pub(super) struct Optimiser {
    /// For each level, zero between steps.
    pub gradients: Vec<LevelGradient>,
    table: SparseMoments,
    distance: Moments,
    colour: Moments,
    variance: Moments,
}

impl Optimiser {
    pub fn new(field: &Field) -> Self {
        Self {
            gradients: field.grid.zero_gradients(),
            table: SparseMoments::zeros(field.grid.entries(), FEATURES),
            distance: Moments::zeros(field.distance.weights()),
            colour: Moments::zeros(field.colour.weights()),
            variance: Moments::zeros(1),
        }
    }

    /// Changes all parameters by their step number `t`, counted from 1, against the gradients of the distance network, the colour network and
    /// the variance.
    pub fn step(&mut self, field: &mut Field, [distance, colour, variance]: [&[f32]; 3], rates: &Rates, t: u64) {
        let rate = rates.distance as f32;
        let parameters = &mut field.parameters;
        adam::step(&mut parameters.distance, distance, &mut self.distance, &SETTINGS, rate, t);
        adam::step(&mut parameters.colour, colour, &mut self.colour, &SETTINGS, rates.colour as f32, t);
        let of_variance = std::slice::from_mut(&mut parameters.variance);
        adam::step(of_variance, variance, &mut self.variance, &SETTINGS, rates.variance as f32, t);

        let mut table = parameters.table.as_mut_slice();
        let (mut first, mut second) = (self.table.first.as_mut_slice(), self.table.second.as_mut_slice());
        let mut steps = self.table.steps.as_mut_slice();
        let mut levels = Vec::with_capacity(self.gradients.len());
        for (level, gradient) in field.grid.levels().iter().zip(&mut self.gradients) {
            let rows = level.size as usize;
            levels.push((
                table.split_off_mut(..FEATURES * rows).unwrap_or_default(),
                first.split_off_mut(..FEATURES * rows).unwrap_or_default(),
                second.split_off_mut(..FEATURES * rows).unwrap_or_default(),
                steps.split_off_mut(..rows).unwrap_or_default(),
                gradient,
            ));
        }
        levels.into_par_iter().rev().with_max_len(1).for_each(|(table, first, second, steps, gradient)| {
            let LevelGradient { values, touched } = gradient;
            adam::step_touched::<FEATURES>(table, values, touched, [first, second], steps, &SETTINGS, rate);
            touched.clear();
        });
    }

    pub fn save<'a>(&'a self, checkpoint: &mut CheckpointWriter<'a>) {
        let dense = [("distance", &self.distance), ("colour", &self.colour), ("variance", &self.variance)];
        for (name, moments) in dense {
            checkpoint.f32(&format!("{name}.first"), &[moments.first.len()], &moments.first[..]);
            checkpoint.f32(&format!("{name}.second"), &[moments.second.len()], &moments.second[..]);
        }
        let rows = self.table.steps.len();
        checkpoint.f32("table.first", &[rows, FEATURES], &self.table.first[..]);
        checkpoint.f32("table.second", &[rows, FEATURES], &self.table.second[..]);
        checkpoint.u32("table.steps", &[rows], &self.table.steps[..]);
    }

    pub fn load(&mut self, checkpoint: &CheckpointReader) -> Result<()> {
        let dense = [("distance", &mut self.distance), ("colour", &mut self.colour), ("variance", &mut self.variance)];
        for (name, moments) in dense {
            checkpoint.f32_into(&format!("{name}.first"), &mut moments.first)?;
            checkpoint.f32_into(&format!("{name}.second"), &mut moments.second)?;
        }
        checkpoint.f32_into("table.first", &mut self.table.first)?;
        checkpoint.f32_into("table.second", &mut self.table.second)?;
        let steps = checkpoint.u32("table.steps")?;
        if steps.len() != self.table.steps.len() {
            return Err(checkpoint.unfit("table.steps"));
        }
        self.table.steps = steps;
        Ok(())
    }
}
