//! `meta.json`: what the images of a SOG scene mean.

use super::{MAX_PALETTE, PALETTE_ROW, to_log_domain};
use crate::camera::Similarity;
use crate::format::placement;
use crate::format::quantise::byte_logits;
use crate::scene::SplatCloud;
use crate::{DataError, Result};
use serde::Deserialize;
use std::path::Path;

/// What the 256 values of a byte stand for; NaN where a codebook has no such entry.
pub(super) type Table = [f32; 256];

/// The description of a scene, checked, with the differences between the versions gone.
pub(super) struct Meta {
    pub count: usize,
    pub antialiased: bool,
    pub scene_from_world: Similarity,
    /// Of positions, in the log domain.
    pub mins: [f64; 3],
    pub maxs: [f64; 3],
    pub means_files: [String; 2],
    pub quats_file: String,
    pub scales: [Table; 3],
    pub scales_file: String,
    pub sh0: [Table; 3],
    pub opacity: Table,
    pub sh0_file: String,
    pub palette: Option<PaletteMeta>,
}

/// Where the spherical harmonics above degree 0 are.
pub(super) struct PaletteMeta {
    /// What version 2 says; version 1 leaves it to the width of the image.
    pub degree: Option<u8>,
    /// Number of entries, in version 2.
    pub entries: Option<usize>,
    pub table: Table,
    pub centroids_file: String,
    pub labels_file: String,
}

/// What `meta.json` says for programs like this one.
#[derive(Deserialize)]
struct TesseraKey {
    scene_from_world: [f64; 8],
}

#[derive(Deserialize)]
struct Raw {
    version: Option<u64>,
    count: Option<u64>,
    model: Option<String>,
    antialias: Option<bool>,
    means: RawLayer,
    quats: RawLayer,
    scales: RawLayer,
    sh0: RawLayer,
    #[serde(rename = "shN")]
    sh_rest: Option<RawLayer>,
    tessera: Option<TesseraKey>,
}

#[derive(Deserialize)]
struct RawLayer {
    shape: Option<Vec<u64>>,
    mins: Option<Numbers>,
    maxs: Option<Numbers>,
    codebook: Option<Vec<f64>>,
    count: Option<u64>,
    bands: Option<u64>,
    files: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Numbers {
    One(f64),
    Many(Vec<f64>),
}

impl Meta {
    /// Understands `meta.json`; `path` is for messages.
    pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        let raw: Raw =
            serde_json::from_slice(bytes).map_err(|e| damaged(path, format!("does not describe a SOG scene ({e})")))?;
        let damaged = |what: &str| damaged(path, what);
        let [means_l, means_u] = files(&raw.means, "means", path)?;
        let [quats_file] = files(&raw.quats, "quats", path)?;
        let [scales_file] = files(&raw.scales, "scales", path)?;
        let [sh0_file] = files(&raw.sh0, "sh0", path)?;
        let first_version = match raw.version {
            None => true,
            Some(2) => false,
            Some(other) => {
                let reason = format!("is of SOG version {other}, and only versions 1 and 2 are known");
                return Err(DataError::new(path, reason).remedy("export it as version 2"));
            }
        };
        let count = if first_version { raw.means.shape.as_ref().and_then(|s| s.first().copied()) } else { raw.count };
        let count = count.ok_or_else(|| damaged("does not say how many splats there are"))?;
        let (mins, maxs) = ranges::<3>(&raw.means, "means", path)?;
        let largest = to_log_domain(f64::from(f32::MAX));
        if mins.iter().chain(&maxs).any(|m| m.abs() > largest) {
            return Err(damaged("has a range of positions that is too large for numbers of 32 bits"));
        }
        let (scales, sh0, opacity) = if first_version {
            let [r, g, b, a] = linear_tables::<4>(&raw.sh0, "sh0", path)?;
            (linear_tables::<3>(&raw.scales, "scales", path)?, [r, g, b], a)
        } else {
            let (scales, sh0) = (codebook(&raw.scales, "scales", path)?, codebook(&raw.sh0, "sh0", path)?);
            ([scales; 3], [sh0; 3], byte_logits())
        };
        Ok(Self {
            count: usize::try_from(count).map_err(|_| damaged("claims more splats than a computer can hold"))?,
            antialiased: raw.antialias.unwrap_or(false) || raw.model.as_deref() == Some("antialiased"),
            scene_from_world: match raw.tessera {
                Some(key) => placement::from_numbers(key.scene_from_world)
                    .ok_or_else(|| damaged("has a damaged scene_from_world"))?,
                None => Similarity::identity(),
            },
            mins,
            maxs,
            means_files: [means_l, means_u],
            quats_file,
            scales,
            scales_file,
            sh0,
            opacity,
            sh0_file,
            palette: raw.sh_rest.map(|layer| PaletteMeta::new(&layer, first_version, path)).transpose()?.flatten(),
        })
    }
}

