//! One row of the API: its address, who answers, and what the document says of it. Routes and document are made of the same rows.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::handler::Handler;
use axum::http::HeaderMap;
use axum::routing::{MethodFilter, MethodRouter, on};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::caller::Caller;
use super::taken::{Path, Query};
use crate::collector::ui::Site;

/// Draws the schema of a type.
pub type Draw = fn(&mut SchemaGenerator) -> Schema;

/// What an answer holds.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// JSON of this schema.
    Json(Draw),
    /// Bytes of this media type.
    Bytes(&'static str),
}

/// One method of one address.
#[derive(Debug)]
pub struct Operation {
    /// `get`, `post`, `put` or `delete`.
    pub method: &'static str,
    /// Below the root of the API; names in braces are parameters.
    pub path: &'static str,
    /// What it does: one line.
    pub text: &'static str,
    /// What the query may hold.
    pub query: Option<Draw>,
    /// Whether the handler reads a body.
    pub takes_body: bool,
    /// The schema of the body.
    pub body: Option<Draw>,
    /// What is answered when it went well, by status.
    pub answers: Vec<(u16, Answer)>,
    handler: MethodRouter<Arc<Site>>,
}

/// Something that is read.
pub fn get<H: Handler<T, Arc<Site>>, T: Signature>(path: &'static str, text: &'static str, handler: H) -> Operation {
    Operation::new("get", MethodFilter::GET, path, text, handler)
}

/// Something that is done.
pub fn post<H: Handler<T, Arc<Site>>, T: Signature>(path: &'static str, text: &'static str, handler: H) -> Operation {
    Operation::new("post", MethodFilter::POST, path, text, handler)
}

/// Something that is put in the place of what was there.
pub fn put<H: Handler<T, Arc<Site>>, T: Signature>(path: &'static str, text: &'static str, handler: H) -> Operation {
    Operation::new("put", MethodFilter::PUT, path, text, handler)
}

/// Something that is taken away.
pub fn delete<H: Handler<T, Arc<Site>>, T: Signature>(path: &'static str, text: &'static str, handler: H) -> Operation {
    Operation::new("delete", MethodFilter::DELETE, path, text, handler)
}

impl Operation {
    fn new<H: Handler<T, Arc<Site>>, T: Signature>(method: &'static str, filter: MethodFilter, path: &'static str, text: &'static str, handler: H) -> Self {
        let mut taken = Taken::default();
        T::tell(&mut taken);
        Self { method, path, text, query: taken.query, takes_body: taken.body, body: None, answers: Vec::new(), handler: on(filter, handler) }
    }

    /// What the body must be.
    pub fn sends<T: JsonSchema>(mut self) -> Self {
        self.body = Some(|generator| generator.subschema_for::<T>());
        self
    }

    /// What is answered as JSON.
    pub fn answers<T: JsonSchema>(mut self, status: u16) -> Self {
        self.answers.push((status, Answer::Json(|generator| generator.subschema_for::<T>())));
        self
    }

    /// What is answered as bytes.
    pub fn answers_bytes(mut self, media: &'static str) -> Self {
        self.answers.push((200, Answer::Bytes(media)));
        self
    }

    /// Names of its parameters in the path.
    pub fn parameters(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}

/// The routes of some operations.
pub fn routes(operations: Vec<Operation>) -> Router<Arc<Site>> {
    operations.into_iter().fold(Router::new(), |router, operation| router.route(operation.path, operation.handler))
}

/// What a handler takes that the document must tell.
#[derive(Debug, Default)]
pub struct Taken {
    query: Option<Draw>,
    body: bool,
}

/// One argument of a handler.
pub trait Argument {
    /// Tells what of it the document must say.
    fn tell(_taken: &mut Taken) {}
}

impl Argument for State<Arc<Site>> {}
impl Argument for Caller {}
impl Argument for HeaderMap {}
impl<T> Argument for Path<T> {}

impl Argument for Body {
    fn tell(taken: &mut Taken) {
        taken.body = true;
    }
}

impl<T: JsonSchema> Argument for Query<T> {
    fn tell(taken: &mut Taken) {
        taken.query = Some(|generator| T::json_schema(generator));
    }
}

/// The arguments of a handler, as axum writes them: a marker, then each.
pub trait Signature: 'static {
    /// Tells what of them the document must say.
    fn tell(taken: &mut Taken);
}

macro_rules! signature {
    ($($argument:ident)*) => {
        impl<M: 'static, $($argument: Argument + 'static),*> Signature for (M, $($argument,)*) {
            fn tell(taken: &mut Taken) {
                $($argument::tell(taken);)*
            }
        }
    };
}

signature!(A);
signature!(A B);
signature!(A B C);
signature!(A B C D);
signature!(A B C D E);
signature!(A B C D E F);
