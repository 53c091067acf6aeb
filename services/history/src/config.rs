//! The section `history` of the configuration.

use std::path::PathBuf;

use auspex_chassis::{Secret, Settings};
use serde::{Deserialize, Serialize};

/// What is kept, where, and for how long.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Folder for the embedded database, for metrics that wait, and for the archive when `archive.location` is empty. Empty:
    /// nothing is kept; `auspex up` uses `history` in its own folder.
    pub folder: String,
    /// The archive of facts.
    pub archive: ArchiveConfig,
    /// The database of metrics.
    pub metrics: MetricsConfig,
    /// InfluxDB 2, when `metrics.database` names it.
    pub influx: InfluxConfig,
}

/// Section `[history.archive]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ArchiveConfig {
    /// A folder, `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `az://CONTAINER/PREFIX`; keys come from the provider's own
    /// environment variables (`AWS_ACCESS_KEY_ID`, ...). Empty: `archive` in `folder`.
    pub location: String,
    /// Address of an S3 server that is not Amazon's. Empty: Amazon's.
    pub endpoint: String,
    /// Region of the bucket. Empty: the provider's environment variable, else us-east-1.
    pub region: String,
    /// Speak plain HTTP with `endpoint`: for a server on this machine.
    pub allow_http: bool,
    /// A segment is closed when its facts have this many bytes. 8 MiB: about 1.5 MB packed, one upload.
    pub segment_bytes: u64,
    /// ... or when its first fact has waited this long, in seconds: what an archive is behind the log at most.
    pub segment_seconds: u64,
    /// Segments whose facts are all older go, in days. 0: kept for good.
    pub keep_days: u64,
    /// Every so many hours the whole archive is read and checked; 0: only when asked.
    pub verify_hours: u64,
}

/// Section `[history.metrics]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// `sqlite` (embedded), `influx`, or `off`.
    pub database: String,
    /// Measurements in SQLite that are older go, in days; 0: kept for good. InfluxDB has its bucket's own rule.
    pub keep_days: u64,
    /// The most points of one write. 5,000: what InfluxDB recommends.
    pub batch_points: usize,
    /// How long a point waits for others, in milliseconds.
    pub batch_ms: u64,
    /// What may wait on disk while the database is away, in bytes. Beyond it metrics wait in the archive.
    pub spool_bytes: u64,
    /// The longest pause between attempts while the database is away, in seconds.
    pub retry_longest_seconds: u64,
}

/// Section `[history.influx]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InfluxConfig {
    /// Its address, as in `https://influx.example:8086`; a path is kept.
    pub url: String,
    /// Organisation.
    pub org: String,
    /// Bucket.
    pub bucket: String,
    /// Access token: a secret.
    pub token: Secret,
    /// How long an answer may take, in milliseconds.
    pub timeout_ms: u64,
    /// The largest answer that is read, in bytes.
    pub max_answer_bytes: usize,
}

impl Default for ArchiveConfig {
    fn default() -> Self {
        Self {
            location: String::new(),
            endpoint: String::new(),
            region: String::new(),
            allow_http: false,
            segment_bytes: 8 << 20,
            segment_seconds: 60,
            keep_days: 0,
            verify_hours: 24,
        }
    }
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self {
            database: "sqlite".to_owned(),
            keep_days: 90,
            batch_points: 5_000,
            batch_ms: 1_000,
            spool_bytes: 256 << 20,
            retry_longest_seconds: 60,
        }
    }
}

impl Default for InfluxConfig {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8086".to_owned(),
            org: "auspex".to_owned(),
            bucket: "auspex".to_owned(),
            token: Secret::default(),
            timeout_ms: 10_000,
            max_answer_bytes: 64 << 20,
        }
    }
}

impl Settings for Config {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut within = |name: &str, value: u64, least: u64, most: u64| {
            if !(least..=most).contains(&value) {
                problems.push(format!("{name}: {value} is not within {least}..={most}"));
            }
        };
        let (archive, metrics) = (&self.archive, &self.metrics);
        within("archive.segment_bytes", archive.segment_bytes, 1 << 10, 256 << 20);
        within("archive.segment_seconds", archive.segment_seconds, 1, 3_600);
        within("metrics.batch_points", metrics.batch_points as u64, 1, 100_000);
        within("metrics.batch_ms", metrics.batch_ms, 1, 60_000);
        within("metrics.spool_bytes", metrics.spool_bytes, 1 << 20, 1 << 40);
        within(
            "metrics.retry_longest_seconds",
            metrics.retry_longest_seconds,
            1,
            3_600,
        );
        within("influx.timeout_ms", self.influx.timeout_ms, 1, 600_000);
        within(
            "influx.max_answer_bytes",
            self.influx.max_answer_bytes as u64,
            1 << 10,
            1 << 30,
        );
        if let Some(problem) = auspex_chassis::place::problem(&archive.location) {
            problems.push(format!("archive.location: {problem}"));
        }
        match metrics.database.as_str() {
            "sqlite" | "off" => {}
            "influx" if cfg!(feature = "influx") => problems.extend(self.influx.problems()),
            "influx" => problems
                .push("metrics.database: influx needs a program built with the feature `influx`".to_owned()),
            other => problems.push(format!(
                "metrics.database: {other} is none of sqlite, influx and off"
            )),
        }
        problems
    }
}

impl InfluxConfig {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let address = self
            .url
            .strip_prefix("http://")
            .or_else(|| self.url.strip_prefix("https://"));
        if address.is_none_or(|rest| rest.is_empty() || rest.contains('@')) {
            problems.push("influx.url: is not http(s)://HOST without a user".to_owned());
        }
        for (name, value) in [("org", &self.org), ("bucket", &self.bucket)] {
            if value.is_empty() {
                problems.push(format!("influx.{name}: is empty"));
            }
        }
        problems
    }
}

impl Config {
    /// Whether anything is kept at all.
    #[must_use]
    pub fn keeps(&self) -> bool {
        !self.folder.is_empty()
    }

    /// Where the archive is; `None` when nothing is kept.
    #[must_use]
    pub fn location(&self) -> Option<String> {
        if !self.archive.location.is_empty() {
            return Some(self.archive.location.clone());
        }
        self.keeps().then(|| self.path("archive").display().to_string())
    }

    /// A file or folder of its own.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(&self.folder).join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_told() {
        let config: Config = serde_json::from_value(serde_json::json!({
            "archive": {"segment_bytes": 1, "segment_seconds": 0, "location": "s3://key:secret@bucket"},
            "metrics": {"database": "oracle", "batch_points": 0},
        }))
        .unwrap();
        let problems = config.problems().join("\n");
        for what in [
            "archive.segment_bytes: 1 is not within",
            "archive.segment_seconds: 0",
            "archive.location: holds a user",
            "metrics.database: oracle is none of",
            "metrics.batch_points: 0",
        ] {
            assert!(problems.contains(what), "{what} in {problems}");
        }
        assert!(Config::default().problems().is_empty());
        assert!(serde_json::from_str::<Config>(r#"{"metrics": {"databse": "x"}}"#).is_err());
    }

    #[test]
    fn the_archive_is_in_the_folder_unless_it_is_elsewhere() {
        let mut config = Config::default();
        assert_eq!(config.location(), None);
        config.folder = "kept".to_owned();
        assert_eq!(config.location().unwrap(), "kept/archive");
        config.archive.location = "s3://bucket/x".to_owned();
        assert_eq!(config.location().unwrap(), "s3://bucket/x");
    }
}
