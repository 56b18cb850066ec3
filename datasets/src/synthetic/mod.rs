//! Made captures with exact cameras, images, depth, normals and geometry.
