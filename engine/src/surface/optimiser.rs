//! Descending: Adam for the networks, sparse Adam for the hash tables.

use super::config::Rates;
use super::field::Field;
use crate::Result;
use crate::train::{CheckpointReader, CheckpointWriter};
use rayon::prelude::*;
use tessera_kernels::adam::{self, AdamSettings, Moments, SparseMoments};
use tessera_kernels::hash_grid::{FEATURES, HashGrid, LevelGradient};

pub(super) const SETTINGS: AdamSettings = AdamSettings { beta1: 0.9, beta2: 0.99, epsilon: 1e-15 };

/// What descending remembers, and the tables' gradients.
#[derive(Clone, Debug)]
pub(super) struct Optimiser {
    /// For each level, zero between steps.
    pub gradients: Vec<LevelGradient>,
    /// The same of the grid for colours.
    pub colour_gradients: Vec<LevelGradient>,
    table: SparseMoments,
    colour_table: SparseMoments,
    distance: Moments,
    colour: Moments,
    variance: Moments,
}

impl Optimiser {
    pub fn new(field: &Field) -> Self {
        Self {
            gradients: field.grid.zero_gradients(),
            colour_gradients: field.colour_grid.zero_gradients(),
            table: SparseMoments::zeros(field.grid.entries(), FEATURES),
            colour_table: SparseMoments::zeros(field.colour_grid.entries(), FEATURES),
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

        let gradients = &mut self.gradients;
        step_table(&field.grid, &mut parameters.table, gradients, &mut self.table, rate);
        let gradients = &mut self.colour_gradients;
        let rate = rates.colour as f32;
        step_table(&field.colour_grid, &mut parameters.colour_table, gradients, &mut self.colour_table, rate);
    }

    pub fn save<'a>(&'a self, checkpoint: &mut CheckpointWriter<'a>) {
        let dense = [("distance", &self.distance), ("colour", &self.colour), ("variance", &self.variance)];
        for (name, moments) in dense {
            checkpoint.f32(&format!("{name}.first"), &[moments.first.len()], &moments.first[..]);
            checkpoint.f32(&format!("{name}.second"), &[moments.second.len()], &moments.second[..]);
        }
        for (name, moments) in [("table", &self.table), ("colour_table", &self.colour_table)] {
            let rows = moments.steps.len();
            checkpoint.f32(&format!("{name}.first"), &[rows, FEATURES], &moments.first[..]);
            checkpoint.f32(&format!("{name}.second"), &[rows, FEATURES], &moments.second[..]);
            checkpoint.u32(&format!("{name}.steps"), &[rows], &moments.steps[..]);
        }
    }

    pub fn load(&mut self, checkpoint: &CheckpointReader) -> Result<()> {
        let dense = [("distance", &mut self.distance), ("colour", &mut self.colour), ("variance", &mut self.variance)];
        for (name, moments) in dense {
            checkpoint.f32_into(&format!("{name}.first"), &mut moments.first)?;
            checkpoint.f32_into(&format!("{name}.second"), &mut moments.second)?;
        }
        for (name, moments) in [("table", &mut self.table), ("colour_table", &mut self.colour_table)] {
            checkpoint.f32_into(&format!("{name}.first"), &mut moments.first)?;
            checkpoint.f32_into(&format!("{name}.second"), &mut moments.second)?;
            let name = format!("{name}.steps");
            let steps = checkpoint.u32(&name)?;
            if steps.len() != moments.steps.len() {
                return Err(checkpoint.unfit(&name));
            }
            moments.steps = steps;
        }
        Ok(())
    }
}

/// Changes what a step touched of a grid's table, and sets its gradient back to zero.
fn step_table(
    grid: &HashGrid,
    table: &mut [f32],
    gradients: &mut [LevelGradient],
    moments: &mut SparseMoments,
    rate: f32,
) {
    let (mut table, mut steps) = (table, moments.steps.as_mut_slice());
    let (mut first, mut second) = (moments.first.as_mut_slice(), moments.second.as_mut_slice());
    let mut levels = Vec::with_capacity(gradients.len());
    for (level, gradient) in grid.levels().iter().zip(gradients) {
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
