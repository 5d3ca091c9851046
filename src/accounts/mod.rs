//! Identity: who someone is, how they get in, and what they may do. Must not know posts or comments.

pub mod email; // what an address may be
pub mod handlers; // the pages' requests
pub mod letters; // mail about accounts, and the links in it
pub mod lifecycle; // accounts made and addresses confirmed, as events
pub mod middleware; // fills in who calls
pub mod model; // what an account is
pub mod new_account; // what one is made from
pub mod password; // which are taken, and how they are kept
pub mod queries; // SQL of accounts
pub mod reauthentication; // proving again who one is
pub mod setup; // the first administrator's one-time link
pub mod sign_in; // begins and ends sessions
pub mod standing; // roles and bans, from events
pub mod tokens; // keys of programs
pub mod username; // what a name may be
pub mod viewers; // who looks, for many at once
pub mod views; // the pages
