//! Whether the server refused a message because another stands, or is just being put, where it was to follow the last one.

use std::error::Error;

use async_nats::jetstream;
use async_nats::jetstream::ErrorCode;

/// A server alone says it by 10071. One of a cluster says 10164 while the other word is on its way to the copies, which the client
/// does not know for what it is.
const CODES: [ErrorCode; 2] = [
    ErrorCode::STREAM_WRONG_LAST_SEQUENCE,
    ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT,
];

/// Whether this fault, or one that caused it, is such a refusal.
pub(crate) fn is_stale(fault: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(fault), |&fault| fault.source())
        .filter_map(|fault| fault.downcast_ref::<jetstream::Error>())
        .any(|fault| CODES.contains(&fault.error_code()))
}
