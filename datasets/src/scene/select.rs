//! Fewer splats by looking at each of them: cropping, opacity, degree. All work in place, so on chunks of a stream too.

use super::SplatCloud;
use rayon::prelude::*;

/// Splats that one thread looks at.
const PIECE: usize = 4096;

impl SplatCloud {
    /// Keeps the splats for whose indices `keep` is true, in their order.
    pub fn retain(&mut self, keep: impl Fn(&Self, usize) -> bool + Sync) {
        let this = &*self;
        let kept: Vec<bool> = (0..self.len()).into_par_iter().with_min_len(PIECE).map(|i| keep(this, i)).collect();
        if kept.iter().all(|&keep| keep) {
            return;
        }
        let rest = 3 * Self::rest_coefficients(self.sh_degree);
        let mut end = 0;
        for i in (0..kept.len()).filter(|&i| kept[i]) {
            self.sh_rest.copy_within(i * rest..(i + 1) * rest, end * rest);
            end += 1;
        }
        self.sh_rest.truncate(end * rest);
        filter(&mut self.means, &kept);
        filter(&mut self.log_scales, &kept);
        filter(&mut self.quats, &kept);
        filter(&mut self.opacity_logits, &kept);
        filter(&mut self.sh0, &kept);
    }

    /// Keeps the splats whose means lie in the box from `low` to `high`, its faces included, in stored coordinates.
    pub fn crop_to_box(&mut self, low: [f32; 3], high: [f32; 3]) {
        self.retain(|cloud, i| (0..3).all(|axis| (low[axis]..=high[axis]).contains(&cloud.means[i][axis])));
    }

    /// Keeps the splats whose means are no farther than `radius` from `centre`, in stored coordinates.
    pub fn crop_to_ball(&mut self, centre: [f32; 3], radius: f32) {
        let squared = |mean: [f32; 3]| (0..3).map(|k| (f64::from(mean[k]) - f64::from(centre[k])).powi(2)).sum::<f64>();
        self.retain(|cloud, i| squared(cloud.means[i]) <= f64::from(radius).powi(2));
    }

    /// Keeps the splats of at least this opacity, between 0 and 1.
    pub fn drop_fainter_than(&mut self, opacity: f32) {
        self.retain(|cloud, i| 1.0 / (1.0 + (-cloud.opacity_logits[i]).exp()) >= opacity);
    }

    /// Forgets the harmonics above `degree`; a lower degree stays as it is. A chunk that a source is to fill again must
    /// be made anew by [`crate::format::stream::SplatHeader::empty_cloud`].
    pub fn lower_sh_degree(&mut self, degree: u8) {
        if degree >= self.sh_degree {
            return;
        }
        let [before, after] = [self.sh_degree, degree].map(|degree| 3 * Self::rest_coefficients(degree));
        for i in 0..self.len() {
            self.sh_rest.copy_within(i * before..i * before + after, i * after);
        }
        self.sh_rest.truncate(self.len() * after);
        self.sh_degree = degree;
    }
}

fn filter<T>(values: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    values.retain(|_| kept.next().is_some_and(|&keep| keep));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Splat `i` has `i` in all its values, and the opacity `i / n`.
    fn numbered(n: usize, sh_degree: u8) -> SplatCloud {
        let mut cloud = SplatCloud::with_capacity(n, sh_degree);
        for i in 0..n {
            let (v, opacity) = (i as f32, i as f32 / n as f32);
            cloud.means.push([v, -v, 0.5]);
            cloud.log_scales.push([v; 3]);
            cloud.quats.push([v; 4]);
            cloud.opacity_logits.push((opacity / (1.0 - opacity)).ln());
            cloud.sh0.push([v; 3]);
            cloud.sh_rest.extend((0..3 * SplatCloud::rest_coefficients(sh_degree)).map(|k| v + 0.01 * k as f32));
        }
        cloud
    }

    proptest! {
        #[test]
        fn what_is_retained_is_what_selecting_gives(
            n in 0usize..200, degree in 0u8..4, wanted in prop::collection::vec(any::<bool>(), 200),
        ) {
            let cloud = numbered(n, degree);
            let mut retained = cloud.clone();
            retained.retain(|_, i| wanted[i]);
            let indices: Vec<u32> = (0..n as u32).filter(|&i| wanted[i as usize]).collect();
            prop_assert!(retained == cloud.select(&indices));
        }

        #[test]
        fn a_lower_degree_keeps_the_first_coefficients(from in 0u8..4, to in 0u8..5) {
            let cloud = numbered(50, from);
            let mut lowered = cloud.clone();
            lowered.lower_sh_degree(to);
            prop_assert!(lowered.is_consistent());
            prop_assert_eq!(lowered.sh_degree, from.min(to));
            let [all, few] = [from, from.min(to)].map(|d| 3 * SplatCloud::rest_coefficients(d));
            for i in 0..50 {
                prop_assert_eq!(&lowered.sh_rest[few * i..][..few], &cloud.sh_rest[all * i..][..few]);
            }
        }
    }

    #[test]
    fn the_faces_of_a_box_belong_to_it() {
        let mut cloud = numbered(10, 1);
        cloud.crop_to_box([2.0, -5.0, 0.5], [9.0, 0.0, 0.5]);
        assert_eq!(cloud.means.iter().map(|m| m[0]).collect::<Vec<_>>(), [2.0, 3.0, 4.0, 5.0]);
    }

    #[test]
    fn fainter_splats_go_and_opaque_ones_stay() {
        let mut cloud = numbered(10, 1);
        cloud.opacity_logits[9] = 40.0;
        cloud.drop_fainter_than(0.45);
        assert_eq!(cloud.means.iter().map(|m| m[0]).collect::<Vec<_>>(), [5.0, 6.0, 7.0, 8.0, 9.0]);
        cloud.drop_fainter_than(1.0);
        assert_eq!(cloud.len(), 1, "an opacity of 1 is reached");
        cloud.drop_fainter_than(0.0);
        assert_eq!(cloud.len(), 1);
    }
}
