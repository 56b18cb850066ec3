//! A mesh through the autoencoder of details and back: whether weights are read as they are meant, without a picture.

use super::super::tape::Place;
use super::pipeline::{Published, REMEDY};
use super::settings::ImageConfig;
use super::sparse_vae::{SparseDecoder, SparseEncoder};
use super::surface::{Surface, centred, distances_near};
use super::weights::check;
use super::{dit::Dit, memory};
use crate::{Error, Result};
use std::sync::Arc;
use tessera_datasets::scene::Mesh;

/// What came back of a mesh.
#[derive(Clone, Debug)]
pub struct GivenBack {
    /// The mesh in the cube from -1 to 1, as it was encoded.
    pub given: Mesh,
    /// What the decoder made of it; without triangles where it sees no surface.
    pub made: Mesh,
    /// Voxels along a side.
    pub resolution: usize,
    /// Voxels near the surface whose distances were encoded.
    pub voxels: usize,
    /// Latent voxels that they became.
    pub latent_voxels: usize,
}

impl Published {
    /// A mesh through the autoencoder of the finest details that were opened. Layers are computed at `place`; `warn` is told when memory may not be enough.
    ///
    /// # Errors
    /// When the mesh has no surface, the file has no encoder, memory will not be enough, or weights cannot be read or computed with.
    pub fn give_back(&self, mesh: &Mesh, place: &Arc<dyn Place>, warn: &mut dyn FnMut(String)) -> Result<GivenBack> {
        let all = self.details(&ImageConfig::default());
        let Some(details) = all.last() else { return Err(Error::setting("there are no models of details")) };
        let (encoder, mut encoded) = SparseEncoder::new(details.vae);
        let (decoder, mut decoded) = SparseDecoder::new(details.vae);
        check(details.file, &[&Dit::sparse(details.dit).1, &decoded, &encoded])?;
        let mut given = mesh.clone();
        centred(&mut given);
        let side = details.dit.resolution;
        let (voxels, distances) = distances_near(&given, side)?;
        let count = voxels.len();
        let plan = memory::encoder(encoded.parameters.count(), count, details.vae.model_channels_encoder);
        plan.check(place.memory()?, REMEDY)?.into_iter().for_each(warn);
        encoded.load(details.file, place)?;
        let (latent, means) = encoder.encode(&encoded.parameters, voxels, distances)?;
        drop(encoded);
        decoded.load(details.file, place)?;
        let distances = decoder.decode(&decoded.parameters, &latent, means)?;
        if distances.iter().any(|x| !x.is_finite()) {
            let reason = "makes distances that cannot be computed with";
            return Err(Error::file(details.file.path(), reason, "download it again"));
        }
        let made = Surface::new(&latent, &distances, side).mesh(0.0, 0.0);
        let resolution = side * super::config::FINER;
        Ok(GivenBack { given, made, resolution, voxels: count, latent_voxels: latent.len() })
    }
}
