//! What will be needed of a device's memory, said before anything is allocated.

use super::{Device, DeviceError};

/// Named sizes. The fixed ones are needed once; the others for each of a number of things, such as splats.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemoryPlan {
    fixed: Vec<(String, u64)>,
    each: Vec<(String, u64)>,
}

/// Bytes that the driver, its context and our code take beside buffers, and that fragmentation may cost.
const RESERVE: u64 = 300 << 20;

/// What a plan needs, and what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Bytes that are needed.
    pub needed: u64,
    /// Bytes that can be used.
    pub available: u64,
    /// The most things that fit; at most 2^64 - 1.
    pub most: u64,
}

impl Fit {
    /// Whether all of it fits.
    pub fn fits(&self) -> bool {
        self.needed <= self.available
    }
}

impl MemoryPlan {
    /// With `bytes` that are needed once.
    pub fn fixed(mut self, name: &str, bytes: u64) -> Self {
        self.fixed.push((name.to_owned(), bytes));
        self
    }

    /// With `bytes` for each thing.
    pub fn each(mut self, name: &str, bytes: u64) -> Self {
        self.each.push((name.to_owned(), bytes));
        self
    }

    /// All parts with their bytes for `count` things.
    pub fn parts(&self, count: u64) -> impl Iterator<Item = (&str, u64)> {
        let fixed = self.fixed.iter().map(|(name, bytes)| (name.as_str(), *bytes));
        fixed.chain(self.each.iter().map(move |(name, bytes)| (name.as_str(), bytes.saturating_mul(count))))
    }

    /// Bytes for `count` things.
    pub fn total(&self, count: u64) -> u64 {
        self.parts(count).fold(0, |sum, (_, bytes)| sum.saturating_add(bytes))
    }

    /// Compares what `count` things need with `available` bytes.
    pub fn fit(&self, count: u64, available: u64) -> Fit {
        let each = self.total(1) - self.total(0);
        let left = available.saturating_sub(self.total(0));
        Fit { needed: self.total(count), available, most: left.checked_div(each).unwrap_or(u64::MAX) }
    }

    /// Compares what `count` things need with what this device has free.
    ///
    /// # Errors
    /// When the device does not say how much is free.
    pub fn fit_on(&self, count: u64, device: &Device) -> Result<Fit, DeviceError> {
        Ok(self.fit(count, device.free_memory()?.saturating_sub(RESERVE)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_says_what_is_needed_and_what_would_fit() {
        let plan = MemoryPlan::default().fixed("photos", 1000).each("parameters", 236).each("moments", 472);
        assert_eq!(plan.total(10), 1000 + 10 * 708);
        assert_eq!(plan.fit(10, 9000), Fit { needed: 8080, available: 9000, most: 11 });
        assert!(plan.fit(11, 9000).fits() && !plan.fit(12, 9000).fits());
        assert_eq!(plan.fit(1, 500).most, 0);
        assert_eq!(plan.parts(2).collect::<Vec<_>>(), [("photos", 1000), ("parameters", 472), ("moments", 944)]);
    }

    #[test]
    fn numbers_beyond_all_memory_do_not_overflow() {
        let plan = MemoryPlan::default().each("parameters", u64::MAX / 2);
        assert_eq!(plan.total(7), u64::MAX);
        assert!(!plan.fit(7, u64::MAX - 1).fits());
        assert_eq!(MemoryPlan::default().fit(5, 10).most, u64::MAX);
    }
}
