//! How many requests an address may make: a bucket of tokens for each, refilled steadily.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Addresses that are remembered. Those whose bucket is full again are forgotten first.
const MAX_ADDRESSES: usize = 4096;

/// The buckets of all addresses.
#[derive(Debug)]
pub(super) struct Rate {
    per_second: f32,
    burst: f32,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f32,
    at: Instant,
}

impl Rate {
    pub fn new(per_second: f32, burst: f32) -> Self {
        Self { per_second, burst, buckets: Mutex::default() }
    }

    /// Takes a token, if one is left.
    pub fn allows(&self, address: IpAddr, now: Instant) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let filled = |bucket: &Bucket| {
            let seconds = now.saturating_duration_since(bucket.at).as_secs_f32();
            (bucket.tokens + seconds * self.per_second).min(self.burst)
        };
        let address = network(address);
        if buckets.len() >= MAX_ADDRESSES && !buckets.contains_key(&address) {
            buckets.retain(|_, bucket| filled(bucket) < self.burst);
            if buckets.len() >= MAX_ADDRESSES {
                return false;
            }
        }
        let bucket = buckets.entry(address).or_insert(Bucket { tokens: self.burst, at: now });
        *bucket = Bucket { tokens: filled(bucket), at: now };
        let allowed = bucket.tokens >= 1.0;
        if allowed {
            bucket.tokens -= 1.0;
        }
        allowed
    }
}

/// One customer has 2^64 addresses of version 6: they share a bucket.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(six) => IpAddr::V6((six.to_bits() & !u128::from(u64::MAX)).into()),
        four => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::time::Duration;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let rate = Rate::new(10.0, 5.0);
        let (now, us) = (Instant::now(), IpAddr::from([127, 0, 0, 1]));
        assert_eq!((0..20).filter(|_| rate.allows(us, now)).count(), 5);
        let later = now + Duration::from_millis(310);
        assert_eq!((0..20).filter(|_| rate.allows(us, later)).count(), 3);
        assert!(rate.allows(IpAddr::from([127, 0, 0, 2]), later), "others are not held up");
    }

    #[test]
    fn many_addresses_take_bounded_memory() {
        let rate = Rate::new(10.0, 5.0);
        let now = Instant::now();
        let admitted = (0..10_000u32).filter(|&i| rate.allows(Ipv4Addr::from_bits(i).into(), now)).count();
        assert_eq!(admitted, MAX_ADDRESSES);
        assert!(rate.allows(Ipv4Addr::from_bits(77_777).into(), now + Duration::from_secs(1)));
    }

    #[test]
    fn addresses_of_one_network_share_a_bucket() {
        let rate = Rate::new(1.0, 5.0);
        let now = Instant::now();
        let allowed = (0..50u128).filter(|&i| rate.allows(Ipv6Addr::from_bits((0x2001 << 112) + i).into(), now));
        assert_eq!(allowed.count(), 5);
    }
}
