//! The pages of one comment: reading it in context, answering, changing, deleting (P05). Must not know SQL.

mod answer;
mod change;
mod show;

pub use answer::create;
pub use change::{delete, delete_form, edit_form, update};
pub use show::{reply_form, show};
