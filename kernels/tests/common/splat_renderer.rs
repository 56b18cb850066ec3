//! One face for the rasterisers of the CPU and of devices, so that tests are written once.
#![allow(dead_code, reason = "each test program uses a part")]

use tessera_kernels::camera_projection::View;
use tessera_kernels::device::{Buffer, Device, Stream};
use tessera_kernels::splat::{self, RenderSettings, Rendering, RenderingGradient, SplatGradients, Splats, cuda};

/// Renders and differentiates, with everything on the host.
pub trait SplatRenderer {
    /// A picture.
    fn forward(&mut self, splats: &Splats<'_>, view: &View, settings: &RenderSettings) -> Rendering;
    /// Its gradient; the arguments are those of the last [`SplatRenderer::forward`].
    fn backward(
        &mut self,
        splats: &Splats<'_>,
        view: &View,
        settings: &RenderSettings,
        gradient: &RenderingGradient<'_>,
    ) -> SplatGradients;
    /// With respect to the background.
    fn background_gradient(&mut self, v_rgb: &[f32]) -> [f32; 3];
}

impl SplatRenderer for splat::Rasterizer {
    fn forward(&mut self, splats: &Splats<'_>, view: &View, settings: &RenderSettings) -> Rendering {
        Self::forward(self, splats, view, settings).clone()
    }

    fn backward(
        &mut self,
        splats: &Splats<'_>,
        view: &View,
        settings: &RenderSettings,
        gradient: &RenderingGradient<'_>,
    ) -> SplatGradients {
        let mut out = SplatGradients::default();
        Self::backward(self, splats, view, settings, gradient, &mut out);
        out
    }

    fn background_gradient(&mut self, v_rgb: &[f32]) -> [f32; 3] {
        Self::background_gradient(self, v_rgb)
    }
}

/// The rasteriser of a device, and the scene that it was given last.
pub struct OnDevice {
    device: Device,
    stream: Stream,
    /// The rasteriser itself.
    pub rasterizer: cuda::Rasterizer,
    scene: [Buffer<f32>; 7],
}

impl OnDevice {
    pub fn new(device: &Device) -> Self {
        let stream = device.stream().expect("a stream");
        Self {
            rasterizer: cuda::Rasterizer::new(device, &stream).expect("kernels"),
            scene: std::array::from_fn(|_| device.buffer(0, "splats").expect("memory")),
            device: device.clone(),
            stream,
        }
    }

    fn upload(&self, values: &[f32]) -> Buffer<f32> {
        self.device.upload(values, "a test").expect("memory")
    }
}

/// The splats of a scene that lies on a device.
fn on_device<'a>(scene: &'a [Buffer<f32>; 7], like: &Splats<'_>) -> cuda::Splats<'a> {
    let [means, log_scales, quats, opacity_logits, sh0, sh_rest, filter] = scene;
    cuda::Splats {
        len: like.len(),
        means,
        log_scales,
        quats,
        opacity_logits,
        sh0,
        sh_rest: cuda::Harmonics::Floats(sh_rest),
        sh_degree: like.sh_degree,
        filter_3d: like.filter_3d.map(|_| filter),
    }
}

impl SplatRenderer for OnDevice {
    fn forward(&mut self, splats: &Splats<'_>, view: &View, settings: &RenderSettings) -> Rendering {
        let filter = splats.filter_3d.unwrap_or_default();
        let tensors =
            [splats.means, splats.log_scales, splats.quats, splats.opacity_logits, splats.sh0, splats.sh_rest, filter];
        self.scene = tensors.map(|values| self.upload(values));
        let scene = on_device(&self.scene, splats);
        let rendering = self.rasterizer.render(&scene, view, settings).expect("a picture");
        rendering.read(&self.stream).expect("a picture")
    }

    fn backward(
        &mut self,
        splats: &Splats<'_>,
        view: &View,
        settings: &RenderSettings,
        gradient: &RenderingGradient<'_>,
    ) -> SplatGradients {
        let upload = |values: Option<&[f32]>| values.map(|values| self.upload(values));
        let rgb = self.upload(gradient.rgb);
        let (alpha, depth, score) = (upload(gradient.alpha), upload(gradient.depth), upload(gradient.score));
        let gradient =
            cuda::RenderingGradient { rgb: &rgb, alpha: alpha.as_ref(), depth: depth.as_ref(), score: score.as_ref() };
        let scene = on_device(&self.scene, splats);
        let mut out = cuda::SplatGradients::new(&self.device).expect("memory");
        self.rasterizer.backward(&scene, view, settings, &gradient, &mut out).expect("gradients");
        out.read(scene.len, cuda::Primitives::from(&scene).rest(), &self.stream).expect("gradients")
    }

    fn background_gradient(&mut self, v_rgb: &[f32]) -> [f32; 3] {
        let v_rgb = self.upload(v_rgb);
        self.rasterizer.background_gradient(&v_rgb).expect("a gradient")
    }
}
