//! From trees to a graph.

use auspex_learn::Forest;
use auspex_learn::calibrate::Calibration;
use auspex_model::onnx::{
    AttributeProto, Axis, GraphProto, ModelProto, NodeProto, OperatorSet, Property, Shape, TensorProto,
    TensorType, TypeProto, ValueProto,
};
use prost::Message as _;

const OPSET: i64 = 17;
const ML_OPSET: i64 = 3;
const IR: i64 = 8;

/// What a graph says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naming {
    /// Name of the model.
    pub model: String,
    /// Its version.
    pub version: String,
    /// Its feature service.
    pub feature_service: String,
    /// Of its features.
    pub schema_sha256: String,
    /// Its features.
    pub features: Vec<String>,
}

impl Naming {
    pub(super) fn properties(&self) -> Vec<Property> {
        let pairs = [
            ("auspex.feature_service", self.feature_service.clone()),
            ("auspex.feature_schema_sha256", self.schema_sha256.clone()),
            ("auspex.model_name", self.model.clone()),
            ("auspex.model_version", self.version.clone()),
            ("auspex.features", self.features.join(",")),
        ];
        let property = |(key, value): (&str, String)| Property {
            key: Some(key.to_owned()),
            value: Some(value),
        };
        pairs.into_iter().map(property).collect()
    }
}

/// Writes a forest and its calibration as a model file.
#[must_use]
pub fn write(forest: &Forest, calibration: &Calibration, naming: &Naming) -> Vec<u8> {
    let mut graph = GraphProto {
        node: vec![trees(forest)],
        name: Some(naming.model.clone()),
        initializer: Vec::new(),
        input: vec![port("features", naming.features.len())],
        output: vec![port("p_fail", 1)],
    };
    calibrate(&mut graph, calibration);
    model(graph, naming).encode_to_vec()
}

/// A graph whose value `raw` is log-odds, with another calibration behind it and under another name.
#[must_use]
pub fn calibrated(mut model: ModelProto, calibration: &Calibration, naming: &Naming) -> ModelProto {
    if let Some(graph) = &mut model.graph {
        graph
            .node
            .retain(|node| !node.output.iter().any(|output| output == "p_fail"));
        calibrate(graph, calibration);
        graph.name = Some(naming.model.clone());
    }
    model.metadata_props = naming.properties();
    model
}

/// Adds the nodes from `raw` to `p_fail`. All names begin with `calibration`, which no node before them has.
fn calibrate(graph: &mut GraphProto, calibration: &Calibration) {
    let part = |name: &str| format!("calibration_{name}");
    let mut add = |name: &str, operator: &str, input: &[&str]| {
        graph.node.push(node(&part(name), operator, input, &part(name)));
    };
    let constants = match calibration {
        // The table is beside the graph: as nodes it drifts.
        Calibration::Isotonic(_) => {
            add("log_odds", "Identity", &["raw"]);
            Vec::new()
        }
        Calibration::Platt(platt) => {
            add("scaled", "Mul", &["raw", "calibration_a"]);
            add("log_odds", "Add", &["calibration_scaled", "calibration_b"]);
            vec![("a", platt.a), ("b", platt.b)]
        }
        // `ln p` is `-softplus(-raw)` and `-ln(1 - p)` is `softplus(raw)`: nothing is lost where p nears 0 or 1.
        Calibration::Beta(beta) => {
            add("negative", "Neg", &["raw"]);
            add("failed", "Softplus", &["calibration_negative"]);
            add("passed", "Softplus", &["raw"]);
            add("failed_scaled", "Mul", &["calibration_failed", "calibration_a"]);
            add("passed_scaled", "Mul", &["calibration_passed", "calibration_b"]);
            add(
                "difference",
                "Sub",
                &["calibration_passed_scaled", "calibration_failed_scaled"],
            );
            add("log_odds", "Add", &["calibration_difference", "calibration_c"]);
            vec![("a", beta.a), ("b", beta.b), ("c", beta.c)]
        }
    };
    let last = node("probability", "Sigmoid", &["calibration_log_odds"], "p_fail");
    graph.node.push(last);
    let initializers = constants
        .into_iter()
        .map(|(name, value)| constant(&part(name), value));
    graph.initializer.extend(initializers);
}

fn constant(name: &str, value: f64) -> TensorProto {
    TensorProto {
        dims: vec![1],
        data_type: Some(1),
        float_data: vec![value as f32],
        name: Some(name.to_owned()),
        ..TensorProto::default()
    }
}

