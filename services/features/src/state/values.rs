//! The model features of a change, small when stored: most are small whole numbers.

use std::fmt;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeSeq, Serializer};

use crate::schema::WIDTH;

/// One value per model feature, in the order of the schema.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Values(pub [Option<f64>; WIDTH]);

impl Values {
    /// How many are known.
    #[must_use]
    pub fn known(&self) -> usize {
        self.0.iter().flatten().count()
    }

    /// Sets a value that is not known yet.
    pub fn fill(&mut self, column: usize, value: Option<f64>) {
        if let Some(slot) = self.0.get_mut(column) {
            *slot = slot.or(value);
        }
    }
}

/// Whole numbers up to here are stored as such.
const WHOLE: f64 = 4_294_967_296.0;

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(WIDTH))?;
        for value in self.0 {
            match value {
                None => seq.serialize_element(&())?,
                Some(v) if v.fract() == 0.0 && (0.0..WHOLE).contains(&v) => {
                    seq.serialize_element(&(v as u64))?
                }
                Some(v) => seq.serialize_element(&v)?,
            }
        }
        seq.end()
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seq;
        impl<'de> Visitor<'de> for Seq {
            type Value = Values;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence of numbers")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Values, A::Error> {
                let mut values = Values::default();
                let mut slots = values.0.iter_mut();
                while let Some(value) = seq.next_element::<Option<f64>>()? {
                    if let Some(slot) = slots.next() {
                        *slot = value;
                    }
                }
                Ok(values)
            }
        }
        deserializer.deserialize_seq(Seq)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_read_back_bit_by_bit(values in prop::array::uniform14(prop::option::of(prop_oneof![
            (0_u32..10_000).prop_map(f64::from), 0.0..1e300, Just(5e9),
        ]))) {
            let values = Values(values);
            let bytes = rmp_serde::to_vec_named(&values).unwrap();
            prop_assert_eq!(rmp_serde::from_slice::<Values>(&bytes).unwrap(), values);
        }
    }

    #[test]
    fn whole_numbers_are_small() {
        let bytes = rmp_serde::to_vec_named(&Values([Some(100.0); WIDTH])).unwrap();
        assert_eq!(bytes.len(), 1 + WIDTH);
    }
}
