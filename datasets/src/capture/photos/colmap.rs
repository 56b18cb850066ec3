//! Structure from motion by the program COLMAP (Schönberger and Frahm 2016): features, matches, poses.
//!
//! Option names changed between its versions, so they are looked up in its own help text.

use super::{Kind, Progress, Stage};
use crate::program::{Failure, run};
use crate::{DataError, Result};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

pub(super) const DATABASE: &str = "database.db";
pub(super) const LOG: &str = "colmap.log";
/// Where COLMAP puts its models until one is chosen.
pub(super) const MODELS: &str = "models";

/// Up to as many photos, every pair is compared; beyond, neighbours in the order of names.
const MOST_PHOTOS_FOR_ALL_PAIRS: usize = 250;
/// With how many photos after it each one is compared in order.
const NEIGHBOURS: &str = "20";
/// The longer side in pixels to which photos are reduced for finding features: without a GPU, more takes minutes each.
const FEATURE_SIDE_ON_CPU: &str = "2000";

/// An installed COLMAP.
pub(super) struct Colmap {
    program: PathBuf,
    use_gpu: bool,
}

impl Colmap {
    /// Makes sure that COLMAP can be run. `source` is what it is needed for.
    pub(super) fn find(program: &Path, source: &Path) -> Result<Self> {
        let mut help = String::new();
        run(program, &["help".to_owned()], &mut None, &mut |line| help.push_str(line)).map_err(|e| match e {
            Failure::NotInstalled => DataError::new(
                source,
                "has no camera poses, and COLMAP, the program that finds them, is not installed",
            )
            .remedy(
                "get it with `apt install colmap`, `brew install colmap` or `conda install -c conda-forge colmap`, \
                 or give a posed capture",
            ),
            other => {
                DataError::new(source, format!("needs COLMAP, but it {}", other.reason())).remedy("install it again")
            }
        })?;
        // Its other way to use a GPU, OpenGL, needs a display.
        let use_gpu = help.contains("with CUDA") && (!cfg!(target_os = "linux") || Path::new("/dev/nvidia0").exists());
        Ok(Self { program: program.to_owned(), use_gpu })
    }

    /// From `work_dir/images` to `work_dir/sparse/0`.
    pub(super) fn reconstruct(
        &self,
        kind: Kind,
        one_camera: bool,
        source: &Path,
        work_dir: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        let unwritable = |e: std::io::Error| DataError::unwritable(work_dir, &e);
        let log = Some(File::create(work_dir.join(LOG)).map_err(unwritable)?);
        let mut job = Job { colmap: self, source, work_dir, log, progress };
        let photos = count_files(&work_dir.join("images"));
        job.extract(one_camera, photos as u64)?;
        job.compare(kind, photos)?;
        let models = work_dir.join(MODELS);
        fs::create_dir_all(&models).map_err(unwritable)?;
        job.find_poses(&models, photos as u64)?;

        let (posed, model) = largest_model(&models).unwrap_or_default();
        if posed < 2 {
            return Err(DataError::new(source, format!("COLMAP could not fit its {photos} photos together"))
                .remedy("take more photos, sharp ones that overlap by half and from different places"));
        }
        let sparse = work_dir.join("sparse");
        fs::create_dir_all(&sparse).map_err(unwritable)?;
        fs::rename(model, sparse.join("0")).map_err(unwritable)?;
        fs::remove_dir_all(&models).map_err(unwritable)?;
        let done = Progress { stage: Stage::FindPoses, done: posed, total: photos as u64 };
        (job.progress)(done);
        Ok(())
    }
}

/// One run of COLMAP's steps.
struct Job<'a> {
    colmap: &'a Colmap,
    source: &'a Path,
    work_dir: &'a Path,
    log: Option<File>,
    progress: &'a mut dyn FnMut(Progress),
}

