//! What is learned on a device, and room for the rays and samples of a step.

use super::{OnDevice, PURPOSE, Size};
use crate::surface::field::Field;
use crate::surface::optimiser::Optimiser;
use tessera_kernels::adam::cuda::{Moments, PairMoments};
use tessera_kernels::adam::{self};
use tessera_kernels::device::{Buffer, Device, Pinned, Stream};
use tessera_kernels::hash_grid::FEATURES;
use tessera_kernels::mlp::cuda::Activations;
use tessera_kernels::occupancy::cuda::DeviceRay;
use tessera_kernels::sdf_render::cuda::{Blended, DevicePair, OPACITY_ROWS, RayTarget};

/// A table with its gradient and what Adam remembers.
pub struct Table {
    pub values: Buffer<f32>,
    pub gradient: Buffer<f32>,
    pub moments: PairMoments,
}

/// Matrices with their gradient and what Adam remembers.
pub struct Matrices {
    pub values: Buffer<f32>,
    pub gradient: Buffer<f32>,
    pub moments: Moments,
}

/// What is learned but for the sharpness and the photos' codes, which are few numbers and stay on the host.
pub struct Learned {
    pub table: Table,
    pub colour_table: Table,
    pub distance: Matrices,
    pub colour: Matrices,
}

impl Table {
    fn new(device: &Device, entries: usize) -> OnDevice<Self> {
        Ok(Self {
            values: device.buffer(FEATURES * entries, PURPOSE)?,
            gradient: device.buffer(FEATURES * entries, PURPOSE)?,
            moments: PairMoments::zeros(device, entries)?,
        })
    }
}

impl Matrices {
    fn new(device: &Device, weights: usize) -> OnDevice<Self> {
        Ok(Self {
            values: device.buffer(weights, PURPOSE)?,
            gradient: device.buffer(weights, PURPOSE)?,
            moments: Moments::zeros(device, weights)?,
        })
    }

    fn write(&mut self, stream: &Stream, values: &[f32], moments: &adam::Moments) -> OnDevice<()> {
        self.values.write(0, values, stream)?;
        self.moments.first.write(0, &moments.first, stream)?;
        self.moments.second.write(0, &moments.second, stream)
    }

    fn read(&self, stream: &Stream, values: &mut Vec<f32>, moments: &mut adam::Moments) -> OnDevice<()> {
        *values = self.values.read(stream)?;
        moments.first = self.moments.first.read(stream)?;
        moments.second = self.moments.second.read(stream)?;
        Ok(())
    }
}

impl Learned {
    pub fn new(device: &Device, field: &Field) -> OnDevice<Self> {
        Ok(Self {
            table: Table::new(device, field.grid.entries())?,
            colour_table: Table::new(device, field.colour_grid.entries())?,
            distance: Matrices::new(device, field.distance.weights())?,
            colour: Matrices::new(device, field.colour.weights())?,
        })
    }

    pub fn write(&mut self, stream: &Stream, field: &Field, optimiser: &Optimiser) -> OnDevice<()> {
        let parameters = &field.parameters;
        for (table, values, moments) in [
            (&mut self.table, &parameters.table, &optimiser.table),
            (&mut self.colour_table, &parameters.colour_table, &optimiser.colour_table),
        ] {
            table.values.write(0, values, stream)?;
            table.moments.write(moments, stream)?;
        }
        self.distance.write(stream, &parameters.distance, &optimiser.distance)?;
        self.colour.write(stream, &parameters.colour, &optimiser.colour)
    }

    pub fn read(&self, stream: &Stream, field: &mut Field, optimiser: &mut Optimiser) -> OnDevice<()> {
        let parameters = &mut field.parameters;
        for (table, values, moments) in [
            (&self.table, &mut parameters.table, &mut optimiser.table),
            (&self.colour_table, &mut parameters.colour_table, &mut optimiser.colour_table),
        ] {
            *values = table.values.read(stream)?;
            *moments = table.moments.read(stream)?;
        }
        self.distance.read(stream, &mut parameters.distance, &mut optimiser.distance)?;
        self.colour.read(stream, &mut parameters.colour, &mut optimiser.colour)
    }
}

/// The rays of a step, and memory of the host that the device copies them from.
pub struct Rays {
    pub rays: Buffer<DeviceRay>,
    pub targets: Buffer<RayTarget>,
    /// Where the samples of each begin, of all and of those that are kept: `[rays + 1]`.
    pub starts: Buffer<u32>,
    pub kept_starts: Buffer<u32>,
    pub total: Buffer<u32>,
    pub blended: Blended,
    pub pairs: Buffer<DevicePair>,
    pub met: Buffer<u32>,
    /// `[places, 3]`.
    pub places: Buffer<f32>,
    /// `[photos, code]`, its gradient, and what each ray adds to that, `[code, rays]`.
    pub codes: Buffer<f32>,
    pub by_codes: Buffer<f32>,
    pub code_of_rays: Buffer<f32>,
    pub sent: Sent,
}

/// Memory of the host.
pub struct Sent {
    pub rays: Pinned<DeviceRay>,
    pub targets: Pinned<RayTarget>,
    pub pairs: Pinned<DevicePair>,
    pub places: Pinned<f32>,
    pub wanted: Pinned<f32>,
    pub codes: Pinned<f32>,
    pub by_codes: Pinned<f32>,
}

