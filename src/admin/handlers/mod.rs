//! The console's pages. Must not hold SQL.

pub mod audit;
pub mod flags;
mod index;
pub mod jobs;
mod outbox;
pub mod settings;
pub mod users;

pub use index::index;
pub use outbox::outbox;

use std::rc::Rc;

use actix_web::HttpRequest;

use crate::{
    platform::audit::Who,
    web::{context::Context, viewer::Caller},
};

/// Who asks for a change, kept as long as the audit needs it.
struct Asking {
    caller: Rc<Caller>,
    context: Rc<Context>,
}

impl Asking {
    fn as_who(&self) -> Who<'_> {
        Who {
            actor_id: self.caller.id(),
            request_id: &self.context.id,
        }
    }
}

fn who(request: &HttpRequest) -> Asking {
    Asking {
        caller: Caller::get(request),
        context: Context::get(request),
    }
}
