use proptest::prelude::*;

use super::*;
use crate::embedded;
use crate::model::Model;
use crate::onnx::{AttributeProto, GraphProto, ModelProto, NodeProto};

fn attribute(name: &str, ints: &[i64], floats: &[f32], strings: &[&str]) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        ints: ints.to_vec(),
        floats: floats.to_vec(),
        strings: strings.iter().map(|s| s.as_bytes().to_vec()).collect(),
        ..Default::default()
    }
}

/// A full binary tree of depth 3: node n has the children 2n + 1 and 2n + 2.
fn tree(features: &[i64; 7], values: &[f32; 7], missing: &[i64; 7], weights: &[f32; 8]) -> ModelProto {
    let ids: Vec<i64> = (0..15).collect();
    let modes: Vec<&str> = (0..15)
        .map(|n| if n < 7 { "BRANCH_LEQ" } else { "LEAF" })
        .collect();
    let pad = |v: &[i64]| v.iter().copied().chain([0; 8]).collect::<Vec<_>>();
    let child = |by: i64| {
        (0..15)
            .map(|n| if n < 7 { 2 * n + by } else { 0 })
            .collect::<Vec<_>>()
    };
    let cover = [
        64.0, 40.0, 24.0, 30.0, 10.0, 8.0, 16.0, 12.0, 18.0, 5.0, 5.0, 2.0, 6.0, 15.0, 1.0,
    ];
    let values: Vec<f32> = values.iter().copied().chain([0.0; 8]).collect();
    let node = NodeProto {
        op_type: Some("TreeEnsembleRegressor".to_owned()),
        attribute: vec![
            attribute("nodes_treeids", &[0; 15], &[], &[]),
            attribute("nodes_nodeids", &ids, &[], &[]),
            attribute("nodes_featureids", &pad(features), &[], &[]),
            attribute("nodes_values", &[], &values, &[]),
            attribute("nodes_truenodeids", &child(1), &[], &[]),
            attribute("nodes_falsenodeids", &child(2), &[], &[]),
            attribute("nodes_missing_value_tracks_true", &pad(missing), &[], &[]),
            attribute("nodes_hitrates", &[], &cover, &[]),
            attribute("nodes_modes", &[], &[], &modes),
            attribute("target_treeids", &[0; 8], &[], &[]),
            attribute("target_nodeids", &ids[7..], &[], &[]),
            attribute("target_weights", &[], weights, &[]),
        ],
        ..Default::default()
    };
    ModelProto {
        graph: Some(GraphProto {
            node: vec![node],
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The definition itself: the value of a coalition follows known features and averages over the others by cover.
fn coalition(model: &ModelProto, row: &[f32], known: u32) -> f64 {
    fn walk(n: &NodeProto, at: usize, row: &[f32], known: u32) -> f64 {
        let int = |name: &str| n.attribute(name).unwrap().ints[at];
        let float = |name: &str, at: usize| f64::from(n.attribute(name).unwrap().floats[at]);
        if at >= 7 {
            return float("target_weights", at - 7);
        }
        let (yes, no) = (
            int("nodes_truenodeids") as usize,
            int("nodes_falsenodeids") as usize,
        );
        let feature = int("nodes_featureids") as usize;
        if known >> feature & 1 == 1 {
            let value = row[feature];
            let goes_true = if value.is_nan() {
                int("nodes_missing_value_tracks_true") == 1
            } else {
                f64::from(value) <= float("nodes_values", at)
            };
            return walk(n, if goes_true { yes } else { no }, row, known);
        }
        let share = |child: usize| float("nodes_hitrates", child) / float("nodes_hitrates", at);
        share(yes) * walk(n, yes, row, known) + share(no) * walk(n, no, row, known)
    }
    walk(&model.graph.as_ref().unwrap().node[0], 0, row, known)
}

fn shapley(model: &ModelProto, row: &[f32], feature: usize) -> f64 {
    let factorial = |n: u32| (1..=n).map(f64::from).product::<f64>();
    let others = (0..1_u32 << row.len()).filter(|set| set >> feature & 1 == 0);
    let gain = |set: u32| {
        let (size, all) = (set.count_ones(), row.len() as u32);
        let weight = factorial(size) * factorial(all - size - 1) / factorial(all);
        weight * (coalition(model, row, set | 1 << feature) - coalition(model, row, set))
    };
    others.map(gain).sum()
}

proptest! {
    #[test]
    fn contributions_are_the_shapley_values(
        features in prop::array::uniform7(0_i64..4),
        values in prop::array::uniform7(-2_i8..=2),
        missing in prop::array::uniform7(0_i64..2),
        weights in prop::array::uniform8(-1.0_f32..1.0),
        row in prop::array::uniform4(prop::option::of(-3_i8..=3)),
    ) {
        let model = tree(&features, &values.map(f32::from), &missing, &weights);
        let ensemble = Ensemble::of(&model).unwrap();
        let row = row.map(|v| v.map_or(f32::NAN, f32::from));
        let mut found = [0.0; 4];
        ensemble.contributions(&row, &mut found);
        for (feature, found) in found.iter().enumerate() {
            prop_assert!((found - shapley(&model, &row, feature)).abs() < 1e-12);
        }
        prop_assert!((ensemble.base - coalition(&model, &row, 0)).abs() < 1e-12);
        prop_assert!((ensemble.raw(&row) - coalition(&model, &row, 0b1111)).abs() < 1e-12);
    }
}

#[test]
fn the_served_model_is_explained_as_its_trainer_explains_it() {
    let model = Model::check(embedded::files()).unwrap();
    let ensemble = model.ensemble.as_ref().unwrap();
    let mut explained = 0;
    for row in &model.golden.rows {
        let input = row.row();
        let mut found = vec![0.0; input.len()];
        ensemble.contributions(&input, &mut found);
        let sum = ensemble.base + found.iter().sum::<f64>();
        assert!(
            (sum - row.raw).abs() < 1e-9,
            "{}: {sum} is not {}",
            row.kind,
            row.raw
        );
        let Some(known) = &row.contributions else { continue };
        explained += 1;
        assert!((ensemble.base - row.contribution_base.unwrap()).abs() < 1e-6);
        for (found, known) in found.iter().zip(known) {
            assert!(
                (found - known).abs() < 1e-6,
                "{}: {found} is not {known}",
                row.kind
            );
        }
    }
    assert!(explained >= 16);
}

#[test]
fn an_ensemble_that_is_not_understood_is_refused() {
    let sound = tree(&[0; 7], &[0.0; 7], &[0; 7], &[0.0; 8]);
    let change = |name: &str, with: AttributeProto| {
        let mut model = sound.clone();
        let node = &mut model.graph.as_mut().unwrap().node[0];
        node.attribute.retain(|a| a.name() != name);
        node.attribute.push(with);
        Ensemble::of(&model).unwrap_err().to_string()
    };
    let lt = ["BRANCH_EQ"; 15];
    assert!(change("nodes_modes", attribute("nodes_modes", &[], &[], &lt)).contains("BRANCH_EQ"));
    assert!(change("nodes_hitrates", attribute("nodes_hitrates", &[], &[], &[])).contains("missing"));
    assert!(
        change(
            "nodes_hitrates",
            attribute("nodes_hitrates", &[], &[0.0; 15], &[])
        )
        .contains("part")
    );
    assert!(
        change(
            "nodes_truenodeids",
            attribute("nodes_truenodeids", &[0; 15], &[], &[])
        )
        .contains("cycle")
    );
    assert!(
        change(
            "nodes_truenodeids",
            attribute("nodes_truenodeids", &[99; 15], &[], &[])
        )
        .contains("no node 99")
    );
    assert_eq!(
        Ensemble::of(&ModelProto::default()).unwrap_err(),
        EnsembleFault::NotOneEnsemble
    );
}
