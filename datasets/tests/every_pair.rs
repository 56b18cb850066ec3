//! Every format into every other: what each says that it loses, measured. Splats, degree, filter and place travel along
//! wherever the target can say them, whatever the source was.

use nalgebra::{Translation3, UnitQuaternion};
use std::path::{Path, PathBuf};
use tessera_datasets::camera::Similarity;
use tessera_datasets::convert::{Conversion, Edits};
use tessera_datasets::format::stream::SplatHeader;
use tessera_datasets::format::{
    Existing, SogVersion, SplatFormat, SpzVersion, WriteOptions, create_splats, read_splats, write_splats,
};
use tessera_datasets::scene::SplatCloud;

/// Splats along each side of a grid with cells of one unit: each is found again by the cell that it is in.
const SIDE: usize = 8;

/// How far numbers may be from what they were.
#[derive(Clone, Copy)]
struct Tolerance {
    position: f32,
    log_scale: f32,
    degrees: f64,
    opacity: f32,
    sh0: f32,
    sh_rest: f32,
}

/// A format, in one of its versions.
struct Kind {
    name: String,
    format: SplatFormat,
    options: WriteOptions,
}

/// All that can be written: the usual version of each format, and the others.
fn kinds() -> Vec<Kind> {
    let usual = SplatFormat::ALL.iter().filter(|format| format.writes());
    let usual = usual.map(|&format| Kind { name: format.name().to_owned(), format, options: WriteOptions::default() });
    let spz = [SpzVersion::V1, SpzVersion::V2, SpzVersion::V4].map(|spz_version| Kind {
        name: format!("SPZ {}", spz_version.number()),
        format: SplatFormat::Spz,
        options: WriteOptions { spz_version, ..WriteOptions::default() },
    });
    let sog = Kind {
        name: "SOG 1".to_owned(),
        format: SplatFormat::Sog,
        options: WriteOptions { sog_version: SogVersion::V1, ..WriteOptions::default() },
    };
    usual.chain(spz).chain([sog]).collect()
}

/// What `SplatFormat::losses` says in words, in numbers for the scene of this test: 8 units wide, standard deviations of 0.02 to
/// 0.14, coefficients of degree 0 within ±1.2 and above within ±0.5.
fn tolerance(kind: &Kind) -> Tolerance {
    let nothing = Tolerance { position: 0.0, log_scale: 0.0, degrees: 0.0, opacity: 0.0, sh0: 0.0, sh_rest: 0.0 };
    let byte = 0.5 / 255.0 + 1e-6;
    match kind.format {
        SplatFormat::Ply => nothing,
        // Single precision of another kind.
        SplatFormat::Glb | SplatFormat::Gltf => Tolerance { log_scale: 1e-6, degrees: 1e-4, opacity: 1e-6, ..nothing },
        // 10 bits over 8 units, 10 over the range of logarithms, 8 over that of the colours (Y0 2.4), 1/32.
        SplatFormat::CompressedPly => Tolerance {
            position: 8.0 / 1023.0 / 2.0 * 1.01,
            log_scale: 2.0 / 1023.0,
            degrees: 0.3,
            opacity: byte,
            sh0: 2.4 / 255.0 / 2.0 * 1.05,
            sh_rest: 1.01 / 64.0,
        },
        // An opacity in 8 bits, a colour in 8 bits over 1 / Y0.
        SplatFormat::Splat => Tolerance {
            position: 0.0,
            log_scale: 1e-5,
            degrees: 1.2,
            opacity: byte,
            sh0: 1.01 / 255.0 / 2.0 / 0.282,
            sh_rest: f32::INFINITY,
        },
        SplatFormat::Spz => Tolerance {
            position: match kind.options.spz_version {
                // Halves below 8 are multiples of 1/256.
                SpzVersion::V1 => 0.5 / 256.0,
                _ => 0.5 / 4096.0 * 1.01,
            },
            log_scale: 0.5 / 16.0 * 1.01,
            degrees: if matches!(kind.options.spz_version, SpzVersion::V1 | SpzVersion::V2) { 14.0 } else { 0.3 },
            opacity: byte,
            sh0: 1.01 / 255.0 / 2.0 / 0.15,
            sh_rest: 0.5 / 8.0 + 1.0 / 128.0,
        },
        // Positions: 16 bits of ln(1 + 8), times 9 at the far end. Palettes keep an entry for each of so few splats.
        SplatFormat::Sog | SplatFormat::LodMeta => Tolerance {
            position: 2.2 / 65_535.0 / 2.0 * 9.0 * 1.1,
            log_scale: 0.02,
            degrees: 1.2,
            opacity: if kind.options.sog_version == SogVersion::V1 { 0.008 } else { byte },
            sh0: 0.02,
            sh_rest: 0.02,
        },
        SplatFormat::Tiles => Tolerance {
            position: 0.02 / 16.0 * 1.8,
            log_scale: 0.03,
            degrees: 0.3,
            opacity: byte,
            sh0: 2.4 / 255.0 / 2.0 * 1.05,
            // Half a step of brightness and of each difference, which a channel may see together.
            sh_rest: 3f32.sqrt() * 1.02 / 64.0,
        },
        SplatFormat::Ksplat => unreachable!("only read"),
    }
}

