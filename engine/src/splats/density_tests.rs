use super::*;
use tessera_datasets::scene::SplatCloud;

fn model(n: usize, config: &SplatsConfig) -> SplatModel {
    let mut cloud = SplatCloud::with_capacity(n, config.sh_degree);
    for i in 0..n {
        let x = i as f32;
        cloud.means.push([x, 0.5 * x, -x]);
        cloud.log_scales.push([-2.0, -1.0, -3.0]);
        cloud.quats.push([0.9, 0.1, -0.3, 0.2]);
        cloud.opacity_logits.push(if i % 10 == 3 { -9.0 } else { 0.5 });
        cloud.sh0.push([0.1, 0.2, 0.3]);
        cloud.sh_rest.extend([0.0; 45]);
    }
    SplatModel::new(&cloud, config)
}

fn observed(n: usize) -> DensityControl {
    DensityControl { scores: (0..n).map(|i| 1.0 + (i % 7) as f32).collect(), ..DensityControl::default() }
}

#[test]
fn growth_ends_at_exactly_the_number_asked_for() {
    for max_splats in [130, 1000, 5000] {
        let config = SplatsConfig { steps: 400, max_splats, ..SplatsConfig::default() };
        let mut model = model(100, &config);
        for done in 1..=config.steps {
            let n = model.len();
            observed(n).refine(&mut model, &config, 100, done).expect("nothing to fail");
            assert!(model.len() <= max_splats, "{} splats after {done} steps, allowed are {max_splats}", model.len());
        }
        assert_eq!(model.len(), max_splats, "growth must reach the number asked for");
    }
}

#[test]
fn transparent_splats_are_put_to_use_elsewhere() {
    let config = SplatsConfig { steps: 1000, max_splats: 100, ..SplatsConfig::default() };
    let mut model = model(100, &config);
    let refined =
        observed(100).refine(&mut model, &config, 100, 500).expect("nothing to fail").expect("it is time to refine");
    assert_eq!(refined, Refinement { relocated: 10, added: 0 });
    assert!((0..100).all(|i| !is_dead(&model, i)), "a transparent splat is left");
}

#[test]
fn splats_that_no_view_has_seen_are_left_alone() {
    let config = SplatsConfig { steps: 1000, max_splats: 400, ..SplatsConfig::default() };
    let mut model = model(100, &config);
    let before = model.means.values.clone();
    let mut unseen = DensityControl { scores: vec![0.0; 100], ..DensityControl::default() };
    // Not one of the refinements that put splats into another order.
    let refined = unseen.refine(&mut model, &config, 100, 450).expect("nothing to fail").expect("it is time to refine");
    assert_eq!(refined, Refinement::default());
    assert_eq!(model.means.values, before);
}

#[test]
fn the_halves_of_a_split_lie_around_their_parent_along_its_longest_axis() {
    let config = SplatsConfig::default();
    let mut model = model(2, &config);
    let mean: Vec<f32> = model.means.row(0).to_vec();
    let axis = rotation_column(model.quats.row(0), 1);
    split(&mut model, 0, 1);
    let (a, b) = (model.means.row(0).to_vec(), model.means.row(1).to_vec());
    for k in 0..3 {
        assert!((0.5 * (a[k] + b[k]) - mean[k]).abs() < 1e-6, "the halves' centre has moved");
        let expected = 2.0 * SPLIT_OFFSET * (-1.0f32).exp() * axis[k];
        assert!((a[k] - b[k] - expected).abs() < 1e-5, "the halves are {} apart, not {expected}", a[k] - b[k]);
    }
    // Offset and shrinkage keep the second moment: d² + s'² = s².
    assert!((SPLIT_OFFSET.powi(2) + SPLIT_SHRINK.powi(2) - 1.0).abs() < 1e-6);
}

#[test]
fn the_space_filling_order_names_every_splat_once() {
    let config = SplatsConfig { max_splats: 50, ..SplatsConfig::default() };
    let model = model(50, &config);
    let mut order = Vec::new();
    morton_order(&model.means.values, &mut Vec::new(), &mut order);
    order.sort_unstable();
    assert_eq!(order, (0..50).collect::<Vec<u32>>());
}
