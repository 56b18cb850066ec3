//! Fewer splats for the same scene: near, alike splats become one.
//!
//! First it is decided which splats belong together ([`clusters`]): rounds of merging pairs, cheapest first, between
//! neighbours in space, until the count is reached. What a merge costs is the squared error that it makes in pictures
//! ([`gaussian`]). Then every cluster becomes the one Gaussian with its mass, mean, covariance and mean colour
//! ([`merge`]); what stayed alone is kept bit for bit.

mod clusters;
mod gaussian;
mod merge;

#[cfg(test)]
mod tests;

pub(crate) use merge::total_mass;

use super::SplatCloud;

/// The scene with exactly `count` splats, or unchanged when it has no more than that. Splats that no renderer draws
/// (opacity below 1/255) go first, then near and similar splats are merged by their moments.
///
/// The result is the same for any number of threads. Beside the scene and its result, some 150 bytes per splat are
/// needed.
///
/// # Panics
/// When the arrays of the cloud differ in length, or it has 2³² - 1 splats or more.
pub fn simplify_to(cloud: &SplatCloud, count: usize) -> SplatCloud {
    simplify_and_measure(cloud, count).cloud
}

/// A simplified scene, and what that changed.
#[derive(Clone, Debug)]
pub struct Simplified {
    /// The scene.
    pub cloud: SplatCloud,
    /// How far merging moved what the splats show, as root mean square over what they cover, in scene units.
    pub moved: f64,
}

/// As [`simplify_to`], with a measure of what it changed.
///
/// # Panics
/// As [`simplify_to`].
pub fn simplify_and_measure(cloud: &SplatCloud, count: usize) -> Simplified {
    assert!(cloud.is_consistent(), "the arrays of a cloud agree in length");
    if count == 0 || count >= cloud.len() {
        return Simplified { cloud: if count == 0 { cloud.select(&[]) } else { cloud.clone() }, moved: 0.0 };
    }
    let (cloud, moved) = merge::merge_all(cloud, &clusters::find(cloud, count));
    Simplified { cloud, moved }
}
