//! The rasteriser's kernels.

use crate::device::{Device, DeviceError, Kernel, Source};

macro_rules! sources {
    ($($name:ident = $file:literal;)*) => {
        $(#[doc = concat!("`", $file, "`")]
        pub static $name: Source = Source::new(concat!("splat/cuda/", $file), include_str!($file));)*
    };
}

sources! {
    PROJECT = "project.cu";
    INSTANCES = "instances.cu";
    RASTERIZE = "rasterize.cu";
    RASTERIZE_BACKWARD = "rasterize_backward.cu";
    PARAMETERS = "parameters.cu";
    DESCEND = "descend.cu";
    DENSITY = "density.cu";
    FILTER_3D = "filter_3d.cu";
    PHOTO = "photo.cu";
}

macro_rules! kernels {
    ($(#[$meta:meta])* $group:ident { $($field:ident = $source:ident $name:literal;)* }) => {
        $(#[$meta])*
        pub(super) struct $group {
            $(pub $field: Kernel,)*
        }

        impl $group {
            pub fn new(device: &Device) -> Result<Self, DeviceError> {
                Ok(Self { $($field: device.kernel(&$source, $name)?,)* })
            }
        }
    };
}

kernels! {
    /// Those of the passes.
    Kernels {
        project = PROJECT "project_splats";
        project_ellipsoids = PROJECT "project_ellipsoids";
        shade = PROJECT "shade_splats";
        shade_packed = PROJECT "shade_packed_splats";
        list_visible = INSTANCES "list_visible";
        sum_touched = INSTANCES "sum_touched";
        limit_instances = INSTANCES "limit_instances";
        list_instances = INSTANCES "list_instances";
        find_ranges = INSTANCES "find_ranges";
        rasterize = RASTERIZE "rasterize_colour";
        rasterize_depth = RASTERIZE "rasterize_depth";
        rasterize_median_depth = RASTERIZE "rasterize_median_depth";
        largest_gradient = RASTERIZE_BACKWARD "largest_gradient";
        rasterize_backward = RASTERIZE_BACKWARD "rasterize_backward";
        harmonics_gradients = PARAMETERS "harmonics_gradients";
        packed_harmonics_gradients = PARAMETERS "packed_harmonics_gradients";
        parameter_gradients = PARAMETERS "parameter_gradients";
        ellipsoid_gradients = PARAMETERS "ellipsoid_gradients";
        sum_columns = PARAMETERS "sum_columns";
        background_gradients = PARAMETERS "background_gradients";
    }
}

kernels! {
    /// Those of training beyond the passes.
    TrainingKernels {
        descend_harmonics = DESCEND "descend_harmonics";
        descend_packed_harmonics = DESCEND "descend_packed_harmonics";
        descend_splats = DESCEND "descend_splats";
        descend_packed_splats = DESCEND "descend_packed_splats";
        living_scores = DENSITY "living_scores";
        split_splats = DENSITY "split_splats";
        copy_rows = DENSITY "copy_rows";
        clear_rows = DENSITY "clear_rows";
        take_columns = DENSITY "take_columns";
        put_columns = DENSITY "put_columns";
        smallest_intervals = FILTER_3D "smallest_intervals";
        filter_deviations = FILTER_3D "filter_deviations";
    }
}

kernels! {
    /// Those of splats whose harmonics lie in the host's memory.
    FarKernels {
        mark_seen = PROJECT "mark_seen";
        list_marked = INSTANCES "list_marked";
        take_rows = DENSITY "take_rows";
        put_rows = DENSITY "put_rows";
        catch_up = DESCEND "catch_up";
        catch_up_packed = DESCEND "catch_up_packed";
        coast_splats = DESCEND "coast_splats";
        coast_packed_splats = DESCEND "coast_packed_splats";
    }
}
