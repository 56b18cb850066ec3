//! Out of core: more splats than a device has room for. It holds of all splats what decides whether a view sees them; their
//! harmonics above degree 0 with Adam's moments, three quarters of a splat, lie in the host's memory, and what a pass leaves for
//! each splat there is for those in view alone.
//!
//! For each view the device marks the splats that it sees, gathers their rows to a *window*, a smaller set of splats which is
//! drawn and trained as any other, and brings the rows back. All others take a step with gradients of zero: on the device at
//! once, because momentum moves them, so that they may come into view; harmonics when they are next brought, all missed steps
//! in one go (`catch_up` in `descend.cu`). Nothing is left out and random numbers are those of the splats' places in the whole,
//! so training ends in the bits in which it ends without. Only sums over splats depend on the window: the gradient of the
//! camera's pose, in its rounding.

use super::kernels::FarKernels;
use super::tensor::DeviceMoments::{Full, Wide, Words as InWords};
use super::tensor::{Precision, Tensor};
use super::trained::{Descent, Halving, Trained};
use super::{BLOCK, Pass, Rasterizer, RenderingGradient, Splats};
use crate::adam::AdamSettings;
use crate::adam::cuda::AdamUpdate;
use crate::adam::packed::StoredMoments;
use crate::camera_projection::View;
use crate::device::{Buffer, Device, DeviceError, Event, Joined, Launch, Stream};
use crate::device_struct;
use crate::sort::cuda::Scan;
use crate::splat::{RenderSettings, spherical_harmonics};
use bytemuck::{Pod, Zeroable};
use std::time::Instant;

mod staging;

pub use staging::FarRows;
use staging::Staging;

/// Rows for which there is always room, if there are so many.
const LEAST_ROOM: usize = 256;
/// Words of a splat that change places at a time.
const PERMUTED_WORDS: usize = 4;

/// A step that the harmonics of splats outside of the view have missed, as `descend.cu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct PastStep {
    rate: f32,
    root_correction: f32,
    key: [u32; 2],
}
device_struct!(PastStep);

/// What bringing rows cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moved {
    /// Views that rows were brought for to train on.
    pub steps: u64,
    /// Rows that were brought for them.
    pub rows: u64,
    /// Seconds in which neither was drawn nor learned: finding rows, bringing them and putting them away.
    pub seconds: f64,
}

/// Splats of which a part is in the host's memory, `FarRows`, which is handed to whatever needs it.
pub struct OutOfCore {
    device: Device,
    stream: Stream,
    kernels: FarKernels,
    scan: Scan,
    settings: AdamSettings,
    precision: Precision,
    /// All splats, without harmonics above degree 0.
    near: Trained,
    /// Those that the view at hand sees.
    window: Trained,
    /// `[N]`, whether the view sees them.
    seen: Buffer<u32>,
    block_counts: Buffer<u32>,
    count: Buffer<u32>,
    /// Which splats are in the window, ascending.
    rows: Vec<u32>,
    /// The harmonics in the window are newer than those of the host, and on their way there.
    is_ahead: bool,
    staging: Staging,
    /// `[N]`, how many of the steps in `past` each splat's harmonics have taken; of the window's splats also there.
    taken: Vec<u32>,
    taken_in_window: Buffer<u32>,
    past: Vec<PastStep>,
    past_there: Buffer<PastStep>,
    /// How many of them the device has.
    past_copied: usize,
    /// When a step was computed.
    computed: Event,
    moved: Moved,
}

