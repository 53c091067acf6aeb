//! A row explained, against LightGBM's own `pred_contrib` on the same trees: 200 of 31 leaves, one thread, one row at a time.
//!
//! Opt in: `AUSPEX_LIGHTGBM_PYTHON` names a Python that has LightGBM (default `python3`). Without one the row says so.

use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::Context as _;
use auspex_scoring::explain::Ensemble;
use auspex_scoring::onnx::{AttributeProto, GraphProto, ModelProto, NodeProto};
use serde::Deserialize;

use super::row::{Better, Row, median, median_round, micros};

const SCRIPT: &str = include_str!("shap.py");
/// Largest difference of a contribution, in log-odds.
const ALIKE: f64 = 1e-6;

#[derive(Deserialize)]
struct Told {
    version: String,
    trees: Vec<Vec<Node>>,
    rows: Vec<Vec<f64>>,
    contributions: Vec<Vec<f64>>,
}

#[derive(Deserialize)]
struct Node {
    #[serde(default)]
    value: f64,
    cover: f64,
    #[serde(default)]
    feature: i64,
    #[serde(default)]
    threshold: f64,
    yes: Option<i64>,
    no: Option<i64>,
    #[serde(default)]
    missing: bool,
}

/// Rounds of both, taking turns; blocks.
pub(super) fn measure(rounds: usize, own: &Ensemble, own_rows: &[Vec<f32>]) -> anyhow::Result<Vec<Row>> {
    let name = "TreeSHAP 200 x 31, one row, p50";
    let Some(mut other) = Other::start() else {
        let times = (0..rounds).map(|_| round(own, own_rows));
        let value = median(&times.collect::<Vec<f64>>());
        let mut row = Row::told(name, value, "us");
        row.limit_name = Some("LightGBM is not installed here (AUSPEX_LIGHTGBM_PYTHON)".to_owned());
        return Ok(vec![row]);
    };
    let told = other.told()?;
    let ensemble = Ensemble::of(&graph(&told.trees))?;
    #[allow(clippy::cast_possible_truncation, reason = "the graph takes 32 bits")]
    let narrow = |row: &Vec<f64>| row.iter().map(|v| *v as f32).collect::<Vec<f32>>();
    let rows: Vec<Vec<f32>> = told.rows.iter().map(narrow).collect();
    let off = furthest(&ensemble, &rows, &told.contributions);
    let mut both = Vec::new();
    for round_number in 0..=rounds {
        let (ours, theirs) = (round(&ensemble, &rows), other.round()?);
        if round_number > 0 {
            both.push((ours, theirs));
        }
    }
    let (value, limit) = median_round(&both);
    Ok(vec![
        Row::told(name, value, "us")
            .beside(limit, format!("LightGBM {} pred_contrib", told.version))
            .floor(1.0, Better::Less),
        Row::told("furthest contribution from LightGBM's", off, "log-odds").floor(ALIKE, Better::Less),
    ])
}

/// The median of a round, in microseconds.
fn round(ensemble: &Ensemble, rows: &[Vec<f32>]) -> f64 {
    let mut into = vec![0.0; rows.first().map_or(0, Vec::len)];
    let mut times = Vec::with_capacity(200);
    for row in rows.iter().cycle().take(200) {
        let began = Instant::now();
        ensemble.contributions(black_box(row), &mut into);
        black_box(&into);
        times.push(micros(began.elapsed()));
    }
    median(&times)
}

fn furthest(ensemble: &Ensemble, rows: &[Vec<f32>], known: &[Vec<f64>]) -> f64 {
    let mut worst: f64 = 0.0;
    for (row, known) in rows.iter().zip(known) {
        let mut found = vec![0.0; row.len()];
        ensemble.contributions(row, &mut found);
        found.push(ensemble.base);
        let off = found.iter().zip(known).map(|(a, b)| (a - b).abs());
        worst = off.fold(worst, f64::max);
    }
    worst
}

