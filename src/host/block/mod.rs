//! From mounts and swap areas down to the hardware.

pub mod configured;
pub mod crypttab;
pub mod device;
pub mod fscrypt;
pub mod fstab;
pub mod layer;
pub mod live;
pub mod luks;
pub mod lvm;
pub mod mounts;
pub mod network;
pub mod real_path;
pub mod units;
