//! The splat formats: which file is of which, and what each can hold.

use super::atomic::folder_of;
use super::input::Input;
use super::stream::{SplatHeader, SplatSink, SplatSource};
use super::tiles::StartCamera;
use super::{
    AtomicFile, Existing, SogVersion, SpzVersion, compressed_ply, gltf, ksplat, lod_meta, ply, sog, splat, spz, tiles,
};
use crate::camera::Similarity;
use crate::{DataError, Result};
use std::path::{Path, PathBuf};

/// A splat file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplatFormat {
    /// The INRIA layout in a PLY file: 32-bit floats, nothing lost.
    Ply,
    /// PlayCanvas's packed PLY: ranges of values for every 256 splats.
    CompressedPly,
    /// antimatter15's 32 bytes per splat.
    Splat,
    /// Niantic's compressed streams of quantised attributes.
    Spz,
    /// glTF in one file with `KHR_gaussian_splatting`, in 32-bit floats.
    Glb,
    /// glTF as JSON text, with its data in other files or in the text; written with one `.bin` file beside it.
    Gltf,
    /// PlayCanvas's images of quantised attributes, bundled or in a folder.
    Sog,
    /// PlayCanvas's SOG scenes at several levels of detail, with their description.
    LodMeta,
    /// Our pages at many levels of detail, in a folder, to be streamed.
    Tiles,
    /// Quantised buckets of mkkellogg's viewer, read only.
    Ksplat,
}

/// How a file is written, where a format leaves a choice.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// Whether splats stay in their order, even where another one would make the file smaller or draw sooner.
    pub keep_order: bool,
    /// Of SPZ files.
    pub spz_version: SpzVersion,
    /// Of SOG scenes, but for streamed ones.
    pub sog_version: SogVersion,
    /// Which direction is up in stored coordinates, where that is known. Streamed scenes say it.
    pub up: Option<[f32; 3]>,
    /// Where to begin looking from; otherwise a streamed scene is looked at from before its middle.
    pub camera: Option<StartCamera>,
}

