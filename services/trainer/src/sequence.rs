//! Candidates that read a window: the last rows of a group, up to and including the row itself. Their graph is no trees; ONNX
//! Runtime runs it wherever it is run.

use std::path::Path;

use auspex_learn::calibrate::{Calibration, Platt};
use auspex_learn::{Matrix, logit};
use auspex_model::Files;
use auspex_model::onnx::ModelProto;
use prost::Message as _;

use crate::artifact::{self, Served};
use crate::fault::{Fault, failed};
use crate::golden;
use crate::graph::{Naming, calibrated};
use crate::sample::Sample;

/// Up to these log-odds a probability in 32 bits tells them; beyond, one of log-odds so much flatter does.
const NEAR: f64 = 4.0;
const FLATTER: f64 = 16.0;

/// A graph over windows.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    /// As the plug-in wrote it: `features` `[N, steps, columns]` to `raw`, log-odds.
    pub model: ModelProto,
    /// Rows of a window.
    pub steps: usize,
    /// A window with its probability, as the library that fitted it says: each time the graph is opened it must say so too.
    pub probe: (Vec<f32>, f64),
}

/// The windows of all rows, end to end, the oldest row first; where there is none, missing. `past` is what came before.
#[must_use]
pub fn windows(past: Option<&Sample>, sample: &Sample, steps: usize) -> Matrix {
    let width = sample.table.width();
    let none = vec![f32::NAN; width];
    let mut last = std::collections::BTreeMap::<u32, std::collections::VecDeque<&[f32]>>::new();
    let mut push = |group: u32, row| -> Vec<f32> {
        let own = last.entry(group).or_default();
        own.push_back(row);
        if own.len() > steps {
            own.pop_front();
        }
        let absent = std::iter::repeat_n(none.as_slice(), steps - own.len());
        absent.chain(own.iter().copied()).flatten().copied().collect()
    };
    if let Some(past) = past {
        for (row, group) in past.table.iter().zip(&past.groups) {
            push(*group, row);
        }
    }
    let rows = sample.table.iter().zip(&sample.groups);
    let values: Vec<f32> = rows.flat_map(|(row, group)| push(*group, row)).collect();
    Matrix::new(values, width * steps)
}

/// Names of the values of a window: `size@-1` is that of the row before.
#[must_use]
pub fn names(columns: &[String], steps: usize) -> Vec<String> {
    let step = |back: usize| {
        columns.iter().map(move |name| {
            if back == 0 {
                format!("{name}@0")
            } else {
                format!("{name}@-{back}")
            }
        })
    };
    (0..steps).rev().flat_map(step).collect()
}

/// The columns that windows of these names were made of.
#[must_use]
pub fn columns(names: &[String]) -> Vec<String> {
    names
        .iter()
        .filter_map(|name| name.strip_suffix("@0"))
        .map(str::to_owned)
        .collect()
}

impl Sequence {
    /// Of a plug-in's file.
    ///
    /// # Errors
    /// What it lacks, in words.
    pub fn of(model: ModelProto, steps: usize, probe: (Vec<f32>, f64)) -> Result<Self, String> {
        let nodes = model.graph.iter().flat_map(|graph| &graph.node);
        let mut outputs = nodes.flat_map(|node| &node.output);
        if !outputs.any(|output| output == "raw") {
            return Err("has no value `raw`".to_owned());
        }
        Ok(Self { model, steps, probe })
    }

    /// The three files of a version without what people read, calibrated so.
    pub(crate) fn files(&self, naming: &Naming, calibration: &Calibration, golden: (&[u8], usize)) -> Files {
        let artifact = calibrated(self.model.clone(), calibration, naming).encode_to_vec();
        let manifest = artifact::bare(naming, &artifact, golden, (calibration, self.steps));
        Files {
            manifest: format!("{manifest:#}\n").into_bytes(),
            artifact,
            golden: golden.0.to_vec(),
        }
    }

