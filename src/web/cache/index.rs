//! Which pages are made of what, and how often it changes. Must not keep a page alive.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use super::Entry;

/// So many times in [`WINDOW`] may a tag make pages be computed at once; more often, they are made anew in the background.
const STRIKES_MAX: u32 = 5;
const WINDOW: Duration = Duration::from_secs(1);

struct Tagged {
    pages: Vec<Weak<Entry>>,
    /// When the pages are next rid of those that are gone.
    sweep_at: usize,
    window_began: Instant,
    strikes: u32,
}

impl Tagged {
    fn new() -> Self {
        Self {
            pages: Vec::new(),
            sweep_at: 16,
            window_began: Instant::now(),
            strikes: 0,
        }
    }

    /// Counts a strike and says whether there have been too many.
    fn strike(&mut self) -> bool {
        if self.window_began.elapsed() > WINDOW {
            self.window_began = Instant::now();
            self.strikes = 0;
        }
        self.strikes += 1;
        self.strikes > STRIKES_MAX
    }
}

#[derive(Default)]
pub(super) struct Index(Mutex<HashMap<Box<str>, Tagged>>);

impl Index {
    fn tags(&self) -> std::sync::MutexGuard<'_, HashMap<Box<str>, Tagged>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, entry: &Arc<Entry>) {
        let mut tags = self.tags();
        for tag in entry.tags() {
            let tagged = tags.entry(tag.as_str().into()).or_insert_with(Tagged::new);
            if tagged.pages.len() >= tagged.sweep_at {
                tagged.pages.retain(|page| page.strong_count() > 0);
                tagged.sweep_at = (tagged.pages.len() * 2).max(16);
            }
            tagged.pages.push(Arc::downgrade(entry));
        }
    }

    /// The pages made of these things, each with whether they change too often.
    pub(super) fn take(&self, struck: &[&str]) -> Vec<(Arc<Entry>, bool)> {
        let mut tags = self.tags();
        let mut found = Vec::new();
        for tag in struck {
            if let Some(tagged) = tags.get_mut(*tag) {
                let often = tagged.strike();
                // They stay, so that a later and harder strike still finds them.
                found.extend(
                    tagged
                        .pages
                        .iter()
                        .filter_map(Weak::upgrade)
                        .map(|page| (page, often)),
                );
            }
        }
        found
    }

    /// Whether one of these things changes too often.
    pub(super) fn is_busy(&self, tags: &[String]) -> bool {
        let known = self.tags();
        tags.iter().any(|tag| {
            known
                .get(tag.as_str())
                .is_some_and(|t| t.strikes > STRIKES_MAX && t.window_began.elapsed() <= WINDOW)
        })
    }

    pub(super) fn sweep(&self) {
        self.tags().retain(|_, tagged| {
            tagged.pages.retain(|page| page.strong_count() > 0);
            !tagged.pages.is_empty() || tagged.window_began.elapsed() < WINDOW
        });
    }

    pub(super) fn clear(&self) {
        self.tags().clear();
    }
}