impl OutOfCore {
    /// Room for `capacity` splats and for `window` of them in view at first.
    ///
    /// # Errors
    /// When there is not enough memory.
    pub fn new(
        device: &Device,
        stream: &Stream,
        (capacity, window): (usize, usize),
        sh_degree: u8,
        precision: Precision,
    ) -> Result<Self, DeviceError> {
        let rest = 3 * (spherical_harmonics::count(sh_degree) - 1);
        let mut far = Self {
            kernels: FarKernels::new(device)?,
            scan: Scan::new(device)?,
            settings: AdamSettings::default(),
            precision,
            near: Trained::new(device, stream, capacity, 0, precision)?,
            window: Trained::new(device, stream, 0, sh_degree, precision)?,
            seen: device.zeros(capacity, PURPOSE)?,
            block_counts: device.buffer(capacity.div_ceil(BLOCK), PURPOSE)?,
            count: device.zeros(1, PURPOSE)?,
            rows: Vec::new(),
            is_ahead: false,
            staging: Staging::new(device, rest, precision)?,
            taken: Vec::new(),
            taken_in_window: device.buffer(0, PURPOSE)?,
            past: Vec::new(),
            past_there: device.buffer(0, PURPOSE)?,
            past_copied: 0,
            computed: device.event()?,
            moved: Moved::default(),
            device: device.clone(),
            stream: stream.clone(),
        };
        far.make_room(window.clamp(LEAST_ROOM.min(capacity), capacity))?;
        Ok(far)
    }

    /// Bytes on the device for `capacity` splats of which `window` are in view; the rasteriser needs its own for the latter. What
    /// the host needs beside the rows that are far is [`OutOfCore::host_bytes`].
    pub fn bytes(capacity: usize, window: usize, sh_degree: u8, precision: Precision) -> usize {
        // Marks and, now and then, scratch memory of the 3D filter; numbers and steps taken.
        Trained::bytes(capacity, 0, precision)
            + 24 * capacity
            + Trained::bytes(window, sh_degree, precision)
            + 8 * window
    }

    /// Bytes of the host for rows on their way and for what is known of each.
    pub fn host_bytes(capacity: usize, window: usize, sh_degree: u8, precision: Precision) -> usize {
        let rest = 3 * (spherical_harmonics::count(sh_degree) - 1);
        4 * capacity + window * (4 + Staging::bytes(rest, precision))
    }

    /// Bytes that a splat which is not in view has on the device from step to step.
    pub fn near_bytes(precision: Precision) -> usize {
        Trained::state_bytes(0, precision) + 4
    }

    /// All splats, without harmonics above degree 0.
    pub fn near(&self) -> &Trained {
        &self.near
    }

    /// As [`OutOfCore::near`], to change scores and the 3D filter.
    pub fn near_mut(&mut self) -> &mut Trained {
        &mut self.near
    }

