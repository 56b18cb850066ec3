//! Between sites and their parents or children.

use super::CHILDREN;

/// The mean of the children that are there, `[parents, channels]`, from features `[N, channels]`; `parents` names each site's row among them.
pub fn mean_of_children(features: &[f32], parents: &[u32], channels: usize, count: usize) -> Vec<f32> {
    let shares = shares(parents, count);
    let mut means = vec![0.0; count * channels];
    for (row, &parent) in features.chunks_exact(channels).zip(parents) {
        let own = &mut means[parent as usize * channels..][..channels];
        own.iter_mut().zip(row).for_each(|(mean, value)| *mean += shares[parent as usize] * value);
    }
    means
}

/// The gradient of [`mean_of_children`] by its features, from that by the means.
pub fn mean_of_children_backward(by_means: &[f32], parents: &[u32], channels: usize) -> Vec<f32> {
    let shares = shares(parents, by_means.len() / channels);
    let mut gradient = Vec::with_capacity(parents.len() * channels);
    for &parent in parents {
        let row = &by_means[parent as usize * channels..][..channels];
        gradient.extend(row.iter().map(|value| shares[parent as usize] * value));
    }
    gradient
}

/// One over how many children each parent has.
fn shares(parents: &[u32], count: usize) -> Vec<f32> {
    let mut children = vec![0u32; count];
    parents.iter().for_each(|&parent| children[parent as usize] += 1);
    children.into_iter().map(|n| 1.0 / n.max(1) as f32).collect()
}

/// The features of each site for all of its children, `[8 N, channels]`.
pub fn copies_for_children(features: &[f32], channels: usize) -> Vec<f32> {
    features.chunks_exact(channels).flat_map(|row| std::iter::repeat_n(row, CHILDREN)).flatten().copied().collect()
}

/// The gradient of [`copies_for_children`] by its features, from that by the copies.
pub fn copies_for_children_backward(by_copies: &[f32], channels: usize) -> Vec<f32> {
    let mut gradient = Vec::with_capacity(by_copies.len() / CHILDREN);
    for copies in by_copies.chunks_exact(CHILDREN * channels) {
        gradient.extend((0..channels).map(|c| copies[c..].iter().step_by(channels).sum::<f32>()));
    }
    gradient
}
