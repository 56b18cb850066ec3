//! Where the splats of a device are: all of them there, or their harmonics in the host's memory, in the model of
//! [`State`](super::State), where they are taken from and put back to.

use super::super::config::{FarPlace, SplatsConfig};
use super::super::model::SplatModel;
use crate::Result;
use tessera_kernels::adam::packed::StoredMoments;
use tessera_kernels::camera_projection::View;
use tessera_kernels::device::{Buffer, Device, Stream};
use tessera_kernels::splat::RenderSettings;
use tessera_kernels::splat::cuda::{
    Descent, Halving, Moved, OutOfCore, Rasterizer, RenderingGradient, Splats, Trained,
};

/// The splats.
pub(super) enum Home {
    /// On the device.
    Device(Box<Trained>),
    /// There, but for harmonics above degree 0.
    Parted(Box<OutOfCore>),
}

impl Home {
    /// Room for so many splats, and so many of them in a view, if that makes a difference.
    pub(super) fn new(
        device: &Device,
        stream: &Stream,
        (capacity, window): (usize, usize),
        config: &SplatsConfig,
    ) -> Result<Self> {
        let (degree, precision) = (config.sh_degree, config.precision());
        Ok(match config.far {
            FarPlace::Device => Self::Device(Box::new(Trained::new(device, stream, capacity, degree, precision)?)),
            FarPlace::Host => {
                Self::Parted(Box::new(OutOfCore::new(device, stream, (capacity, window), degree, precision)?))
            }
        })
    }

    pub(super) fn is_out_of_core(&self) -> bool {
        matches!(self, Self::Parted(_))
    }

    /// All splats, as far as they are on the device.
    pub(super) fn near(&self) -> &Trained {
        match self {
            Self::Device(trained) => trained,
            Self::Parted(parted) => parted.near(),
        }
    }

    pub(super) fn near_mut(&mut self) -> &mut Trained {
        match self {
            Self::Device(trained) => trained,
            Self::Parted(parted) => parted.near_mut(),
        }
    }

    /// How many splats the rasteriser is given at most.
    pub(super) fn drawn_at_once(&self) -> usize {
        match self {
            Self::Device(trained) => trained.capacity(),
            Self::Parted(parted) => parted.room(),
        }
    }

    /// What the rasteriser is given; after [`Home::see`].
    pub(super) fn splats(&self) -> Splats<'_> {
        match self {
            Self::Device(trained) => trained.splats(),
            Self::Parted(parted) => parted.seen(),
        }
    }

    /// Has everything at hand that a view sees.
    pub(super) fn see(
        &mut self,
        model: &mut SplatModel,
        rasterizer: &mut Rasterizer,
        view: &View,
        settings: &RenderSettings,
    ) -> Result<()> {
        match self {
            Self::Device(_) => Ok(()),
            Self::Parted(parted) => Ok(parted.see(model.far_rows(), rasterizer, view, settings)?),
        }
    }

    /// One step of all splats, from the gradient of the view that was drawn last.
    pub(super) fn descend(
        &mut self,
        rasterizer: &mut Rasterizer,
        (view, settings): (&View, &RenderSettings),
        gradient: &RenderingGradient<'_>,
        descent: &Descent,
        pose: Option<&mut Buffer<f32>>,
    ) -> Result<()> {
        match self {
            Self::Device(trained) => Ok(rasterizer.descend(trained, view, settings, gradient, descent, pose)?),
            Self::Parted(parted) => Ok(parted.descend(rasterizer, (view, settings), gradient, descent, pose)?),
        }
    }

    /// Takes over what a model has.
    pub(super) fn write(&mut self, tensors: [(&[f32], &StoredMoments); 6]) -> Result<()> {
        match self {
            Self::Device(trained) => Ok(trained.write(tensors)?),
            Self::Parted(parted) => Ok(parted.write(tensors)?),
        }
    }

    /// Brings a model up to date.
    pub(super) fn read(&mut self, model: &mut SplatModel) -> Result<()> {
        match self {
            Self::Device(trained) => model.set_tensors(trained.read()?),
            Self::Parted(parted) => {
                parted.catch_up_all(&mut model.far_rows())?;
                model.set_near_tensors(parted.near().read()?);
            }
        }
        Ok(())
    }

    /// As [`Trained::split`].
    pub(super) fn split(
        &mut self,
        model: &mut SplatModel,
        (parents, places): (&[u32], &[u32]),
        halving: Halving,
    ) -> Result<()> {
        match self {
            Self::Device(trained) => Ok(trained.split(parents, places, halving)?),
            Self::Parted(parted) => {
                let end = places.iter().map(|&place| place as usize + 1).max().unwrap_or(0);
                model.resize_far(parted.near().len().max(end));
                Ok(parted.split(parents, places, halving, &mut model.far_rows())?)
            }
        }
    }

    /// As [`Trained::permute`].
    pub(super) fn permute(&mut self, model: &mut SplatModel, order: &[u32], rasterizer: &mut Rasterizer) -> Result<()> {
        match self {
            Self::Device(trained) => Ok(trained.permute(order, rasterizer)?),
            Self::Parted(parted) => {
                // Roundings of the steps that are missed are those of the places where rows were then.
                parted.catch_up_all(&mut model.far_rows())?;
                parted.permute(order)?;
                model.permute_far(order);
                Ok(())
            }
        }
    }

    /// What bringing rows has cost so far, if any are brought.
    pub(super) fn moved(&self) -> Option<Moved> {
        match self {
            Self::Device(_) => None,
            Self::Parted(parted) => Some(parted.moved()),
        }
    }
}
