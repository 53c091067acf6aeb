//! One of each fact, as it was first written: old encodings must stay readable, and must not change by themselves.
//!
//! The files under `golden/` are never edited. A new field is seen here as a new file beside the old one.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod facts;

use std::path::Path;

use auspex_proto::*;
use facts::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn encodings_do_not_change() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let first = all().into_iter().map(|fact| (fact.kind().token(), fact));
    for (name, fact) in first.chain(later()) {
        let path = folder.join(format!("{name}.hex"));
        let now = hex(&fact.encode());
        if !path.exists() && std::env::var_os("AUSPEX_NEW_GOLDEN").is_some() {
            std::fs::write(&path, format!("{now}\n")).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(now, golden.trim(), "{name}");
    }
}

#[test]
fn every_fact_reads_back_as_it_was() {
    for fact in all().into_iter().chain(later().into_iter().map(|(_, fact)| fact)) {
        let again = Fact::decode(fact.kind(), &fact.encode()).unwrap();
        // Through its bytes, because NaN stands for "missing" in a vector.
        assert_eq!(again.encode(), fact.encode());
        if !matches!(fact, Fact::Vector(_)) {
            assert_eq!(again, fact);
        }
        let address = subject::parse(&fact.subject(Partitions::new(8).unwrap())).unwrap();
        assert_eq!(address.kind, fact.kind());
        assert!(fact.message_id().starts_with(fact.kind().token()));
    }
}

#[test]
fn wrong_values_die_at_the_door() {
    let mut wire = decision().to_wire();
    wire.weight = 101;
    let fault = Decision::from_wire(wire).unwrap_err();
    assert_eq!(fault.to_string(), "weight: 101 is not within 0..=100");
    let mut wire = score().to_wire();
    wire.p_failure = f64::NAN;
    assert!(
        Score::from_wire(wire)
            .unwrap_err()
            .to_string()
            .starts_with("p_failure: NaN")
    );
    let mut wire = vector().to_wire();
    wire.schema_hash = "other".to_owned();
    assert!(
        FeatureVector::from_wire(wire)
            .unwrap_err()
            .to_string()
            .starts_with("schema_hash: is other")
    );
}
