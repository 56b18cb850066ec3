//! Camera paths through keyframes.

use super::rig::Rig;

/// A rig at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Keyframe {
    /// Seconds from the start of the path.
    pub time: f64,
    /// The camera.
    pub rig: Rig,
}

/// Keyframes in order of time, joined by a smooth curve (Catmull-Rom in every parameter, time warped evenly).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CameraPath {
    keyframes: Vec<Keyframe>,
}

impl CameraPath {
    /// The keyframes in order.
    pub fn keyframes(&self) -> &[Keyframe] {
        &self.keyframes
    }

    /// Adds a keyframe `seconds` after the last; the first is at zero. Turns are taken the short way round.
    pub fn push(&mut self, mut rig: Rig, seconds: f64) {
        let time = self.keyframes.last().map_or(0.0, |last| last.time + seconds.max(1e-3));
        if let Some(last) = self.keyframes.last() {
            let turn = std::f64::consts::TAU;
            rig.yaw -= turn * ((rig.yaw - last.rig.yaw) / turn).round();
        }
        self.keyframes.push(Keyframe { time, rig });
    }

    /// Takes a keyframe away; the path starts at zero again.
    pub fn remove(&mut self, index: usize) {
        if index < self.keyframes.len() {
            self.keyframes.remove(index);
        }
        if let Some(start) = self.keyframes.first().map(|first| first.time) {
            self.keyframes.iter_mut().for_each(|keyframe| keyframe.time -= start);
        }
    }

    /// Seconds from first to last keyframe.
    pub fn duration(&self) -> f64 {
        self.keyframes.last().map_or(0.0, |last| last.time)
    }

    /// The camera at a time, which is clamped to the path; none without keyframes.
    pub fn at(&self, time: f64) -> Option<Rig> {
        let keys = &self.keyframes;
        let time = time.clamp(0.0, self.duration());
        let next = keys.iter().position(|key| key.time > time).unwrap_or(keys.len());
        let before = next.checked_sub(1)?;
        if next == keys.len() {
            return keys.last().map(|key| key.rig);
        }
        let t = (time - keys[before].time) / (keys[next].time - keys[before].time);
        let around = [before.saturating_sub(1), before, next, (next + 1).min(keys.len() - 1)];
        Some(spline(around.map(|i| keys[i].rig), t))
    }

    /// The cameras of a video.
    pub fn frames(&self, frames_per_second: f64) -> Vec<Rig> {
        let count = (self.duration() * frames_per_second).floor() as usize + 1;
        (0..count).filter_map(|i| self.at(i as f64 / frames_per_second)).collect()
    }
}

fn spline(rigs: [Rig; 4], t: f64) -> Rig {
    let mix = |value: &dyn Fn(&Rig) -> f64| {
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| value(&rigs[i]));
        let (p, q) = (0.5 * (c - a), 0.5 * (d - b));
        let (e, f) = (2.0 * b - 2.0 * c + p + q, -3.0 * b + 3.0 * c - 2.0 * p - q);
        ((e * t + f) * t + p) * t + b
    };
    let mut rig = rigs[1].between(&rigs[2], t);
    for axis in 0..3 {
        rig.pivot[axis] = mix(&|rig| rig.pivot[axis]);
    }
    rig.distance = mix(&|rig| rig.distance.ln()).exp();
    rig.yaw = mix(&|rig| rig.yaw);
    rig.pitch = mix(&|rig| rig.pitch);
    rig.fov = mix(&|rig| rig.fov);
    rig
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::{Unit, Vector3};

    fn rig(x: f64, yaw: f64) -> Rig {
        let up = Unit::new_normalize(-Vector3::y());
        Rig { pivot: Vector3::new(x, 0.0, 0.0), distance: 4.0, yaw, pitch: 0.0, fov: 0.9, up }
    }

    #[test]
    fn a_path_passes_through_its_keyframes() {
        let mut path = CameraPath::default();
        assert_eq!(path.at(0.0), None);
        for (x, yaw) in [(0.0, 0.0), (1.0, 0.4), (5.0, -0.2)] {
            path.push(rig(x, yaw), 2.0);
        }
        assert_eq!(path.duration(), 4.0);
        for key in path.keyframes() {
            let at = path.at(key.time).unwrap();
            assert!((at.pivot - key.rig.pivot).norm() < 1e-12 && (at.yaw - key.rig.yaw).abs() < 1e-12);
        }
        assert_eq!(path.frames(10.0).len(), 41);
    }

    #[test]
    fn turns_take_the_short_way() {
        let mut path = CameraPath::default();
        path.push(rig(0.0, 3.0), 1.0);
        path.push(rig(0.0, -3.0), 1.0);
        let middle = path.at(0.5).unwrap().yaw;
        assert!((middle - std::f64::consts::PI).abs() < 0.05, "{middle}");
    }
}
