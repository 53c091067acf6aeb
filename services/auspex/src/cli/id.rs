//! Fresh ids and tokens, from the system's source of randomness.

use std::io::Read as _;

use crate::fault::Fault;

/// So many random bytes, in lower-case hex.
pub(crate) fn random_hex(bytes: usize) -> Result<String, Fault> {
    let mut buffer = vec![0_u8; bytes];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut buffer));
    read.map_err(|fault| Fault::failed(format!("/dev/urandom: {fault}")))?;
    Ok(hex::encode(buffer))
}

/// Now, in unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// Who sits at the keyboard, as far as the environment says.
pub(crate) fn person() -> String {
    std::env::var("USER")
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "cli".to_owned())
}
