//! The graphics device, and what to say when there is none.

use crate::ViewerError;
use std::sync::{Arc, Mutex};

/// A graphics device with its queue.
#[derive(Clone, Debug)]
pub struct Gpu {
    /// Makes buffers, textures and pipelines.
    pub device: wgpu::Device,
    /// Takes work.
    pub queue: wgpu::Queue,
    /// What it is.
    pub adapter: wgpu::AdapterInfo,
    lost: Arc<Mutex<Option<String>>>,
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
        let lost = Arc::new(Mutex::new(None));
        let noted = lost.clone();
        device.set_device_lost_callback(move |_, message| {
            if let Ok(mut lost) = noted.lock() {
                *lost = Some(message);
            }
        });
        // What a device makes after it was lost is invalid, and that is reported before the loss is; and a driver that fails
        // in another way is of no more use either. Without this the program would end.
        let noted = lost.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            tracing::debug!("{error}");
            if let Ok(mut lost) = noted.lock() {
                lost.get_or_insert_with(|| error.to_string());
            }
        }));
        Ok(Self { device, queue, adapter: info, lost })
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
        match self.lost.lock().ok().and_then(|lost| lost.clone()) {
            Some(message) if message.is_empty() => {
                Err(ViewerError::DeviceLost("the driver does not say why".to_owned()))
            }
            Some(message) => Err(ViewerError::DeviceLost(message)),
            None => Ok(()),
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