fn made() -> SplatCloud {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    // From -1 to 1 (xorshift64).
    let mut number = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    let mut cloud = SplatCloud::with_capacity(SIDE.pow(3), 3);
    for i in 0..SIDE.pow(3) {
        let cell = [i % SIDE, i / SIDE % SIDE, i / SIDE / SIDE];
        cloud.means.push(cell.map(|c| c as f32 - 3.5 + 0.2 * number()));
        cloud.log_scales.push([number(), number(), number()].map(|c| c - 3.0));
        cloud.quats.push([number(), number(), number(), number()].map(|c| c + 1e-3));
        cloud.opacity_logits.push(4.0 * number());
        cloud.sh0.push([number(), number(), number()].map(|c| 1.2 * c));
        cloud.sh_rest.extend((0..45).map(|_| 0.5 * number()));
    }
    cloud.antialiased = true;
    let turn = UnitQuaternion::from_euler_angles(0.1, -2.0, 0.7);
    cloud.scene_from_world = Similarity::from_parts(Translation3::new(1.0 / 3.0, -2e5, 3.0), turn, 0.01234);
    cloud
}

/// In the order of the cells.
fn sorted(cloud: &SplatCloud) -> SplatCloud {
    let cell = |i: u32| cloud.means[i as usize].map(|v| (v + 4.0).floor() as usize);
    let mut order: Vec<u32> = (0..cloud.len() as u32).collect();
    order.sort_by_key(|&i| {
        let [x, y, z] = cell(i);
        (z * SIDE + y) * SIDE + x
    });
    cloud.select(&order)
}

/// The largest differences between two scenes in the same order.
fn measured(a: &SplatCloud, b: &SplatCloud) -> Tolerance {
    let largest = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let opacities = |cloud: &SplatCloud| -> Vec<f32> {
        cloud.opacity_logits.iter().map(|l| (1.0 / (1.0 + (-f64::from(*l)).exp())) as f32).collect()
    };
    let unit = |q: &[f32; 4]| {
        let length = q.iter().map(|c| f64::from(*c).powi(2)).sum::<f64>().sqrt();
        q.map(|c| f64::from(c) / length)
    };
    let degrees = a.quats.iter().zip(&b.quats).map(|(a, b)| {
        let (a, b) = (unit(a), unit(b));
        let sign = (0..4).map(|k| a[k] * b[k]).sum::<f64>().signum();
        let chord = (0..4).map(|k| (a[k] - sign * b[k]).powi(2)).sum::<f64>().sqrt();
        (4.0 * (0.5 * chord).min(1.0).asin()).to_degrees()
    });
    Tolerance {
        position: largest(a.means.as_flattened(), b.means.as_flattened()),
        log_scale: largest(a.log_scales.as_flattened(), b.log_scales.as_flattened()),
        degrees: degrees.fold(0.0, f64::max),
        opacity: largest(&opacities(a), &opacities(b)),
        sh0: largest(a.sh0.as_flattened(), b.sh0.as_flattened()),
        sh_rest: largest(&a.sh_rest, &b.sh_rest),
    }
}

