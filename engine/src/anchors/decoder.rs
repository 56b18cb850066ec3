//! The decoder and what trains it.

use super::config::Rates;
use crate::Result;
use crate::train::{CheckpointReader, CheckpointWriter};
use rand::RngExt;
use rand_pcg::Pcg64;
use tessera_kernels::adam::{self, AdamSettings, Moments};
use tessera_kernels::anchor_decoder::{AnchorDecoder, HIDDEN, Head, follow};

/// How much of the teacher stays at a step: Fan et al., "Momentum-GS", 2025.
const TEACHER_MOMENTUM: f32 = 0.9;

/// A decoder being trained, with its optimiser, and the teacher that follows it.
#[derive(Debug)]
pub(super) struct Student {
    shape: AnchorDecoder,
    /// As [`AnchorDecoder::tensors`] says.
    pub parameters: Vec<f32>,
    /// Of the same shape.
    pub teacher: Vec<f32>,
    /// Of the three networks.
    moments: [Moments; 3],
    /// Steps that it has taken.
    steps: u64,
}

impl Student {
    /// Random weights and biases, uniform below the reciprocal root of the number of inputs.
    pub fn new(shape: AnchorDecoder, seed: u64, number: usize) -> Self {
        let mut rng = Pcg64::new(u128::from(seed), number as u128);
        let mut parameters = vec![0.0; shape.parameters()];
        for head in Head::ALL {
            for (tensor, range) in shape.tensors(head).into_iter().enumerate() {
                let inputs = if tensor < 2 { shape.inputs() } else { HIDDEN };
                let most = (inputs as f32).sqrt().recip();
                parameters[range].iter_mut().for_each(|value| *value = rng.random_range(-most..most));
            }
        }
        let moments = Head::ALL.map(|head| Moments::zeros(shape.head(head).len()));
        Self { shape, teacher: parameters.clone(), parameters, moments, steps: 0 }
    }

    /// One step of Adam; then the teacher follows.
    pub fn descend(&mut self, gradient: &[f32], rates: &Rates) {
        self.steps += 1;
        for ((head, moments), rate) in Head::ALL.into_iter().zip(&mut self.moments).zip(rates.networks) {
            let range = self.shape.head(head);
            let settings = AdamSettings::default();
            adam::step(&mut self.parameters[range.clone()], &gradient[range], moments, &settings, rate, self.steps);
        }
        follow(&mut self.teacher, &self.parameters, TEACHER_MOMENTUM);
    }

    /// All numbers that steps change, one after the other.
    fn tensors(&mut self) -> impl Iterator<Item = &mut Vec<f32>> {
        let moments = self.moments.iter_mut().flat_map(|moments| [&mut moments.first, &mut moments.second]);
        [&mut self.parameters, &mut self.teacher].into_iter().chain(moments)
    }

    /// How many they are.
    pub fn numbers(&mut self) -> usize {
        self.tensors().map(|tensor| tensor.len()).sum()
    }

    /// `weight` times all of them, to be averaged with those of others.
    pub fn weighted(&mut self, weight: f32) -> Vec<f32> {
        self.tensors().flat_map(|tensor| tensor.iter().map(move |value| weight * value)).collect()
    }

    /// Takes the averages, after so many steps in all.
    pub fn adopt(&mut self, averages: &[f32], steps: u64) {
        let mut left = averages;
        for tensor in self.tensors() {
            let (values, rest) = left.split_at(tensor.len());
            tensor.copy_from_slice(values);
            left = rest;
        }
        self.steps = steps;
    }

    /// A number that tells decoders apart.
    pub fn fingerprint(&mut self) -> u64 {
        self.tensors().fold(0, |hash, tensor| {
            hash.rotate_left(7) ^ crate::exchange::fingerprint(bytemuck::cast_slice(tensor.as_slice()))
        })
    }

    /// Hands all over to a checkpoint; names begin with `prefix`.
    pub fn save<'a>(&'a self, prefix: &str, checkpoint: &mut CheckpointWriter<'a>) -> Result<()> {
        let shape = [self.parameters.len()];
        checkpoint.f32(&format!("{prefix}.parameters"), &shape, &self.parameters[..]);
        checkpoint.f32(&format!("{prefix}.teacher"), &shape, &self.teacher[..]);
        for (number, moments) in self.moments.iter().enumerate() {
            checkpoint.f32(&format!("{prefix}.adam.first.{number}"), &[moments.first.len()], &moments.first[..]);
            checkpoint.f32(&format!("{prefix}.adam.second.{number}"), &[moments.second.len()], &moments.second[..]);
        }
        checkpoint.state(&format!("{prefix}.steps"), &self.steps)
    }

    /// Takes back what [`Student::save`] handed over.
    pub fn load(&mut self, prefix: &str, checkpoint: &CheckpointReader) -> Result<()> {
        checkpoint.f32_into(&format!("{prefix}.parameters"), &mut self.parameters)?;
        checkpoint.f32_into(&format!("{prefix}.teacher"), &mut self.teacher)?;
        for (number, moments) in self.moments.iter_mut().enumerate() {
            checkpoint.f32_into(&format!("{prefix}.adam.first.{number}"), &mut moments.first)?;
            checkpoint.f32_into(&format!("{prefix}.adam.second.{number}"), &mut moments.second)?;
        }
        self.steps = checkpoint.state(&format!("{prefix}.steps"))?;
        Ok(())
    }
}
