//! The page for users tells every feature that comes with the program, and every stream's column.
#![allow(missing_docs, clippy::unwrap_used)]

use auspex_features::definitions::{BUILTIN, Spec, formula, read};
use auspex_features::streams::STREAMS;

#[test]
fn the_page_tells_every_feature() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/features.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut missing = Vec::new();
    let mut want = |text: String| {
        if !page.contains(&text) {
            missing.push(text);
        }
    };
    for document in read(BUILTIN).0 {
        match &document.spec {
            Spec::FeatureView(view) => {
                want(format!("#### `{}`", document.metadata.name));
                for feature in &view.features {
                    want(format!("| `{}` |", feature.name));
                    assert!(!formula(feature).is_empty());
                    want(feature.description.clone());
                }
            }
            Spec::OnDemandFeatureView(view) => view
                .features
                .iter()
                .for_each(|f| want(format!("`{}`", f.expression))),
            Spec::FeatureService(_) => want(format!("| `{}` |", document.metadata.name)),
            Spec::Entity(_) => {}
        }
    }
    for stream in STREAMS {
        want(format!("### `{}`", stream.name));
        stream
            .columns
            .iter()
            .for_each(|column| want(format!("`{}`", column.name)));
    }
    assert!(missing.is_empty(), "not in docs/features.md: {missing:#?}");
}
