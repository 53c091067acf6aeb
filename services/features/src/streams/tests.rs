//! See also `tests/streams.rs`, on whole facts.
use super::*;

#[test]
fn every_stream_is_told_and_bounded() {
    for stream in STREAMS {
        let mut names: Vec<&str> = stream.columns.iter().map(|c| c.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), stream.columns.len(), "{}", stream.name);
        assert!(
            stream
                .columns
                .iter()
                .all(|c| !c.unit.is_empty() && !c.meaning.is_empty())
        );
        for keys in stream.entities {
            assert!(keys.is_sorted(), "{}: {keys:?}", stream.name);
        }
        assert!(stream.shape().memory > 0);
    }
}
