//! Folders of weights: what fits is opened, what does not is listed, and a shape comes out at the end.

use super::super::{Given, ImageConfig, ImageEvent, ImageStage, Published, Resolution};
use super::{Files, on_the_host};
use crate::config::Config;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tessera_datasets::image::Image8;
use tessera_tests::published::{Made, Version};
use tessera_tests::weights::Stored;

/// Some settings of few steps.
fn quick(seed: u64) -> ImageConfig {
    let text = format!("structure_steps = 2\ndetail_steps = 2\nfine_steps = 1\nseed = {seed}\nlevel = 0.0");
    ImageConfig::from_toml(&text, "here").expect("settings")
}

fn picture() -> Image8 {
    let mut picture = Image8::new(60, 50, 4);
    for (i, pixel) in picture.data.chunks_exact_mut(4).enumerate() {
        let [x, y] = [i % 60, i / 60];
        let alpha = if (10..45).contains(&x) && (5..40).contains(&y) { 255 } else { 0 };
        pixel.copy_from_slice(&[(4 * x) as u8, (5 * y) as u8, 90, alpha]);
    }
    picture
}

#[test]
fn both_versions_make_the_same_shape_each_time_from_either_kind_of_file() {
    let path = Path::new("photo.png");
    for version in [Version::V10, Version::V11] {
        let mut meshes = Vec::new();
        for as_safetensors in [false, true] {
            let files = Files::new(version, 6, &on_the_host());
            let folder = tempfile::tempdir().expect("a temporary folder");
            files.made.write(folder.path(), as_safetensors, Stored::Float16);
            let models = Published::open(folder.path(), Resolution::Fine).expect("models");
            let (stop, mut events) = (AtomicBool::new(false), Vec::new());
            let picture = picture();
            let given = Given { picture: &picture, path, shape: None };
            let mesh = models.make(&given, &quick(3), &on_the_host(), &stop, &mut |event| events.push(event));
            meshes.push(mesh.expect("a shape"));
            for stage in [ImageStage::Picture, ImageStage::Structure, ImageStage::Details, ImageStage::FineDetails] {
                let ended =
                    |e: &ImageEvent| matches!(e, ImageEvent::Step(s, [done, all]) if *s == stage && done == all);
                assert!(events.iter().any(ended), "{stage:?} is not said to have ended");
            }
        }
        let files = Files::new(version, 6, &on_the_host());
        let models = Published::open(files.path(), Resolution::Fine).expect("models");
        let (stop, mut events, picture) = (AtomicBool::new(false), Vec::new(), picture());
        let given = Given { picture: &picture, path, shape: Some(&meshes[0]) };
        let again = models.make(&given, &quick(3), &on_the_host(), &stop, &mut |event| events.push(event));
        assert!(!again.expect("a shape").triangles.is_empty(), "details of a given shape have a surface");
        let begun = |stage| events.iter().any(|e| matches!(e, ImageEvent::Step(s, _) if *s == stage));
        assert!(begun(ImageStage::FineDetails), "details are made anew");
        assert!(!begun(ImageStage::Structure) && !begun(ImageStage::Details), "and nothing before them");
        assert!(!meshes[0].triangles.is_empty(), "weights drawn at random have a surface somewhere");
        assert!(meshes[0].positions == meshes[1].positions, "the same shape from either kind of file");
        assert!(meshes[0].positions.iter().flatten().all(|x| x.abs() <= 1.1), "in the cube");
    }
}

#[test]
fn what_does_not_fit_is_listed_and_nothing_is_loaded() {
    let open = |made: &Made| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        made.write(folder.path(), false, Stored::Float32);
        Published::open(folder.path(), Resolution::Fine).map_err(|e| e.to_string())
    };
    let good = Made::new(Version::V11, 1);
    let models = open(&good).expect("models");
    let parts = models.report().expect("a report");
    let weights: usize = parts.iter().map(|part| part.weights).sum();
    let encoders = |(name, _, values): &&tessera_tests::weights::Tensor| {
        let unread = name.starts_with("vae.encoder.") || name.starts_with("norm.") || name == "mask_token";
        (!unread).then_some(values.len())
    };
    let expected: usize = good.files.iter().flat_map(|(_, tensors)| tensors.iter()).filter_map(|t| encoders(&t)).sum();
    assert_eq!((parts.len(), weights), (7, expected), "all weights are known");

    let mut without = good.clone();
    without.tensors_mut("model_dense").retain(|t| !t.0.starts_with("vae.encoder."));
    assert!(open(&without).is_ok(), "the encoder is not needed");
    without.tensors_mut("model_sparse_512").retain(|t| !t.0.contains("cross_attn"));
    let said = open(&without).expect_err("too few");
    assert!(said.contains("model_sparse_512.ckpt: lacks 12 tensors (dit.blocks.0.cross_attn.to_kv.bias,"), "{said}");
    assert!(said.contains("and 2 more)"), "{said}");

    let mut other = good.clone();
    let tensors = other.tensors_mut("model_sparse_1024");
    tensors.push(("dit.pos_emb".to_owned(), vec![2], vec![0.0; 2]));
    tensors.iter_mut().filter(|t| t.0 == "dit.out_layer.bias").for_each(|t| {
        t.1 = vec![1, t.2.len()];
    });
    let said = open(&other).expect_err("others");
    assert!(said.contains("has what its model does not know: 1 tensor (dit.pos_emb)"), "{said}");
    assert!(said.contains("has other shapes: 1 tensor (dit.out_layer.bias is [1, 5] and not [5])"), "{said}");

    let version = Made { config: Made::new(Version::V10, 1).config, ..good.clone() };
    let said = open(&version).expect_err("another version");
    assert!(said.contains("lacks 34 tensors (dit.blocks.0.self_attn.compression_key.act_layers.0.bias,"), "{said}");
    assert!(said.contains("and 24 more)") && said.contains("config.yaml that were published together"), "{said}");
    assert!(said.contains("dit.blocks.0.self_attn.intra_block_pe is [4, 4, 4, 32] and not [2, 2, 2, 32]"), "{said}");
}

