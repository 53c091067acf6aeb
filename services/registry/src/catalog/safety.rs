//! What is never kept: formats that run code when they are opened.
//!
//! A pickle is a program. Whoever opens one has run it, so a registry that hands them out hands out programs under the name of
//! models. They are known by their names and, whatever they are called, by how they begin.

/// Endings of files that run code when opened, or that cannot be told from such.
const ENDINGS: [&str; 20] = [
    "pkl",
    "pickle",
    "p",
    "pck",
    "pcl",
    "dill",
    "cloudpickle",
    "joblib",
    "jl",
    "pt",
    "pth",
    "ckpt",
    "bin",
    "npy",
    "npz",
    "h5",
    "hdf5",
    "keras",
    "mar",
    "so",
];

/// Why a file is not kept; `None`: it may be.
#[must_use]
pub fn refused(name: &str, bytes: &[u8]) -> Option<String> {
    let ending = name
        .rsplit_once('.')
        .map(|(_, ending)| ending.to_ascii_lowercase());
    if let Some(ending) = ending.filter(|ending| ENDINGS.contains(&ending.as_str())) {
        return Some(format!(
            "{name}: .{ending} files run code when they are opened, and are not kept; export the model to ONNX"
        ));
    }
    if pickled(bytes) || holds_pickle(bytes) {
        return Some(format!(
            "{name}: holds a pickle, which runs code when it is opened, and is not kept; export the model to ONNX"
        ));
    }
    None
}

/// A pickle of protocol 2 or later: its mark, a known version, and a stop at its end.
fn pickled(bytes: &[u8]) -> bool {
    matches!(bytes, [0x80, 2..=5, .., b'.'])
}

/// A zip archive, as torch writes them, that names a pickle among its files.
fn holds_pickle(bytes: &[u8]) -> bool {
    let zip = bytes.starts_with(b"PK\x03\x04");
    zip && bytes.windows(4).any(|four| four == b".pkl")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_told_from_models() {
        assert!(refused("model.pkl", b"").unwrap().contains(".pkl"));
        assert!(refused("Model.JobLib", b"").is_some());
        // Under another name it is still one.
        assert!(
            refused("weights.onnx", b"\x80\x04\x95\x01.")
                .unwrap()
                .contains("pickle")
        );
        assert!(refused("weights.dat", b"PK\x03\x04....archive/data.pkl").is_some());
        for fine in [
            "model.onnx",
            "manifest.json",
            "CARD.md",
            "MLmodel",
            "requirements.txt",
            "plot.svg",
        ] {
            assert_eq!(refused(fine, b"\x08\x08"), None, "{fine}");
        }
    }
}
