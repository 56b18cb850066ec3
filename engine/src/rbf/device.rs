//! Descending on a device: a GPU, or the emulator in tests.
//!
//! The field, what Adam remembers of it and a picture's pixels stay there. A step sends samples (four bytes for a pixel, sixteen for a place with its distance)
//! without waiting for the device, and launches kernels; nothing comes back but what steps cost, every 16 steps, without waiting either. Samples are
//! drawn on the host with the random numbers of the CPU's fits, so both see the same ones, and the fields that they learn differ by rounding.

use super::descent::{Rates, SETTINGS};
use super::field::{AnyDecoder, Field, Kernels};
use crate::on_device::OnDevice;
use crate::train::in_units;
use crate::{Error, Result};
use tessera_kernels::adam::cuda::{Adam, AdamUpdate, Moments};
use tessera_kernels::device::{Buffer, Device, Pinned, Stream};
use tessera_kernels::hash_grid::cuda::{Batch, Grid, RowsIn, RowsOut};
use tessera_kernels::rbf::KernelParameters;
use tessera_kernels::rbf::cuda::{
    self, Cost, CostKind, Picture, PixelSamples, SpatialGradient, SpatialKernels, SpatialPairs, SpatialParameters,
};

/// Steps whose costs are fetched together.
const RING: usize = 16;
/// How many steps' samples may be on their way.
const AHEAD: usize = 3;

/// A field that learns on a device.
pub struct DeviceLearner {
    stream: Stream,
    /// As it was at the beginning.
    field: Field,
    grid: Grid,
    decoder: cuda::Decoder,
    spatial: Option<Spatial>,
    cost: Cost,
    adam: Adam,
    table: Learned,
    parameters: Learned,
    samples: Samples,
    costs: Costs,
    steps: u64,
}

/// Numbers that are learned, with gradient and moments.
struct Learned {
    values: Buffer<f32>,
    gradient: Buffer<f32>,
    moments: Moments,
}

/// Kernels in space; their weights are learned.
struct Spatial {
    of: SpatialKernels,
    parameters: SpatialParameters,
    gradient: Buffer<f32>,
    moments: Moments,
}

/// The samples of a step and what is computed for them, rows of [`Batch`].
struct Samples {
    batch: Batch,
    positions: Buffer<f32>,
    wanted: Buffer<f32>,
    /// `[Q, K]`.
    neighbours: Buffer<u32>,
    chosen: Buffer<u32>,
    features: Buffer<f32>,
    of_features: Buffer<f32>,
    outputs: Buffer<f32>,
    of_outputs: Buffer<f32>,
    sent: Vec<Sent>,
}

/// Memory of the host that the device copies samples from.
struct Sent {
    positions: Pinned<f32>,
    wanted: Pinned<f32>,
    chosen: Pinned<u32>,
}

/// What the last [`RING`] steps cost, on the device, and what is known of it.
struct Costs {
    values: Buffer<f32>,
    fetched: Pinned<f32>,
    under_way: bool,
    latest: f64,
}

impl Learned {
    fn upload(device: &Device, values: &[f32]) -> OnDevice<Self> {
        Ok(Self {
            values: device.upload(values, PURPOSE)?,
            gradient: device.zeros(values.len(), PURPOSE)?,
            moments: Moments::zeros(device, values.len())?,
        })
    }

    fn step(&mut self, adam: &Adam, stream: &Stream, update: AdamUpdate) -> OnDevice<()> {
        adam.step_rows(stream, &mut self.values, &self.gradient, &mut self.moments, update, None)
    }
}

impl Spatial {
    fn upload(device: &Device, kernels: &Kernels) -> OnDevice<Self> {
        let weights = kernels.parameters.weights.len();
        Ok(Self {
            of: SpatialKernels::new(device, &kernels.of)?,
            parameters: SpatialParameters::upload(device, &kernels.parameters)?,
            gradient: device.zeros(weights, PURPOSE)?,
            moments: Moments::zeros(device, weights)?,
        })
    }
}

impl Samples {
    fn new(device: &Device, field: &Field, samples: usize) -> OnDevice<Self> {
        let batch = Batch::of(samples);
        let (rows, dimensions) = (field.rows().0.rows, field.grid.dimensions());
        let (outputs, near) = (field.decoder.outputs(), field.kernels.as_ref().map_or(0, |k| k.of.neighbours));
        let numbers = |rows: usize| device.zeros::<f32>(rows * samples, PURPOSE);
        let sent = || {
            Ok(Sent {
                positions: device.pinned(dimensions * samples)?,
                wanted: device.pinned(outputs * samples)?,
                chosen: device.pinned(samples)?,
            })
        };
        Ok(Self {
            batch,
            positions: numbers(dimensions)?,
            wanted: numbers(outputs)?,
            neighbours: device.zeros(near * samples, PURPOSE)?,
            chosen: device.zeros(samples, PURPOSE)?,
            features: numbers(rows)?,
            of_features: numbers(rows)?,
            outputs: numbers(outputs)?,
            of_outputs: numbers(outputs)?,
            sent: (0..AHEAD).map(|_| sent()).collect::<OnDevice<_>>()?,
        })
    }
}

