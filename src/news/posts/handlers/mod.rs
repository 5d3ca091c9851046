//! The pages of one post: submitting, reading, changing, deleting (P03, P04). Must not know SQL.

mod change;
mod show;
mod submit;

pub use change::{delete, delete_form, edit_form, update};
pub use show::{discussion, show, show_again, show_bare};
pub use submit::{create, earlier, known_tags, new_form, new_page, preview, remember, rendered};
