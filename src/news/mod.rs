//! The product, in vertical slices. Must not know the console.

pub mod comments; // threads, and one comment
pub mod demo; // an invented site, of any size
pub mod domains; // posts by where they link to
pub mod import; // Hacker News items, and its addresses
pub mod lists; // front page, newest, active, top, ask, show, over
pub mod moderation; // removing, restoring, banning, and the public log
pub mod outdated; // which kept pages a change makes outdated
pub mod posts; // one post
pub mod previews; // what the page behind a link says of itself
pub mod profiles; // what everyone may see of a user
pub mod tags; // posts by tag
pub mod verify; // counters against their rows
pub mod votes; // one a person and thing
