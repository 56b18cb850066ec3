//! How sharp a picture is, and which pictures of a video to take.

/// A grey picture of a video, and where in the video it is.
pub(super) struct Grey {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) data: Vec<u8>,
}

/// What is remembered of a video frame.
pub(super) struct Candidate {
    /// Number of the frame in the video.
    pub(super) frame: u64,
    pub(super) sharpness: f64,
    /// The picture in 16x16 pixels.
    pub(super) thumbnail: [f32; 256],
}

/// Pictures whose thumbnails differ by less than this (mean, of 255) show the same thing.
const SAME: f32 = 0.5;

impl Candidate {
    pub(super) fn new(frame: u64, grey: &Grey) -> Self {
        let mut thumbnail = [0.0; 256];
        for (i, value) in thumbnail.iter_mut().enumerate() {
            let span = |cell: usize, size: usize| cell * size / 16..((cell + 1) * size / 16).max(cell * size / 16 + 1);
            let (rows, columns) = (span(i / 16, grey.height), span(i % 16, grey.width));
            let (mut sum, mut count) = (0.0, 0.0_f32);
            for y in rows {
                for &v in grey.data.get(y * grey.width..).and_then(|row| row.get(columns.clone())).unwrap_or_default() {
                    sum += f32::from(v);
                    count += 1.0;
                }
            }
            *value = sum / count.max(1.0);
        }
        Self { frame, sharpness: laplacian_variance(grey), thumbnail }
    }

    fn shows_the_same_as(&self, other: &Self) -> bool {
        let sum: f32 = self.thumbnail.iter().zip(&other.thumbnail).map(|(a, b)| (a - b).abs()).sum();
        sum < SAME * 256.0
    }
}

/// The variance of the Laplacian (Pech-Pacheco et al. 2000): high where edges are, low when they are blurred.
pub(super) fn laplacian_variance(grey: &Grey) -> f64 {
    let (w, h) = (grey.width, grey.height);
    if w < 3 || h < 3 || grey.data.len() < w * h {
        return 0.0;
    }
    let (mut sum, mut squares) = (0_i64, 0_i64);
    for rows in grey.data.chunks_exact(w).collect::<Vec<_>>().windows(3) {
        for x in 1..w - 1 {
            let centre = 4 * i64::from(rows[1][x]);
            let around = [rows[0][x], rows[2][x], rows[1][x - 1], rows[1][x + 1]];
            let value = centre - around.into_iter().map(i64::from).sum::<i64>();
            sum += value;
            squares += value * value;
        }
    }
    let n = ((w - 2) * (h - 2)) as f64;
    squares as f64 / n - (sum as f64 / n).powi(2)
}

/// The sharpest frame of every one of `slots` equal parts of the video, at least half a part after the one before it,
/// and none that shows the same as the one before it. `frames` is the length of the video, `candidates` are ascending.
pub(super) fn choose(candidates: &[Candidate], frames: u64, slots: u64) -> Vec<u64> {
    let mut chosen: Vec<&Candidate> = Vec::new();
    for slot in 0..slots {
        let (begin, end) = (slot * frames / slots, (slot + 1) * frames / slots);
        let earliest = chosen.last().map_or(0, |last| last.frame + (frames / slots / 2).max(1));
        let in_slot = candidates.iter().filter(|c| c.frame >= begin.max(earliest) && c.frame < end);
        let Some(best) = in_slot.max_by(|a, b| a.sharpness.total_cmp(&b.sharpness)) else { continue };
        if chosen.last().is_none_or(|last| !best.shows_the_same_as(last)) {
            chosen.push(best);
        }
    }
    chosen.into_iter().map(|c| c.frame).collect()
}