fn place(folder: &Path, name: &str, format: SplatFormat) -> PathBuf {
    match format {
        SplatFormat::LodMeta => folder.join(name).join("lod-meta.json"),
        _ => folder.join(format!("{name}{}", format.endings()[0])),
    }
}

fn convert(from: &Path, to: &Path, options: &WriteOptions) {
    let (inputs, edits) = ([from.to_owned()], Edits::default());
    let conversion = Conversion::open(&inputs, &edits).expect("opened");
    let sink = create_splats(to, conversion.header(), options, Existing::Keep).expect("created");
    let report = conversion.run(sink, None, &mut |_| std::ops::ControlFlow::Continue(())).expect("converted");
    let report = report.expect("not broken off");
    assert_eq!((report.written, report.cut_off), (SIDE.pow(3) as u64, Default::default()), "{}", to.display());
}

#[test]
fn what_is_lost_between_any_two_formats_is_what_the_target_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let original = made();
    println!("largest differences: position, log scale, degrees, opacity, degree 0, above");
    let start = folder.path().join("made.ply");
    write_splats(&start, &original, false).expect("written");
    for source in kinds() {
        let from = place(folder.path(), &source.name, source.format);
        convert(&start, &from, &source.options);
        let before = read_splats(&from).expect("read");
        for target in kinds() {
            let what = format!("{} to {}", source.name, target.name);
            let to = place(folder.path(), &what, target.format);
            convert(&from, &to, &target.options);
            let after = read_splats(&to).expect("read again");
            let losses = target.format.losses(&SplatHeader::of(&before), &target.options).join("; ");

            let holds = target.format != SplatFormat::Splat;
            let degree = if holds { before.sh_degree } else { 0 };
            assert_eq!((after.len(), after.sh_degree), (before.len(), degree), "{what}");
            assert_eq!(after.antialiased, before.antialiased && holds, "{what}");
            let expected = if holds { before.scene_from_world } else { Similarity::identity() };
            let (a, b) = (after.scene_from_world.to_homogeneous(), expected.to_homogeneous());
            assert!((a - b).amax() <= 1e-12 * b.amax(), "{what}: {a} instead of {b}");
            // What does not travel along is said.
            assert_eq!(losses.contains("antialiasing"), before.antialiased && !holds, "{what}: {losses}");
            assert_eq!(losses.contains("captured world"), before.scene_from_world != expected, "{what}: {losses}");
            assert_eq!(losses.contains("depend on the view"), before.sh_degree > degree, "{what}: {losses}");

            let [before, after] = [&before, &after].map(sorted);
            let (found, most) = (measured(&before, &after), tolerance(&target));
            let Tolerance { position, log_scale, degrees, opacity, sh0, sh_rest } = found;
            println!("{what}: {position:.6} {log_scale:.4} {degrees:.3} {opacity:.5} {sh0:.4} {sh_rest:.4}");
            assert!(position <= most.position, "{what}: positions by {position}");
            assert!(log_scale <= most.log_scale, "{what}: scales by {log_scale}");
            // Angles are of quaternions in single precision.
            assert!(degrees <= most.degrees + 1e-4, "{what}: rotations by {degrees}");
            assert!(opacity <= most.opacity + 1e-7, "{what}: opacities by {opacity}");
            assert!(sh0 <= most.sh0, "{what}: colours by {sh0}");
            assert!(sh_rest <= most.sh_rest, "{what}: harmonics by {sh_rest}");
        }
    }
}