impl PaletteMeta {
    /// None when version 2 says that there is nothing above degree 0.
    fn new(layer: &RawLayer, first_version: bool, path: &Path) -> Result<Option<Self>> {
        let [centroids_file, labels_file] = files(layer, "shN", path)?;
        if first_version {
            let [table] = linear_tables::<1>(layer, "shN", path)?;
            return Ok(Some(Self { degree: None, entries: None, table, centroids_file, labels_file }));
        }
        let degree = match layer.bands {
            Some(0) => return Ok(None),
            Some(bands @ 1..=3) => Some(bands as u8),
            _ => return Err(damaged(path, "has spherical harmonics of no degree from 1 to 3")),
        };
        let entries = match layer.count {
            None => None,
            Some(n) if (1..=MAX_PALETTE as u64).contains(&n) => Some(n as usize),
            Some(n) => {
                let reason = format!("has a palette of {n} entries, and indices of 16 bits reach {MAX_PALETTE}");
                return Err(damaged(path, reason));
            }
        };
        Ok(Some(Self { degree, entries, table: codebook(layer, "shN", path)?, centroids_file, labels_file }))
    }

    /// The degree and the number of entries of a palette whose image has this size.
    pub(super) fn shape(&self, width: u32, height: u32, path: &Path) -> Result<(u8, usize)> {
        let row = PALETTE_ROW as u32;
        let degree = (1..=3).find(|&d| row * SplatCloud::rest_coefficients(d) as u32 == width);
        let degree = degree.filter(|d| self.degree.is_none_or(|stated| stated == *d)).ok_or_else(|| {
            let stated = self.degree.map_or_else(|| "1, 2 or 3".to_owned(), |d| d.to_string());
            damaged(path, format!("is {width} pixels wide, which is no palette of degree {stated}"))
                .remedy("it should be 192, 512 or 960 for degree 1, 2 or 3")
        })?;
        let room = PALETTE_ROW * height as usize;
        let entries = self.entries.unwrap_or(room.min(MAX_PALETTE));
        if entries > room {
            let reason = format!("has room for {room} palette entries, and there should be {entries}");
            return Err(damaged(path, reason));
        }
        Ok((degree, entries))
    }
}

fn damaged(path: &Path, reason: impl Into<String>) -> DataError {
    DataError::new(path, reason).remedy("export the scene again")
}

fn files<const N: usize>(layer: &RawLayer, name: &str, path: &Path) -> Result<[String; N]> {
    <[String; N]>::try_from(layer.files.clone())
        .map_err(|files| damaged(path, format!("names {} files for '{name}' where there should be {N}", files.len())))
}

fn ranges<const N: usize>(layer: &RawLayer, name: &str, path: &Path) -> Result<([f64; N], [f64; N])> {
    let numbers = |numbers: &Option<Numbers>| {
        let numbers = match numbers {
            Some(Numbers::One(n)) => std::slice::from_ref(n),
            Some(Numbers::Many(all)) => all,
            None => &[],
        };
        <[f64; N]>::try_from(numbers).ok().filter(|all| all.iter().all(|n| n.is_finite()))
    };
    numbers(&layer.mins)
        .zip(numbers(&layer.maxs))
        .ok_or_else(|| damaged(path, format!("has no 'mins' and 'maxs' of {N} numbers each for '{name}'")))
}

/// A byte's place between a minimum and a maximum, for each channel.
fn linear_tables<const N: usize>(layer: &RawLayer, name: &str, path: &Path) -> Result<[Table; N]> {
    let (mins, maxs) = ranges::<N>(layer, name, path)?;
    let entry = |i: usize, byte: usize| (mins[i] + (maxs[i] - mins[i]) * byte as f64 / 255.0) as f32;
    let tables: [Table; N] = std::array::from_fn(|i| std::array::from_fn(|byte| entry(i, byte)));
    if tables.iter().flatten().all(|v| v.is_finite()) {
        Ok(tables)
    } else {
        Err(damaged(path, format!("has a range for '{name}' that is too large for numbers of 32 bits")))
    }
}

fn codebook(layer: &RawLayer, name: &str, path: &Path) -> Result<Table> {
    let entries = layer.codebook.as_deref().unwrap_or_default();
    if !(1..=256).contains(&entries.len()) {
        let reason = format!("has a codebook of {} entries for '{name}' where there should be 256", entries.len());
        return Err(damaged(path, reason));
    }
    let mut table = [f32::NAN; 256];
    for (slot, entry) in table.iter_mut().zip(entries) {
        *slot = *entry as f32;
        if !slot.is_finite() {
            let reason = format!("has a codebook entry for '{name}' that is too large for a number of 32 bits");
            return Err(damaged(path, reason));
        }
    }
    Ok(table)
}
