//! Each network against its formulas in double precision, on weights that are drawn anew each time; files that do not fit; the surface and the picture.

mod files;
mod oracle;
mod shapes;

use super::super::tape::{Host, OnDevice, Place};
use super::config::PublishedConfig;
use super::dense_vae::DenseDecoder;
use super::dinov2::Dinov2;
use super::dit::{Condition, Dit, Over};
use super::sparse_vae::{DISTANCES, SparseDecoder, SparseEncoder};
use super::weights::Wanted;
use oracle::{Kind, Mat, Oracle, Sparse, rows};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tessera_datasets::format::weights::WeightsFile;
use tessera_kernels::device::{Device, Precision};
use tessera_test_seed::test_seed;
use tessera_tests::published::{CHANNELS, DETAIL_HEADS, HEADS, KEY_HEADS, LATENT, Made, PICTURE, SIDE, Version, WIDTH};
use tessera_tests::weights::Stored;

/// What single precision may be off by, relative to the largest number.
const TOLERANCE: f64 = 2e-4;
/// Selections that are nearer to another one than this are not compared.
const MARGIN: f64 = 1e-3;

/// Published weights in a folder, and where layers are computed.
struct Files {
    made: Made,
    folder: TempDir,
    place: Arc<dyn Place>,
}

/// Each of these functions as a test on the host, on the emulator and on a GPU.
macro_rules! at_places {
    ($($test:ident)*) => {
        mod host {$(
            #[test]
            fn $test() {
                super::$test(&super::on_the_host());
            }
        )*}

        mod emulator {$(
            #[test]
            fn $test() {
                super::$test(&super::on_a_device(&tessera_emulator::fast_device()));
            }
        )*}

        mod gpu {$(
            #[test]
            #[ignore = "needs an NVIDIA GPU"]
            fn $test() {
                super::$test(&super::on_a_device(&tessera_emulator::gpu()));
            }
        )*}
    };
}

at_places! {
    the_transformer_of_structure_is_that_of_its_formulas the_sparse_transformer_of_version_1_1_is_that_of_its_formulas
    the_sparse_transformer_of_version_1_0_is_that_of_its_formulas the_decoder_of_structure_is_that_of_its_formulas
    the_decoder_of_details_is_that_of_its_formulas_across_pieces the_encoder_of_details_is_that_of_its_formulas
    the_image_encoder_is_that_of_its_formulas
}

fn on_the_host() -> Arc<dyn Place> {
    Arc::new(Host)
}

fn on_a_device(device: &Device) -> Arc<dyn Place> {
    Arc::new(OnDevice::new(device, Precision::Single).expect("kernels"))
}

