//! How much memory a run will need, said before it starts.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a method will need at its largest, item by item.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryPlan {
    /// In the order in which they are shown.
    pub items: Vec<MemoryItem>,
    /// What is needed of a GPU's own memory, if one is used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_device: Vec<MemoryItem>,
}

/// One line of a [`MemoryPlan`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryItem {
    /// "parameters", "optimiser", "activations", "images".
    pub name: String,
    /// How much.
    pub bytes: u64,
    /// What makes it so: "200000 splats x 59 values".
    pub detail: String,
}

impl MemoryPlan {
    /// Adds a line.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, bytes: u64, detail: impl Into<String>) -> Self {
        self.items.push(MemoryItem { name: name.into(), bytes, detail: detail.into() });
        self
    }

    /// Adds a line about a GPU's memory.
    #[must_use]
    pub fn with_on_device(mut self, name: impl Into<String>, bytes: u64, detail: impl Into<String>) -> Self {
        self.on_device.push(MemoryItem { name: name.into(), bytes, detail: detail.into() });
        self
    }

    /// The sum of all lines about the machine's memory.
    pub fn total(&self) -> u64 {
        self.items.iter().map(|i| i.bytes).sum()
    }

    /// The sum of all lines about the GPU's memory.
    pub fn total_on_device(&self) -> u64 {
        self.on_device.iter().map(|i| i.bytes).sum()
    }

    /// Compares the plan with what the machine has: a sentence of warning when it is more than is free at the moment. `remedy` says what makes it
    /// smaller.
    ///
    /// # Errors
    /// When it is more than the machine could ever give.
    pub fn check(&self, memory: Option<AvailableMemory>, remedy: &str) -> Result<Option<String>> {
        let Some(memory) = memory else { return Ok(None) };
        let (planned, largest) = (self.total(), self.items.iter().max_by_key(|i| i.bytes));
        let most = largest.map_or_else(String::new, |i| format!(", most of it for {} ({})", i.name, i.detail));
        if planned > memory.total {
            return Err(Error::Memory(format!(
                "this run needs {}{most}, but the machine has {}; {remedy}",
                in_units(planned),
                in_units(memory.total)
            )));
        }
        Ok((planned > memory.free).then(|| {
            format!(
                "this run needs {}{most}, but only {} are free; close other programs, or {remedy}",
                in_units(planned),
                in_units(memory.free)
            )
        }))
    }
}

impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let totals = [("total", self.total()), ("total on the GPU", self.total_on_device())];
        let parts = [&self.items, &self.on_device];
        let shown = if self.on_device.is_empty() { 1 } else { 2 };
        let names = parts.into_iter().flatten().map(|i| i.name.as_str()).chain([totals[shown - 1].0]);
        let width = names.map(str::len).max().unwrap_or(0);
        for (part, (name, total)) in parts.into_iter().zip(totals).take(shown) {
            for item in part {
                writeln!(f, "  {:width$}  {:>9}  {}", item.name, in_units(item.bytes), item.detail)?;
            }
            let end = if name == totals[shown - 1].0 { "" } else { "\n" };
            write!(f, "  {name:width$}  {:>9}{end}", in_units(total))?;
        }
        Ok(())
    }
}

/// Bytes as people read them.
pub(crate) fn in_units(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// What the machine, or the container that we run in, can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AvailableMemory {
    /// In all, bytes.
    pub total: u64,
    /// Without taking any from another program, bytes.
    pub free: u64,
}

/// What the machine can give, if that can be found out (on Linux; control groups are respected).
pub fn available_memory() -> Option<AvailableMemory> {
    let memory = from_meminfo(&std::fs::read_to_string("/proc/meminfo").ok()?)?;
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let limit = number("/sys/fs/cgroup/memory.max");
    let used = number("/sys/fs/cgroup/memory.current");
    Some(within_limit(memory, limit, used))
}

fn from_meminfo(text: &str) -> Option<AvailableMemory> {
    let line = |name: &str| {
        let rest = text.lines().find_map(|l| l.strip_prefix(name))?.strip_prefix(':')?;
        rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    };
    Some(AvailableMemory { total: line("MemTotal")?, free: line("MemAvailable")? })
}

fn within_limit(memory: AvailableMemory, limit: Option<u64>, used: Option<u64>) -> AvailableMemory {
    let Some(limit) = limit else { return memory };
    let left = limit.saturating_sub(used.unwrap_or(0));
    AvailableMemory { total: memory.total.min(limit), free: memory.free.min(left) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn plan() -> MemoryPlan {
        MemoryPlan::default().with("parameters", GIB, "5 splats").with("images", 3 * GIB, "4 photos")
    }

    #[test]
    fn meminfo_and_control_groups_are_understood() {
        let memory = from_meminfo("MemTotal:       4 kB\nMemFree:  1 kB\nMemAvailable:   3 kB\n").expect("well-formed");
        assert_eq!(memory, AvailableMemory { total: 4096, free: 3072 });
        assert_eq!(within_limit(memory, Some(2048), Some(1000)), AvailableMemory { total: 2048, free: 1048 });
        assert_eq!(within_limit(memory, None, None), memory);
        assert_eq!(from_meminfo("nonsense"), None);
    }

    #[test]
    fn a_plan_that_fits_is_silent_and_one_that_does_not_says_why() {
        let memory = |total, free| Some(AvailableMemory { total: total * GIB, free: free * GIB });
        assert_eq!(plan().check(memory(8, 5), "ask for less").expect("fits"), None);
        assert_eq!(plan().check(None, "ask for less").expect("unknown"), None);
        let warning = plan().check(memory(8, 2), "ask for less").expect("may fit").expect("a warning");
        assert!(warning.contains("4.0 GiB") && warning.contains("images (4 photos)") && warning.contains("2.0 GiB"));
        let said = plan().check(memory(2, 2), "ask for less").expect_err("never fits").to_string();
        assert!(said.contains("the machine has 2.0 GiB"), "{said}");
    }

    #[test]
    fn a_plan_is_printed_as_a_table() {
        let table = plan().to_string();
        assert_eq!(table.lines().count(), 3, "{table}");
        assert!(table.ends_with("total         4.0 GiB"), "{table}");
        let with_gpu = plan().with_on_device("training state", 2 * GIB, "5 splats").to_string();
        assert!(with_gpu.contains("total               4.0 GiB\n"), "{with_gpu}");
        assert!(with_gpu.ends_with("total on the GPU    2.0 GiB"), "{with_gpu}");
    }
}
