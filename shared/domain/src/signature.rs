//! HMAC-SHA256 as webhooks use it: `v1=` and hexadecimal digits, several of them while a key is being changed.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The signature of a text, in hexadecimal.
#[must_use]
pub fn sign(key: &str, text: &[u8]) -> String {
    mac(key, text).map(|mac| hex::encode(mac.finalize().into_bytes())).unwrap_or_default()
}

/// Whether one of the signatures in a header is that of the text under this key; compared in constant time.
///
/// An empty key signs nothing: a secret that was never set must not let everybody in.
#[must_use]
pub fn is_signed(key: &str, text: &[u8], header: &str) -> bool {
    if key.is_empty() {
        return false;
    }
    header.split(',').filter_map(|one| one.trim().strip_prefix("v1=")).any(|one| {
        let Ok(signature) = hex::decode(one) else { return false };
        mac(key, text).is_some_and(|mac| mac.verify_slice(&signature).is_ok())
    })
}

fn mac(key: &str, text: &[u8]) -> Option<Hmac<Sha256>> {
    // HMAC takes keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).ok()?;
    mac.update(text);
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key: &str, text: &str, header: &str, expected: bool) {
        assert_eq!(is_signed(key, text.as_bytes(), header), expected);
    }

    /// RFC 4231, test case 2.
    const SIGNED: &str = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    const TEXT: &str = "what do ya want for nothing?";

    #[test]
    fn the_signature_is_that_of_the_standard() {
        assert_eq!(sign("Jefe", TEXT.as_bytes()), SIGNED);
    }
    #[test]
    fn one_good_signature_among_several_is_enough() {
        check("Jefe", TEXT, &format!("v1={SIGNED}"), true);
        check("Jefe", TEXT, &format!("v1=00, v1={SIGNED}"), true);
    }
    #[test]
    fn another_text_another_key_or_no_signature_is_not_signed() {
        check("Jefe", "what do ya want for nothing!", &format!("v1={SIGNED}"), false);
        check("jefe", TEXT, &format!("v1={SIGNED}"), false);
        for header in ["", "v1=", "v1=zz", SIGNED, &format!("v0={SIGNED}"), &format!("v1={}", &SIGNED[..62])] {
            check("Jefe", TEXT, header, false);
        }
    }
    #[test]
    fn a_secret_that_was_never_set_lets_nobody_in() {
        let everybodys = sign("", TEXT.as_bytes());
        check("", TEXT, &format!("v1={everybodys}"), false);
    }
}
