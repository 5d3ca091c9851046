//! What all lists of posts share: where they go on, and how rows become a page. Must not know SQL.

use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use super::queries::Window;
use crate::{
    news::posts::{
        model::PostCard,
        views::{ListPage, PostItem},
    },
    web::{
        cache,
        error::Error,
        page::{Page, Place, Tab},
        paging::{self, Cursor, Key},
        render,
        viewer::Caller,
    },
};

/// Posts on a page.
pub const PAGE_SIZE: i64 = 30;

/// The query of every list.
#[derive(Debug, Deserialize)]
pub struct Continued {
    /// A cursor of the page before.
    pub after: Option<String>,
}

/// What sets one list apart from the others.
pub struct Listing<'a> {
    /// What its cursors begin with.
    pub name: &'a str,
    /// Its address.
    pub path: &'a str,
    /// Its other parameters, which "More" keeps.
    pub parameters: &'a [(&'a str, &'a str)],
    /// Its heading, and its title but for the front page.
    pub heading: &'a str,
    /// A sentence below the heading.
    pub intro: Option<String>,
    /// Where it stands in the navigation.
    pub place: Place,
    /// Neighbouring lists.
    pub tabs: Vec<Tab>,
    /// What is said when it is empty.
    pub empty: &'a str,
    /// The key it runs by.
    pub key: fn(&PostCard) -> Key,
}

impl Listing<'_> {
    /// The window that the request asks for: one row more than fits tells whether the list goes on.
    ///
    /// # Errors
    /// [`Error::BadRequest`] for a cursor that is not this list's.
    pub fn window(&self, caller: &Caller, after: Option<&str>) -> Result<Window, Error> {
        Ok(Window {
            viewer: caller.id(),
            after: after
                .map(|text| Cursor::parse(self.name, text))
                .transpose()?,
            limit: PAGE_SIZE + 1,
        })
    }

    /// The page of these rows.
    ///
    /// # Errors
    /// [`Error::Internal`] if the template fails.
    pub fn respond(
        self,
        request: &HttpRequest,
        caller: &Caller,
        window: &Window,
        rows: Vec<PostCard>,
    ) -> Result<HttpResponse, Error> {
        cache::tag(request, "lists");
        cache::tag(request, format!("list:{}", self.name));
        let shown = window.after.map_or(0, |c| c.rank);
        let (rows, more) = paging::split(rows, PAGE_SIZE);
        let more = rows.last().filter(|_| more).map(|last| {
            let cursor = Cursor {
                key: (self.key)(last),
                id: last.id,
                rank: shown + PAGE_SIZE,
            };
            let cursor = cursor.to_text(self.name);
            let mut parameters = self.parameters.to_vec();
            parameters.push(("after", &cursor));
            paging::address(self.path, &parameters)
        });
        let title = if self.path == "/" && shown == 0 {
            ""
        } else {
            self.heading
        };
        let mut page = Page::of(request, title).at(self.place);
        page.robots = (shown > 0).then_some("noindex, follow");
        let view = ListPage {
            page,
            heading: self.heading.to_owned(),
            intro: self.intro,
            tabs: self.tabs,
            posts: items(rows, caller, shown),
            more,
            empty: if shown > 0 {
                "This is the end of the list.".into()
            } else {
                self.empty.to_owned()
            },
        };
        render::page(request, &view)
    }
}

/// Rows as a view shows them, numbered from `shown + 1`.
pub fn items(rows: Vec<PostCard>, caller: &Caller, shown: i64) -> Vec<PostItem> {
    let viewer = caller.viewer.as_deref();
    rows.into_iter()
        .zip(shown + 1..)
        .map(|(row, rank)| row.into_item(viewer, Some(rank)))
        .collect()
}
