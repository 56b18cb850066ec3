//! How far two decoders are from each other, and how one follows the other.

use super::{GaussianGradients, Gaussians};
use rayon::prelude::*;

/// Numbers that one task compares.
const CHUNK: usize = 16_384;

/// The sum of four mean squared differences between what two decoders made of the same anchors: of colours, unit quaternions and
/// scales of the Gaussians that are kept, and of the opacities of all.
///
/// `weight` times its gradient with respect to `student` is added to `gradient`; that with respect to `teacher` is the opposite.
///
/// # Panics
/// When the two have not kept the same.
pub fn consistency(student: &Gaussians, teacher: &Gaussians, weight: f32, gradient: &mut GaussianGradients) -> f64 {
    assert!(student.kept == teacher.kept, "the teacher must decode what the student kept");
    let pairs = [
        (&student.colours, &teacher.colours, &mut gradient.colours),
        (&student.quats, &teacher.quats, &mut gradient.quats),
        (&student.scales, &teacher.scales, &mut gradient.scales),
        (&student.opacities, &teacher.opacities, &mut gradient.opacities),
    ];
    pairs.into_iter().map(|(s, t, v)| mean_squared_difference(s, t, weight, v)).sum()
}

fn mean_squared_difference(student: &[f32], teacher: &[f32], weight: f32, v: &mut [f32]) -> f64 {
    assert!(student.len() == teacher.len() && student.len() == v.len(), "tensors of the same size");
    let count = student.len().max(1) as f64;
    let factor = (2.0 * f64::from(weight) / count) as f32;
    let compare = |((student, teacher), v): ((&[f32], &[f32]), &mut [f32])| {
        let mut sum = 0.0f64;
        for ((s, t), v) in student.iter().zip(teacher).zip(v) {
            let difference = s - t;
            *v += factor * difference;
            sum += f64::from(difference).powi(2);
        }
        sum
    };
    let chunks = student.par_chunks(CHUNK).zip(teacher.par_chunks(CHUNK)).zip(v.par_chunks_mut(CHUNK));
    // Collected first, so that the sum does not depend on the threads.
    let sums: Vec<f64> = chunks.map(compare).collect();
    sums.into_iter().sum::<f64>() / count
}

/// Takes a teacher a step towards its student: `teacher ← momentum teacher + (1 - momentum) student`.
pub fn follow(teacher: &mut [f32], student: &[f32], momentum: f32) {
    for (teacher, student) in teacher.iter_mut().zip(student) {
        *teacher = momentum * *teacher + (1.0 - momentum) * student;
    }
}
