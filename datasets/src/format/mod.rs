//! Scene files: one file per format, reader beside writer.
