//! The table of operations: each says its path, who may use it, and what goes in and comes out. Routes, the check of roles and
//! the OpenAPI document are all made from it, so that none can say what another does not do.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware;
use axum::routing::{MethodFilter, MethodRouter, on};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::access::{self, Access};
use crate::answers;
use crate::request;
use crate::shared::Shared;

/// Writes the schema of a type.
pub(crate) type Describe = fn(&mut SchemaGenerator) -> Schema;

/// What an operation takes besides its path and its query.
#[derive(Clone, Copy)]
pub(crate) enum Taken {
    Nothing,
    Json(Describe),
    /// A form with a file.
    Form(Describe),
}

/// What an operation answers when all is well.
#[derive(Clone, Copy)]
pub(crate) enum Given {
    Nothing,
    Json(Describe),
    /// Something else, of this media type.
    Other(&'static str),
}

/// One operation of the API.
pub(crate) struct Operation {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    pub(crate) tag: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) query: Option<Describe>,
    pub(crate) taken: Taken,
    pub(crate) answers: Vec<(u16, Given)>,
    /// Statuses of problems besides those that every operation may answer with.
    pub(crate) problems: Vec<u16>,
    /// Its answer is the same for everybody, and kept for a moment.
    is_shared: bool,
    router: MethodRouter<Arc<Shared>>,
}

fn described<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Written out, not referred to: its properties become parameters.
fn written_out<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    T::json_schema(generator)
}

impl Operation {
    fn new<H, T>(
        method: Method,
        filter: MethodFilter,
        path: &'static str,
        access: Access,
        summary: &'static str,
        handler: H,
    ) -> Self
    where
        H: Handler<T, Arc<Shared>>,
        T: 'static,
    {
        Self {
            method,
            path,
            access,
            tag: "",
            summary,
            query: None,
            taken: Taken::Nothing,
            answers: Vec::new(),
            problems: Vec::new(),
            is_shared: false,
            router: on(filter, handler),
        }
    }

    pub(crate) fn get<H: Handler<T, Arc<Shared>>, T: 'static>(
        path: &'static str,
        access: Access,
        summary: &'static str,
        handler: H,
    ) -> Self {
        Self::new(Method::GET, MethodFilter::GET, path, access, summary, handler)
    }

    pub(crate) fn post<H: Handler<T, Arc<Shared>>, T: 'static>(
        path: &'static str,
        access: Access,
        summary: &'static str,
        handler: H,
    ) -> Self {
        Self::new(Method::POST, MethodFilter::POST, path, access, summary, handler)
    }

    pub(crate) fn put<H: Handler<T, Arc<Shared>>, T: 'static>(
        path: &'static str,
        access: Access,
        summary: &'static str,
        handler: H,
    ) -> Self {
        Self::new(Method::PUT, MethodFilter::PUT, path, access, summary, handler)
    }

    pub(crate) fn patch<H: Handler<T, Arc<Shared>>, T: 'static>(
        path: &'static str,
        access: Access,
        summary: &'static str,
        handler: H,
    ) -> Self {
        Self::new(Method::PATCH, MethodFilter::PATCH, path, access, summary, handler)
    }

    pub(crate) fn delete<H: Handler<T, Arc<Shared>>, T: 'static>(
        path: &'static str,
        access: Access,
        summary: &'static str,
        handler: H,
    ) -> Self {
        Self::new(Method::DELETE, MethodFilter::DELETE, path, access, summary, handler)
    }

    /// Under which heading it stands.
    pub(crate) fn tag(mut self, tag: &'static str) -> Self {
        self.tag = tag;
        self
    }

    /// Takes a query of these properties.
    pub(crate) fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(written_out::<T>);
        self
    }

    /// Takes this as JSON.
    pub(crate) fn takes<T: JsonSchema>(mut self) -> Self {
        self.taken = Taken::Json(described::<T>);
        self
    }

    /// Takes a form of these fields, whose length and time it looks after itself.
    pub(crate) fn takes_form<T: JsonSchema>(mut self) -> Self {
        self.taken = Taken::Form(described::<T>);
        self.router = self.router.layer(DefaultBodyLimit::disable());
        self
    }

    /// Answers with this as JSON.
    pub(crate) fn gives<T: JsonSchema>(self, status: u16) -> Self {
        self.answers(status, Given::Json(described::<T>))
    }

    /// Answers everybody alike: the answer is kept for a moment.
    pub(crate) fn shared(mut self) -> Self {
        self.is_shared = true;
        self
    }

    /// Answers with nothing.
    pub(crate) fn gives_nothing(self) -> Self {
        self.answers(204, Given::Nothing)
    }

    /// Answers with something of this media type.
    pub(crate) fn gives_other(self, media_type: &'static str) -> Self {
        self.answers(200, Given::Other(media_type))
    }

    pub(crate) fn answers(mut self, status: u16, given: Given) -> Self {
        self.answers.push((status, given));
        self
    }

    /// May be refused with this status besides those that every operation may answer with.
    pub(crate) fn problem(mut self, status: u16) -> Self {
        self.problems.push(status);
        self
    }
}

/// The routes of the operations, each behind the check of who may use it.
pub(crate) fn routes(operations: Vec<Operation>, shared: &Arc<Shared>) -> Router<Arc<Shared>> {
    operations.into_iter().fold(Router::new(), |router, operation| {
        let guard = middleware::from_fn_with_state((Arc::clone(shared), operation.access), access::guard);
        let handled = match operation.is_shared {
            true => operation.router.layer(middleware::from_fn_with_state(Arc::clone(&shared.answers), answers::keep)),
            false => operation.router,
        };
        // Whoever waits for what somebody else asked too waits no longer.
        let handled = match operation.taken {
            Taken::Form(_) => handled,
            _ => handled.layer(middleware::from_fn(request::in_time)),
        };
        router.route(operation.path, handled.layer(guard))
    })
}
