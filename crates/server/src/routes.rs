//! The endpoints: one table entry each, with the handler beside what `/openapi.json` says of it.
//!
//! The table makes the router and the description, so that the two cannot disagree. Handlers read a body with
//! `wire`, call the node and write a reply with `wire`; they decide nothing.

mod binary;
mod cluster;
mod collections;
mod databases;
mod indexes;
mod keys;
mod later;
mod lavender;
mod members;
mod reads;
mod records;
mod searches;
mod status;
mod verify;

pub(crate) use lavender::Signatures;

use crate::app::App;
use crate::http::{ApiError, Call, Instead, serve, serve_nothing};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use axum::routing::{MethodFilter, on};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

/// What a handler comes to.
pub(crate) type Handled = Pin<Box<dyn Future<Output = Result<Response<Body>, ApiError>> + Send>>;

/// A method of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Post,
    Put,
    Delete,
}

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everyone, and whatever else is going on.
    Open,
    /// Whoever has the key.
    Read,
    /// The same; the route changes something.
    Change,
    /// Whoever signs with the cluster's secret, which the handler checks.
    Signed,
    /// The same; the route is a feature that this version does not have.
    Later,
}

/// The form of a value in a request or a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    TextOrNull,
    Integer,
    Number,
    Boolean,
    Id,
    Ids,
    IdOrIds,
    Vector,
    Vectors,
    FieldList,
    TextList,
    Object,
    /// A named schema of `openapi`.
    Named(&'static str),
    ListOf(&'static str),
}

/// One value of a request or a reply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value {
    pub(crate) name: &'static str,
    pub(crate) form: Form,
    pub(crate) required: bool,
    pub(crate) about: &'static str,
}

/// What a request carries.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Input {
    Nothing,
    Json(&'static [Value]),
    /// Query parameters, and the layout of the body if there is one.
    Query(&'static [Value], Option<&'static str>),
}

/// What a successful reply carries.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Output {
    /// `{"status":"success","params":{…}}`
    Params(&'static [Value]),
    /// An object of its own.
    Json(&'static [Value]),
    /// A list of such objects.
    List(&'static [Value]),
    Null,
    /// Never: the route is there to refuse with a sentence.
    Refusal,
    Octets(&'static str),
    Text,
}

/// One endpoint.
pub(crate) struct Route {
    pub(crate) method: Verb,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    pub(crate) tag: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) input: Input,
    pub(crate) output: Output,
    pub(crate) handler: fn(Call) -> Handled,
    /// Its place in the table; set by `all`.
    pub(crate) index: usize,
}

impl Verb {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }

    fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
            Self::Put => MethodFilter::PUT,
            Self::Delete => MethodFilter::DELETE,
        }
    }
}

const fn required(name: &'static str, form: Form, about: &'static str) -> Value {
    Value { name, form, required: true, about }
}

const fn optional(name: &'static str, form: Form, about: &'static str) -> Value {
    Value { name, form, required: false, about }
}

const DATABASE: Value = required("database_name", Form::Text, "The database");
const COLLECTION: Value = required("collection_name", Form::Text, "The collection");
const WHERE: Value = optional("where", Form::TextOrNull, "A filter, see docs/filters.md");
const K: Value = optional("k", Form::Integer, "Hits wanted; 10 by default");
const NPROBE: Value =
    optional("nprobe", Form::Integer, "Width of an index search; 10 by default, 0 leaves it to the index");
const RETURN_FIELDS: Value =
    optional("return_fields", Form::Boolean, "Whether hits carry their fields; false by default");
/// What most replies begin with, and the whole of many.
const NAMES: &[Value] = &[DATABASE, COLLECTION];

/// Declares the routes of one file.
macro_rules! routes {
    ($tag:literal: $($method:ident $path:literal $access:ident $handler:expr, $summary:literal, $input:expr => $output:expr;)*) => {
        pub(super) const ROUTES: &[$crate::routes::Route] = &[$(
            $crate::routes::Route {
                method: $crate::routes::Verb::$method,
                path: $path,
                access: $crate::routes::Access::$access,
                tag: $tag,
                summary: $summary,
                input: $input,
                output: $output,
                handler: |call| Box::pin($handler(call)),
                index: 0,
            },
        )*];
    };
}
use routes;

/// All endpoints.
pub(crate) fn all() -> &'static [Route] {
    static ALL: OnceLock<Vec<Route>> = OnceLock::new();
    ALL.get_or_init(|| {
        let groups = [
            status::ROUTES,
            cluster::ROUTES,
            verify::ROUTES,
            members::ROUTES,
            databases::ROUTES,
            collections::ROUTES,
            records::ROUTES,
            indexes::ROUTES,
            searches::ROUTES,
            reads::ROUTES,
            binary::ROUTES,
            keys::ROUTES,
            later::ROUTES,
        ];
        groups
            .into_iter()
            .chain(lavender::ROUTES)
            .flatten()
            .enumerate()
            .map(|(index, route)| Route { index, ..*route })
            .collect()
    })
}

/// The router: every route, and JSON errors for all else.
pub(crate) fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    for route in all() {
        let handle = move |State(app): State<Arc<App>>, request: Request| serve(app, route, request);
        router = router.route(route.path, on(route.method.filter(), handle));
    }
    let wrong_method = |State(app): State<Arc<App>>, request: Request| {
        let instead = allowed_on(request.uri().path()).map_or(Instead::Nothing, Instead::Methods);
        serve_nothing(app, instead, request)
    };
    let unknown = |State(app): State<Arc<App>>, request: Request| {
        let slashed = allowed_on(&format!("{}/", request.uri().path()));
        serve_nothing(app, slashed.map_or(Instead::Nothing, |_| Instead::Slash), request)
    };
    router.method_not_allowed_fallback(wrong_method).fallback(unknown).with_state(app)
}

/// The methods of a path, if there is such a path.
fn allowed_on(path: &str) -> Option<String> {
    let routes = all().iter().filter(|route| is_of(route.path, path));
    let methods: Vec<_> = routes.map(|route| route.method.name()).collect();
    (!methods.is_empty()).then(|| methods.join(", "))
}

/// Whether a path is one of a route's; the route's may have `{names}` for parts.
fn is_of(pattern: &str, path: &str) -> bool {
    let mut parts = path.split('/');
    let fits = pattern.split('/').all(|expected| {
        parts.next().is_some_and(|part| part == expected || (expected.starts_with('{') && !part.is_empty()))
    });
    fits && parts.next().is_none()
}

#[cfg(test)]
mod tests;