impl Rays {
    pub fn new(device: &Device, size: &Size, code: usize) -> OnDevice<Self> {
        let Size { rays, samples, places, photos } = *size;
        let numbers = |len: usize| device.zeros::<u32>(len, PURPOSE);
        Ok(Self {
            rays: device.zeros(rays, PURPOSE)?,
            targets: device.zeros(rays, PURPOSE)?,
            starts: numbers(rays + 1)?,
            kept_starts: numbers(rays + 1)?,
            total: numbers(1)?,
            blended: Blended::new(device, rays, samples)?,
            pairs: device.zeros(rays, PURPOSE)?,
            met: numbers(rays)?,
            places: device.zeros(3 * places, PURPOSE)?,
            codes: device.zeros(photos * code, PURPOSE)?,
            by_codes: device.zeros(photos * code, PURPOSE)?,
            code_of_rays: device.zeros(rays * code, PURPOSE)?,
            sent: Sent {
                rays: device.pinned(rays)?,
                targets: device.pinned(rays)?,
                pairs: device.pinned(rays)?,
                places: device.pinned(3 * places)?,
                wanted: device.pinned(places)?,
                codes: device.pinned(photos * code)?,
                by_codes: device.pinned(photos * code)?,
            },
        })
    }

    /// Makes room for the codes of so many photos.
    pub fn make_room(&mut self, device: &Device, codes: usize) -> OnDevice<()> {
        if self.codes.len() != codes {
            (self.codes, self.by_codes) = (device.zeros(codes, PURPOSE)?, device.zeros(codes, PURPOSE)?);
            (self.sent.codes, self.sent.by_codes) = (device.pinned(codes)?, device.pinned(codes)?);
        }
        Ok(())
    }

    pub fn bytes(size: &Size, code: usize) -> usize {
        let of_ray = size_of::<DeviceRay>() + size_of::<RayTarget>() + size_of::<DevicePair>() + 4 * (3 + 10 + code);
        of_ray * size.rays + 12 * size.places + 8 * size.photos * code + 4 * size.samples
    }
}

/// What is computed for the samples of a step, rows of [`Samples::room`] numbers each.
pub struct Samples {
    /// Samples that there is room for, and from a row to the next: so rows that fill up a network's input stay zero.
    pub room: usize,
    /// Of all samples: positions, rays, normals, opacities, and which of them are kept.
    pub all: OfRays,
    pub normals_of_all: Buffer<f32>,
    pub kept: Buffer<u32>,
    /// Of those that are learned from: positions, rays, opacities.
    pub own: OfRays,
    pub normals: Buffer<f32>,
    /// Of the encoding, `[3 width, room]`.
    pub jacobian: Buffer<f32>,
    /// Of the distance network: activations, gradients, sensitivities, tangents.
    pub h: Activations,
    pub d: Activations,
    pub b: Activations,
    pub f: Activations,
    /// Gradients by normals.
    pub v: Buffer<f32>,
    pub colour_h: Activations,
    pub colour_d: Activations,
    pub colours: Buffer<f32>,
    pub by_colours: Buffer<f32>,
    pub by_alphas: Buffer<f32>,
    /// Distances that places should have.
    pub wanted: Buffer<f32>,
}

/// Samples of rays.
pub struct OfRays {
    pub positions: Buffer<f32>,
    pub alphas: Buffer<f32>,
    pub ray_of: Buffer<u32>,
}

impl OfRays {
    fn new(device: &Device, room: usize) -> OnDevice<Self> {
        Ok(Self {
            positions: device.zeros(3 * room, PURPOSE)?,
            alphas: device.zeros(OPACITY_ROWS * room, PURPOSE)?,
            ray_of: device.zeros(room, PURPOSE)?,
        })
    }
}

impl Samples {
    pub fn new(device: &Device, field: &Field, room: usize) -> OnDevice<Self> {
        let rows = |rows: usize| device.zeros::<f32>(rows * room, PURPOSE);
        let distance = |layers: usize| Activations::new(device, &field.distance, layers, room);
        let colour = || Activations::new(device, &field.colour, 4, room);
        Ok(Self {
            room,
            all: OfRays::new(device, room)?,
            normals_of_all: rows(3)?,
            kept: device.zeros(room, PURPOSE)?,
            own: OfRays::new(device, room)?,
            normals: rows(3)?,
            jacobian: rows(3 * field.grid.width())?,
            h: distance(3)?,
            d: distance(3)?,
            b: distance(2)?,
            f: distance(2)?,
            v: rows(3)?,
            colour_h: colour()?,
            colour_d: colour()?,
            colours: rows(3)?,
            by_colours: rows(3)?,
            by_alphas: rows(1)?,
            wanted: rows(1)?,
        })
    }

    pub fn bytes(field: &Field, room: usize) -> usize {
        let (distance, colour) = (field.distance.widths(), field.colour.widths());
        let networks = 4 * (distance[0] + distance[1]) + 2 * distance[2] + 2 * colour.iter().sum::<usize>();
        let of_rays = 2 * (3 + OPACITY_ROWS + 1) + 1;
        4 * room * (networks + 3 * field.grid.width() + of_rays + 3 * 3 + 2 * 3 + 2)
    }
}
