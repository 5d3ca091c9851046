//! Signatures with the site's secret (HMAC-SHA-256, RFC 2104). Must not know what is signed.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The site's secrets: the first signs, all verify, so that a secret can be rotated without a break.
#[derive(Clone)]
pub struct Keys(Arc<[Block]>);

/// A key as HMAC takes it: the secret's digest, padded to SHA-256's block.
type Block = [u8; 64];

impl Keys {
    /// Keys from the configuration; there must be one at least, else signing gives what nobody can verify.
    pub fn new(secrets: &[SecretString]) -> Self {
        let block = |secret: &SecretString| {
            let mut block = [0; 64];
            block[..32].copy_from_slice(&Sha256::digest(secret.expose_secret().as_bytes()));
            block
        };
        Self(secrets.iter().map(block).collect())
    }

    /// The signature of `message` for `purpose` (so that a token for one thing is none for another), 43 characters.
    pub fn sign(&self, purpose: &str, message: &[u8]) -> String {
        self.0
            .first()
            .map(|key| mac(key, purpose, message))
            .unwrap_or_default()
    }

    /// Whether `signature` is one of `message` for `purpose`, by any of the keys, in constant time for each.
    pub fn verify(&self, purpose: &str, message: &[u8], signature: &str) -> bool {
        self.0.iter().any(|key| {
            mac(key, purpose, message)
                .as_bytes()
                .ct_eq(signature.as_bytes())
                .into()
        })
    }
}

fn mac(key: &Block, purpose: &str, message: &[u8]) -> String {
    let mut mac = <Hmac<Sha256> as KeyInit>::new(&(*key).into());
    mac.update(&(purpose.len() as u64).to_be_bytes());
    mac.update(purpose.as_bytes());
    mac.update(message);
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

/// `bytes` random bytes (from the operating system's generator) in URL-safe base64.
pub fn random_token(bytes: usize) -> String {
    let mut buffer = vec![0_u8; bytes];
    rand::fill(buffer.as_mut_slice());
    URL_SAFE_NO_PAD.encode(buffer)
}

/// The SHA-256 of a token: what is stored of it.
pub fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_purpose_message_and_keys_only() {
        let old = Keys::new(&["an old secret of some length".into()]);
        let new = Keys::new(&[
            "a new secret of some length".into(),
            "an old secret of some length".into(),
        ]);
        let signature = old.sign("csrf", b"alice");
        assert!(old.verify("csrf", b"alice", &signature));
        assert!(
            new.verify("csrf", b"alice", &signature),
            "rotation keeps old signatures"
        );
        assert!(!new.verify("csrf", b"bob", &signature));
        assert!(!new.verify("flash", b"alice", &signature));
        assert!(!old.verify("csrf", b"alice", &new.sign("csrf", b"alice")));
    }

    #[test]
    fn tokens_differ() {
        assert_ne!(random_token(32), random_token(32));
        assert_eq!(random_token(32).len(), 43);
    }
}
