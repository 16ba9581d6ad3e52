//! Inheritance: a directive of an inner block takes the place of all of its name around it.

use crate::facts::web::tree::Directive;

/// The blocks around a place, outermost first.
#[derive(Clone, Debug, Default)]
pub struct Scope<'d> {
    levels: Vec<&'d [Directive]>,
}

impl<'d> Scope<'d> {
    /// One block further in.
    pub fn within(&self, block: &'d [Directive]) -> Self {
        let mut levels = self.levels.clone();
        levels.push(block);
        Self { levels }
    }

    /// Every directive of this name at the innermost level that has one.
    pub fn nearest(&self, name: &str) -> Vec<&'d Directive> {
        let at = |level: &&'d [Directive]| level.iter().filter(|d| d.name == name).collect::<Vec<_>>();
        self.levels.iter().rev().map(at).find(|found| !found.is_empty()).unwrap_or_default()
    }

    /// The one that decides.
    pub fn last(&self, name: &str) -> Option<&'d Directive> {
        self.nearest(name).pop()
    }

    /// Whether a flag is on; `false` where it is not written.
    pub fn is_on(&self, name: &str) -> bool {
        self.last(name).is_some_and(|d| d.argument(0) == "on")
    }

    /// Number of blocks.
    pub fn depth(&self) -> usize {
        self.levels.len()
    }

    /// Directives of this name in the innermost block alone.
    pub fn own(&self, name: &str) -> Vec<&'d Directive> {
        self.levels.last().map(|level| level.iter().filter(|d| d.name == name).collect()).unwrap_or_default()
    }
}
