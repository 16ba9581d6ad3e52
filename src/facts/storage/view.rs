//! One way to ask what lies below a path or device: the running kernel, or the configuration of a root folder.

use crate::host::block::configured::Tables;
use crate::host::block::crypttab::{self, Mapping};
use crate::host::block::device::Tracer;
use crate::host::block::layer::Layer;
use crate::host::block::mounts::Mounts;
use crate::host::block::network::{self, Transport};
use crate::host::block::{live, real_path};
use crate::host::{Host, ReadError};

/// Where answers come from.
#[derive(Debug)]
pub enum View<'h> {
    /// The running kernel.
    Kernel {
        /// Files of the machine.
        host: &'h Host,
        /// Its mounts.
        mounts: Mounts,
        /// Its crypttab.
        mappings: Vec<Mapping>,
        /// Why crypttab was not read.
        crypttab_error: Option<ReadError>,
    },
    /// A root folder.
    Configuration {
        /// Its files.
        host: &'h Host,
        /// Its tables.
        tables: Tables<'h>,
    },
}

/// A file system as far as a path needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Mount point; empty when none is known.
    pub point: String,
    /// Transport when it belongs to another machine.
    pub transport: Option<Transport>,
}

impl<'h> View<'h> {
    /// Reads the tables; the mounts of a running kernel must be readable.
    pub fn open(host: &'h Host) -> Result<Self, ReadError> {
        if !host.is_live() {
            return Ok(Self::Configuration { host, tables: Tables::read(host) });
        }
        let mounts = Mounts::read(host)?;
        let (mappings, crypttab_error) = match crypttab::read(host) {
            Ok(mappings) => (mappings, None),
            Err(e) => (Vec::new(), Some(e)),
        };
        Ok(Self::Kernel { host, mounts, mappings, crypttab_error })
    }

    /// Files of the machine.
    pub const fn host(&self) -> &'h Host {
        match self {
            Self::Kernel { host, .. } | Self::Configuration { host, .. } => host,
        }
    }

    /// Lines of crypttab.
    pub fn mappings(&self) -> &[Mapping] {
        match self {
            Self::Kernel { mappings, .. } => mappings,
            Self::Configuration { tables, .. } => &tables.mappings,
        }
    }

    /// Why crypttab was not read.
    pub fn crypttab_error(&self) -> Option<&ReadError> {
        match self {
            Self::Kernel { crypttab_error, .. } => crypttab_error.as_ref(),
            Self::Configuration { tables, .. } => tables.crypttab_error.as_ref(),
        }
    }

    /// A path without links.
    pub fn real_path(&self, path: &str) -> Result<real_path::RealPath, ReadError> {
        match self {
            Self::Kernel { host, mounts, .. } => real_path::follow(host, path, |p| mounts.is_remote(p)),
            Self::Configuration { host, .. } => real_path::follow(host, path, |_| false),
        }
    }

    /// The layers below a path, and details that could not be read.
    pub fn path(&self, path: &str) -> (Layer, Vec<ReadError>) {
        match self {
            Self::Kernel { host, mounts, mappings, .. } => {
                let mut tracer = Tracer::new(host, mounts, mappings);
                let layer = tracer.path(path, 0);
                (layer, tracer.errors)
            }
            Self::Configuration { tables, .. } => (tables.path(path), Vec::new()),
        }
    }

    /// The layers below a device as a command line or table names it; `None` when the running
    /// kernel has no such device.
    pub fn device(&self, device: &str, place: &str, line: usize) -> Option<Layer> {
        match self {
            Self::Kernel { host, mounts, mappings, .. } => {
                let mut tracer = Tracer::new(host, mounts, mappings);
                let number = match node_of(host, device) {
                    Some(node) => tracer.number_of(&node)?,
                    None => device.to_string(),
                };
                Some(tracer.device(&number, 0))
            }
            Self::Configuration { tables, .. } => {
                let twin = tables.entries.iter().find(|e| e.point.is_empty() && e.device == device);
                Some(twin.map_or_else(|| tables.device(device, place, line), |e| tables.layers(e)))
            }
        }
    }

    /// The file system that holds a path without links.
    pub fn place(&self, real: &str) -> Place {
        let (point, kind, source, options) = match self {
            Self::Kernel { mounts, .. } => match mounts.of_path(real) {
                Some(m) => (m.point.clone(), &m.file_system, &m.source, &m.options),
                None => return Place { point: String::new(), transport: None },
            },
            Self::Configuration { tables, .. } => match tables.entry_of(real) {
                Some(e) => (e.point.clone(), &e.file_system, &e.device, &e.options),
                None => return Place { point: String::new(), transport: None },
            },
        };
        Place { point, transport: network::transport(self.host(), kind, source, options) }
    }

    /// Mounts below a folder that keep data of their own: point and layers.
    pub fn mounts_below(&self, real: &str) -> Vec<(String, Layer)> {
        let mut out = Vec::new();
        match self {
            Self::Kernel { host, mounts, mappings, .. } => {
                for mount in mounts.below(real).filter(|m| !super::is_boot_or_media(&m.point, &m.file_system)) {
                    let mut tracer = Tracer::new(host, mounts, mappings);
                    if live::keeps_data(&tracer, mount) {
                        out.push((mount.point.clone(), tracer.mount(mount, 0)));
                    }
                }
            }
            Self::Configuration { tables, .. } => {
                let inside = |p: &str| p.strip_prefix(real.trim_end_matches('/')).is_some_and(|r| r.len() > 1 && r.starts_with('/'));
                let entries = tables.entries.iter().filter(|e| inside(&e.point) && !super::is_set_aside(e));
                out.extend(entries.map(|e| (e.point.clone(), tables.layers(e))));
            }
        }
        out.retain(|(_, layer)| !layer.is_memory());
        out
    }
}

/// Path of the node of `UUID=…` and its kin; `None` for a device number.
pub fn node_of(host: &Host, device: &str) -> Option<String> {
    let folders = [("UUID=", "uuid"), ("LABEL=", "label"), ("PARTUUID=", "partuuid"), ("PARTLABEL=", "partlabel"), ("ID=", "id")];
    let by = folders.iter().find_map(|(prefix, folder)| {
        let value = device.strip_prefix(prefix)?.trim_matches('"');
        let value = if matches!(*folder, "uuid" | "partuuid") { value.to_ascii_lowercase() } else { value.to_string() };
        Some(format!("/dev/disk/by-{folder}/{value}"))
    });
    let path = by.or_else(|| device.starts_with('/').then(|| device.to_string()))?;
    match real_path::follow(host, &path, |_| false) {
        Ok(real) if real.exists => Some(real.path),
        _ => Some(path),
    }
}
