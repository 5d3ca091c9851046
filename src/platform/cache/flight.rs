//! Single flight: of those who want the same thing at once, one works and the others wait for what comes out. Must not
//! know what is worked on.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

type Flying<T> = Mutex<HashMap<Arc<str>, watch::Receiver<Option<T>>>>;

/// What is being worked on, by key.
#[derive(Debug)]
pub struct Flights<T>(Arc<Flying<T>>);

impl<T> Clone for Flights<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

/// Whose turn it is.
pub enum Turn<T> {
    /// The caller works; the others wait until it lands or gives up.
    Lead(Lead<T>),
    /// Somebody works already.
    Follow(Follow<T>),
}

/// The one who works. Dropped without [`Lead::land`] (a cancelled request, a panic), it has given up.
pub struct Lead<T> {
    flying: Arc<Flying<T>>,
    key: Arc<str>,
    landed: watch::Sender<Option<T>>,
}

/// One who waits.
pub struct Follow<T>(watch::Receiver<Option<T>>);

impl<T: Clone> Flights<T> {
    /// Joins the flight of `key`, or begins it.
    pub fn join(&self, key: &str) -> Turn<T> {
        let mut flying = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(receiver) = flying.get(key) {
            return Turn::Follow(Follow(receiver.clone()));
        }
        let (landed, receiver) = watch::channel(None);
        let key: Arc<str> = key.into();
        flying.insert(Arc::clone(&key), receiver);
        Turn::Lead(Lead {
            flying: Arc::clone(&self.0),
            key,
            landed,
        })
    }

    /// How many are in the air.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl<T> Lead<T> {
    /// One who waits for this very flight.
    pub fn follow(&self) -> Follow<T> {
        Follow(self.landed.subscribe())
    }

    /// Gives everyone who waits what came out.
    pub fn land(self, outcome: T) {
        self.landed.send_replace(Some(outcome));
    }
}

impl<T> Drop for Lead<T> {
    fn drop(&mut self) {
        self.flying
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.key);
    }
}

impl<T: Clone> Follow<T> {
    /// What came out; `None` if the leader gave up, and somebody else has to.
    pub async fn landed(mut self) -> Option<T> {
        self.0
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|outcome| outcome.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn s23_followers_get_what_the_leader_landed_or_learn_that_it_gave_up() {
        let flights = Flights::<u8>::default();
        let Turn::Lead(lead) = flights.join("a") else {
            panic!("the first leads")
        };
        let Turn::Follow(follow) = flights.join("a") else {
            panic!("the second follows")
        };
        assert!(
            matches!(flights.join("b"), Turn::Lead(_)),
            "another key is another flight"
        );
        lead.land(7);
        assert_eq!(follow.landed().await, Some(7));

        let Turn::Lead(lead) = flights.join("a") else {
            panic!("the flight is over")
        };
        let Turn::Follow(follow) = flights.join("a") else {
            panic!("the second follows")
        };
        drop(lead);
        assert_eq!(follow.landed().await, None);
        assert_eq!(flights.count(), 0);
    }
}
