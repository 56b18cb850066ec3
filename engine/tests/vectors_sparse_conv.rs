//! The layers on sparse voxels against golden vectors, forward and backward, on a device. Those of the CPU are compared with the crate of kernels.

#[path = "../../kernels/tests/common/mod.rs"]
mod common;

use common::{Case, for_each_case};
use rand::SeedableRng;
use rand_pcg::Pcg64;
use std::sync::Arc;
use tessera_engine::generate::tape::{Compressed, Initial, Parameter, Parameters, Tape, Var};
use tessera_engine::generate::{OnDevice, Place};
use tessera_kernels::dense::Activation;
use tessera_kernels::device::{Device, Precision};
use tessera_kernels::sparse_conv::{Neighbours, Sites};

tessera_emulator::on_devices! {
    fast_device: convolutions_and_resampling_agree_on_a_device
}

fn convolutions_and_resampling_agree_on_a_device(open: &dyn Fn() -> Device) {
    let place: Arc<dyn Place> = Arc::new(OnDevice::new(&open(), Precision::Single).expect("kernels"));
    for_each_case("sparse_conv", "device", |case| {
        let coordinates: Vec<[i32; 4]> = case.shared_i32("coords").as_chunks::<4>().0.to_vec();
        let layers = Layers::new(case, Sites::new(coordinates), &place);
        match case.name {
            "conv3" => layers.check(case, &["kernel", "bias"], |own, tape, x| own.convolved(tape, x, "kernel", "bias")),
            "point_conv" => layers.check(case, &["kernel", "bias"], |own, tape, x| {
                let alone = Arc::new(Neighbours::alone(own.sites.len()));
                tape.convolution(x, &alone, own.of("kernel"), own.of("bias"))
            }),
            "down" => layers.check(case, &[], |own, tape, x| tape.pool(x, &own.compressed())),
            "up" => layers.check(case, &[], |_, tape, x| tape.subdivide(x)),
            // conv3(meanpool(silu(conv3(x)))).
            "block" => layers.check(case, &["k1", "b1", "k2", "b2"], |own, tape, x| {
                let h = own.convolved(tape, x, "k1", "b1");
                let h = tape.activation(h, Activation::Silu);
                let h = tape.pool(h, &own.compressed());
                let coarse = Arc::new(own.sites.parents().0.neighbours());
                tape.convolution(h, &coarse, own.of("k2"), own.of("b2"))
            }),
            other => panic!("case {other} is not known"),
        }
    });
}

/// A case's voxels and tensors.
struct Layers {
    sites: Sites,
    parameters: Parameters,
}

impl Layers {
    fn new(case: &Case, sites: Sites, place: &Arc<dyn Place>) -> Self {
        let mut parameters = Parameters::default();
        parameters.place_on(place);
        for name in ["x", "kernel", "bias", "k1", "b1", "k2", "b2"].into_iter().filter(|name| case.has(name)) {
            let parameter = parameters.add(name, &case.shape(name), Initial::Zeros, &mut Pcg64::seed_from_u64(0));
            parameters.set(parameter, case.f32(name));
        }
        Self { sites, parameters }
    }

    fn of(&self, name: &str) -> Parameter {
        self.parameters.named(name).unwrap_or_else(|| panic!("no tensor is called {name}"))
    }

    fn convolved(&self, tape: &mut Tape<'_>, x: Var, kernel: &str, bias: &str) -> Var {
        tape.convolution(x, &Arc::new(self.sites.neighbours()), self.of(kernel), self.of(bias))
    }

    fn compressed(&self) -> Arc<Compressed> {
        let (parents, rows) = self.sites.parents();
        Arc::new(Compressed { parents: rows, count: parents.len() })
    }

    fn check(&self, case: &Case, learned: &[&str], run: impl Fn(&Self, &mut Tape<'_>, Var) -> Var) {
        let mut tape = Tape::new(&self.parameters);
        let x = tape.parameter(self.of("x"));
        let y = run(self, &mut tape, x);
        case.compare("y", &tape.read(y).expect("numbers"));
        let gradients = tape.backward(vec![(y, case.f32("v_y"))]).expect("gradients");
        for name in learned.iter().chain(&["x"]) {
            let gradient = gradients[self.of(name).index()].as_ref();
            case.compare(&format!("d_{name}"), gradient.unwrap_or_else(|| panic!("{name} has no gradient")));
        }
    }
}
