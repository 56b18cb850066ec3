//! The processor time of the whole process as what criterion measures: other programs on the machine hardly change it, while
//! they make the time on the clock meaningless. On one thread, what is measured is the speed of a core. Time that the system
//! spends on reading and writing counts; waiting for a disk does not.

use criterion::Criterion;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use std::time::Duration;

static WALL: WallTime = WallTime;

/// See the module.
pub struct ProcessorTime;

impl Measurement for ProcessorTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        so_far()
    }

    fn end(&self, start: Duration) -> Duration {
        so_far().saturating_sub(start)
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        // Nanoseconds are written alike, whatever clock counted them.
        WALL.formatter()
    }
}

/// A few samples of a few seconds, of one thread's processor time.
pub fn criterion() -> Criterion<ProcessorTime> {
    Criterion::default()
        .with_measurement(ProcessorTime)
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
}

/// A pool of one thread.
pub fn one_thread() -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread")
}

#[cfg(unix)]
fn so_far() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one `timespec` to the place that it is given, which is one.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    assert_eq!(status, 0, "the system counts processor time");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The clock's time, where nothing better is at hand.
#[cfg(not(unix))]
fn so_far() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}
