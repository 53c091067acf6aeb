//! `auspex model`: versions, who may score, what is tried, what became of predictions.

mod said;
mod shown;
mod trial;

use std::path::PathBuf;

use auspex_proto::wire::model_registry_client::ModelRegistryClient;
use auspex_proto::wire::scoring_client::ScoringClient;
use auspex_proto::wire::{
    GetModelRequest, GetModelVersionRequest, ListModelVersionsRequest, ListModelsRequest, ListServedRequest,
    ModelVersion, RegisterHead, RollbackModelRequest, SetAliasRequest,
};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::reach::{Line, Reach};
use super::{Output, id, print};
use crate::fault::Fault;

#[derive(Debug, Subcommand)]
pub(crate) enum Ask {
    /// All models, their latest versions and who has which alias
    List {
        /// How to show them
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// One model and its versions, or one version: NAME, NAME@3, NAME@champion
    Show {
        /// Which
        model: String,
        /// How to show it
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Two versions side by side: figures of merit, features, parameters
    Compare {
        /// As in change-risk@1
        one: String,
        /// As in change-risk@2, or another version of the same model: 2, challenger
        other: String,
        /// How to show them
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Make a version champion, or give it another alias
    Promote {
        /// As in change-risk@3
        model: String,
        /// Which alias
        #[arg(long, default_value = "champion")]
        alias: String,
        /// Of a challenger: its share of units
        #[arg(long, default_value_t = 0)]
        percent: u32,
        #[command(flatten)]
        how: How,
    },
    /// Make the champion before the present one champion again
    Rollback {
        /// Its name
        model: String,
        #[command(flatten)]
        how: How,
    },
    /// Register a folder with manifest.json, its graph and its golden rows as the next version
    Register {
        /// The folder
        folder: PathBuf,
        /// Give it this alias at once
        #[arg(long, default_value = "")]
        alias: String,
        #[command(flatten)]
        how: How,
    },
    /// What a process scores with at this moment
    Served {
        /// How to show it
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// What was said last of a change, or of a build
    Score(said::Asked),
    /// Try a version beside the champion, decided by outcomes
    #[command(subcommand)]
    Experiment(trial::Ask),
    /// How good predictions have turned out to be
    Reliability {
        /// Only of this version, as in change-risk@1
        #[arg(long, default_value = "")]
        model: String,
        /// Only in this project
        #[arg(long, default_value = "")]
        project: String,
        /// How to show it
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}

/// Who knows why, and how to show it.
#[derive(Debug, Args)]
pub(crate) struct How {
    /// Why, for those who read the history
    #[arg(long, default_value = "")]
    note: String,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

type Client = ModelRegistryClient<Line>;

/// Name and version of `NAME@VERSION`; the version is empty where `NAME` stands alone.
fn split(model: &str) -> Result<(String, String), Fault> {
    match model.split_once('@') {
        None => Ok((model.to_owned(), String::new())),
        Some((name, version)) if !name.is_empty() && !version.is_empty() => {
            Ok((name.to_owned(), version.to_owned()))
        }
        Some(_) => Err(Fault::invalid(format!(
            "{model}: is neither NAME nor NAME@VERSION"
        ))),
    }
}

async fn client(reach: &Reach) -> Result<Client, Fault> {
    Ok(Client::new(reach.open().await?).max_decoding_message_size(32 << 20))
}

fn show(
    output: Output,
    text: impl FnOnce() -> String,
    document: impl FnOnce() -> Value,
) -> Result<(), Fault> {
    match output {
        Output::Text => print::text(&text()),
        Output::Json => print::json(&document()),
    }
}

impl Ask {
    pub(crate) async fn carry_out(self, reach: &Reach) -> Result<(), Fault> {
        match self {
            Self::List { output } => list(reach, output).await,
            Self::Show { model, output } => one(reach, &model, output).await,
            Self::Compare { one, other, output } => compare(reach, &one, &other, output).await,
            Self::Promote {
                model,
                alias,
                percent,
                how,
            } => promote(reach, &model, (alias, percent), how).await,
            Self::Rollback { model, how } => {
                let request = RollbackModelRequest {
                    name: model,
                    actor: id::person(),
                    note: how.note,
                };
                let model = client(reach).await?.rollback(request).await?.into_inner();
                show(
                    how.output,
                    || shown::model(&model),
                    || shown::model_document(&model),
                )
            }
            Self::Register { folder, alias, how } => register(reach, &folder, alias, how).await,
            Self::Served { output } => {
                let mut client = ScoringClient::new(reach.open().await?);
                let models = client
                    .list_served(ListServedRequest {})
                    .await?
                    .into_inner()
                    .models;
                show(
                    output,
                    || shown::served(&models),
                    || shown::served_document(&models),
                )
            }
            Self::Score(asked) => asked.carry_out(reach).await,
            Self::Experiment(ask) => ask.carry_out(reach).await,
            Self::Reliability {
                model,
                project,
                output,
            } => trial::reliability(reach, model, project, output).await,
        }
    }
}

async fn list(reach: &Reach, output: Output) -> Result<(), Fault> {
    let answer = client(reach).await?.list_models(ListModelsRequest {}).await?;
    let models = answer.into_inner().models;
    let documents = || {
        let each = models.iter().map(shown::model_document);
        each.collect::<Vec<_>>().into()
    };
    show(output, || shown::models(&models), documents)
}

async fn promote(reach: &Reach, model: &str, to: (String, u32), how: How) -> Result<(), Fault> {
    let (name, version) = split(model)?;
    if version.is_empty() {
        return Err(Fault::invalid(format!("{model}: is not NAME@VERSION")));
    }
    let request = SetAliasRequest {
        name,
        version,
        alias: to.0,
        actor: id::person(),
        note: how.note,
        percent: to.1,
        experiment: String::new(),
    };
    let model = client(reach).await?.set_alias(request).await?.into_inner();
    show(
        how.output,
        || shown::model(&model),
        || shown::model_document(&model),
    )
}

async fn one(reach: &Reach, model: &str, output: Output) -> Result<(), Fault> {
    let (name, version) = split(model)?;
    let mut client = client(reach).await?;
    if version.is_empty() {
        let head = client
            .get_model(GetModelRequest { name: name.clone() })
            .await?
            .into_inner();
        let request = ListModelVersionsRequest { name };
        let versions = client.list_versions(request).await?.into_inner().versions;
        let text = || shown::model(&head) + &shown::versions(&versions);
        let document = || {
            let mut document = shown::model_document(&head);
            if let Value::Object(fields) = &mut document {
                let all: Vec<Value> = versions.iter().map(shown::version_document).collect();
                fields.insert("versions".to_owned(), all.into());
            }
            document
        };
        return show(output, text, document);
    }
    let version = client
        .get_version(GetModelVersionRequest { name, version })
        .await?
        .into_inner();
    show(
        output,
        || shown::version(&version),
        || shown::version_document(&version),
    )
}

async fn compare(reach: &Reach, one: &str, other: &str, output: Output) -> Result<(), Fault> {
    let first = split(one)?;
    let mut client = client(reach).await?;
    let second = if other.contains('@') {
        split(other)?
    } else {
        (first.0.clone(), other.to_owned())
    };
    let mut found: Vec<ModelVersion> = Vec::new();
    for (name, version) in [first, second] {
        let request = GetModelVersionRequest { name, version };
        found.push(client.get_version(request).await?.into_inner());
    }
    let [a, b] = found.as_slice() else {
        return Err(Fault::failed("two versions were asked for"));
    };
    show(
        output,
        || shown::comparison(a, b),
        || shown::comparison_document(a, b),
    )
}

async fn register(reach: &Reach, folder: &std::path::Path, alias: String, how: How) -> Result<(), Fault> {
    let files = auspex_registry::send::folder(folder);
    let files = files.map_err(|fault| Fault::invalid(format!("{}: {fault}", folder.display())))?;
    let head = RegisterHead {
        name: String::new(),
        actor: id::person(),
        note: how.note,
        alias,
        tags: Default::default(),
        run_id: String::new(),
    };
    let requests = auspex_registry::send::requests(head, files);
    let version = client(reach)
        .await?
        .register(tokio_stream::iter(requests))
        .await?
        .into_inner();
    show(
        how.output,
        || format!("{}@{} is registered\n", version.name, version.version),
        || shown::version_document(&version),
    )
}

/// An empty text as JSON's `null`.
fn or_null(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { json!(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_is_left_out_is_no_name() {
        let told = |model: &str| split(model).ok();
        let pair = |name: &str, version: &str| Some((name.to_owned(), version.to_owned()));
        assert_eq!(told("change-risk"), pair("change-risk", ""));
        assert_eq!(told("change-risk@champion"), pair("change-risk", "champion"));
        for wrong in ["change-risk@", "@3", "@"] {
            assert_eq!(told(wrong), None, "{wrong}");
        }
    }
}
