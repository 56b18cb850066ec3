//! Golden-vector harness: loads a topic of `tests/vectors` (its README explains the format), hands out the inputs of
//! each case, compares results within the recorded tolerances, and makes sure that nothing was left uncompared.
//!
//! ```ignore
//! for_each_case("losses", "avx2", |case| {
//!     let image = case.f32("l1/image");
//!     case.compare("l1/l1", &[compute(&image)]);
//! });
//! ```
#![allow(dead_code, reason = "each test program uses a part of the harness")]

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Runs `test` on every case of a topic; afterwards every `output` and `gradient` entry must have been compared and
/// found within its tolerance. `variant` names the code path in messages.
pub fn for_each_case(topic: &str, variant: &str, test: impl FnMut(&Case)) {
    for_each_case_of(topic, variant, None, test);
}

/// As [`for_each_case`], for code that computes only the outputs of these names.
pub fn for_each_case_of(topic: &str, variant: &str, outputs: Option<&[&str]>, test: impl FnMut(&Case)) {
    for_cases(topic, variant, |_| true, outputs, test);
}

/// As [`for_each_case`], for code that computes only cases of these names.
pub fn for_each_case_named(topic: &str, variant: &str, chosen: impl Fn(&str) -> bool, test: impl FnMut(&Case)) {
    for_cases(topic, variant, chosen, None, test);
}

/// As [`for_each_case`], for code that computes only outputs of these names, and only in cases of these names.
pub fn for_cases(
    topic: &str,
    variant: &str,
    chosen: impl Fn(&str) -> bool,
    outputs: Option<&[&str]>,
    mut test: impl FnMut(&Case),
) {
    let loaded = Topic::load(topic);
    let cases = loaded.meta["cases"].as_object().expect("cases are an object");
    let names: Vec<&String> = cases.keys().filter(|name| chosen(name)).collect();
    assert!(!names.is_empty(), "topic {topic} has no such cases");
    for name in names {
        let case = Case { topic: &loaded, name, variant, compared: RefCell::default() };
        test(&case);
        case.finish(outputs);
    }
}

/// One topic: what the tensors mean, and the tensors.
struct Topic {
    name: String,
    meta: Value,
    bytes: Vec<u8>,
}

impl Topic {
    fn load(name: &str) -> Self {
        let folder = std::env::var_os("TESSERA_VECTORS")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors"), PathBuf::from);
        let read = |extension: &str| {
            let path = folder.join(format!("{name}.{extension}"));
            std::fs::read(&path).unwrap_or_else(|e| panic!("cannot read golden vectors {}: {e}", path.display()))
        };
        let meta = serde_json::from_slice(&read("json")).expect("the description is JSON");
        Self { name: name.to_owned(), meta, bytes: read("safetensors") }
    }
}

/// One case of a topic. Tensor names are relative to the case.
pub struct Case<'a> {
    topic: &'a Topic,
    /// Name of the case.
    pub name: &'a str,
    variant: &'a str,
    /// What went wrong with each tensor compared so far, if anything.
    compared: RefCell<BTreeMap<String, Option<String>>>,
}

