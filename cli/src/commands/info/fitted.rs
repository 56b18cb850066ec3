//! Fitted pictures and shapes.

use crate::report::{Facts, bytes, count, count_of};
use anyhow::Result;
use serde_json::{Value, json};
use std::path::Path;
use tessera_engine::rbf::file::{Content, RbfFile};

/// What an .rbf file holds.
///
/// # Errors
/// When it is damaged.
pub fn about(path: &Path) -> Result<(Facts, Value)> {
    let file = RbfFile::open(path)?;
    let mut facts = Facts::default();
    let mut json = match &file.index.content {
        Content::Image { width, height, channels, tiles } => {
            let kind = match channels {
                1 => "grey",
                3 => "colour",
                _ => "colour with transparency",
            };
            let tiles = tiles.len();
            facts.add("fitted picture", format!("{width}x{height}, {kind}, {}", count_of(tiles, "tile", "tiles")));
            json!({ "kind": "image", "width": width, "height": height, "channels": channels, "tiles": tiles })
        }
        Content::Shape { shape_box } => {
            let [x, y, z] = shape_box.centre;
            facts.add(
                "fitted shape",
                format!("in a cube of side {:.4} around ({x:.4}, {y:.4}, {z:.4})", shape_box.side),
            );
            json!({ "kind": "shape", "centre": shape_box.centre, "side": shape_box.side })
        }
        Content::Radiance(stored) => {
            let bounds = if stored.space.unbounded { "all around a box" } else { "in a box" };
            let degree = stored.sh_degree;
            facts.add("radiance", format!("{bounds}, harmonics up to degree {degree}"));
            json!({ "kind": "radiance", "unbounded": stored.space.unbounded, "sh_degree": degree })
        }
    };
    facts.add("parameters", count(file.numbers() as u128));
    facts.add("file", bytes(file.length()));
    facts.add("written by", format!("tessera {}", file.index.version));
    json["parameters"] = json!(file.numbers());
    json["bytes"] = json!(file.length());
    json["version"] = json!(file.index.version);
    Ok((facts, json))
}
