//! What the SOG reader and writer promise.

mod handmade;
mod read;

use crate::scene::SplatCloud;
use std::path::PathBuf;

/// A file of the development data, if it is there.
fn shared(name: &str) -> Option<PathBuf> {
    let data = std::env::var_os("TESSERA_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")), PathBuf::from);
    Some(data.join("splats").join(name)).filter(|path| path.exists())
}

/// The largest difference between two numbers at the same place; NaN where there is one.
fn difference<'a>(a: impl IntoIterator<Item = &'a f32>, b: impl IntoIterator<Item = &'a f32>) -> f32 {
    a.into_iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |most, d| if d > most || d.is_nan() { d } else { most })
}

/// Every number that a scene holds.
fn numbers(cloud: &SplatCloud) -> impl Iterator<Item = &f32> {
    let fixed = cloud.means.iter().chain(&cloud.log_scales).chain(&cloud.sh0).flatten();
    fixed.chain(cloud.quats.iter().flatten()).chain(&cloud.opacity_logits).chain(&cloud.sh_rest)
}
