//! A version on its way to the registry, for whoever publishes one.

use std::collections::BTreeMap;
use std::path::Path;

use auspex_proto::wire::{RegisterHead, RegisterRequest, UploadChunk, register_request};

/// Bytes of one piece: well below gRPC's limit of 4 MB.
const PIECE: usize = 512 << 10;

/// The messages that register these files, in their order.
#[must_use]
pub fn requests(head: RegisterHead, files: BTreeMap<String, Vec<u8>>) -> Vec<RegisterRequest> {
    let part = |part| RegisterRequest { part: Some(part) };
    let mut all = vec![part(register_request::Part::Head(head))];
    for (file, bytes) in files {
        let chunk = |file: String, bytes: &[u8]| {
            let bytes = bytes.to_vec();
            part(register_request::Part::Chunk(UploadChunk { file, bytes }))
        };
        if bytes.is_empty() {
            all.push(chunk(file, &[]));
            continue;
        }
        let pieces = bytes.chunks(PIECE).enumerate();
        all.extend(pieces.map(|(n, piece)| chunk(if n == 0 { file.clone() } else { String::new() }, piece)));
    }
    all
}

/// The files of a folder, by name; what begins with a dot and folders within are left out.
///
/// # Errors
/// When one cannot be read.
pub fn folder(path: &Path) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && entry.file_type()?.is_file() {
            files.insert(name, std::fs::read(entry.path())?);
        }
    }
    Ok(files)
}