impl SplatFormat {
    /// All formats, those that are only read last.
    pub const ALL: &[Self] = &[
        Self::Ply,
        Self::CompressedPly,
        Self::Splat,
        Self::Spz,
        Self::Sog,
        Self::Glb,
        Self::Gltf,
        Self::Tiles,
        Self::LodMeta,
        Self::Ksplat,
    ];

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ply => "PLY",
            Self::CompressedPly => "compressed PLY",
            Self::Splat => ".splat",
            Self::Spz => "SPZ",
            Self::Glb => "GLB",
            Self::Gltf => "glTF",
            Self::Sog => "SOG",
            Self::Tiles => "streamed scene",
            Self::Ksplat => ".ksplat",
            Self::LodMeta => "streamed SOG",
        }
    }

    /// The end of the names of its files, most telling first: `.compressed.ply` comes before `.ply`.
    pub fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Ply => &[".ply"],
            Self::CompressedPly => &[".compressed.ply"],
            Self::Splat => &[".splat"],
            Self::Spz => &[".spz"],
            Self::Glb => &[".glb"],
            Self::Gltf => &[".gltf"],
            Self::Sog => &[".sog", "meta.json"],
            Self::Tiles => &[".tiles", "tiles.json"],
            Self::Ksplat => &[".ksplat"],
            Self::LodMeta => &["lod-meta.json"],
        }
    }

    /// Whether it can be written.
    pub fn writes(self) -> bool {
        self != Self::Ksplat
    }

    /// Whether a scene of this name is one file that describes others beside it.
    pub fn has_companions(self, path: &Path) -> bool {
        let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        is_json && matches!(self, Self::Sog | Self::LodMeta)
    }

    /// What a scene of this name consists of where it was written here: files, or a folder.
    pub fn places(self, path: &Path) -> Vec<PathBuf> {
        if self.has_companions(path) {
            return vec![folder_of(path).to_owned()];
        }
        let data = gltf::data_file(path).filter(|_| self == Self::Gltf);
        std::iter::once(path.to_owned()).chain(data).collect()
    }

    /// The files and folders beside this file that belong to its scene and to nothing else.
    pub(super) fn companions(self, path: &Path) -> Vec<String> {
        if self == Self::LodMeta { lod_meta::scenes_of(path) } else { Vec::new() }
    }

    /// What of a scene with this header it cannot hold, or holds less exactly, in words for the user.
    pub fn losses(self, header: &SplatHeader, options: &WriteOptions) -> Vec<String> {
        let mut losses: Vec<String> = match self {
            Self::Ply | Self::Ksplat => Vec::new(),
            Self::Sog => vec![options.sog_version.precision()],
            Self::LodMeta => vec![SogVersion::V2.precision()],
            Self::CompressedPly => vec![
                "positions, scales and colours in 8 to 11 bits between the least and the largest of 256 neighbours, \
                 rotations to 0.3 degrees, opacities in 8 bits"
                    .to_owned(),
            ],
            Self::Splat => vec![
                "colours from 0 to 1 and opacities in 8 bits, rotations to 1.2 degrees, and splats in another order"
                    .to_owned(),
            ],
            Self::Spz => vec![options.spz_version.precision()],
            Self::Tiles => vec![
                "positions to a sixteenth of a small splat, scales to 3 %, rotations to 0.3°, opacities and colours to 8 bits"
                    .to_owned(),
            ],
            Self::Glb | Self::Gltf => vec![
                "opacities and scales as such instead of logits and logarithms: to 7 digits, and none of an opacity \
                 closer than 6e-8 to 1"
                    .to_owned(),
            ],
        };
        match self {
            Self::CompressedPly if header.sh_degree > 0 => {
                losses.push("spherical harmonics from -4 to 4 in steps of 1/32".to_owned());
            }
            Self::Sog | Self::LodMeta if header.sh_degree > 0 => {
                losses.push("spherical harmonics of a palette of at most 65,536 sets".to_owned());
            }
            Self::Spz if header.sh_degree > 0 => {
                losses.push("spherical harmonics from -1 to 1 in steps of 1/16, above degree 1 of 1/8".to_owned());
            }
            Self::Tiles if header.sh_degree > 0 => {
                losses.push(
                    "spherical harmonics in steps of 1/32 of brightness and of two differences of colours".to_owned(),
                );
            }
            Self::Splat if header.sh_degree > 0 => losses.push("no colours that depend on the view".to_owned()),
            _ => {}
        }
        if self == Self::Splat {
            if header.antialiased {
                losses.push("no word of the antialiasing that the splats were trained with".to_owned());
            }
            if header.scene_from_world != Similarity::identity() {
                losses.push("no word of where the captured world lies".to_owned());
            }
        }
        losses
    }

    /// The format that a file's name announces.
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        let ending = |format: Self| {
            let fits = format.endings().iter().filter(|ending| name.ends_with(*ending));
            fits.map(|ending| ending.len()).max().map(|length| (length, format))
        };
        Self::ALL
            .iter()
            .filter_map(|&format| ending(format))
            .max_by_key(|(length, _)| *length)
            .map(|(_, format)| format)
    }

    /// The format of a file to be read, or of a folder that holds a scene's files.
    ///
    /// # Errors
    /// When no format has such files; the message lists those there are.
    pub fn to_read(path: &Path) -> Result<Self> {
        let folder = || {
            let holds = |name: &str| path.join(name).is_file();
            let sog = holds("meta.json").then_some(Self::Sog);
            let tiles = holds(tiles::MANIFEST).then_some(Self::Tiles);
            sog.or(tiles).or_else(|| holds(lod_meta::LOD_META).then_some(Self::LodMeta))
        };
        Self::of(path).or_else(folder).ok_or_else(|| unknown(path, |_| true))
    }

    /// The format of a file to be written.
    ///
    /// # Errors
    /// When no format has such files, or they can only be read; the message lists those that can be written.
    pub fn to_write(path: &Path) -> Result<Self> {
        Self::of(path).filter(|format| format.writes()).ok_or_else(|| unknown(path, Self::writes))
    }

    pub(super) fn open(self, path: &Path) -> Result<Box<dyn SplatSource>> {
        match self {
            Self::Glb | Self::Gltf => gltf::open_splats(path),
            Self::Sog => sog::open_splats(path),
            Self::Tiles => tiles::open_splats(path),
            Self::LodMeta => lod_meta::open_splats(path),
            single => single.open_input(Input::open(path)?),
        }
    }

    /// Opens a scene that is one file, on disk or in memory.
    pub(super) fn open_input(self, input: Input) -> Result<Box<dyn SplatSource>> {
        match self {
            // Other programs call compressed files `.ply` as well.
            Self::Ply | Self::CompressedPly => ply::open_splats(input),
            Self::Splat => splat::open_splats(input),
            Self::Spz => spz::open_splats(input),
            Self::Ksplat => ksplat::open_splats(input),
            Self::Glb | Self::Gltf | Self::Sog | Self::Tiles | Self::LodMeta => self.open(input.path()),
        }
    }

    pub(super) fn create(
        self,
        path: &Path,
        header: &SplatHeader,
        options: &WriteOptions,
        existing: Existing,
    ) -> Result<Box<dyn SplatSink>> {
        let file = || AtomicFile::create(path, existing);
        match self {
            Self::Ply => ply::create_splats(file()?, header),
            Self::CompressedPly => Ok(compressed_ply::create_splats(file()?, header, options)),
            Self::Splat => Ok(splat::create_splats(file()?, header, options)),
            Self::Spz => spz::create_splats(file()?, header, options),
            Self::Glb | Self::Gltf => gltf::create_splats(path, header, existing),
            Self::Tiles => tiles::create_splats(path, header, options, existing),
            Self::Sog => sog::create_splats(path, header, options, existing),
            Self::LodMeta => lod_meta::create_splats(path, header, existing),
            Self::Ksplat => Err(unknown(path, Self::writes)),
        }
    }
}

fn unknown(path: &Path, usable: impl Fn(SplatFormat) -> bool) -> DataError {
    let endings = SplatFormat::ALL.iter().filter(|format| usable(**format)).flat_map(|format| format.endings());
    let supported = endings.copied().collect::<Vec<_>>().join(", ");
    let reason = match (SplatFormat::of(path), path.extension()) {
        (Some(format), _) => format!("is a {} file by its name, and these can only be read", format.name()),
        (None, Some(extension)) => {
            format!("has the extension .{}, which is no supported splat format", extension.to_string_lossy())
        }
        (None, None) => "has no extension that names a splat format".to_owned(),
    };
    DataError::new(path, reason).remedy(format!("use one of: {supported}"))
}
