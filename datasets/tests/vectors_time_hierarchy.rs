//! Placement in the time hierarchy and active sets against the golden vectors of topic `gaussian_4d`, all exact.

use safetensors::SafeTensors;
use std::path::PathBuf;
use tessera_datasets::camera::spacetime::MIN_TIME_WEIGHT;
use tessera_datasets::scene::{Place, TimeHierarchy};

fn folder() -> PathBuf {
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors");
    std::env::var_os("TESSERA_VECTORS").map_or_else(default, PathBuf::from)
}

struct Vectors {
    bytes: Vec<u8>,
    cases: serde_json::Value,
}

impl Vectors {
    fn load() -> Self {
        let bytes = std::fs::read(folder().join("gaussian_4d.safetensors")).expect("gaussian_4d.safetensors");
        let json = std::fs::read(folder().join("gaussian_4d.json")).expect("gaussian_4d.json");
        let meta: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        Self { bytes, cases: meta["cases"].clone() }
    }

    fn values<T, const BYTES: usize>(&self, name: &str, read: fn([u8; BYTES]) -> T) -> Vec<T> {
        let tensors = SafeTensors::deserialize(&self.bytes).expect("safetensors");
        let tensor = tensors.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        tensor.data().as_chunks::<BYTES>().0.iter().map(|b| read(*b)).collect()
    }

    fn i64(&self, name: &str) -> Vec<i64> {
        self.values(name, i64::from_le_bytes)
    }

    /// The hierarchy of the vectors; cases that do not say how long a tick is do without seconds.
    fn hierarchy(&self, case: &str, shifted: bool) -> TimeHierarchy {
        let case = &self.cases[case];
        TimeHierarchy {
            levels: case["levels"].as_u64().expect("levels") as u8,
            root_ticks: case["root_ticks"].as_i64().expect("root_ticks"),
            tick: case["tick_seconds"].as_f64().unwrap_or(1.0),
            shifted,
        }
    }

    /// Compares where influences from `low` to `high` are placed, and when they are active.
    fn compare_places(&self, case: &str, low: &[i64], high: &[i64]) {
        let queries = self.i64(&format!("{case}/query_ticks"));
        for (variant, shifted) in [("nested", false), ("shifted", true)] {
            let hierarchy = self.hierarchy(case, shifted);
            let levels = self.values(&format!("{case}/{variant}_level"), i32::from_le_bytes);
            let segments = self.values(&format!("{case}/{variant}_segment"), i32::from_le_bytes);
            let active = self.values(&format!("{case}/{variant}_active"), u8::from_le_bytes);
            for i in 0..low.len() {
                let wanted = match u8::try_from(levels[i]) {
                    Ok(level) => Place::Segment { level, segment: i64::from(segments[i]) },
                    Err(_) => Place::Global,
                };
                let place = hierarchy.place_ticks([low[i], high[i]]);
                assert_eq!(place, wanted, "{case}, {variant}, row {i}: from tick {} to {}", low[i], high[i]);
                for (q, &tick) in queries.iter().enumerate() {
                    let is_active = hierarchy.active(tick).any(|at| at == place);
                    let wanted = active[q * low.len() + i] != 0;
                    assert_eq!(is_active, wanted, "{case}, {variant}, row {i} at tick {tick}");
                }
            }
        }
    }
}

#[test]
fn influences_are_placed_where_the_vectors_say() {
    let vectors = Vectors::load();
    let hierarchy = vectors.hierarchy("hierarchy", false);
    let [times, variances] =
        ["mu_t", "var_t"].map(|name| vectors.values(&format!("hierarchy/{name}"), f64::from_le_bytes));
    let radius = |i: usize| (-2.0 * MIN_TIME_WEIGHT.ln() * variances[i]).sqrt();
    let low: Vec<i64> = (0..times.len()).map(|i| hierarchy.tick_at(times[i] - radius(i))).collect();
    let high: Vec<i64> = (0..times.len()).map(|i| hierarchy.tick_at(times[i] + radius(i))).collect();
    assert_eq!(low, vectors.i64("hierarchy/lo_tick"));
    assert_eq!(high, vectors.i64("hierarchy/hi_tick"));
    vectors.compare_places("hierarchy", &low, &high);
}

#[test]
fn boundaries_belong_to_what_begins_there() {
    let vectors = Vectors::load();
    let [low, high] = ["lo_tick", "hi_tick"].map(|name| vectors.i64(&format!("boundaries/{name}")));
    vectors.compare_places("boundaries", &low, &high);
}
