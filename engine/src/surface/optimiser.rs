//! Descending: Adam for the networks, sparse Adam for the hash tables.

use super::config::Rates;
use super::field::Field;
use crate::Result;
use crate::train::{CheckpointReader, CheckpointWriter};
use tessera_kernels::adam::{self, AdamSettings, Moments, SparseMoments};
use tessera_kernels::hash_grid::FEATURES;

pub(super) const SETTINGS: AdamSettings = AdamSettings { beta1: 0.9, beta2: 0.99, epsilon: 1e-15 };

/// What descending remembers, and the tables' gradients.
#[derive(Clone, Debug)]
pub(super) struct Optimiser {
    /// `[entries, 2]` of the grid for distances, zero between steps.
    pub gradient: Vec<f32>,
    /// The same of the grid for colours.
    pub colour_gradient: Vec<f32>,
    pub table: SparseMoments,
    pub colour_table: SparseMoments,
    pub distance: Moments,
    pub colour: Moments,
    variance: Moments,
}

impl Optimiser {
    pub fn new(field: &Field) -> Self {
        Self {
            gradient: vec![0.0; FEATURES * field.grid.entries()],
            colour_gradient: vec![0.0; FEATURES * field.colour_grid.entries()],
            table: SparseMoments::zeros(field.grid.entries(), FEATURES),
            colour_table: SparseMoments::zeros(field.colour_grid.entries(), FEATURES),
            distance: Moments::zeros(field.distance.weights()),
            colour: Moments::zeros(field.colour.weights()),
            variance: Moments::zeros(1),
        }
    }

    /// Changes all parameters but the variance by their step number `t`, counted from 1, against the gradients of the distance network and the
    /// colour network.
    pub fn step(&mut self, field: &mut Field, [distance, colour]: [&[f32]; 2], rates: &Rates, t: u64) {
        let rate = rates.distance as f32;
        let parameters = &mut field.parameters;
        adam::step(&mut parameters.distance, distance, &mut self.distance, &SETTINGS, rate, t);
        adam::step(&mut parameters.colour, colour, &mut self.colour, &SETTINGS, rates.colour as f32, t);
        adam::step_pairs(&mut parameters.table, &mut self.gradient, &mut self.table, &SETTINGS, rate);
        let (colours, gradient) = (&mut parameters.colour_table, &mut self.colour_gradient);
        adam::step_pairs(colours, gradient, &mut self.colour_table, &SETTINGS, rates.colour as f32);
    }

    /// Changes the variance by its step number `t`, counted from 1.
    pub fn step_variance(&mut self, field: &mut Field, gradient: f32, rates: &Rates, t: u64) {
        let variance = std::slice::from_mut(&mut field.parameters.variance);
        adam::step(variance, &[gradient], &mut self.variance, &SETTINGS, rates.variance as f32, t);
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
