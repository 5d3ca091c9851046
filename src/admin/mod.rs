//! The console: what one operator needs to see and steer. One file for each page, mirrored in `templates/admin/`. Must
//! not know how the things it shows are made.

pub mod handlers; // the pages' requests
pub mod queries; // all SQL of the console
pub mod views; // the pages
