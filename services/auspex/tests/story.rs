//! The stories of the demonstration, as the shipped model reads them.

#![allow(clippy::unwrap_used, reason = "a test may")]

use auspex::demo::story::{self, Change};
use auspex_scoring::Config;
use auspex_scoring::folder::files;
use auspex_scoring::model::Model;
use auspex_scoring::runtime::{Runtime, Scorer};

async fn scorer() -> Scorer {
    let library = auspex_chassis::tools::onnxruntime().await.unwrap();
    let model = Model::check(files(&Config::default().model).unwrap()).unwrap();
    Scorer::open(&Runtime::load(&library).unwrap(), model.into(), 4).unwrap()
}

#[allow(clippy::cast_possible_truncation)]
fn p_failure(scorer: &mut Scorer, change: &Change) -> f32 {
    let row: Vec<f32> = change
        .stats
        .named()
        .iter()
        .map(|(_, value)| value.unwrap_or(f64::NAN) as f32)
        .collect();
    scorer.p_fail(&row).unwrap()[0]
}

#[tokio::test]
async fn the_risky_change_looks_risky_and_the_small_one_does_not() {
    let mut scorer = scorer().await;
    let (risky, small) = (
        p_failure(&mut scorer, &story::risky()),
        p_failure(&mut scorer, &story::small()),
    );
    assert!(risky > 0.7, "{risky}");
    assert!(small < 0.15, "{small}");
}
