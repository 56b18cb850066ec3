//! The decoder of anchors, its gradients, the distance between student and teacher, and how the teacher follows, against golden
//! vectors. Block weights are the engine's.

mod common;

use common::{Case, for_each_case_named};
use tessera_kernels::anchor_decoder::{
    AnchorDecoder, AnchorGradients, Anchors, Decoding, GaussianGradients, Gaussians, Gaze, Head, Keep, consistency,
    follow,
};
use tessera_kernels::simd::{Backend, best_backend, select_backend};

/// The names of a network's four tensors in the vectors.
fn names(prefix: &str, head: Head) -> [String; 4] {
    let letter = match head {
        Head::Opacity => 'o',
        Head::Covariance => 'c',
        Head::Colour => 'k',
    };
    ["w1", "b1", "w2", "b2"].map(|tensor| format!("{prefix}{letter}{tensor}"))
}

/// The anchors, camera and student that all cases share.
struct Scene {
    decoder: AnchorDecoder,
    positions: Vec<f32>,
    offsets: Vec<f32>,
    log_scaling: Vec<f32>,
    features: Vec<f32>,
    centre: [f32; 3],
    chosen: Vec<u32>,
}

impl Scene {
    fn of(case: &Case) -> Self {
        let shared = |name: &str| case.f32_of("decode", name);
        let positions = shared("anchors");
        let count = positions.len() / 3;
        let (offsets, features) = (shared("offsets"), shared("features"));
        let decoder = AnchorDecoder { features: features.len() / count, offsets: offsets.len() / (3 * count) };
        let centre = shared("camera_centre").try_into().expect("three numbers");
        let chosen = (0..count as u32).collect();
        Self { decoder, positions, offsets, log_scaling: shared("log_scaling"), features, centre, chosen }
    }

    fn anchors(&self) -> Anchors<'_> {
        let Self { positions, offsets, log_scaling, features, .. } = self;
        Anchors { positions, offsets, log_scaling, features }
    }

    fn parameters(&self, case: &Case, prefix: &str, of: &str) -> Vec<f32> {
        let all: Vec<f32> =
            Head::ALL.iter().flat_map(|&head| names(prefix, head)).flat_map(|name| case.f32_of(of, &name)).collect();
        assert_eq!(all.len(), self.decoder.parameters());
        all
    }

    fn decode(&self, parameters: &[f32], keep: Keep<'_>) -> (Decoding, Gaussians) {
        let mut decoding = Decoding::new(self.decoder);
        let gaze = Gaze::From(self.centre);
        let gaussians = decoding.forward(parameters, &self.anchors(), &self.chosen, gaze, keep).clone();
        (decoding, gaussians)
    }

    fn differentiate(&self, decoding: &mut Decoding, upstream: &GaussianGradients) -> AnchorGradients {
        let mut out = AnchorGradients::default();
        decoding.backward(&self.anchors(), &self.chosen, Gaze::From(self.centre), upstream, &mut out);
        out
    }

    fn compare_decoder(&self, case: &Case, gradient: &[f32]) {
        for head in Head::ALL {
            for (name, range) in names("s_", head).into_iter().zip(self.decoder.tensors(head)) {
                case.compare(&format!("d_{name}"), &gradient[range]);
            }
        }
    }
}

fn decode(case: &Case) {
    let scene = Scene::of(case);
    let student = scene.parameters(case, "s_", "decode");
    let (mut decoding, gaussians) = scene.decode(&student, Keep::Opaque);
    case.compare("opacity", &gaussians.opacities);
    case.compare("kept", &gaussians.kept);
    case.compare("mean", &gaussians.means);
    case.compare("scale", &gaussians.scales);
    case.compare("quat", &gaussians.quats);
    case.compare("colour", &gaussians.colours);
    let upstream = GaussianGradients {
        opacities: case.f32("v_opacity"),
        means: case.f32("v_mean"),
        scales: case.f32("v_scale"),
        quats: case.f32("v_quat"),
        colours: case.f32("v_colour"),
    };
    let found = scene.differentiate(&mut decoding, &upstream);
    case.compare("d_anchors", &found.positions);
    case.compare("d_offsets", &found.offsets);
    case.compare("d_log_scaling", &found.log_scaling);
    case.compare("d_features", &found.features);
    scene.compare_decoder(case, &found.decoder);
}

fn student_and_teacher(case: &Case) {
    let scene = Scene::of(case);
    let student = scene.parameters(case, "s_", "decode");
    let teacher = scene.parameters(case, "t_", "consistency_attached");
    let (mut decoding, made) = scene.decode(&student, Keep::Opaque);
    let (mut teaching, wanted) = scene.decode(&teacher, Keep::Slots(&made.kept));
    let mut gradient = GaussianGradients::default();
    gradient.clear(&made);
    let weight = case.f32("v_consistency")[0];
    let value = consistency(&made, &wanted, weight, &mut gradient);
    case.compare("consistency", &[value]);
    let mut found = scene.differentiate(&mut decoding, &gradient);
    if case.name == "consistency_attached" {
        // What the public code does: its gradient also reaches the features through the teacher.
        for field in [&mut gradient.opacities, &mut gradient.scales, &mut gradient.quats, &mut gradient.colours] {
            field.iter_mut().for_each(|v| *v = -*v);
        }
        let through_teacher = scene.differentiate(&mut teaching, &gradient);
        found.features.iter_mut().zip(through_teacher.features).for_each(|(sum, v)| *sum += v);
    }
    case.compare("d_features", &found.features);
    scene.compare_decoder(case, &found.decoder);
}

fn teacher_follows(case: &Case) {
    let (mut teacher, mut after) = (case.f32("start"), Vec::new());
    for student in case.f32("student").chunks(teacher.len()) {
        follow(&mut teacher, student, 0.9);
        after.extend_from_slice(&teacher);
    }
    case.compare("after", &after);
}

#[test]
fn anchors_students_and_teachers_agree() {
    for (variant, backend) in [("portable", Backend::Portable), ("best", best_backend())] {
        select_backend(backend);
        let of_decoders = |name: &str| matches!(name, "decode" | "teacher") || name.starts_with("consistency");
        for_each_case_named("momentum", variant, of_decoders, |case| match case.name {
            "decode" => decode(case),
            "teacher" => teacher_follows(case),
            _ => student_and_teacher(case),
        });
    }
}
