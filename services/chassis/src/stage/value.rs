//! What a key's value in the bucket holds: the last absorbed sequence in 8 bytes, then state and outbox as MessagePack.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::bus::Outgoing;

/// A saved value, read.
pub(super) struct Value<S> {
    pub(super) seq: u64,
    pub(super) state: S,
    pub(super) outbox: Vec<Outgoing>,
    pub(super) owes: bool,
}

#[derive(Deserialize)]
struct Body<S> {
    state: S,
    outbox: Vec<Outgoing>,
    #[serde(default)]
    owes: bool,
}

impl<S: DeserializeOwned> Value<S> {
    pub(super) fn read(value: &[u8]) -> anyhow::Result<Self> {
        let (seq, body) = split(value)?;
        let Body { state, outbox, owes } = rmp_serde::from_slice(body)?;
        Ok(Self {
            seq,
            state,
            outbox,
            owes,
        })
    }
}

/// A value around a state that is encoded already.
pub(super) fn write(seq: u64, state: &[u8], outbox: &[Outgoing], owes: bool) -> anyhow::Result<Vec<u8>> {
    let (outbox, owes) = (rmp_serde::to_vec_named(outbox)?, rmp_serde::to_vec_named(&owes)?);
    Ok([
        &seq.to_be_bytes(),
        b"\x83\xa5state".as_slice(),
        state,
        b"\xa6outbox",
        &outbox,
        b"\xa4owes",
        &owes,
    ]
    .concat())
}

/// The last absorbed sequence and the body of a saved value.
fn split(value: &[u8]) -> anyhow::Result<(u64, &[u8])> {
    let (seq, body) = value
        .split_first_chunk::<8>()
        .ok_or_else(|| anyhow::anyhow!("a saved value is cut short"))?;
    Ok((u64::from_be_bytes(*seq), body))
}

/// The last absorbed sequence and the state of a saved value.
pub(crate) fn decode<S: DeserializeOwned>(value: &[u8]) -> anyhow::Result<(u64, S)> {
    #[derive(Deserialize)]
    struct StateOnly<S> {
        state: S,
    }
    let (seq, body) = split(value)?;
    let body: StateOnly<S> = rmp_serde::from_slice(body)?;
    Ok((seq, body.state))
}
