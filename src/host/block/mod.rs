//! From mounts and swap areas down to the hardware.

pub mod configured;
pub mod device;
pub mod layer;
pub mod live;
pub mod luks;
pub mod mounts;
