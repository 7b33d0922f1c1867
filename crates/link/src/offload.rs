//! Segmentation and checksums in software, for devices that have neither.
