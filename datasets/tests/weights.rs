//! Files of weights: what PyTorch and safetensors write is read as it is, and what has no place in such a file is named.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use std::path::Path;
use tessera_datasets::format::weights::WeightsFile;
use tessera_tests::weights::{Stored, Tensor, safetensors, torch};

/// Tensors of up to three dimensions in two tables.
fn drawn() -> Vec<Tensor> {
    let mut rng = Pcg64::seed_from_u64(tessera_test_seed::test_seed());
    let shapes = [("vae.a.weight", vec![3, 4, 5]), ("vae.b", vec![7]), ("dit.c", vec![1, 1, 2]), ("dit.scale", vec![])];
    let draw = |(name, shape): (&str, Vec<usize>)| {
        let values = (0..shape.iter().product()).map(|_| rng.random_range(-3.0..3.0f32)).collect();
        (name.to_owned(), shape, values)
    };
    shapes.into_iter().map(draw).collect()
}

fn write(folder: &Path, bytes: &[u8]) -> std::path::PathBuf {
    let path = folder.join("weights");
    std::fs::write(&path, bytes).expect("a file");
    path
}

#[test]
fn tensors_are_read_from_both_kinds_of_files_in_all_kinds_of_numbers() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let tensors = drawn();
    for stored in [Stored::Float32, Stored::Float16, Stored::Bfloat16] {
        for bytes in
            [torch(&tensors, &["vae", "dit"], stored), torch(&tensors, &[], stored), safetensors(&tensors, stored)]
        {
            let file = WeightsFile::open(write(root.path(), &bytes)).expect("weights");
            assert_eq!(file.tensors().len(), tensors.len(), "as many as were written");
            for (name, shape, values) in &tensors {
                assert_eq!(&file.tensors()[name].shape, shape, "{name}");
                assert_eq!(file.read(name).expect("numbers"), stored.rounded(values), "{name}");
            }
        }
    }
}

/// A checkpoint with another pickle.
fn with_pickle(program: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("a/data.pkl", options).expect("an entry");
    zip.write_all(program).expect("its bytes");
    zip.start_file("a/data/0", options).expect("an entry");
    zip.write_all(&[0; 16]).expect("its bytes");
    zip.finish().expect("an archive").into_inner()
}

/// The pickle of one tensor, from its storage's class, its offset, shape and strides.
fn of_tensor(class: &str, offset: u8, shape: &[u8], strides: &[u8]) -> Vec<u8> {
    let tuple =
        |values: &[u8]| [&b"("[..], &values.iter().flat_map(|v| [b'K', *v]).collect::<Vec<u8>>(), b"t"].concat();
    [
        b"\x80\x02}X\x01\0\0\0xctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\n",
        class.as_bytes(),
        b"\nX\x01\0\0\x000X\x03\0\0\0cpuK\x04tQK",
        &[offset],
        &tuple(shape),
        &tuple(strides),
        b"\x89}tRs.",
    ]
    .concat()
}

#[test]
fn programs_that_are_no_tables_of_tensors_are_refused_by_name() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let open = |bytes: &[u8]| WeightsFile::open(write(root.path(), bytes)).map_err(|e| e.to_string());
    let good = with_pickle(&of_tensor("FloatStorage", 0, &[2, 2], &[2, 1]));
    assert_eq!(open(&good).expect("one tensor").read("x").expect("numbers"), vec![0.0; 4]);
    let refused: [(Vec<u8>, &str); 12] = [
        (b"\x80\x02cos\nsystem\nX\x02\0\0\0ls\x85R.".to_vec(), "wants to call os.system"),
        (b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.".to_vec(), "wants to call builtins.eval"),
        (b"\x80\x02}c__main__\nModel\n)\x81.".to_vec(), "wants to call __main__.Model"),
        (b"\x80\x02K\x01.".to_vec(), "something else than a table"),
        (b"\x80\x02}(X\x01\0\0\0xu.".to_vec(), "no table"),
        (b"\x80\x02(.".to_vec(), "takes what is not there"),
        (b"\x80\x02}".to_vec(), "ends too early"),
        (b"\x80\x02}i.".to_vec(), "instruction 0x69"),
        (of_tensor("FloatStorage", 0, &[2, 2], &[1, 2]), "do not lie row by row"),
        (of_tensor("FloatStorage", 1, &[2, 2], &[2, 1]), "tensor x is not where it should be"),
        (of_tensor("FloatStorage", 0, &[255; 8], &[1; 8]), "do not lie row by row"),
        (of_tensor("FloatStorage", 0, &[255; 9], &[1; 9]), "a shape that is none"),
    ];
    for (program, reason) in refused {
        let error = open(&with_pickle(&program)).err().unwrap_or_else(|| panic!("not refused: {reason}"));
        assert!(error.contains(reason), "{error}: does not say {reason}");
    }
    let whole = with_pickle(&of_tensor("LongStorage", 0, &[2], &[1]));
    let error = open(&whole).expect("a table").read("x").map_err(|e| e.to_string()).expect_err("integers");
    assert!(error.contains("long numbers in tensor x"), "{error}");
    let error = open(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.").expect_err("an old file");
    assert!(error.contains("before version 1.6"), "{error}");
    let error = open(b"# weights").expect_err("a text");
    assert!(error.contains("neither safetensors nor"), "{error}");
    let nan = safetensors(&[("x".to_owned(), vec![2], vec![1.0, f32::NAN])], Stored::Float32);
    let error = open(&nan).expect("a table").read("x").map_err(|e| e.to_string()).expect_err("not numbers");
    assert!(error.contains("tensor x") && error.contains("not numbers"), "{error}");
}
