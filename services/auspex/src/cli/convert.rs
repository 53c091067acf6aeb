//! `auspex convert`: documents of Argo Rollouts as Auspex's own.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use auspex_argo::convert::{Converted, Remark, convert};
use auspex_argo::document::{Kind, read_each};
use auspex_argo::template::Templates;
use clap::{Args, ValueEnum};
use serde_json::{Value as Json, json};

use super::analysis::Kept;
use super::print;
use crate::fault::Fault;

/// Turns documents of Argo Rollouts into Auspex's own.
#[derive(Debug, Args)]
pub(crate) struct Convert {
    /// Documents (YAML, several in a file), or folders of them; - is standard input
    #[arg(short, long = "file", value_name = "FILE", num_args = 1.., required = true)]
    files: Vec<PathBuf>,
    /// Whether Argo's quirks are kept
    #[arg(long, value_enum, default_value_t)]
    mode: Kept,
    /// How to show them
    #[arg(long, value_enum, default_value_t)]
    output: Shown,
}

/// How converted documents are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Shown {
    /// Documents alone; what is to be said of them goes to standard error
    #[default]
    Yaml,
    /// One object: documents, refused, notes, missing
    Json,
}

/// Every file that is meant: folders are looked through.
fn files(named: &[PathBuf]) -> Result<Vec<PathBuf>, Fault> {
    let mut out = Vec::new();
    let mut next: Vec<PathBuf> = named.iter().rev().cloned().collect();
    while let Some(path) = next.pop() {
        if !path.is_dir() {
            out.push(path);
            continue;
        }
        let wrong = |fault: std::io::Error| Fault::invalid(format!("{}: {fault}", path.display()));
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(&path).map_err(wrong)? {
            let entry = entry.map_err(wrong)?.path();
            let yaml = entry
                .extension()
                .is_some_and(|ending| ending == "yaml" || ending == "yml");
            if entry.is_dir() || yaml {
                inside.push(entry);
            }
        }
        inside.sort();
        next.extend(inside.into_iter().rev());
    }
    if out.is_empty() {
        let named: Vec<String> = named.iter().map(|path| path.display().to_string()).collect();
        let text = format!("{}: holds no file that ends with .yaml or .yml", named.join(", "));
        return Err(Fault::invalid(text));
    }
    Ok(out)
}

fn name_of(document: &Json) -> String {
    let text = |path: &str| document.pointer(path).and_then(Json::as_str).unwrap_or_default();
    format!("{}/{}", text("/kind"), text("/metadata/name"))
}

/// The documents of files, and those that cannot be read.
pub(crate) fn kinds(named: &[PathBuf]) -> Result<(Vec<Kind>, Vec<Remark>), Fault> {
    let mut kinds = Vec::new();
    let mut unread = Vec::new();
    for file in files(named)? {
        let shown = file.display();
        let text = super::read(Path::new(&file))?;
        let documents = read_each(&text).map_err(|fault| Fault::invalid(format!("{shown}: {fault}")))?;
        for (at, document) in documents.into_iter().enumerate() {
            let remark = |document: String, (field, reason): (String, String)| Remark {
                document,
                field,
                reason,
            };
            match document {
                Err(fault) => {
                    let (field, reason) = fault.0.split_once(": ").unwrap_or(("", &fault.0));
                    let place = format!("{shown}, document {}", at + 1);
                    unread.push(remark(place, (field.to_owned(), reason.to_owned())));
                }
                Ok(document) if !document.is_object() => {
                    let place = format!("{shown}, document {}", at + 1);
                    let wrong = ("document".to_owned(), "is no mapping of fields".to_owned());
                    unread.push(remark(place, wrong));
                }
                Ok(document) => match Kind::of(&document) {
                    Ok(kind) => kinds.push(kind),
                    Err(fault) => unread.push(remark(name_of(&document), fault)),
                },
            }
        }
    }
    Ok((kinds, unread))
}

/// Converts files.
pub(crate) fn converted(named: &[PathBuf], mode: Kept) -> Result<Converted, Fault> {
    let (kinds, mut unread) = kinds(named)?;
    let mut templates = Templates::default();
    templates.add_all(&kinds);
    let mut converted = convert(&kinds, &templates, mode.into());
    unread.append(&mut converted.refused);
    converted.refused = unread;
    Ok(converted)
}

/// Documents as YAML, one after the other.
pub(crate) fn yaml(documents: &[Json]) -> Result<String, Fault> {
    let texts = documents.iter().map(serde_yaml_ng::to_string);
    let texts: Vec<String> = texts.collect::<Result<_, _>>().map_err(Fault::failed)?;
    Ok(texts.join("---\n"))
}

fn line(what: &str, remark: &Remark) -> String {
    format!("{what}: {}: {}: {}", remark.document, remark.field, remark.reason)
}

impl Convert {
    pub(crate) fn carry_out(&self) -> Result<ExitCode, Fault> {
        let converted = converted(&self.files, self.mode)?;
        match self.output {
            Shown::Json => print::json(&json!(converted))?,
            Shown::Yaml => {
                print::text(&yaml(&converted.documents)?)?;
                for remark in &converted.notes {
                    eprintln!("{}", line("note", remark));
                }
                for remark in &converted.refused {
                    eprintln!("{}", line("refused", remark));
                }
            }
        }
        // What is refused was said; the exit code says that there is something.
        Ok(if converted.refused.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}