/// A graph in its envelope.
fn model(graph: GraphProto, naming: &Naming) -> ModelProto {
    let set = |domain: &str, version: i64| OperatorSet {
        domain: Some(domain.to_owned()),
        version: Some(version),
    };
    ModelProto {
        ir_version: Some(IR),
        producer_name: Some("auspex-trainer".to_owned()),
        producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        graph: Some(graph),
        opset_import: vec![set("", OPSET), set("ai.onnx.ml", ML_OPSET)],
        metadata_props: naming.properties(),
    }
}

fn port(name: &str, width: usize) -> ValueProto {
    let rows = Axis {
        dim_param: Some("N".to_owned()),
        ..Axis::default()
    };
    let columns = Axis {
        dim_value: Some(width as i64),
        ..Axis::default()
    };
    let tensor = TensorType {
        elem_type: Some(1),
        shape: Some(Shape {
            dim: vec![rows, columns],
        }),
    };
    ValueProto {
        name: Some(name.to_owned()),
        kind: Some(TypeProto {
            tensor_type: Some(tensor),
        }),
    }
}

fn node(name: &str, operator: &str, input: &[&str], output: &str) -> NodeProto {
    NodeProto {
        input: input.iter().map(|name| (*name).to_owned()).collect(),
        output: vec![output.to_owned()],
        name: Some(name.to_owned()),
        op_type: Some(operator.to_owned()),
        ..NodeProto::default()
    }
}

/// Lists of a tree node's settings, one entry a node.
#[derive(Default)]
struct Lists {
    tree: Vec<i64>,
    id: Vec<i64>,
    feature: Vec<i64>,
    mode: Vec<Vec<u8>>,
    value: Vec<f32>,
    yes: Vec<i64>,
    no: Vec<i64>,
    missing: Vec<i64>,
    cover: Vec<f32>,
    leaf_tree: Vec<i64>,
    leaf_id: Vec<i64>,
    leaf_value: Vec<f32>,
}

fn lists(forest: &Forest) -> Lists {
    let mut lists = Lists::default();
    for (tree, nodes) in (0..).zip(&forest.trees) {
        for (id, node) in (0..).zip(&nodes.0) {
            lists.tree.push(tree);
            lists.id.push(id);
            lists.feature.push(i64::from(node.feature));
            lists.cover.push(node.cover);
            lists.yes.push(i64::from(node.yes));
            lists.no.push(i64::from(node.no));
            lists.missing.push(i64::from(node.missing_yes && !node.is_leaf()));
            if node.is_leaf() {
                lists.mode.push(b"LEAF".to_vec());
                lists.value.push(0.0);
                lists.leaf_tree.push(tree);
                lists.leaf_id.push(id);
                lists.leaf_value.push(node.value);
            } else {
                lists.mode.push(b"BRANCH_LEQ".to_vec());
                lists.value.push(node.threshold);
            }
        }
    }
    lists
}

fn trees(forest: &Forest) -> NodeProto {
    let named = |name: &str, kind: i32| AttributeProto {
        name: Some(name.to_owned()),
        kind: Some(kind),
        ..AttributeProto::default()
    };
    let ints = |name: &str, ints: Vec<i64>| AttributeProto {
        ints,
        ..named(name, 7)
    };
    let floats = |name: &str, floats: Vec<f32>| AttributeProto {
        floats,
        ..named(name, 6)
    };
    let word = |name: &str, word: &str| AttributeProto {
        s: Some(word.as_bytes().to_vec()),
        ..named(name, 3)
    };
    let of = lists(forest);
    let ids = vec![0; of.leaf_id.len()];
    let attribute = vec![
        AttributeProto {
            i: Some(1),
            ..named("n_targets", 2)
        },
        word("aggregate_function", "SUM"),
        word("post_transform", "NONE"),
        floats("base_values", vec![0.0]),
        ints("nodes_treeids", of.tree),
        ints("nodes_nodeids", of.id),
        ints("nodes_featureids", of.feature),
        AttributeProto {
            strings: of.mode,
            ..named("nodes_modes", 8)
        },
        floats("nodes_values", of.value),
        ints("nodes_truenodeids", of.yes),
        ints("nodes_falsenodeids", of.no),
        ints("nodes_missing_value_tracks_true", of.missing),
        floats("nodes_hitrates", of.cover),
        ints("target_treeids", of.leaf_tree),
        ints("target_nodeids", of.leaf_id),
        ints("target_ids", ids),
        floats("target_weights", of.leaf_value),
    ];
    NodeProto {
        attribute,
        domain: Some("ai.onnx.ml".to_owned()),
        ..node("trees", "TreeEnsembleRegressor", &["features"], "raw")
    }
}