    /// Log-odds of windows, before calibration.
    ///
    /// # Errors
    /// [`Fault::Failed`] when the runtime refuses the graph.
    pub fn raws(&self, windows: &Matrix, runtime: &Path) -> Result<Vec<f64>, Fault> {
        let naming = Naming {
            model: "candidate".to_owned(),
            version: "1".to_owned(),
            feature_service: "candidate@1".to_owned(),
            features: (0..windows.width()).map(|place| format!("v{place}")).collect(),
            schema_sha256: String::new(),
        };
        let naming = Naming {
            schema_sha256: auspex_proto::vector::schema_hash(naming.features.iter().map(String::as_str)),
            ..naming
        };
        let near = self.said(windows, runtime, &naming, 1.0)?;
        if near.iter().all(|raw| raw.abs() <= NEAR) {
            return Ok(near);
        }
        let far = self.said(windows, runtime, &naming, FLATTER)?;
        let either = |(near, far): (f64, f64)| if near.abs() <= NEAR { near } else { far };
        Ok(near.into_iter().zip(far).map(either).collect())
    }

    /// Log-odds by way of the probability that the graph tells of them so much flatter, in 32 bits.
    fn said(
        &self,
        windows: &Matrix,
        runtime: &Path,
        naming: &Naming,
        flatter: f64,
    ) -> Result<Vec<f64>, Fault> {
        let (row, p) = &self.probe;
        let calibration = Calibration::Platt(Platt {
            a: 1.0 / flatter,
            b: 0.0,
        });
        let known = golden::known(&calibration, &[("probe", row.clone())], &[logit(*p)]);
        let files = self.files(naming, &calibration, (known.to_string().as_bytes(), 1));
        let mut served = Served::open(
            files,
            Some(runtime),
            &auspex_learn::Forest::default(),
            &calibration,
        )?;
        let said = served.p(windows)?;
        Ok(said.into_iter().map(|p| flatter * logit(p)).collect())
    }

    /// The golden file: windows drawn column by column, scored by the graph itself before it is calibrated.
    ///
    /// # Errors
    /// As [`Sequence::raws`].
    pub(crate) fn golden(
        &self,
        windows: &Matrix,
        calibration: &Calibration,
        runtime: &Path,
        seed: u64,
    ) -> Result<(Vec<u8>, usize), Fault> {
        let rows = golden::rows(&auspex_learn::Forest::default(), windows, seed);
        let values: Vec<f32> = rows.iter().flat_map(|(_, row)| row.clone()).collect();
        let raws = self.raws(&Matrix::new(values, windows.width()), runtime)?;
        let file = golden::known(calibration, &rows, &raws);
        Ok((format!("{file:#}\n").into_bytes(), rows.len()))
    }
}

/// The runtime, without which no window can be scored.
pub(crate) fn needed(runtime: Option<&Path>) -> Result<&Path, Fault> {
    runtime.ok_or_else(|| failed("a graph over windows needs ONNX Runtime, which is not here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_with_its_row_and_stays_in_its_group() {
        let sample = |values: Vec<f32>, groups: Vec<u32>| Sample {
            table: Matrix::new(values, 1),
            groups,
            ..Sample::default()
        };
        let past = sample(vec![1.0, 2.0], vec![0, 1]);
        let found = windows(Some(&past), &sample(vec![3.0, 4.0, 5.0], vec![0, 0, 2]), 2);
        assert_eq!(found.row(0), [1.0, 3.0]);
        assert_eq!(found.row(1), [3.0, 4.0]);
        assert!(found.row(2)[0].is_nan() && found.row(2)[1] == 5.0);
        let columns_ = ["a".to_owned(), "b".to_owned()];
        let names = names(&columns_, 2);
        assert_eq!(names, ["a@-1", "b@-1", "a@0", "b@0"]);
        assert_eq!(columns(&names), columns_);
    }
}
