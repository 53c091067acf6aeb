//! Signatures of Standard Webhooks: HMAC-SHA256 over id, time and body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::secret::Secret;

/// The key behind a secret (`whsec_` and at least 24 bytes in base64); `None` when it is not one.
#[must_use]
pub fn key(secret: &Secret) -> Option<Vec<u8>> {
    STANDARD
        .decode(secret.expose().strip_prefix("whsec_")?)
        .ok()
        .filter(|key| key.len() >= 24)
}

/// What `webhook-signature` is to say; `None` when the secret is not one. `time`: in unix seconds.
#[must_use]
pub fn sign(secret: &Secret, id: &str, time: i64, body: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key(secret)?).ok()?;
    mac.update(format!("{id}.{time}.{body}").as_bytes());
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_standard() {
        // The vector of the specification's own libraries.
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signature = sign(
            &secret,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(
            signature.as_deref(),
            Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
        );
        assert_eq!(key(&Secret::new("plain")), None);
    }
}
