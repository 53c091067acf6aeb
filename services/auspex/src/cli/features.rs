//! `auspex features`: the feature store.

mod ask;
mod parse;
mod show;

use std::collections::BTreeMap;
use std::path::PathBuf;

use auspex_proto::wire::feature_store_client::FeatureStoreClient;
use auspex_proto::wire::{
    CompactRequest, ConsistencyRequest, DefinitionsRequest, DriftRequest, FeatureEntity, FreshnessRequest,
    ListViewsRequest, MaterializeRequest,
};
use clap::{Args, Subcommand};

use super::reach::{Line, Reach};
use super::{Output, print, read};
use crate::fault::Fault;

/// The largest answer: a table of a training set.
const LARGEST: usize = 64 << 20;

#[derive(Debug, Subcommand)]
pub(crate) enum Ask {
    /// Say what applying these definitions would do
    Plan(Define),
    /// Apply definitions; what means the same stays the same version
    Apply(Define),
    /// List entities, views and services with their versions
    List {
        /// Only this kind
        #[arg(long, value_parser = ["Entity", "FeatureView", "OnDemandFeatureView", "FeatureService"])]
        kind: Option<String>,
        /// How to show it
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// The features of entities, as known now or as of a time
    Get(Box<ask::Get>),
    /// Put rows into a view
    Push(ask::Push),
    /// A point-in-time join for a table of entities and times
    History(Box<ask::History>),
    /// Put rows of the offline store in again, of a span of time
    Materialize(Again),
    /// Put all rows since a time in again: after a change of a view's shape
    Backfill(Again),
    /// How old the newest row of each source is
    Freshness {
        /// Only of this project
        #[arg(long, default_value = "")]
        project: String,
        /// How to show it
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Whether features have moved away from a reference span
    Drift(Drift),
    /// Whether what was served agrees with the offline store
    Consistency {
        /// Of which project
        #[arg(long)]
        project: String,
        /// Requests served since: a duration as in 7d, or a time
        #[arg(long, default_value = "7d")]
        from: String,
        /// How much later than the log a reader may be, milliseconds
        #[arg(long, default_value_t = 2_000)]
        lag: i64,
        /// How to show it
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Put small files of the offline store together
    Compact {
        /// Also take away what is older than the retention
        #[arg(long)]
        retention: bool,
        /// How to show it
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}

/// Documents of definitions.
#[derive(Debug, Args)]
pub(crate) struct Define {
    /// YAML files; - is standard input
    files: Vec<PathBuf>,
    /// Take this away, as in FeatureView/orders
    #[arg(long, value_name = "KIND/NAME")]
    remove: Vec<String>,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Rows that are put in again.
#[derive(Debug, Args)]
pub(crate) struct Again {
    /// Views; all that are pushed to when none is named
    views: Vec<String>,
    /// Of which project
    #[arg(long)]
    project: String,
    /// Events since: a time, or a duration as in 30d
    #[arg(long)]
    from: String,
    /// Events until; now when left out
    #[arg(long)]
    to: Option<String>,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// What is compared with what.
#[derive(Debug, Args)]
pub(crate) struct Drift {
    /// Which service
    #[arg(long, default_value = "")]
    service: String,
    /// Or which features, as in orders:amount
    #[arg(long, value_delimiter = ',')]
    features: Vec<String>,
    /// Of which project
    #[arg(long)]
    project: String,
    /// The reference: two times or durations, as in 30d..7d
    #[arg(long, default_value = "35d..7d")]
    reference: String,
    /// What is compared with it
    #[arg(long, default_value = "7d..0d")]
    current: String,
    /// Share of false alarms among the alarms
    #[arg(long, default_value_t = 0.05)]
    alpha: f64,
    /// How much a feature bears, as in orders__amount=3
    #[arg(long, value_name = "NAME=WEIGHT")]
    importance: Vec<String>,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(super) async fn client(reach: &Reach) -> Result<FeatureStoreClient<Line>, Fault> {
    let client = FeatureStoreClient::new(reach.open().await?);
    Ok(client
        .max_decoding_message_size(LARGEST)
        .max_encoding_message_size(LARGEST))
}

/// Whole numbers that people and programs write for a time, and are no milliseconds of our times.
const NO_MILLISECONDS: [(std::ops::RangeInclusive<i64>, &str); 3] = [
    (10_000_000..=99_999_999, "a day without dashes"),
    (100_000_000..=99_999_999_999, "seconds"),
    (100_000_000_000_000..=i64::MAX, "micro- or nanoseconds"),
];

/// A time as RFC 3339, a day with or without a time of day (in UTC when it names no offset), milliseconds since 1970, or a
/// duration before now as in `30d`.
pub(super) fn moment(text: &str) -> Result<i64, Fault> {
    let now = jiff::Timestamp::now().as_millisecond();
    if let Ok(ms) = text.parse::<i64>() {
        let other = NO_MILLISECONDS.iter().find(|(span, _)| span.contains(&ms));
        return other.map_or(Ok(ms), |(_, what)| {
            let rule = "a whole number is milliseconds since 1970";
            Err(Fault::invalid(format!("{text} looks like {what}; {rule}")))
        });
    }
    if text.is_empty() {
        return Err(Fault::invalid("is empty, where a time is needed"));
    }
    if ["now", "0s", "0m", "0h", "0d"].contains(&text) {
        return Ok(now);
    }
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(at.as_millisecond());
    }
    // A day alone is its beginning. (A `Date` would read a time of day too, and forget it.)
    if let Ok(civil) = text.parse::<jiff::civil::DateTime>() {
        let there = civil.to_zoned(jiff::tz::TimeZone::UTC).map_err(Fault::invalid)?;
        return Ok(there.timestamp().as_millisecond());
    }
    let ago = auspex_features::definitions::duration(text);
    let fault = |_| {
        Fault::invalid(format!(
            "{text} is no time such as 2026-11-20T12:00:00Z, 2026-11-20, 30d"
        ))
    };
    ago.map(|ago| now - ago).map_err(fault)
}

/// Two moments, as in `30d..7d`.
fn span(text: &str) -> Result<(i64, i64), Fault> {
    let two = text.split_once("..");
    let (from, to) = two.ok_or_else(|| Fault::invalid(format!("{text} is no span such as 30d..7d")))?;
    Ok((moment(from)?, moment(to)?))
}

/// `key=value` pairs of one entity, separated by commas; or a JSON object, where a value holds a comma itself.
pub(super) fn entity(text: &str) -> Result<FeatureEntity, Fault> {
    let mut entity = FeatureEntity::default();
    if text.starts_with('{') {
        let keys: BTreeMap<String, String> =
            serde_json::from_str(text).map_err(|fault| Fault::invalid(format!("{text}: {fault}")))?;
        entity.keys.extend(keys);
        return Ok(entity);
    }
    for pair in text.split(',') {
        let (key, value) = pair
            .split_once('=')
            .or_else(|| pair.split_once(':'))
            .ok_or_else(|| Fault::invalid(format!("{pair} is not KEY=VALUE")))?;
        if entity.keys.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(Fault::invalid(format!("{key} is told twice in {text}")));
        }
    }
    Ok(entity)
}

impl Ask {
    pub(crate) async fn carry_out(self, reach: &Reach) -> Result<(), Fault> {
        match self {
            Self::Plan(define) => define.carry_out(reach, false).await,
            Self::Apply(define) => define.carry_out(reach, true).await,
            Self::List { kind, output } => {
                let views = client(reach)
                    .await?
                    .list_views(ListViewsRequest {})
                    .await?
                    .into_inner()
                    .views;
                let wanted = |view: &&_| kind.as_ref().is_none_or(|kind| *kind == show::kind(view));
                let views: Vec<_> = views.iter().filter(wanted).collect();
                show::views(&views, output)
            }
            Self::Get(get) => get.carry_out(reach).await,
            Self::Push(push) => push.carry_out(reach).await,
            Self::History(history) => history.carry_out(reach).await,
            Self::Materialize(again) | Self::Backfill(again) => again.carry_out(reach).await,
            Self::Freshness { project, output } => {
                let found = client(reach)
                    .await?
                    .freshness(FreshnessRequest { project })
                    .await?;
                show::freshness(&found.into_inner(), output)
            }
            Self::Drift(drift) => drift.carry_out(reach).await,
            Self::Consistency {
                project,
                from,
                lag,
                output,
            } => {
                let from_ms = moment(&from)?;
                let request = ConsistencyRequest {
                    project,
                    from_ms,
                    lag_ms: lag,
                };
                let found = client(reach).await?.consistency(request).await?.into_inner();
                show::consistency(&found, output)
            }
            Self::Compact { retention, output } => {
                let done = client(reach)
                    .await?
                    .compact(CompactRequest { retention })
                    .await?
                    .into_inner();
                show::compacted(&done, output)
            }
        }
    }
}

impl Define {
    async fn carry_out(self, reach: &Reach, apply: bool) -> Result<(), Fault> {
        let mut documents = String::new();
        for file in &self.files {
            documents.push_str("\n---\n");
            documents.push_str(&read(file)?);
        }
        let request = DefinitionsRequest {
            documents,
            remove: self.remove,
        };
        let mut client = client(reach).await?;
        let answer = match apply {
            true => client.apply(request).await?,
            false => client.plan(request).await?,
        }
        .into_inner();
        show::changes(&answer, self.output)?;
        match answer.problems.len() {
            0 => Ok(()),
            1 => Err(Fault::invalid("one thing is wrong; nothing is applied")),
            wrong => Err(Fault::invalid(format!(
                "{wrong} things are wrong; nothing is applied"
            ))),
        }
    }
}

impl Again {
    async fn carry_out(self, reach: &Reach) -> Result<(), Fault> {
        let request = MaterializeRequest {
            project: self.project,
            views: self.views,
            from_ms: moment(&self.from)?,
            to_ms: self.to.as_deref().map(moment).transpose()?.unwrap_or_default(),
        };
        let done = client(reach).await?.materialize(request).await?.into_inner();
        match self.output {
            Output::Text => print::line(&format!(
                "{} on the log again; {} not needed online",
                show::rows_are(done.rows),
                show::rows_are(done.there)
            )),
            Output::Json => print::json(&serde_json::json!({
                "rows": done.rows, "sequence": done.sequence, "there": done.there,
            })),
        }
    }
}

impl Drift {
    async fn carry_out(self, reach: &Reach) -> Result<(), Fault> {
        let (reference_from_ms, reference_to_ms) = span(&self.reference)?;
        let (from_ms, to_ms) = span(&self.current)?;
        let mut importance = BTreeMap::new();
        for pair in &self.importance {
            let weight = pair
                .split_once('=')
                .and_then(|(name, weight)| Some((name, weight.parse::<f64>().ok()?)));
            let (name, weight) =
                weight.ok_or_else(|| Fault::invalid(format!("{pair} is not NAME=WEIGHT")))?;
            importance.insert(name.to_owned(), weight);
        }
        let request = DriftRequest {
            project: self.project,
            feature_service: self.service,
            features: self.features,
            reference_from_ms,
            reference_to_ms,
            from_ms,
            to_ms,
            alpha: self.alpha,
            importance: importance.into_iter().collect(),
        };
        let found = client(reach).await?.drift(request).await?.into_inner();
        show::drift(&found, self.output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_entities_are_read() {
        assert_eq!(moment("1000").unwrap(), 1_000);
        assert_eq!(moment("1970-01-02").unwrap(), 86_400_000);
        assert_eq!(moment("1970-01-01T00:00:01Z").unwrap(), 1_000);
        assert!(moment("30d").unwrap() < moment("7d").unwrap() && moment("soon").is_err());
        // Without an offset it is UTC, and the time of day stays.
        for text in [
            "1970-01-02 03:04:05",
            "1970-01-02T03:04:05",
            "1970-01-02 05:04:05+02:00",
        ] {
            assert_eq!(moment(text).unwrap(), 86_400_000 + 11_045_000, "{text}");
        }
        for none in [
            "",
            "1795229400",
            "1795229400.5",
            "2026-13-01",
            "20261120",
            "1795229400000000",
            "1795229400000000000",
        ] {
            assert!(moment(none).is_err(), "{none}");
        }
        assert_eq!(moment("1795229400000").unwrap(), 1_795_229_400_000);
        assert!(moment("1h").unwrap() < moment("0s").unwrap());
        assert!(span("30d..7d").is_ok() && span("30d").is_err());
        let keys = entity("service=shop,region=eu").unwrap().keys;
        assert_eq!((keys["service"].as_str(), keys.len()), ("shop", 2));
        assert!(entity("shop").is_err() && entity("a=1,a=2").is_err());
        let odd = entity(r#"{"customer": "a,b=c"}"#).unwrap();
        assert_eq!(odd.keys["customer"], "a,b=c");
        assert!(entity("{").is_err());
    }
}
