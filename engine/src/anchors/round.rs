//! What ranks tell each other about a round: how their blocks did, and what becomes of the decoder.

use crate::Result;
use crate::blocks::weights::Quality;
use crate::exchange::{Contents, Parcel, Part, Ranks, TreeSum};
use std::time::Instant;

/// How a block did in its step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Note {
    /// Of its group.
    pub lane: usize,
    pub loss: f64,
    pub psnr: f64,
    pub quality: Option<Quality>,
    /// How many it had.
    pub anchors: u64,
}

/// What a rank has to say after a round, and what rank 0 makes of all of that.
#[derive(Debug)]
pub(super) struct Round {
    /// Whether the user wants it to stop.
    pub is_asked_to_stop: bool,
    /// In the order of the lanes.
    pub notes: Vec<Note>,
    /// Of gradients, or of decoders, if there is anything to add that is not gathered in another way.
    pub sum: TreeSum,
}

/// What comes of a round, the same for all.
#[derive(Debug)]
pub(super) struct Verdict {
    /// Whether any rank was asked to stop.
    pub is_asked_to_stop: bool,
    /// Of all lanes, in their order.
    pub notes: Vec<Note>,
    /// The sum of what all have added; nothing if nobody has, or it is gathered in another way.
    pub sum: Option<Vec<f32>>,
}

impl Round {
    /// Sends it to rank 0, which needs not be sent its own. Computing may go on meanwhile.
    pub fn send(&self, ranks: &mut Ranks) -> Result<()> {
        if ranks.leads() {
            return Ok(());
        }
        let mut parcel = Parcel::default();
        parcel.u64(u64::from(self.is_asked_to_stop));
        put_notes(&mut parcel, &self.notes);
        parcel.u64(self.sum.parts().len() as u64);
        self.sum.parts().iter().for_each(|part| parcel.part(part));
        ranks.report(&parcel.finish())
    }

    /// Waits for what comes of the round.
    pub fn settle(mut self, ranks: &mut Ranks) -> Result<Verdict> {
        if !ranks.leads() {
            return Verdict::from_bytes(&ranks.listen()?);
        }
        for message in ranks.collect(Instant::now())? {
            let mut contents = Contents::new(&message);
            self.is_asked_to_stop |= contents.u64()? != 0;
            self.notes.extend(taken_notes(&mut contents)?);
            for _ in 0..contents.u64()? {
                let part: Part = contents.part()?;
                self.sum.merge(part);
            }
        }
        self.notes.sort_by_key(|note| note.lane);
        let verdict = Verdict { is_asked_to_stop: self.is_asked_to_stop, notes: self.notes, sum: self.sum.finish() };
        if ranks.size() > 1 {
            ranks.tell(&verdict.to_bytes())?;
        }
        Ok(verdict)
    }
}

impl Verdict {
    fn to_bytes(&self) -> Vec<u8> {
        let mut parcel = Parcel::default();
        parcel.u64(u64::from(self.is_asked_to_stop));
        put_notes(&mut parcel, &self.notes);
        parcel.u64(u64::from(self.sum.is_some()));
        self.sum.iter().for_each(|sum| parcel.f32s(sum));
        parcel.finish()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut contents = Contents::new(bytes);
        let is_asked_to_stop = contents.u64()? != 0;
        let notes = taken_notes(&mut contents)?;
        let sum = if contents.u64()? != 0 { Some(contents.f32s()?) } else { None };
        Ok(Self { is_asked_to_stop, notes, sum })
    }
}

fn put_notes(parcel: &mut Parcel, notes: &[Note]) {
    parcel.u64(notes.len() as u64);
    for Note { lane, loss, psnr, quality, anchors } in notes {
        parcel.u64(*lane as u64);
        // What is not known is no number.
        let [of_psnr, of_ssim] = quality.map_or([f64::NAN; 2], |quality| [quality.psnr, quality.ssim]);
        [*loss, *psnr, of_psnr, of_ssim].into_iter().for_each(|value| parcel.f64(value));
        parcel.u64(*anchors);
    }
}

fn taken_notes(contents: &mut Contents<'_>) -> Result<Vec<Note>> {
    let mut notes = Vec::new();
    for _ in 0..contents.u64()? {
        let lane = contents.u64()? as usize;
        let [loss, psnr, of_psnr, of_ssim] = [contents.f64()?, contents.f64()?, contents.f64()?, contents.f64()?];
        let quality = (!of_psnr.is_nan()).then_some(Quality { psnr: of_psnr, ssim: of_ssim });
        notes.push(Note { lane, loss, psnr, quality, anchors: contents.u64()? });
    }
    Ok(notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_of_a_round_comes_over_as_it_is() {
        let quality = Some(Quality { psnr: 21.3, ssim: 0.71 });
        let note = |lane, quality| Note { lane, loss: 0.1 + lane as f64, psnr: f64::INFINITY, quality, anchors: 7 };
        let verdict = Verdict {
            is_asked_to_stop: true,
            notes: vec![note(0, quality), note(1, None)],
            sum: Some(vec![0.1, -3.0]),
        };
        let bytes = verdict.to_bytes();
        let again = Verdict::from_bytes(&bytes).expect("whole");
        assert_eq!((again.is_asked_to_stop, &again.notes, &again.sum), (true, &verdict.notes, &verdict.sum));
        for length in 0..bytes.len() {
            assert!(Verdict::from_bytes(&bytes[..length]).is_err(), "{length} bytes are enough");
        }
    }
}