impl Costs {
    fn new(device: &Device) -> OnDevice<Self> {
        let (values, fetched) = (device.zeros(RING, PURPOSE)?, device.pinned(RING)?);
        Ok(Self { values, fetched, under_way: false, latest: 0.0 })
    }

    /// The mean of some recent steps, after `done` of them. Only the first is waited for.
    fn look(&mut self, stream: &Stream, done: u64) -> OnDevice<f64> {
        if done == 1 {
            self.latest = f64::from(self.values.read_part(0, 1, stream)?[0]);
        }
        if self.under_way && self.fetched.is_ready()? {
            self.take()?;
        }
        if done.is_multiple_of(RING as u64) {
            if self.under_way {
                self.take()?;
            }
            self.values.read_into(&mut self.fetched, stream)?;
            self.under_way = true;
        }
        Ok(self.latest)
    }

    fn take(&mut self) -> OnDevice<()> {
        self.latest = self.fetched.values()?.iter().map(|v| f64::from(*v)).sum::<f64>() / RING as f64;
        self.under_way = false;
        Ok(())
    }
}

impl DeviceLearner {
    /// Begins with `field`; steps have `samples` samples.
    ///
    /// # Errors
    /// When the device has too little memory or fails, or the decoder is a network, for which there are no kernels.
    pub fn new(device: &Device, field: Field, samples: usize) -> Result<Self> {
        let AnyDecoder::Rbf(decoder) = field.decoder else {
            return Err(Error::setting("networks are fitted on the CPU only; use --device cpu, or --set decoder=rbf"));
        };
        let (needed, free) = (device_bytes(&field, samples), device.free_memory()?);
        if needed > free {
            let name = &device.properties().name;
            return Err(Error::Memory(format!(
                "this fit needs {} of GPU memory, but {name} has {} free; lower --set batch, or use --device cpu",
                in_units(needed),
                in_units(free)
            )));
        }
        Ok(Self {
            grid: Grid::new(device, &field.grid)?,
            decoder: cuda::Decoder::new(device, decoder)?,
            spatial: field.kernels.as_ref().map(|kernels| Spatial::upload(device, kernels)).transpose()?,
            cost: Cost::new(device)?,
            adam: Adam::new(device)?,
            table: Learned::upload(device, &field.table)?,
            parameters: Learned::upload(device, &field.parameters)?,
            samples: Samples::new(device, &field, samples)?,
            costs: Costs::new(device)?,
            stream: device.stream()?,
            field,
            steps: 0,
        })
    }

    /// One step: `places` in the unit square or cube, and what the field is wanted to be there, `[samples, outputs]`. What recent steps cost comes back. For fields
    /// without kernels in space.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When there are not as many samples as were said at the beginning.
    pub fn step_places<const D: usize>(
        &mut self,
        places: &[[f32; D]],
        wanted: &[f32],
        cost: CostKind,
        rates: Rates,
    ) -> Result<f64> {
        let Samples { batch, positions, wanted: of_wanted, sent, .. } = &mut self.samples;
        assert!(places.len() == batch.samples && D == self.field.grid.dimensions(), "{} places", places.len());
        assert!(self.spatial.is_none(), "which kernels are near places is not known");
        let sent = &mut sent[self.steps as usize % AHEAD];
        into_rows(places.as_flattened(), D, sent.positions.values()?);
        into_rows(wanted, self.field.decoder.outputs(), sent.wanted.values()?);
        positions.write_from(&mut sent.positions, &self.stream)?;
        of_wanted.write_from(&mut sent.wanted, &self.stream)?;
        self.descend(cost, rates)
    }

    /// One step: pixels of `picture` by their numbers, and the mean squared error of recent steps.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When there are not as many samples as were said at the beginning.
    pub fn step_pixels(&mut self, picture: &Picture, pixels: &[usize], rates: Rates) -> Result<f64> {
        let Samples { batch, positions, wanted, neighbours, chosen, sent, .. } = &mut self.samples;
        assert_eq!(pixels.len(), batch.samples, "as many pixels as samples");
        let sent = &mut sent[self.steps as usize % AHEAD].chosen;
        sent.values()?.iter_mut().zip(pixels).for_each(|(to, from)| *to = *from as u32);
        chosen.write_from(sent, &self.stream)?;
        let samples = PixelSamples { positions, wanted, neighbours: Some(neighbours) };
        picture.take(&self.stream, chosen, *batch, samples)?;
        self.descend(CostKind::Squared, rates)
    }

