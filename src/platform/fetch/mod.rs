//! Requests to the outside whose address somebody else has chosen: the guarded HTTP client. Must not know what is
//! fetched, nor why.
//!
//! **Architecture invariant:** no connection is opened to an address that [`address::is_public`] has not approved at
//! that moment; the address that was checked is the one that is connected to.

pub mod address; // which addresses are public
mod client; // the client
mod error; // why nothing came back

pub use client::{Fetched, Fetcher, Options, Overflow, Wanted};
pub use error::Error;
