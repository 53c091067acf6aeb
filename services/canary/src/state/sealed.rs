//! What no longer changes is written down once.
//!
//! A project's state is saved with every decision and every few seconds, and most of it is what is over: ended rollouts of some
//! 200 fields each, scores of changes. Written anew each time they were most of the work of a save. Here each keeps its own
//! encoding from the first save on, and is a string of bytes within the state's; whoever changes it after all ([`Sealed::edit`]) has it
//! written again.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::OnceLock;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

/// A value and, once it was saved, its encoding.
#[derive(Debug, Clone, Default)]
pub struct Sealed<T> {
    value: T,
    bytes: OnceLock<Vec<u8>>,
}

impl<T> Sealed<T> {
    /// Sealed from now on.
    pub fn new(value: T) -> Self {
        Self {
            value,
            bytes: OnceLock::new(),
        }
    }

    /// To change it: what was written of it no longer counts.
    pub fn edit(&mut self) -> &mut T {
        self.bytes.take();
        &mut self.value
    }
}

impl<T> Deref for Sealed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for Sealed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Serialize> Serialize for Sealed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return self.value.serialize(serializer);
        }
        if let Some(bytes) = self.bytes.get() {
            return serializer.serialize_bytes(bytes);
        }
        let bytes = rmp_serde::to_vec_named(&self.value).map_err(ser::Error::custom)?;
        serializer.serialize_bytes(self.bytes.get_or_init(|| bytes))
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Sealed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return T::deserialize(deserializer).map(Self::new);
        }
        deserializer.deserialize_any(Opening(PhantomData))
    }
}

/// Reads it as bytes, and as the map that states saved before hold.
struct Opening<T>(PhantomData<T>);

impl<'de, T: DeserializeOwned> Visitor<'de> for Opening<T> {
    type Value = Sealed<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or its encoding")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        let value = rmp_serde::from_slice(bytes).map_err(E::custom)?;
        Ok(Sealed {
            value,
            bytes: OnceLock::from(bytes.to_vec()),
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Sealed::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Note {
        name: String,
        #[serde(default)]
        size: u64,
    }

    fn note(size: u64) -> Note {
        Note {
            name: "n".to_owned(),
            size,
        }
    }

    #[test]
    fn it_reads_back_as_it_was_and_as_it_was_saved_before() {
        let sealed = Sealed::new(note(7));
        let bytes = rmp_serde::to_vec_named(&sealed).unwrap();
        assert_eq!(rmp_serde::from_slice::<Sealed<Note>>(&bytes).unwrap(), sealed);
        let before = rmp_serde::to_vec_named(&note(7)).unwrap();
        assert_eq!(rmp_serde::from_slice::<Sealed<Note>>(&before).unwrap(), sealed);
        let again = rmp_serde::from_slice::<Sealed<Note>>(&bytes).unwrap();
        assert_eq!(
            rmp_serde::to_vec_named(&again).unwrap(),
            bytes,
            "the same bytes each time"
        );
    }

    #[test]
    fn what_is_changed_is_written_again() {
        let mut sealed = Sealed::new(note(7));
        let before = rmp_serde::to_vec_named(&sealed).unwrap();
        assert_eq!(rmp_serde::to_vec_named(&sealed).unwrap(), before);
        sealed.edit().size = 8;
        let after = rmp_serde::to_vec_named(&sealed).unwrap();
        assert_eq!(rmp_serde::from_slice::<Sealed<Note>>(&after).unwrap().size, 8);
    }

    #[test]
    fn a_person_reads_the_value_itself() {
        let text = serde_json::to_string(&Sealed::new(note(7))).unwrap();
        assert_eq!(text, r#"{"name":"n","size":7}"#);
        assert_eq!(*serde_json::from_str::<Sealed<Note>>(&text).unwrap(), note(7));
    }

    #[test]
    fn what_is_neither_is_refused_with_what_was_wanted() {
        let bytes = rmp_serde::to_vec_named(&7_u64).unwrap();
        let fault = rmp_serde::from_slice::<Sealed<Note>>(&bytes)
            .unwrap_err()
            .to_string();
        assert!(fault.contains("a value or its encoding"), "{fault}");
    }
}