/// The trees as the graph that is served would hold them.
fn graph(trees: &[Vec<Node>]) -> ModelProto {
    let mut ints: [Vec<i64>; 8] = Default::default();
    let (mut values, mut covers, mut weights) = (Vec::new(), Vec::new(), Vec::new());
    let mut modes = Vec::new();
    #[allow(clippy::cast_possible_truncation, reason = "the graph holds 32 bits")]
    for (tree, nodes) in (0_i64..).zip(trees) {
        for (number, node) in (0_i64..).zip(nodes) {
            let leaf = node.yes.is_none();
            let row = [
                tree,
                number,
                node.feature,
                node.yes.unwrap_or(0),
                node.no.unwrap_or(0),
                i64::from(node.missing),
            ];
            ints.iter_mut()
                .zip(row)
                .for_each(|(column, value)| column.push(value));
            values.push(below(node.threshold));
            covers.push(node.cover as f32);
            modes.push(if leaf {
                b"LEAF".to_vec()
            } else {
                b"BRANCH_LEQ".to_vec()
            });
            if leaf {
                ints[6].push(tree);
                ints[7].push(number);
                weights.push(node.value as f32);
            }
        }
    }
    let floats = [
        ("nodes_values", values),
        ("nodes_hitrates", covers),
        ("target_weights", weights),
    ];
    let node = NodeProto {
        op_type: Some("TreeEnsembleRegressor".to_owned()),
        attribute: attributes(ints, floats, modes),
        ..NodeProto::default()
    };
    ModelProto {
        graph: Some(GraphProto {
            node: vec![node],
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
}

/// The columns of a tree ensemble, by the names that ONNX gives them.
fn attributes(
    ints: [Vec<i64>; 8],
    floats: [(&str, Vec<f32>); 3],
    modes: Vec<Vec<u8>>,
) -> Vec<AttributeProto> {
    let names = [
        "nodes_treeids",
        "nodes_nodeids",
        "nodes_featureids",
        "nodes_truenodeids",
        "nodes_falsenodeids",
        "nodes_missing_value_tracks_true",
        "target_treeids",
        "target_nodeids",
    ];
    let attribute = |name: &str| AttributeProto {
        name: Some(name.to_owned()),
        ..AttributeProto::default()
    };
    let mut attributes: Vec<AttributeProto> = names
        .into_iter()
        .zip(ints)
        .map(|(name, ints)| AttributeProto {
            ints,
            ..attribute(name)
        })
        .collect();
    for (name, floats) in floats {
        attributes.push(AttributeProto {
            floats,
            ..attribute(name)
        });
    }
    attributes.push(AttributeProto {
        strings: modes,
        ..attribute("nodes_modes")
    });
    attributes
}

/// The greatest 32-bit number at most this one: rows of 32 bits then go the same way as by the 64-bit threshold.
#[allow(clippy::cast_possible_truncation, reason = "it is what this is for")]
fn below(threshold: f64) -> f32 {
    let near = threshold as f32;
    if f64::from(near) > threshold {
        near.next_down()
    } else {
        near
    }
}

/// LightGBM in a process of its own.
struct Other {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Other {
    fn start() -> Option<Self> {
        let python = std::env::var("AUSPEX_LIGHTGBM_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let known = Command::new(&python).args(["-c", "import lightgbm"]).output();
        if !known.is_ok_and(|output| output.status.success()) {
            return None;
        }
        let mut command = Command::new(python);
        command
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().ok()?;
        let lines = BufReader::new(child.stdout.take()?);
        Some(Self { child, lines })
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        anyhow::ensure!(!line.is_empty(), "LightGBM's side ended early");
        Ok(line)
    }

    fn told(&mut self) -> anyhow::Result<Told> {
        Ok(serde_json::from_str(&self.line()?)?)
    }

    fn round(&mut self) -> anyhow::Result<f64> {
        let input = self
            .child
            .stdin
            .as_mut()
            .context("LightGBM's side does not listen")?;
        input.write_all(b"go\n")?;
        input.flush()?;
        Ok(self.line()?.trim().parse()?)
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
