use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use fumehood_model::Timestamp;

use crate::StoreError;

/// Bytes of the nonce that stand before each sealed value: XChaCha20 takes 192 bits, which may be random.
const NONCE: usize = 24;

/// Bytes of the moment at which it expires, in milliseconds since 1970.
const EXPIRY: usize = 8;

/// Text that a stranger keeps for us and hands back, who can neither read nor change it. Cloning is cheap.
///
/// Each is for one purpose, which is not written into it: for any other it does not open, and after its time for none. Every
/// process on the same data directory opens what another has sealed.
#[derive(Clone)]
pub struct Seals {
    seal: XChaCha20Poly1305,
}

impl std::fmt::Debug for Seals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seals").finish_non_exhaustive()
    }
}

impl Seals {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self { seal: XChaCha20Poly1305::new(&key.into()) }
    }

    /// Seal `bytes` for `purpose`, until `expires`.
    ///
    /// # Errors
    ///
    /// When there is no randomness.
    pub fn seal(&self, purpose: &[u8], bytes: &[u8], expires: Timestamp) -> Result<String, StoreError> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|_| StoreError::NoRandomness)?;
        let plain = [&expires.unix_ms.to_be_bytes()[..], bytes].concat();
        let payload = Payload { msg: &plain, aad: purpose };
        // It fails only for more than 256 GiB.
        let sealed = self.seal.encrypt(XNonce::from_slice(&nonce), payload);
        let sealed = sealed.map_err(|_| StoreError::Unsealable { name: "a state".to_owned() })?;
        Ok(URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat()))
    }

    /// What was sealed in `text` for `purpose`, if it was and its time has not passed by `now`.
    #[must_use]
    pub fn open(&self, purpose: &[u8], text: &str, now: Timestamp) -> Option<Vec<u8>> {
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, sealed) = sealed.split_at_checked(NONCE)?;
        let payload = Payload { msg: sealed, aad: purpose };
        let plain = self.seal.decrypt(XNonce::from_slice(nonce), payload).ok()?;
        let (expires, bytes) = plain.split_first_chunk::<EXPIRY>()?;
        (now.unix_ms < u64::from_be_bytes(*expires)).then(|| bytes.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp { unix_ms: 1_000 };

    #[test]
    fn what_was_sealed_opens_for_its_purpose_in_its_time_and_not_otherwise() {
        let (seals, others) = (Seals::new([7; 32]), Seals::new([8; 32]));
        let before = Timestamp { unix_ms: 999 };

        let text = seals.seal(b"k1/m__f", b"step 2", NOON).unwrap();

        assert_eq!(seals.open(b"k1/m__f", &text, before).as_deref(), Some(&b"step 2"[..]));
        assert_ne!(seals.seal(b"k1/m__f", b"step 2", NOON).unwrap(), text);
        assert_eq!(seals.open(b"k1/m__f", &text, NOON), None);
        assert_eq!(seals.open(b"k2/m__f", &text, before), None);
        assert_eq!(others.open(b"k1/m__f", &text, before), None);
        for at in 0..text.len() {
            let mut tampered = text.clone().into_bytes();
            tampered[at] = if tampered[at] == b'A' { b'B' } else { b'A' };
            let opened = seals.open(b"k1/m__f", std::str::from_utf8(&tampered).unwrap(), before);
            assert!(opened.is_none(), "{at}");
        }
        assert_eq!(seals.open(b"k1/m__f", "", before), None);
    }
}