impl Files {
    fn new(version: Version, seed: u64, place: &Arc<dyn Place>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let files = Self { made: Made::new(version, seed), folder, place: Arc::clone(place) };
        files.made.write(files.folder.path(), seed.is_multiple_of(2), Stored::Float32);
        files
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn config(&self) -> PublishedConfig {
        PublishedConfig::read(&self.path().join("config.yaml")).expect("settings")
    }

    fn open(&self, stem: &str) -> WeightsFile {
        let paths = ["safetensors", "ckpt", "pth"].map(|ending| self.path().join(format!("{stem}.{ending}")));
        WeightsFile::open(paths.iter().find(|path| path.exists()).expect("a file")).expect("weights")
    }

    fn load(&self, stem: &str, wanted: &mut Wanted) {
        wanted.load(&self.open(stem), &self.place).expect("weights");
    }
}

fn drawn(rng: &mut Pcg64, count: usize) -> Vec<f32> {
    (0..count).map(|_| rng.random_range(-2.0..2.0f32)).collect()
}

/// About half of the voxels of a grid, ascending.
fn voxels(rng: &mut Pcg64, side: i32, share: f64) -> Vec<[i32; 4]> {
    let all = (0..side.pow(3)).map(|i| [0, i / (side * side), i / side % side, i % side]);
    let mut some: Vec<[i32; 4]> = all.filter(|_| rng.random_bool(share)).collect();
    if some.is_empty() {
        some.push([0, 1, 2, 3]);
    }
    some
}

fn assert_close(found: &[f32], expected: impl IntoIterator<Item = f64>, what: &str) {
    let expected: Vec<f64> = expected.into_iter().collect();
    assert_eq!(found.len(), expected.len(), "{what}: as many numbers");
    let largest = expected.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
    let off = found.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
    println!("{what}: off by {:.1e} of {largest:.3}", off / largest);
    assert!(off <= TOLERANCE * largest, "{what}: off by {off} where numbers reach {largest}");
}

fn the_transformer_of_structure_is_that_of_its_formulas(place: &Arc<dyn Place>) {
    let seed = test_seed();
    let (files, mut rng) = (Files::new(Version::V11, seed, place), Pcg64::seed_from_u64(seed));
    let (dit, mut wanted) = Dit::dense(&files.config().dense_dit.params);
    files.load("model_dense", &mut wanted);
    let oracle = Oracle::new(files.made.tensors("model_dense"));
    let x = drawn(&mut rng, SIDE.pow(3) * LATENT[0]);
    let condition = Condition { tokens: drawn(&mut rng, 7 * WIDTH), places: None };
    let time = rng.random_range(0.0..1.0f32);
    for (what, seen, tokens) in [
        ("with", condition.clone(), condition.tokens.clone()),
        ("without", condition.none(WIDTH), vec![0.0; 7 * WIDTH]),
    ] {
        let seen = dit.condition(&wanted.parameters, &seen).expect("numbers");
        let found = dit.velocity(&wanted.parameters, &x, time, &seen, &Over::All).expect("velocities");
        let expected =
            oracle.dit(&rows(&x, LATENT[0]), Kind::Dense(HEADS), f64::from(time), &rows(&tokens, WIDTH), None);
        assert_close(&found, expected.into_iter().flatten(), what);
    }
}

/// A set of weights, voxels and noise for which no selection is a matter of rounding.
fn check_sparse(version: Version, stem: &str, factor: f64, [topk, side]: [usize; 2], place: &Arc<dyn Place>) {
    let side = side as i32;
    let first = test_seed();
    for seed in (0..).map(|i| first.wrapping_add(i)) {
        let (files, mut rng) = (Files::new(version, seed, place), Pcg64::seed_from_u64(seed));
        let config = files.config();
        let part =
            if stem == "model_sparse_512" { Some(&config.sparse_dit_512) } else { config.sparse_dit_1024.as_ref() };
        let (dit, mut wanted) = Dit::sparse(&part.expect("a transformer").params);
        files.load(stem, &mut wanted);
        let voxels = voxels(&mut rng, side, 60.0 / f64::from(side.pow(3)));
        let tokens = dit.tokens(&voxels);
        let places: Vec<[i32; 3]> = tokens.coordinates.iter().map(|c| [c[1], c[2], c[3]]).collect();
        let x = drawn(&mut rng, voxels.len() * LATENT[1]);
        let places_of_condition = (0..5).map(|i| if i < 2 { [0.0, 0.0, 1.0] } else { [i as f32, 2.0, 0.0] }).collect();
        let is_v1 = version == Version::V11;
        let condition =
            Condition { tokens: drawn(&mut rng, 5 * WIDTH), places: (!is_v1).then_some(places_of_condition) };
        let time = rng.random_range(0.0..1.0f32);
        let oracle = Oracle::new(files.made.tensors(stem));
        let sparse = Sparse {
            heads: [HEADS, KEY_HEADS],
            compression: if is_v1 { 4 } else { 2 },
            selection: 4,
            topk,
            window: 8,
            factor,
            is_v1,
        };
        let of_condition: Option<Vec<[f64; 3]>> =
            condition.places.as_ref().map(|places| places.iter().map(|p| p.map(f64::from)).collect());
        let expected: Mat = oracle.dit(
            &rows(&x, LATENT[1]),
            Kind::Sparse(sparse, &places),
            f64::from(time),
            &rows(&condition.tokens, WIDTH),
            of_condition.as_deref(),
        );
        if oracle.margin.get() < MARGIN {
            continue;
        }
        let seen = dit.condition(&wanted.parameters, &condition).expect("numbers");
        let found = dit.velocity(&wanted.parameters, &x, time, &seen, &Over::Sparse(&tokens)).expect("velocities");
        assert_close(&found, expected.into_iter().flatten(), stem);
        return;
    }
}

fn the_sparse_transformer_of_version_1_1_is_that_of_its_formulas(place: &Arc<dyn Place>) {
    check_sparse(Version::V11, "model_sparse_512", 1.0, [2, 8], place);
    check_sparse(Version::V11, "model_sparse_1024", 0.5, [3, 16], place);
}

fn the_sparse_transformer_of_version_1_0_is_that_of_its_formulas(place: &Arc<dyn Place>) {
    check_sparse(Version::V10, "model_sparse_512", 1.0, [2, 8], place);
    check_sparse(Version::V10, "model_sparse_1024", 0.5, [3, 16], place);
}

fn the_decoder_of_structure_is_that_of_its_formulas(place: &Arc<dyn Place>) {
    let seed = test_seed();
    let (files, mut rng) = (Files::new(Version::V11, seed, place), Pcg64::seed_from_u64(seed));
    let (decoder, mut wanted) = DenseDecoder::new(&files.config().dense_vae.params);
    files.load("model_dense", &mut wanted);
    decoder.prepare(&mut wanted.parameters);
    let side = 3usize;
    let x = drawn(&mut rng, side.pow(3) * LATENT[0]);
    let (found, fine) = decoder.decode(&wanted.parameters, x.clone(), side).expect("logits");
    assert_eq!(fine, side << (CHANNELS.len() - 1), "twice as fine at each level");
    let by_rows = rows(&x, LATENT[0]);
    let turned = (0..LATENT[0]).map(|c| by_rows.iter().map(|row| row[c]).collect()).collect();
    let expected = Oracle::new(files.made.tensors("model_dense")).dense_decoder(&turned, side as i32);
    assert_close(&found, expected, "logits");
}

fn the_decoder_of_details_is_that_of_its_formulas_across_pieces(place: &Arc<dyn Place>) {
    let seed = test_seed();
    let (files, mut rng) = (Files::new(Version::V11, seed, place), Pcg64::seed_from_u64(seed));
    let (decoder, mut wanted) = SparseDecoder::new(&files.config().sparse_vae_512.params);
    files.load("model_sparse_512", &mut wanted);
    // On both sides of where pieces meet.
    let near: Vec<[i32; 4]> =
        voxels(&mut rng, 6, 0.06).into_iter().map(|c| [0, c[1] + 13, c[2] + 14, c[3] + 12]).collect();
    let x = drawn(&mut rng, near.len() * LATENT[1]);
    let found = decoder.decode(&wanted.parameters, &near, x.clone()).expect("distances");
    let places: Vec<[i32; 3]> = near.iter().map(|c| [c[1], c[2], c[3]]).collect();
    let oracle = Oracle::new(files.made.tensors("model_sparse_512"));
    let (fine, values) = oracle.sparse_decoder(&rows(&x, LATENT[1]), &places, DETAIL_HEADS);
    let mut expected = vec![0.0; near.len() * DISTANCES];
    for (p, value) in fine.iter().zip(values) {
        let voxel = places.iter().position(|other| *other == p.map(|x| x / 8)).expect("a voxel");
        let at = p.iter().fold(0, |at, x| at * 8 + (x % 8) as usize);
        expected[voxel * DISTANCES + at] = value;
    }
    assert_close(&found, expected, "distances");
}

fn the_encoder_of_details_is_that_of_its_formulas(place: &Arc<dyn Place>) {
    let seed = test_seed();
    let (files, mut rng) = (Files::new(Version::V11, seed, place), Pcg64::seed_from_u64(seed));
    let (encoder, mut wanted) = SparseEncoder::new(&files.config().sparse_vae_512.params);
    files.load("model_sparse_512", &mut wanted);
    // Windows are 64 voxels wide: on both sides of where they meet, in part full.
    let near: Vec<[i32; 4]> =
        voxels(&mut rng, 20, 0.02).into_iter().map(|c| [0, c[1] + 54, c[2] + 20, c[3] + 22]).collect();
    let x: Vec<f32> = near.iter().map(|_| rng.random_range(-1.0..1.0)).collect();
    let places: Vec<[i32; 3]> = near.iter().map(|c| [c[1], c[2], c[3]]).collect();
    let (latent, found) = encoder.encode(&wanted.parameters, near, x.clone()).expect("numbers");
    let oracle = Oracle::new(files.made.tensors("model_sparse_512"));
    let (expected_voxels, expected) = oracle.sparse_encoder(&rows(&x, 1), &places, DETAIL_HEADS);
    let latent: Vec<[i32; 3]> = latent.iter().map(|c| [c[1], c[2], c[3]]).collect();
    assert_eq!(latent, expected_voxels, "the voxels that hold some of the fine ones, in order");
    assert_close(&found, expected.into_iter().flatten(), "numbers");
}

fn the_image_encoder_is_that_of_its_formulas(place: &Arc<dyn Place>) {
    let seed = test_seed();
    let (files, mut rng) = (Files::new(Version::V11, seed, place), Pcg64::seed_from_u64(seed));
    let [size, side, registers] = PICTURE;
    let stem = "dinov2_vitl14_reg4_pretrain";
    let (encoder, mut wanted) = Dinov2::new(&files.open(stem), size).expect("an encoder");
    files.load(stem, &mut wanted);
    encoder.prepare(&mut wanted.parameters);
    let picture = drawn(&mut rng, 3 * size * size);
    let found = encoder.tokens(&wanted.parameters, &picture).expect("tokens");
    assert_eq!(encoder.before(), 1 + registers, "one of the whole and registers");
    let oracle = Oracle::new(files.made.tensors(stem));
    let expected = oracle.dinov2(&rows(&picture, size * size), [size, size / side], WIDTH / 64);
    assert_close(&found, expected.into_iter().flatten(), "tokens");
}
