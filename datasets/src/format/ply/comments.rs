//! What splat PLY files say in comments, because their layouts have no place for it: `comment antialiased 1` (Postshot's),
//! `comment SplatRenderMode: mip` (Brush's), and `comment tessera scene_from_world` with translation (3), quaternion w x y z (4) and scale (1).

use super::header::Header;
use crate::camera::Similarity;
use crate::format::placement;
use crate::format::stream::SplatHeader;
use crate::{DataError, Result};
use std::path::Path;

const ANTIALIASED: [&str; 2] = ["antialiased", "tessera antialiased"];
/// Brush's comment; its value is `default`, `mip` or `2dgs`.
const RENDER_MODE: &str = "SplatRenderMode:";
const SCENE_FROM_WORLD: &str = "tessera scene_from_world";

/// Whether splats are to be drawn antialiased, and where they lie in the captured world.
pub(in crate::format) fn read(header: &Header, path: &Path) -> Result<(bool, Similarity)> {
    let flagged = header.comment_values(&ANTIALIASED).is_some_and(|v| matches!(v[..], ["1" | "true"]));
    let mip = header.comment_values(&[RENDER_MODE]).is_some_and(|v| v == ["mip"]);
    let scene_from_world = match header.comment_values(&[SCENE_FROM_WORLD]) {
        None => Similarity::identity(),
        Some(values) => placement::parse(&values).ok_or_else(|| {
            DataError::new(path, format!("has a damaged comment '{SCENE_FROM_WORLD}'")).remedy("remove that line")
        })?,
    };
    Ok((flagged || mip, scene_from_world))
}

/// The lines that say so.
pub(in crate::format) fn lines(header: &SplatHeader) -> String {
    // Programs know one or the other.
    let antialiased = if header.antialiased { "comment antialiased 1\ncomment SplatRenderMode: mip\n" } else { "" };
    format!("{antialiased}{}", scene_from_world(&header.scene_from_world))
}

/// The line that says where the captured world is, unless it is where the file is.
pub(in crate::format) fn scene_from_world(similarity: &Similarity) -> String {
    if *similarity == Similarity::identity() {
        return String::new();
    }
    format!("comment {SCENE_FROM_WORLD} {}\n", placement::text(similarity))
}
