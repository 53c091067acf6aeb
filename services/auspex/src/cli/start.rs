//! What `auspex rollout start` is given: Auspex's own documents, or those of Argo Rollouts.

use std::path::{Path, PathBuf};

use auspex_argo::document::read_each;
use auspex_proto::wire::PutAnalysisRequest;
use auspex_proto::wire::analysis_service_client::AnalysisServiceClient;
use serde_json::Value as Json;

use super::analysis::Kept;
use super::reach::Line;
use super::{convert, id};
use crate::fault::Fault;

/// What there is to start.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    /// Plans of analyses, which go first.
    pub plans: Vec<String>,
    /// Rollouts.
    pub rollouts: Vec<String>,
    /// The project of those that name none; empty: the server says that one is wanted.
    pub project: String,
}

/// Kubernetes' namespace, when none is named.
const NAMESPACE: &str = "default";

fn text<'d>(document: &'d Json, path: &str) -> &'d str {
    document.pointer(path).and_then(Json::as_str).unwrap_or_default()
}

/// Reads files. A single document of one's own goes to the server as it is written, for its line numbers.
pub(crate) fn documents(files: &[PathBuf], kept: Kept) -> Result<Documents, Fault> {
    let mut out = Documents::default();
    let mut argo = Vec::new();
    for file in files {
        if file.is_dir() {
            argo.push(file.clone());
            continue;
        }
        let written = super::read(Path::new(file))?;
        let Ok(documents) = read_each(&written) else {
            // The server says what is wrong with it.
            out.rollouts.push(written);
            continue;
        };
        let of = |prefix: &str| {
            documents.iter().any(|document| {
                document
                    .as_ref()
                    .is_ok_and(|d| text(d, "/apiVersion").starts_with(prefix))
            })
        };
        if of("argoproj.io/") {
            argo.push(file.clone());
        } else if documents.len() > 1 && of("auspex.dev/") {
            for document in documents.into_iter().flatten() {
                sort(&mut out, &document)?;
            }
        } else if documents
            .first()
            .is_some_and(|document| document.as_ref().is_ok_and(|d| text(d, "/kind") == "Analysis"))
        {
            out.plans.push(written);
        } else {
            out.rollouts.push(written);
        }
    }
    if !argo.is_empty() {
        imported(&argo, kept, &mut out)?;
    }
    if out.plans.is_empty() && out.rollouts.is_empty() {
        return Err(Fault::invalid("there is no rollout among the documents"));
    }
    Ok(out)
}

fn sort(out: &mut Documents, document: &Json) -> Result<(), Fault> {
    let yaml = convert::yaml(std::slice::from_ref(document))?;
    match text(document, "/kind") {
        "Analysis" => out.plans.push(yaml),
        "Rollout" => out.rollouts.push(yaml),
        // Templates are in the plans already.
        _ => {}
    }
    Ok(())
}

fn imported(files: &[PathBuf], kept: Kept, out: &mut Documents) -> Result<(), Fault> {
    let converted = convert::converted(files, kept)?;
    if !converted.refused.is_empty() {
        let faults = converted
            .refused
            .iter()
            .map(|remark| format!("{}: {}: {}", remark.document, remark.field, remark.reason));
        return Err(Fault::invalid(faults.collect::<Vec<_>>().join("\n")));
    }
    if !converted.missing.is_empty() {
        return Err(Fault::invalid(format!(
            "analysis templates are missing: {}; give their files with -f too",
            converted.missing.join(", ")
        )));
    }
    for remark in &converted.notes {
        eprintln!("note: {}: {}: {}", remark.document, remark.field, remark.reason);
    }
    let named = |document: &Json| document.pointer("/metadata/project").is_some();
    if !converted.documents.iter().any(named) {
        NAMESPACE.clone_into(&mut out.project);
    }
    converted
        .documents
        .iter()
        .try_for_each(|document| sort(out, document))
}

/// Gives a plan to the server.
pub(crate) async fn put(line: &Line, project: &str, document: String) -> Result<(), Fault> {
    let request = PutAnalysisRequest {
        project: project.to_owned(),
        document,
        actor: id::person(),
    };
    AnalysisServiceClient::new(line.clone()).put(request).await?;
    Ok(())
}