impl Case<'_> {
    /// The option `key` of the case entry (`width`, `antialiased`, ...).
    pub fn option(&self, key: &str) -> &Value {
        let value = &self.topic.meta["cases"][self.name][key];
        assert!(!value.is_null(), "case {} has no option '{key}'", self.name);
        value
    }

    /// A size among the options.
    pub fn size(&self, key: &str) -> usize {
        self.option(key).as_u64().unwrap_or_else(|| panic!("option '{key}' of {} is not a size", self.name)) as usize
    }

    /// A truth value among the options.
    pub fn flag(&self, key: &str) -> bool {
        self.option(key).as_bool().unwrap_or_else(|| panic!("option '{key}' of {} is not a flag", self.name))
    }

    /// A number among the options.
    pub fn number(&self, key: &str) -> f64 {
        self.option(key).as_f64().unwrap_or_else(|| panic!("option '{key}' of {} is not a number", self.name))
    }

    /// True if the case has a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.topic.meta["tensors"].get(self.full_name(name)).is_some()
    }

    /// Shape of a tensor.
    pub fn shape(&self, name: &str) -> Vec<usize> {
        self.tensor(name).1
    }

    /// Values of a float32 tensor, row major.
    pub fn f32(&self, name: &str) -> Vec<f32> {
        self.f32_of(self.name, name)
    }

    /// As [`Case::f32`], of another case: where the description says that inputs are shared.
    pub fn f32_of(&self, case: &str, name: &str) -> Vec<f32> {
        let (dtype, _, data) = self.tensor_at(&format!("{case}/{name}"));
        assert_eq!(dtype, Dtype::F32, "{name} is not float32");
        data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    }

    /// Values of an int32 tensor, row major.
    pub fn i32(&self, name: &str) -> Vec<i32> {
        let (dtype, _, data) = self.tensor(name);
        assert_eq!(dtype, Dtype::I32, "{name} is not int32");
        data.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b)).collect()
    }

    /// Values of an int32 tensor that all cases share, row major.
    pub fn shared_i32(&self, name: &str) -> Vec<i32> {
        let (dtype, _, data) = self.tensor_at(name);
        assert_eq!(dtype, Dtype::I32, "{name} is not int32");
        data.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b)).collect()
    }

    /// Compares a result with the expected tensor; failures are reported when the case is done.
    pub fn compare<T: Copy + Into<f64>>(&self, name: &str, actual: &[T]) {
        let actual: Vec<f64> = actual.iter().map(|&x| x.into()).collect();
        let (dtype, shape, data) = self.tensor(name);
        let expected: Vec<f64> = match dtype {
            Dtype::F32 => data.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
            Dtype::I32 => data.as_chunks().0.iter().map(|b| f64::from(i32::from_le_bytes(*b))).collect(),
            Dtype::U8 => data.iter().map(|b| f64::from(*b)).collect(),
            other => panic!("{name}: comparing {other:?} is not supported"),
        };
        let (rtol, atol) = self.tolerance(name);
        let problem = if actual.len() == expected.len() {
            let report = Report::new(&actual, &expected, rtol, atol);
            println!("{} {}: {}", self.variant, self.full_name(name), report.summary(&shape));
            (report.outside > 0).then(|| report.summary(&shape))
        } else {
            Some(format!("{} values instead of {} {shape:?}", actual.len(), expected.len()))
        };
        let twice = self.compared.borrow_mut().insert(name.to_owned(), problem);
        assert!(twice.is_none(), "{} was compared twice", self.full_name(name));
    }

    fn full_name(&self, name: &str) -> String {
        format!("{}/{name}", self.name)
    }

    fn tensor(&self, name: &str) -> (Dtype, Vec<usize>, &[u8]) {
        self.tensor_at(&self.full_name(name))
    }

    fn tensor_at(&self, full: &str) -> (Dtype, Vec<usize>, &[u8]) {
        let tensors = SafeTensors::deserialize(&self.topic.bytes).expect("a safetensors file");
        let view = tensors.tensor(full).unwrap_or_else(|e| panic!("{} has no {full}: {e}", self.topic.name));
        (view.dtype(), view.shape().to_vec(), view.data())
    }

    /// Relative and absolute tolerance; both zero for `exact`.
    fn tolerance(&self, name: &str) -> (f64, f64) {
        match &self.topic.meta["tensors"][self.full_name(name)]["tolerance"] {
            Value::String(exact) if exact == "exact" => (0.0, 0.0),
            Value::Object(t) => (t["rtol"].as_f64().expect("a number"), t["atol"].as_f64().expect("a number")),
            _ => panic!("{name} has no tolerance: it is not an output"),
        }
    }

    fn finish(self, outputs: Option<&[&str]>) {
        let prefix = self.full_name("");
        let compared = self.compared.take();
        let tensors = self.topic.meta["tensors"].as_object().expect("tensors are an object");
        let expected: Vec<&str> = tensors
            .iter()
            .filter(|(_, entry)| matches!(entry["role"].as_str(), Some("output" | "gradient")))
            .filter_map(|(name, _)| name.strip_prefix(&prefix))
            .filter(|name| outputs.is_none_or(|outputs| outputs.contains(name)))
            .collect();
        let missing: Vec<_> = expected.iter().filter(|name| !compared.contains_key(**name)).collect();
        assert!(missing.is_empty(), "{} {prefix}: nothing was compared with {missing:?}", self.variant);
        assert_eq!(compared.len(), expected.len(), "{} {prefix}: more was compared than expected", self.variant);
        let failed: Vec<String> = compared
            .into_iter()
            .filter_map(|(name, problem)| Some(format!("  {prefix}{name}: {}", problem?)))
            .collect();
        assert!(failed.is_empty(), "{} is out of tolerance:\n{}", self.variant, failed.join("\n"));
    }
}

/// How far a tensor is from what is expected.
struct Report {
    count: usize,
    outside: usize,
    /// Index, actual and expected value, and error / tolerance, where that ratio is largest.
    worst: (usize, f64, f64, f64),
}

impl Report {
    fn new(actual: &[f64], expected: &[f64], rtol: f64, atol: f64) -> Self {
        let mut report = Self { count: actual.len(), outside: 0, worst: (0, 0.0, 0.0, -1.0) };
        for (index, (&a, &e)) in actual.iter().zip(expected).enumerate() {
            let error = (a - e).abs();
            let ratio = if error == 0.0 { 0.0 } else { error / (atol + rtol * e.abs()) };
            let ratio = if ratio.is_nan() { f64::INFINITY } else { ratio };
            report.outside += usize::from(ratio > 1.0);
            if ratio > report.worst.3 {
                report.worst = (index, a, e, ratio);
            }
        }
        report
    }

    fn summary(&self, shape: &[usize]) -> String {
        let (flat, actual, expected, ratio) = self.worst;
        let mut rest = flat;
        let mut index: Vec<usize> = shape.iter().rev().map(|n| (rest % n, rest /= n).0).collect();
        index.reverse();
        format!(
            "{} of {} out of tolerance; worst error/tolerance {ratio:.3} at {index:?}: {actual:e}, expected {expected:e}",
            self.outside, self.count
        )
    }
}
