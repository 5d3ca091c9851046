//! PostgreSQL, the one source of truth: [`Db`] gives connections ([`Conn`]) whose whole use is
//! bounded in time, [`migrate`] brings the schema up to date, [`embedded`] runs a private server.
//! Must not know any table but the migrations' own.
//!
//! **Architecture invariant:** a connection that was cut off in the middle of a query, or dropped
//! with an open transaction, never returns to the pool: it is closed.

mod conn;
pub mod copy;
pub mod embedded;
mod error;
mod listen;
pub mod migrate;
mod ping;
mod pool;
mod retry;

pub use conn::Conn;
pub use error::{DeadlineExceeded, is_deadline, is_unavailable};
pub use listen::listen;
pub use pool::{Db, Options, Status};
