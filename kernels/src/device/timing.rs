//! How long work on a stream takes, without waiting for it.

use super::{DeviceError, Event, Stream};
use std::collections::BTreeMap;

/// Measures named spans of a stream's work. Spans that are not done yet stay open; nothing waits until [`Timer::totals`].
#[derive(Default)]
pub struct Timer {
    open: Vec<(&'static str, Event, Event)>,
    spare: Vec<Event>,
    totals: BTreeMap<&'static str, Total>,
}

/// What was measured under one name.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Total {
    /// Seconds in all.
    pub seconds: f64,
    /// How often.
    pub count: u64,
}

impl Timer {
    /// Does `work`, which gives the stream something to do, and measures how long that takes on the device.
    ///
    /// # Errors
    /// Those of `work`, and when the device fails.
    pub fn span<T>(
        &mut self,
        name: &'static str,
        stream: &Stream,
        work: impl FnOnce() -> Result<T, DeviceError>,
    ) -> Result<T, DeviceError> {
        let (start, end) = (self.event(stream)?, self.event(stream)?);
        start.record(stream)?;
        let result = work()?;
        end.record(stream)?;
        self.open.push((name, start, end));
        Ok(result)
    }

    fn event(&mut self, stream: &Stream) -> Result<Event, DeviceError> {
        match self.spare.pop() {
            Some(event) => Ok(event),
            None => stream.device().event(),
        }
    }

    /// Adds up the spans that are done. Call it now and then, so that their events can be used again.
    ///
    /// # Errors
    /// When the device or a kernel failed.
    pub fn collect(&mut self) -> Result<(), DeviceError> {
        let mut still_open = Vec::new();
        for (name, start, end) in self.open.drain(..) {
            if !end.is_done()? {
                still_open.push((name, start, end));
                continue;
            }
            let total = self.totals.entry(name).or_default();
            total.seconds += start.seconds_until(&end)?;
            total.count += 1;
            self.spare.extend([start, end]);
        }
        self.open = still_open;
        Ok(())
    }

    /// Waits for all spans and says how long they took, by name.
    ///
    /// # Errors
    /// When the device or a kernel failed.
    pub fn totals(&mut self) -> Result<&BTreeMap<&'static str, Total>, DeviceError> {
        for (_, _, end) in &self.open {
            end.wait()?;
        }
        self.collect()?;
        Ok(&self.totals)
    }
}
