//! What changes over the course of training, as functions of the step.

use super::config::SplatsConfig;
use super::model::Rates;

/// A photo's shorter side is not reduced below this many pixels by the schedule.
const SMALLEST_SIDE: u32 = 120;

/// How far training has come, from 0 at the first step towards 1.
pub fn progress(config: &SplatsConfig, step: u64) -> f64 {
    step as f64 / config.steps.max(1) as f64
}

/// Highest degree of the harmonics that is trained.
pub fn active_sh_degree(config: &SplatsConfig, step: u64) -> u8 {
    if config.sh_degree_interval <= 0.0 {
        return config.sh_degree;
    }
    let joined = (progress(config, step) / config.sh_degree_interval) as u64;
    joined.min(u64::from(config.sh_degree)) as u8
}

/// How many pixels of a photo along each side become one, for a photo whose shorter side is `side`.
pub fn downscale(config: &SplatsConfig, step: u64, side: u32) -> u32 {
    if !config.resolution_schedule {
        return 1;
    }
    downscale_at(progress(config, step), side)
}

/// As [`downscale`], after a share of the steps.
pub(crate) fn downscale_at(share: f64, side: u32) -> u32 {
    let wanted = match share {
        p if p < 0.05 => 4,
        p if p < 0.2 => 2,
        _ => 1,
    };
    wanted.min((side / SMALLEST_SIDE).max(1))
}

/// Learning rates; `extent` is the size of the cameras' region in scene units.
pub fn rates(config: &SplatsConfig, step: u64, extent: f64) -> Rates {
    let decay = config.means_rate_decay.powf(progress(config, step));
    Rates {
        means: (config.means_rate * extent * decay) as f32,
        log_scales: config.scales_rate as f32,
        quats: config.quats_rate as f32,
        opacity_logits: config.opacity_rate as f32,
        sh0: config.sh0_rate as f32,
        sh_rest: config.sh_rest_rate as f32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_stretch_with_the_number_of_steps() {
        for steps in [1000, 30_000] {
            let config = SplatsConfig { steps, ..SplatsConfig::default() };
            let at = |share: f64| (share * steps as f64).round() as u64;
            assert_eq!(downscale(&config, at(0.0), 480), 4);
            assert_eq!(downscale(&config, at(0.1), 480), 2);
            assert_eq!(downscale(&config, at(0.3), 480), 1);
            assert_eq!(active_sh_degree(&config, at(0.04)), 0);
            assert_eq!(active_sh_degree(&config, at(0.06)), 1);
            assert_eq!(active_sh_degree(&config, at(0.9)), 3);
            let last = rates(&config, steps, 2.0).means / rates(&config, 0, 2.0).means;
            assert!((last - 0.01).abs() < 1e-6, "the means' rate ends at {last} of its start");
        }
    }

    #[test]
    fn small_photos_are_not_reduced() {
        let config = SplatsConfig::default();
        assert_eq!(downscale(&config, 0, 100), 1);
        assert_eq!(downscale(&config, 0, 300), 2);
    }

    #[test]
    fn full_resolution_from_the_first_step_when_asked() {
        let config = SplatsConfig { resolution_schedule: false, ..SplatsConfig::default() };
        assert_eq!(downscale(&config, 0, 4000), 1);
    }
}
