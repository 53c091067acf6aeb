//! The one clock. Only shells read it; verbs are told the time.

use std::time::{SystemTime, UNIX_EPOCH};

use auspex_proto::Timestamp;

/// Now, in unix milliseconds.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