    /// Forward, back, and down.
    fn descend(&mut self, cost: CostKind, rates: Rates) -> Result<f64> {
        let (of_grid, of_kernels) = self.field.rows();
        let Self { stream, grid, decoder, spatial, samples, table, parameters, .. } = self;
        let Samples { batch, positions, wanted, neighbours, features, of_features, outputs, of_outputs, .. } = samples;
        let (batch, near) = (*batch, SpatialPairs { places: positions, neighbours });
        let out = RowsOut { matrix: features, first: of_grid.first };
        grid.encode(stream, (&table.values, positions), batch, usize::MAX, out, None)?;
        if let Some(Spatial { of, parameters, .. }) = spatial {
            of.forward(stream, parameters, near, batch, RowsOut { matrix: features, first: of_kernels.first })?;
        }
        decoder.forward(stream, &parameters.values, features, batch, outputs)?;
        let mean = self.costs.values.at_mut(self.steps as usize % RING);
        let channels = (batch, self.field.decoder.outputs());
        self.cost.compare(stream, cost, (outputs, wanted), channels, of_outputs, mean)?;

        let input = (&parameters.values, &*features, &*of_outputs);
        decoder.backward(stream, input, batch, (of_features, &mut parameters.gradient))?;
        let upstream = RowsIn { matrix: of_features, first: of_grid.first };
        grid.table_gradient(stream, positions, batch, usize::MAX, upstream, &mut table.gradient)?;
        if let Some(Spatial { of, parameters, gradient, .. }) = spatial {
            let of_sums = RowsIn { matrix: of_features, first: of_kernels.first };
            let gradient = SpatialGradient { moving: None, weights: gradient, places: None };
            of.backward(stream, parameters, near, batch, of_sums, gradient)?;
        }

        self.steps += 1;
        let update = |rate: f32| AdamUpdate::new(&SETTINGS, rate, self.steps);
        table.step(&self.adam, stream, update(rates.features))?;
        parameters.step(&self.adam, stream, update(rates.decoder))?;
        if let Some(Spatial { parameters, gradient, moments, .. }) = spatial {
            self.adam.step_rows(stream, &mut parameters.weights, gradient, moments, update(rates.features), None)?;
        }
        Ok(self.costs.look(stream, self.steps)?)
    }

    /// The field as it is now.
    ///
    /// # Errors
    /// When the device or a kernel failed.
    pub fn finish(mut self) -> Result<Field> {
        self.field.table = self.table.values.read(&self.stream)?;
        self.field.parameters = self.parameters.values.read(&self.stream)?;
        if let (Some(kernels), Some(spatial)) = (&mut self.field.kernels, &self.spatial) {
            kernels.parameters.weights = spatial.parameters.weights.read(&self.stream)?;
        }
        Ok(self.field)
    }
}

/// Bytes on the device for a field and steps of so many samples.
pub fn device_bytes(field: &Field, samples: usize) -> u64 {
    let near = field.kernels.as_ref().map_or(0, |k| k.of.neighbours);
    let of_samples = 2 * (field.rows().0.rows + field.decoder.outputs()) + field.grid.dimensions() + near + 2;
    let of_kernels = |k: &Kernels| {
        let KernelParameters { centres, shapes, weights } = &k.parameters;
        let count = centres.len() / k.of.dimensions;
        4 * (centres.len() + shapes.len() + 4 * weights.len()) + SpatialKernels::bytes(&k.of, samples, count)
    };
    let of_decoder = match &field.decoder {
        AnyDecoder::Rbf(decoder) => cuda::Decoder::bytes(decoder, samples),
        AnyDecoder::Network { .. } => 0,
    };
    // A number, its gradient and the two of Adam.
    let learned = 16 * (field.table.len() + field.parameters.len());
    let bytes = learned + Grid::bytes(&field.grid) + of_decoder + 4 * of_samples * samples;
    (bytes + field.kernels.as_ref().map_or(0, of_kernels)) as u64
}

/// `[N, C]` as rows, `[C, N]`.
fn into_rows(values: &[f32], columns: usize, out: &mut [f32]) {
    assert_eq!(values.len(), out.len(), "as many numbers as there is room for");
    let samples = values.len() / columns;
    for (i, sample) in values.chunks_exact(columns).enumerate() {
        sample.iter().enumerate().for_each(|(c, value)| out[c * samples + i] = *value);
    }
}

impl std::fmt::Debug for DeviceLearner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceLearner").field("device", self.stream.device()).finish_non_exhaustive()
    }
}

const PURPOSE: &str = "a fit";
