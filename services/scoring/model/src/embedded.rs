//! The model that comes inside the program, so that a lone binary can score.

use crate::model::Files;

/// `manifest.json` of the default model.
pub const MANIFEST: &[u8] = include_bytes!("../../../../models/change-risk/manifest.json");
/// Its graph.
pub const ARTIFACT: &[u8] = include_bytes!("../../../../models/change-risk/model.onnx");
/// Its rows with known answers.
pub const GOLDEN: &[u8] = include_bytes!("../../../../models/change-risk/golden.json");

/// The three as files.
#[must_use]
pub fn files() -> Files {
    Files {
        manifest: MANIFEST.to_vec(),
        artifact: ARTIFACT.to_vec(),
        golden: GOLDEN.to_vec(),
    }
}