impl Job<'_> {
    fn extract(&mut self, one_camera: bool, photos: u64) -> Result<()> {
        let help = self.help("feature_extractor");
        let mut arguments = self.arguments("feature_extractor", true);
        let model = if one_camera { "OPENCV" } else { "SIMPLE_RADIAL" };
        arguments.extend(["--ImageReader.camera_model", model].map(String::from));
        arguments.extend(["--ImageReader.single_camera", if one_camera { "1" } else { "0" }].map(String::from));
        self.add_gpu_option(&help, &mut arguments);
        if let (false, Some(option)) = (self.colmap.use_gpu, find_option(&help, "max_image_size")) {
            arguments.extend([option, FEATURE_SIDE_ON_CPU.to_owned()]);
        }
        self.step(&arguments, Stage::ExtractFeatures, photos)
    }

    fn compare(&mut self, kind: Kind, photos: usize) -> Result<()> {
        let in_order = kind == Kind::Video || photos > MOST_PHOTOS_FOR_ALL_PAIRS;
        let command = if in_order { "sequential_matcher" } else { "exhaustive_matcher" };
        let help = self.help(command);
        let mut arguments = self.arguments(command, false);
        self.add_gpu_option(&help, &mut arguments);
        if let (true, Some(option)) = (in_order, find_option(&help, "overlap")) {
            arguments.extend([option, NEIGHBOURS.to_owned()]);
        }
        self.step(&arguments, Stage::MatchFeatures, photos as u64)
    }

    fn find_poses(&mut self, models: &Path, photos: u64) -> Result<()> {
        let mut arguments = self.arguments("mapper", true);
        arguments.extend(["--output_path".to_owned(), models.to_string_lossy().into_owned()]);
        match self.step(&arguments, Stage::FindPoses, photos) {
            // The mapper also fails when it finds no model; that deserves better words than its own.
            Err(_) if self.log_ends_without_model() => Ok(()),
            result => result,
        }
    }

    fn log_ends_without_model(&self) -> bool {
        let log = fs::read_to_string(self.work_dir.join(LOG)).unwrap_or_default();
        log.to_lowercase().contains("failed to create any sparse model")
            || log.contains("No images with matches")
            || log.contains("No good initial image pair found")
    }

    fn arguments(&self, command: &str, with_images: bool) -> Vec<String> {
        let path = |name: &str| self.work_dir.join(name).to_string_lossy().into_owned();
        let mut arguments = vec![command.to_owned(), "--database_path".to_owned(), path(DATABASE)];
        if with_images {
            arguments.extend(["--image_path".to_owned(), path("images")]);
        }
        arguments
    }

    fn add_gpu_option(&self, help: &str, arguments: &mut Vec<String>) {
        if let Some(option) = find_option(help, "use_gpu") {
            arguments.extend([option, if self.colmap.use_gpu { "1" } else { "0" }.to_owned()]);
        }
    }

    /// The help text of one command. A failure shows when the command is run.
    fn help(&self, command: &str) -> String {
        let mut help = String::new();
        let arguments = [command.to_owned(), "-h".to_owned()];
        let _ = run(&self.colmap.program, &arguments, &mut None, &mut |line| {
            help.push_str(line);
            help.push('\n');
        });
        help
    }

    fn step(&mut self, arguments: &[String], stage: Stage, photos: u64) -> Result<()> {
        (self.progress)(Progress { stage, done: 0, total: photos });
        let progress = &mut self.progress;
        let result = run(&self.colmap.program, arguments, &mut self.log, &mut |line| {
            if let Some((done, total)) = parse_progress(line, stage, photos) {
                progress(Progress { stage, done, total });
            }
        });
        result.map_err(|e| {
            let command = arguments.first().map_or("", String::as_str);
            DataError::new(self.source, format!("COLMAP's {command} {}", e.reason()))
                .remedy(format!("all it said is in {}", self.work_dir.join(LOG).display()))
        })
    }
}

/// The full name of the option that ends in `.name`, whatever its group is called in this version.
fn find_option(help: &str, name: &str) -> Option<String> {
    let mut words = help.split_whitespace().filter(|word| word.starts_with("--"));
    words.find(|word| word.rsplit_once('.').is_some_and(|(_, own)| own == name)).map(str::to_owned)
}