    /// The splats that the last view sees, as the rasteriser takes them.
    pub fn seen(&self) -> Splats<'_> {
        self.window.splats()
    }

    /// How many splats there is room for in a view.
    pub fn room(&self) -> usize {
        self.window.capacity()
    }

    /// What bringing rows has cost so far.
    pub fn moved(&self) -> Moved {
        self.moved
    }

    /// Takes over values and moments in the order of [`Trained::write`]; those of the harmonics above degree 0 stay where they are.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When they are more than there is room for.
    pub fn write(&mut self, tensors: [(&[f32], &StoredMoments); 6]) -> Result<(), DeviceError> {
        let [means, log_scales, quats, opacity_logits, sh0, _] = tensors;
        let none = (&[][..], &StoredMoments::default());
        self.near.write([means, log_scales, quats, opacity_logits, sh0, none])?;
        self.is_ahead = false;
        self.rows.clear();
        self.forget_past();
        Ok(())
    }

    /// All rows have taken all steps.
    fn forget_past(&mut self) {
        self.past.clear();
        self.past_copied = 0;
        self.taken.clear();
        self.taken.resize(self.near.len(), 0);
    }

    /// Makes room for so many splats in a view; what is in the window is lost.
    fn make_room(&mut self, rows: usize) -> Result<(), DeviceError> {
        if rows <= self.window.capacity() && self.window.numbers.is_some() {
            return Ok(());
        }
        // What there is goes first, so that there is room for what comes.
        let (degree, precision) = (self.window.sh_degree(), self.precision);
        self.window = Trained::new(&self.device, &self.stream, 0, degree, precision)?;
        self.window = Trained::new(&self.device, &self.stream, rows, degree, precision)?;
        self.window.numbers = Some(self.device.buffer(rows, PURPOSE)?);
        self.taken_in_window = self.device.buffer(rows, PURPOSE)?;
        self.staging.make_room(&self.device, rows)
    }

    /// Brings all that a view sees to the window: [`OutOfCore::seen`]. For training if [`OutOfCore::descend`] follows.
    ///
    /// # Errors
    /// When there is not enough memory or the device fails.
    pub fn see(
        &mut self,
        mut far: FarRows<'_>,
        rasterizer: &mut Rasterizer,
        view: &View,
        settings: &RenderSettings,
    ) -> Result<(), DeviceError> {
        self.put_away(&mut far)?;
        let begin = Instant::now();
        let count = self.mark(view, settings)?;
        if count > self.window.capacity() {
            self.make_room((count + count / 4).min(self.near.capacity()))?;
        }
        rasterizer.reserve(self.window.capacity())?;
        self.window.len = count;
        if let Some(numbers) = &mut self.window.numbers {
            let arguments = (&self.seen, &self.block_counts, self.near.len() as u32, &mut *numbers);
            self.kernels.list_marked.launch(&self.stream, Launch::linear(self.near.len(), BLOCK as u32), arguments)?;
            self.rows = numbers.read_part(0, count, &self.stream)?;
        }
        self.gather()?;
        self.bring(&far)?;
        self.stream.synchronize()?;
        self.moved.seconds += begin.elapsed().as_secs_f64();
        Ok(())
    }

    /// Marks the splats that a view sees; how many those are.
    fn mark(&mut self, view: &View, settings: &RenderSettings) -> Result<usize, DeviceError> {
        let pass = Pass::new(&(&self.near.splats()).into(), view, settings);
        let Pass { count, camera, shaping, .. } = pass;
        let [means, log_scales, quats, opacity_logits, ..] = self.near.tensors.each_ref().map(|t| &t.values);
        let filter = self.near.filtered.then_some(&self.near.filter);
        let shapes = Joined((means, log_scales, quats, opacity_logits, filter));
        let arguments = (shapes, count, camera, shaping, &mut self.seen, &mut self.block_counts);
        self.kernels.mark_seen.launch(&self.stream, pass.by_splat(), arguments)?;
        self.scan.exclusive_sum(&self.stream, &mut self.block_counts, pass.blocks(), self.count.at_mut(0))?;
        Ok(self.count.read(&self.stream)?[0] as usize)
    }

    /// The near rows of what is seen come to the window.
    fn gather(&mut self) -> Result<(), DeviceError> {
        let Self { near, window, kernels, stream, .. } = self;
        window.filtered = near.filtered;
        let Some(rows) = &window.numbers else { return Ok(()) };
        let kernel = &kernels.take_rows;
        for (from, to) in near.tensors[..5].iter_mut().zip(&mut window.tensors) {
            let columns = from.columns;
            for (from, to) in from.planes().zip(to.planes()) {
                let launch = Launch::linear(window.len * columns, 256);
                let arguments = (from.words(), columns as u32, rows, window.len as u32, to.words_mut());
                kernel.launch(stream, launch, arguments)?;
            }
        }
        for (from, to) in [(&near.scores, &mut window.scores), (&near.filter, &mut window.filter)] {
            let arguments = (from.words(), 1u32, rows, window.len as u32, to.words_mut());
            kernel.launch(stream, Launch::linear(window.len, 256), arguments)?;
        }
        Ok(())
    }

    /// The near rows of the window go back, and the scores.
    fn scatter(&mut self) -> Result<(), DeviceError> {
        let Self { near, window, kernels, stream, .. } = self;
        let Some(rows) = &window.numbers else { return Ok(()) };
        let kernel = &kernels.put_rows;
        for (to, from) in near.tensors[..5].iter_mut().zip(&mut window.tensors) {
            let columns = from.columns;
            for (to, from) in to.planes().zip(from.planes()) {
                let launch = Launch::linear(window.len * columns, 256);
                let arguments = (from.words(), columns as u32, rows, window.len as u32, to.words_mut());
                kernel.launch(stream, launch, arguments)?;
            }
        }
        let arguments = (window.scores.words(), 1u32, rows, window.len as u32, near.scores.words_mut());
        kernel.launch(stream, Launch::linear(window.len, 256), arguments)
    }

    /// The harmonics of the window's rows come to the device, and take the steps that they have missed.
    fn bring(&mut self, far: &FarRows<'_>) -> Result<(), DeviceError> {
        let Self { window, staging, rows, stream, .. } = self;
        let sh_rest = &mut window.tensors[5];
        if sh_rest.columns == 0 || rows.is_empty() {
            return Ok(());
        }
        staging.send(far, rows, sh_rest, stream)?;
        staging.send_taken(&self.taken, rows, &mut self.taken_in_window, stream)?;
        self.send_past()?;
        let columns = self.window.tensors[5].columns;
        let launch = Launch::linear(self.rows.len() * columns, 256);
        let steps = Joined((&self.past_there, self.past.len() as u32, AdamUpdate::new(&self.settings, 0.0, 1)));
        let common = Joined((&self.taken_in_window, self.rows.len() as u32, columns as u32, steps));
        let Tensor { values, moments, .. } = &mut self.window.tensors[5];
        match (moments, &self.window.numbers) {
            (Full([first, second]), _) => {
                self.kernels.catch_up.launch(&self.stream, launch, (common, values, first, second))
            }
            (InWords(words), Some(numbers)) => {
                self.kernels.catch_up_packed.launch(&self.stream, launch, (common, numbers, words))
            }
            _ => unreachable!("harmonics have no wide codes, and the window has numbers"),
        }
    }

    /// The device learns of steps that it does not know yet.
    fn send_past(&mut self) -> Result<(), DeviceError> {
        if self.past_there.len() < self.past.len() {
            self.past_there = self.device.buffer(2 * self.past.len(), PURPOSE)?;
            self.past_copied = 0;
        }
        self.past_there.write(self.past_copied, &self.past[self.past_copied..], &self.stream)?;
        self.past_copied = self.past.len();
        Ok(())
    }

    /// As [`Rasterizer::descend`], of what the view sees; all others take the step with gradients of zero.
    ///
    /// # Errors
    /// When the device fails.
    pub fn descend(
        &mut self,
        rasterizer: &mut Rasterizer,
        (view, settings): (&View, &RenderSettings),
        gradient: &RenderingGradient<'_>,
        descent: &Descent,
        pose: Option<&mut Buffer<f32>>,
    ) -> Result<(), DeviceError> {
        rasterizer.descend(&mut self.window, view, settings, gradient, descent, pose)?;
        self.coast(descent)?;
        self.scatter()?;
        self.past.push(PastStep::of(descent));
        self.computed.record(&self.stream)?;
        if self.window.tensors[5].columns > 0 {
            self.staging.fetch(&self.window.tensors[5], self.rows.len(), &self.stream)?;
        }
        self.is_ahead = true;
        self.moved.steps += 1;
        self.moved.rows += self.rows.len() as u64;
        Ok(())
    }

    /// A step of the near rows of all splats that are not seen.
    fn coast(&mut self, descent: &Descent) -> Result<(), DeviceError> {
        let Self { near, kernels, stream, .. } = self;
        let launch = Launch::linear(near.len, 256);
        let common = Joined((&self.seen, near.len as u32, *descent));
        let [means, log_scales, quats, opacity_logits, sh0, _] =
            near.tensors.each_mut().map(|tensor| (&mut tensor.values, &mut tensor.moments));
        let values = Joined((means.0, log_scales.0, quats.0, opacity_logits.0, sh0.0));
        match [means.1, log_scales.1, quats.1, opacity_logits.1, sh0.1] {
            [Full([m, m2]), Full([l, l2]), Full([q, q2]), Full([o, o2]), Full([s, s2])] => {
                let (first, second) = (Joined((m, l, q, o, s)), Joined((m2, l2, q2, o2, s2)));
                kernels.coast_splats.launch(stream, launch, (values, first, second, common))
            }
            [Wide(m), Wide(l), Wide(q), Wide(o), Wide(s)] => {
                kernels.coast_packed_splats.launch(stream, launch, (values, Joined((m, l, q, o, s)), common))
            }
            _ => unreachable!("tensors of the geometry are kept alike"),
        }
    }

    /// The rows of the last step come to rest on the host.
    ///
    /// # Errors
    /// When the device or a kernel failed.
    pub fn put_away(&mut self, far: &mut FarRows<'_>) -> Result<(), DeviceError> {
        if !std::mem::take(&mut self.is_ahead) {
            return Ok(());
        }
        self.computed.wait()?;
        let begin = Instant::now();
        self.staging.put_away(far, &self.rows)?;
        let steps = self.past.len() as u32;
        self.rows.iter().for_each(|&row| self.taken[row as usize] = steps);
        self.moved.seconds += begin.elapsed().as_secs_f64();
        Ok(())
    }

    /// Lets the harmonics of some splats, in ascending order, take all steps that they have missed. What is in the window is lost.
    ///
    /// # Errors
    /// When the device or a kernel failed.
    pub fn catch_up(&mut self, far: &mut FarRows<'_>, rows: &[u32]) -> Result<(), DeviceError> {
        self.put_away(far)?;
        let behind: Vec<u32> =
            rows.iter().copied().filter(|&row| (self.taken[row as usize] as usize) < self.past.len()).collect();
        if self.window.tensors[5].columns == 0 {
            return Ok(());
        }
        // There is no window after one did not fit.
        self.make_room(LEAST_ROOM.min(self.near.capacity()))?;
        for part in behind.chunks(self.window.capacity().max(1)) {
            self.rows.clear();
            self.rows.extend_from_slice(part);
            self.window.len = part.len();
            if let Some(numbers) = &mut self.window.numbers {
                numbers.write(0, part, &self.stream)?;
            }
            self.bring(far)?;
            self.staging.fetch(&self.window.tensors[5], part.len(), &self.stream)?;
            self.computed.record(&self.stream)?;
            self.is_ahead = true;
            self.put_away(far)?;
        }
        Ok(())
    }

    /// Lets the harmonics of all splats take all steps.
    ///
    /// # Errors
    /// When the device or a kernel failed.
    pub fn catch_up_all(&mut self, far: &mut FarRows<'_>) -> Result<(), DeviceError> {
        let all: Vec<u32> = (0..self.near.len as u32).collect();
        self.catch_up(far, &all)?;
        self.forget_past();
        Ok(())
    }

    /// As [`Trained::split`], and the halves share their harmonics. `far` has room for the places.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When a place is outside the capacity.
    pub fn split(
        &mut self,
        parents: &[u32],
        places: &[u32],
        halving: Halving,
        far: &mut FarRows<'_>,
    ) -> Result<(), DeviceError> {
        self.catch_up(far, parents)?;
        self.near.split(parents, places, halving)?;
        self.taken.resize(self.near.len, 0);
        far.split(parents, places);
        let steps = self.past.len() as u32;
        // Without moments there is nothing to catch up with.
        places.iter().chain(parents).for_each(|&row| self.taken[row as usize] = steps);
        Ok(())
    }

    /// Puts row `order[i]` in place `i`, for all `i`, but for the host's rows. To be called after [`OutOfCore::catch_up_all`].
    ///
    /// # Errors
    /// When there is not enough memory or the device fails.
    ///
    /// # Panics
    /// When the order is not one of all splats, or harmonics have missed steps.
    pub fn permute(&mut self, order: &[u32]) -> Result<(), DeviceError> {
        let mut scratch = self.device.buffer::<u64>(self.near.len * PERMUTED_WORDS / 2, PURPOSE)?;
        assert!(self.past.is_empty(), "rows that change places have taken all steps");
        self.near.permute_through(order, (&mut scratch, PERMUTED_WORDS))?;
        self.rows.clear();
        Ok(())
    }
}

impl PastStep {
    /// What harmonics need to know of a step.
    fn of(descent: &Descent) -> Self {
        let (AdamUpdate { rate, root_correction, .. }, key) = descent.of_harmonics();
        Self { rate, root_correction, key }
    }
}

const PURPOSE: &str = "splats out of core";
