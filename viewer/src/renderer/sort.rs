//! Radix sort on the graphics device.
//!
//! Four rounds of six bits over 24-bit keys with 32-bit values. In each round every key is read twice and moved once:
//! 24 bytes a round and splat, so 4M splats move 400 MB.

use super::gpu::Gpu;
use super::shaders::{Binding, SORT, bind, group_layout};
use super::uniforms::{BLOCKS_OFFSET, SortPass};
use wgpu::util::DeviceExt;

const ROUNDS: usize = 4;
const DIGIT_BITS: usize = 6;
const BLOCK: u64 = 4096;

/// The sort's pipelines.
#[derive(Debug)]
pub(super) struct Sorter {
    count: wgpu::ComputePipeline,
    scan: wgpu::ComputePipeline,
    scatter: wgpu::ComputePipeline,
    shared: wgpu::BindGroupLayout,
    round: wgpu::BindGroupLayout,
}

/// Keys and values for up to a number of splats. After a sort, [`Self::keys`] are in ascending order and
/// [`Self::values`] say where they came from.
#[derive(Debug)]
pub(super) struct SortBuffers {
    keys: [wgpu::Buffer; 2],
    values: [wgpu::Buffer; 2],
    shared: wgpu::BindGroup,
    rounds: Vec<wgpu::BindGroup>,
}

impl Sorter {
    pub fn new(gpu: &Gpu) -> Self {
        use Binding::{Read, Uniform, Write};
        let device = &gpu.device;
        let stages = wgpu::ShaderStages::COMPUTE;
        let shared = group_layout(device, stages, &[Read, Write]);
        let round = group_layout(device, stages, &[Uniform, Read, Read, Write, Write]);
        let pipeline = |entry| SORT.compute(device, entry, &[&shared, &round]);
        let [count, scan, scatter] = ["count", "scan", "scatter"].map(pipeline);
        Self { count, scan, scatter, shared, round }
    }

    /// Buffers for `capacity` keys, whose number is in `arguments` when they are sorted.
    pub fn buffers(&self, gpu: &Gpu, capacity: u64, arguments: &wgpu::Buffer) -> SortBuffers {
        let device = &gpu.device;
        let buffer = |label, words: u64| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: 4 * words.max(4),
                usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        };
        let keys = ["keys", "keys too"].map(|label| buffer(label, capacity));
        let values = ["values", "values too"].map(|label| buffer(label, capacity));
        let counts = buffer("digit counts", capacity.div_ceil(BLOCK) << DIGIT_BITS);
        let shared = bind(device, &self.shared, &[arguments.as_entire_binding(), counts.as_entire_binding()]);
        let round = |i: usize| {
            let pass = SortPass { shift: (i * DIGIT_BITS) as u32, numbers_values: u32::from(i == 0), pad: [0; 2] };
            let uniform = device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
                label: Some("sort round"),
                contents: bytemuck::bytes_of(&pass),
                usage: wgpu::BufferUsages::UNIFORM,
            });
            let (from, to) = (i % 2, (i + 1) % 2);
            let buffers = [&uniform, &keys[from], &values[from], &keys[to], &values[to]];
            bind(device, &self.round, &buffers.map(wgpu::Buffer::as_entire_binding))
        };
        let rounds = (0..ROUNDS).map(round).collect();
        SortBuffers { keys, values, shared, rounds }
    }

    /// Sorts as many keys as `arguments` says.
    pub fn sort(&self, pass: &mut wgpu::ComputePass<'_>, buffers: &SortBuffers, arguments: &wgpu::Buffer) {
        pass.set_pipeline(&self.count);
        pass.set_bind_group(0, &buffers.shared, &[]);
        for round in &buffers.rounds {
            pass.set_bind_group(1, round, &[]);
            pass.set_pipeline(&self.count);
            pass.dispatch_workgroups_indirect(arguments, BLOCKS_OFFSET);
            pass.set_pipeline(&self.scan);
            pass.dispatch_workgroups(1, 1, 1);
            pass.set_pipeline(&self.scatter);
            pass.dispatch_workgroups_indirect(arguments, BLOCKS_OFFSET);
        }
    }
}

impl SortBuffers {
    /// Keys, sorted after a sort.
    pub fn keys(&self) -> &wgpu::Buffer {
        &self.keys[0]
    }

    /// Where each sorted key was.
    pub fn values(&self) -> &wgpu::Buffer {
        &self.values[0]
    }
}

const _: () = assert!(ROUNDS.is_multiple_of(2), "the last round writes into the first buffers");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::renderer::readback::{read, staging};
    use crate::renderer::testing;
    use crate::renderer::uniforms::Arguments;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    /// Sorts on the device: keys and where they came from.
    fn sort(gpu: &Gpu, keys: &[u32], capacity: u64) -> (Vec<u32>, Vec<u32>) {
        let sorter = Sorter::new(gpu);
        let count = keys.len() as u32;
        let arguments = gpu.device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
            label: None,
            contents: bytemuck::bytes_of(&Arguments {
                blocks: [count.div_ceil(BLOCK as u32), 1, 1],
                count,
                ..Arguments::default()
            }),
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::INDIRECT,
        });
        let buffers = sorter.buffers(gpu, capacity, &arguments);
        gpu.queue.write_buffer(buffers.keys(), 0, bytemuck::cast_slice(keys));
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        sorter.sort(&mut encoder.begin_compute_pass(&Default::default()), &buffers, &arguments);
        let size = 4 * keys.len() as u64;
        let copies = [buffers.keys(), buffers.values()].map(|buffer| {
            let copy = staging(gpu, size.max(4));
            encoder.copy_buffer_to_buffer(buffer, 0, &copy, 0, size);
            copy
        });
        gpu.queue.submit([encoder.finish()]);
        let words = |copy| {
            let bytes = pollster::block_on(read(gpu, copy)).unwrap();
            bytemuck::pod_collect_to_vec::<u8, u32>(&bytes)[..keys.len()].to_vec()
        };
        (words(&copies[0]), words(&copies[1]))
    }

    #[test]
    fn random_keys_are_sorted_and_equal_ones_keep_their_order() {
        let Some(gpu) = testing::gpu() else { return };
        let seed = tessera_test_seed::test_seed();
        println!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        // Fewer than a thread's share, a block, its neighbours, and several blocks with a part of one; few and many values.
        for (count, values) in [(1, 8), (63, 1 << 24), (4096, 5), (4097, 1 << 24), (50_000, 1 << 24), (30_001, 300)] {
            let keys: Vec<u32> = (0..count).map(|_| rng.random_range(0..values)).collect();
            let mut expected: Vec<u32> = (0..count as u32).collect();
            expected.sort_by_key(|&i| keys[i as usize]);
            let (sorted, order) = sort(&gpu, &keys, 60_000);
            assert_eq!(order, expected, "{count} keys below {values}");
            assert!(sorted.is_sorted());
        }
    }
}
