//! The graphics device, and what to say when there is none.

use crate::ViewerError;
use futures_channel::oneshot;
use std::sync::{Arc, Mutex, PoisonError};

/// A graphics device with its queue.
#[derive(Clone, Debug)]
pub struct Gpu {
    /// Makes buffers, textures and pipelines.
    pub device: wgpu::Device,
    /// Takes work.
    pub queue: wgpu::Queue,
    /// What it is.
    pub adapter: wgpu::AdapterInfo,
    loss: Loss,
}

/// Whether and why a device is of no more use, and who waits to hear of it.
#[derive(Clone, Debug, Default)]
struct Loss(Arc<Mutex<LossState>>);

#[derive(Debug, Default)]
struct LossState {
    reason: Option<String>,
    waiting: Vec<oneshot::Sender<String>>,
}

impl Loss {
    fn with<T>(&self, act: impl FnOnce(&mut LossState) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The device was lost, for a reason that the driver may leave empty.
    fn lost(&self, reason: String) {
        let reason = if reason.is_empty() { "the driver does not say why".to_owned() } else { reason };
        self.with(|state| {
            state.reason = Some(reason.clone());
            state.tell(&reason);
        });
    }

    /// Something failed that nobody waited for.
    fn failed(&self, error: &wgpu::Error) {
        tracing::debug!("{error}");
        self.with(|state| {
            let reason = state.reason.get_or_insert_with(|| error.to_string()).clone();
            state.tell(&reason);
        });
    }
}

impl LossState {
    fn tell(&mut self, reason: &str) {
        for waiting in self.waiting.drain(..) {
            // It may want to hear of it no more.
            drop(waiting.send(reason.to_owned()));
        }
    }
}

impl Gpu {
    /// The best adapter that can show pictures on `surface`, or draw without one.
    ///
    /// # Errors
    /// When there is no adapter, or it cannot be used.
    pub async fn new(instance: &wgpu::Instance, surface: Option<&wgpu::Surface<'_>>) -> Result<Self, ViewerError> {
        let options = wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            compatible_surface: surface,
            ..Default::default()
        };
        let adapter = instance.request_adapter(&options).await.map_err(|error| {
            tracing::debug!("{error}");
            ViewerError::NoAdapter
        })?;
        Self::of_adapter(&adapter).await
    }

    /// The adapter's device, with limits as high as it offers for what splats need and WebGPU's defaults for the rest.
    ///
    /// # Errors
    /// When the driver refuses.
    pub async fn of_adapter(adapter: &wgpu::Adapter) -> Result<Self, ViewerError> {
        let info = adapter.get_info();
        let offered = adapter.limits();
        let limits = wgpu::Limits {
            max_storage_buffer_binding_size: offered.max_storage_buffer_binding_size.min(1 << 31),
            max_buffer_size: offered.max_buffer_size.min(1 << 31),
            max_texture_dimension_2d: offered.max_texture_dimension_2d,
            ..wgpu::Limits::default()
        };
        let wanted = wgpu::Features::FLOAT32_BLENDABLE | wgpu::Features::TIMESTAMP_QUERY;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("tessera"),
            required_features: adapter.features() & wanted,
            required_limits: limits,
            ..Default::default()
        };
        let refused = |error: wgpu::RequestDeviceError| ViewerError::NoDevice {
            adapter: info.name.clone(),
            reason: error.to_string(),
        };
        let (device, queue) = adapter.request_device(&descriptor).await.map_err(refused)?;
        let loss = Loss::default();
        let noted = loss.clone();
        device.set_device_lost_callback(move |_, message| noted.lost(message));
        // What a device makes after it was lost is invalid, and that is reported before the loss is; and a driver that fails
        // in another way is of no more use either. Without this the program would end.
        let noted = loss.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| noted.failed(&error)));
        Ok(Self { device, queue, adapter: info, loss })
    }

    /// A device without a window.
    ///
    /// # Errors
    /// When there is no adapter, or it cannot be used.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn headless() -> Result<Self, ViewerError> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
        pollster::block_on(Self::new(&instance, None))
    }

    /// An error once the device has been lost.
    ///
    /// # Errors
    /// When it was.
    pub fn check(&self) -> Result<(), ViewerError> {
        // Outside of browsers this is when the loss is heard of.
        #[cfg(not(target_arch = "wasm32"))]
        let _ = self.device.poll(wgpu::PollType::Poll);
        self.loss.with(|state| state.reason.clone()).map_or(Ok(()), |reason| Err(ViewerError::DeviceLost(reason)))
    }

    /// Ends with the reason once the device has been lost; never while nothing asks for it, outside of browsers: see
    /// [`Self::check`].
    pub fn loss(&self) -> impl Future<Output = String> + use<> {
        let (sender, receiver) = oneshot::channel();
        self.loss.with(|state| match &state.reason {
            Some(reason) => drop(sender.send(reason.clone())),
            None => state.waiting.push(sender),
        });
        // Devices that nobody holds any more are not lost.
        async move {
            match receiver.await {
                Ok(reason) => reason,
                Err(_) => std::future::pending().await,
            }
        }
    }

    /// The adapter in a few words.
    pub fn name(&self) -> String {
        format!("{} ({})", self.adapter.name, self.adapter.backend)
    }

    /// Whether pictures are drawn by the processor.
    pub fn is_software(&self) -> bool {
        self.adapter.device_type == wgpu::DeviceType::Cpu
    }

    /// The largest storage buffer that a shader can see.
    pub fn binding_limit(&self) -> u64 {
        self.device.limits().max_storage_buffer_binding_size
    }
}

#[cfg(test)]
mod tests {
    use crate::renderer::testing::gpu;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    #[test]
    fn a_loss_is_told_to_all_who_wait_for_it() {
        let Some(gpu) = gpu() else { return };
        let mut context = Context::from_waker(Waker::noop());
        let mut early = pin!(gpu.loss());
        assert_eq!(early.as_mut().poll(&mut context), Poll::Pending, "it is there");
        gpu.device.destroy();
        let reason = gpu.check().expect_err("it is gone").to_string();
        let Poll::Ready(told) = early.poll(&mut context) else { panic!("nothing is told") };
        assert!(reason.contains(&told), "{reason} is not {told}");
        assert_eq!(pin!(gpu.loss()).poll(&mut context), Poll::Ready(told), "who asks later is told as well");
    }
}
