//! A configuration as a tree of directives, for web servers whose files are one.

use std::rc::Rc;

use crate::model::fact::Source;

/// One directive or block where it stands.
#[derive(Clone, Debug, Default)]
pub struct Directive {
    /// File.
    pub path: Rc<str>,
    /// Line, from 1.
    pub line: usize,
    /// Name; of Apache in lower case.
    pub name: String,
    /// Arguments, quotes removed, variables of the files put in.
    pub arguments: Vec<String>,
    /// What a block holds, includes put in place; `None` for a directive without one.
    pub block: Option<Vec<Directive>>,
}

impl Directive {
    /// Where it stands.
    pub fn source(&self) -> Source {
        Source::line(self.path.to_string(), self.line, self.name.clone())
    }

    /// An argument; empty when there are fewer.
    pub fn argument(&self, index: usize) -> &str {
        self.arguments.get(index).map_or("", String::as_str)
    }

    /// What is inside.
    pub fn inner(&self) -> &[Self] {
        self.block.as_deref().unwrap_or_default()
    }
}