/// (done, total) from a line of output: `Processed file [3/11]`, `Matching block [1/2, 2/3]`, `Processing image [3/11]`,
/// `Registering image #7 (4)`, `Registering image #7 (num_reg_frames=4)`.
fn parse_progress(line: &str, stage: Stage, photos: u64) -> Option<(u64, u64)> {
    if stage == Stage::FindPoses {
        let (_, rest) = line.split_once("Registering image")?;
        let inside = rest.rsplit_once('(')?.1.trim_end_matches([')', '.', ' ']);
        let digits = inside.rsplit(|c: char| !c.is_ascii_digit()).next()?;
        return Some((digits.parse().ok()?, photos));
    }
    let (before, rest) = line.rsplit_once('[')?;
    let known = ["Processed file", "block", "image"].iter().any(|what| before.trim_end().ends_with(what));
    let mut parts = rest.split_once(']').filter(|_| known)?.0.split(',').map(|part| {
        let (done, total) = part.trim().split_once('/')?;
        Some((done.parse::<u64>().ok()?, total.parse::<u64>().ok()?))
    });
    let (row, rows) = parts.next()??;
    match parts.next() {
        None => Some((row, rows)),
        Some(column) => {
            let (column, columns) = column?;
            Some((row.saturating_sub(1).saturating_mul(columns).saturating_add(column), rows.saturating_mul(columns)))
        }
    }
}

fn count_files(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries.flatten().map(|e| if e.path().is_dir() { count_files(&e.path()) } else { 1 }).sum()
}

/// The model with the most posed photos, and their number.
fn largest_model(models: &Path) -> Option<(u64, PathBuf)> {
    let entries = fs::read_dir(models).ok()?.flatten().map(|entry| entry.path());
    entries.filter_map(|model| Some((posed_photos(&model)?, model))).max_by_key(|(posed, _)| *posed)
}

fn posed_photos(model: &Path) -> Option<u64> {
    let mut count = [0; 8];
    File::open(model.join("images.bin")).ok()?.read_exact(&mut count).ok()?;
    Some(u64::from_le_bytes(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_understood_in_old_and_new_words() {
        use Stage::{ExtractFeatures, FindPoses, MatchFeatures};
        let cases = [
            ("Processed file [3/11]", ExtractFeatures, Some((3, 11))),
            (
                "I20260101 10:00:00.1 99 feature_extraction.cc:258] Processed file [11/11]",
                ExtractFeatures,
                Some((11, 11)),
            ),
            ("  Name: a[1/2].jpg", ExtractFeatures, None),
            ("Matching block [2/3, 1/3] in 1.5s", MatchFeatures, Some((4, 9))),
            ("I2026 pairing.cc:1] Processing block [3/3, 3/3]", MatchFeatures, Some((9, 9))),
            ("Matching image [5/150]", MatchFeatures, Some((5, 150))),
            ("Registering image #7 (4)", FindPoses, Some((4, 20))),
            ("I2026 mapper.cc:5] Registering image #7 (num_reg_frames=14)", FindPoses, Some((14, 20))),
            ("  => Image sees 7 / 9 points", FindPoses, None),
        ];
        for (line, stage, expected) in cases {
            assert_eq!(parse_progress(line, stage, 20), expected, "{line}");
        }
    }

    #[test]
    fn options_are_found_whatever_their_group_is_called() {
        let old = "  --SiftExtraction.use_gpu arg (=1)\n  --SiftExtraction.gpu_index arg (=-1)";
        let new = "  --FeatureExtraction.use_gpu arg (=1)\n";
        assert_eq!(find_option(old, "use_gpu").as_deref(), Some("--SiftExtraction.use_gpu"));
        assert_eq!(find_option(new, "use_gpu").as_deref(), Some("--FeatureExtraction.use_gpu"));
        assert_eq!(find_option(new, "gpu"), None);
    }
}