#[test]
fn settings_that_cannot_be_are_one_sentence() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let good = Made::new(Version::V11, 1);
    good.write(folder.path(), false, Stored::Float32);
    let with = |from: &str, to: &str| {
        assert!(good.config.contains(from), "{from} is there");
        std::fs::write(folder.path().join("config.yaml"), good.config.replacen(from, to, 1)).expect("a file");
        Published::open(folder.path(), Resolution::Fine)
            .map_err(|e| e.to_string())
            .expect_err("settings that cannot be")
    };
    for (from, to, said) in [
        ("patch_size: 1", "patch_size: 2", "patch_size 2"),
        ("pe_mode: ape", "pe_mode: rope", "pe_mode rope"),
        ("mlp_ratio: 4", "mlp_ratio: 3", "mlp_ratio 3"),
        ("num_heads: 4", "num_heads: 5", "shared by 5 heads"),
        ("num_heads: 4", "num_heads: 0", "shared by 0 heads"),
        ("num_blocks: 2", "num_blocks: 99999999999", "num_blocks"),
        ("resolution: 2", "resolution: 3", "makes structure of 12 voxels a side"),
        ("use_checkpoint: true", "use_magic: true", "use_magic"),
        ("embed_dim: 3", "embed_dim: 4", "4 latent numbers for a transformer of 3"),
        ("compression_version: v1", "compression_version: v3", "compression_version v3"),
        ("version: dinov2_vitl14_reg", "version: clip", "image encoder clip"),
        ("dense_vae:", "dense_vae: [", "config.yaml"),
        ("shift: 6.0", "shift: -1.0", "scheduler"),
    ] {
        let error = with(from, to);
        assert!(error.contains(said) && !error.contains('\n') && !error.ends_with('.'), "{error}: says no {said}");
    }
    std::fs::remove_file(folder.path().join("config.yaml")).expect("removed");
    let error = Published::open(folder.path(), Resolution::Fine).expect_err("no settings").to_string();
    assert!(error.contains("config.yaml: does not exist"), "{error}");
}

#[test]
fn at_their_full_size_the_models_have_as_many_weights_as_were_counted() {
    use super::super::{dense_vae::DenseDecoder, dit::Dit, sparse_vae::SparseDecoder};
    use serde_json::json;
    let structure = json!({
        "resolution": 16, "in_channels": 8, "out_channels": 8, "model_channels": 1024, "cond_channels": 1024, "num_blocks": 24,
        "num_heads": 16, "patch_size": 1, "qk_rms_norm": true,
    });
    let details = |switches: serde_json::Value| {
        let mut all = json!({
            "resolution": 64, "in_channels": 16, "out_channels": 16, "model_channels": 1024, "cond_channels": 1024, "num_blocks": 24,
            "num_heads": 32,
        });
        let switches = switches.as_object().expect("switches").clone();
        all.as_object_mut().expect("settings").extend(switches);
        Dit::sparse(&serde_json::from_value(all).expect("settings")).1
    };
    let dense = DenseDecoder::new(
        &serde_json::from_value(json!({
            "embed_dim": 8, "model_channels_encoder": [32, 128, 512], "model_channels_decoder": [512, 128, 64],
            "num_res_blocks_decoder": 4, "num_res_blocks_middle_decoder": 4,
        }))
        .expect("settings"),
    )
    .1;
    let sparse =
        SparseDecoder::new(&serde_json::from_value(json!({ "resolution": 64, "embed_dim": 16 })).expect("settings")).1;
    let first = details(json!({ "sparse_conditions": true }));
    let second = details(json!({ "compression_version": "v1", "compression_block_size": 8 }));
    let structure = Dit::dense(&serde_json::from_value(structure).expect("settings")).1;
    // In millions, as counted from the reference's code by others; places of the structure's tokens are no weights there.
    let places = 4096 * 1024;
    for (what, weights, expected) in [
        ("transformer of structure", structure.parameters.count() - places, 555.5),
        ("transformer of details 1.0", first.parameters.count(), 520.1),
        ("transformer of details 1.1", second.parameters.count(), 509.3),
        ("decoder of structure", dense.parameters.count(), 133.7),
        ("encoder of structure", dense.unread.count(), 59.3),
        ("decoder of details", sparse.parameters.count(), 15.2),
        ("encoder of details", sparse.unread.count(), 22.6),
    ] {
        let millions = weights as f64 / 1e6;
        println!("{what}: {weights}");
        assert!((millions - expected).abs() < 0.051, "{what}: {millions} million weights and not {expected}");
    }
}
