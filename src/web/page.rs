//! The chrome that every page needs: whose site it is, who reads it, and how it is to look.
//! Each page struct holds one [`Page`]; `templates/base.html` draws it. It must not know what a
//! page is about, nor where the viewer comes from.

use chrono::{DateTime, Utc};

use crate::web::assets;

/// What `templates/base.html` needs.
#[derive(Debug, Clone)]
pub struct Page {
    /// The page's own name, without the site's; empty on the front page.
    pub title: String,
    /// The site's name, as its operator set it.
    pub site_name: String,
    /// The site's one-line description.
    pub site_tagline: String,
    /// One or two plain sentences for search engines and link previews; empty to use the tagline.
    pub description: String,
    /// The absolute URL under which this page wants to be known.
    pub canonical: Option<String>,
    /// What robots may do, such as `noindex`; `None` when they may do anything.
    pub robots: Option<&'static str>,
    /// Who reads; `None` is a guest, whose page is cached and holds no token.
    pub viewer: Option<PageViewer>,
    /// Path and query of this page, percent-encoded as one query value: `/login?next=` comes
    /// before it. In a fragment, those of the page that it will stand on.
    pub next: String,
    /// Which entry of the navigation is current.
    pub place: Place,
    /// Light, dark, or as the system has it.
    pub theme: Theme,
    /// Whether list rows stand closer (44 px instead of 56 and more).
    pub compact: bool,
    /// Whether the single-key shortcuts are on.
    pub shortcuts: bool,
    /// The viewer's IANA time zone, in which the script names moments; `None` is the browser's.
    pub time_zone: Option<String>,
    /// What has just been done, to be said once.
    pub notice: Option<Notice>,
    /// The request's id, shown on error pages only (a cached page must not hold one).
    pub request_id: String,
    /// The moment that every age on this page is counted from.
    pub now: DateTime<Utc>,
}

/// The signed-in reader, as far as the chrome shows them.
#[derive(Debug, Clone)]
pub struct PageViewer {
    /// User name.
    pub name: String,
    /// The hidden field of every form.
    pub csrf_token: String,
    /// Unread items in the inbox; 0 shows nothing.
    pub unread: i64,
    /// Whether moderators' links are shown.
    pub is_moderator: bool,
    /// Whether the way into the console is shown.
    pub is_admin: bool,
}

/// Something to be said once at the top of the next page.
#[derive(Debug, Clone)]
pub struct Notice {
    /// What kind of news it is.
    pub kind: NoticeKind,
    /// One plain sentence.
    pub text: String,
}

/// How a [`Notice`] looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeKind {
    /// What was asked for has been done.
    Done,
    /// Something that the reader should know, such as sessions being away.
    Warning,
}

/// A colour scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Theme {
    /// As the reader's system has it.
    #[default]
    System,
    /// Ink on paper.
    Light,
    /// Paper on ink.
    Dark,
}

impl Theme {
    /// The name in forms, cookies and `data-theme`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The theme of that name, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|theme| theme.name() == name)
    }

    /// The label in the footer and in the preferences.
    pub const fn label(self) -> &'static str {
        match self {
            Self::System => "System",
            Self::Light => "Light",
            Self::Dark => "Dark",
        }
    }

    /// Every theme, in the order in which they are offered.
    pub const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];
}

/// Where in the site a page stands, for the navigation's current entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Place {
    /// Nowhere that the navigation names.
    #[default]
    Elsewhere,
    /// `/`
    Hot,
    /// `/newest`
    Newest,
    /// `/active`
    Active,
    /// `/top`
    Top,
    /// `/ask`
    Ask,
    /// `/show`
    Show,
    /// `/comments`
    Comments,
    /// `/submit`
    Submit,
    /// `/admin` and below: the page is wider.
    Console,
}

/// One of a few views of the same thing, such as best, newest and oldest.
#[derive(Debug, Clone)]
pub struct Tab {
    /// Where it leads.
    pub href: String,
    /// Its word.
    pub label: String,
    /// Whether it is the one being read.
    pub is_current: bool,
}

/// One entry of the navigation.
#[derive(Debug, Clone, Copy)]
pub struct NavLink {
    /// Where it leads.
    pub href: &'static str,
    /// Its word.
    pub label: &'static str,
    /// The place it stands for.
    pub place: Place,
}

/// The masthead's navigation, in its order.
const NAVIGATION: [NavLink; 7] = [
    NavLink {
        href: "/",
        label: "Hot",
        place: Place::Hot,
    },
    NavLink {
        href: "/newest",
        label: "New",
        place: Place::Newest,
    },
    NavLink {
        href: "/active",
        label: "Active",
        place: Place::Active,
    },
    NavLink {
        href: "/top",
        label: "Top",
        place: Place::Top,
    },
    NavLink {
        href: "/ask",
        label: "Ask",
        place: Place::Ask,
    },
    NavLink {
        href: "/show",
        label: "Show",
        place: Place::Show,
    },
    NavLink {
        href: "/comments",
        label: "Comments",
        place: Place::Comments,
    },
];

impl Page {
    /// The document's title: the page's own, then the site's.
    pub fn full_title(&self) -> String {
        if self.title.is_empty() {
            format!("{}: {}", self.site_name, self.site_tagline)
        } else {
            format!("{} · {}", self.title, self.site_name)
        }
    }

    /// The description for previews.
    pub fn summary(&self) -> &str {
        if self.description.is_empty() {
            &self.site_tagline
        } else {
            &self.description
        }
    }

    /// The entries of the masthead's navigation.
    pub fn navigation(&self) -> &'static [NavLink] {
        &NAVIGATION
    }

    /// The URL of a file in `static/`, with its content hash.
    pub fn asset(&self, name: &str) -> String {
        assets::href(name)
    }

    /// Whether somebody is signed in.
    pub fn is_signed_in(&self) -> bool {
        self.viewer.is_some()
    }

    /// Whether the reader sees moderators' links.
    pub fn is_moderator(&self) -> bool {
        self.viewer
            .as_ref()
            .is_some_and(|viewer| viewer.is_moderator)
    }

    /// The hidden field of every form; empty for guests, who have no such form.
    pub fn csrf_token(&self) -> &str {
        self.viewer.as_ref().map_or("", |viewer| &viewer.csrf_token)
    }

    /// Whether the drawn wordmark says this site's name.
    pub fn has_wordmark(&self) -> bool {
        self.site_name == "BetterNews"
    }

    /// Whether the page belongs to the console.
    pub fn is_console(&self) -> bool {
        self.place == Place::Console
    }
}
