//! Figures of the process, in Prometheus' text format at `/metrics`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A set of figures; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    families: Arc<Mutex<BTreeMap<String, Family>>>,
}

#[derive(Debug, Default)]
struct Family {
    help: String,
    kind: &'static str,
    series: BTreeMap<String, Arc<AtomicU64>>,
}

/// A number that only grows.
#[derive(Debug, Clone)]
pub struct Counter(Arc<AtomicU64>);

/// A number that moves.
#[derive(Debug, Clone)]
pub struct Gauge(Arc<AtomicU64>);

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.inc_by(1);
    }

    /// So many more.
    pub fn inc_by(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    /// What it stands at.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Gauge {
    /// It is now this.
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// What it stands at.
    #[must_use]
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

impl Metrics {
    /// A counter without labels; the same name gives the same counter.
    #[must_use]
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        self.counter_with(name, help, &[])
    }

    /// A counter with labels. Label values must come from a bounded set.
    #[must_use]
    pub fn counter_with(&self, name: &str, help: &str, labels: &[(&str, &str)]) -> Counter {
        Counter(self.series(name, help, "counter", labels))
    }

    /// A gauge without labels.
    #[must_use]
    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        self.gauge_with(name, help, &[])
    }

    /// A gauge with labels. Label values must come from a bounded set.
    #[must_use]
    pub fn gauge_with(&self, name: &str, help: &str, labels: &[(&str, &str)]) -> Gauge {
        Gauge(self.series(name, help, "gauge", labels))
    }

    fn series(&self, name: &str, help: &str, kind: &'static str, labels: &[(&str, &str)]) -> Arc<AtomicU64> {
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let family = families.entry(name.to_owned()).or_default();
        if family.kind.is_empty() {
            family.kind = kind;
            help.clone_into(&mut family.help);
        }
        let labels: Vec<String> = labels
            .iter()
            .map(|(k, v)| {
                format!(
                    "{k}=\"{}\"",
                    v.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
                )
            })
            .collect();
        let key = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{}}}", labels.join(","))
        };
        Arc::clone(family.series.entry(key).or_default())
    }

    /// The text that `/metrics` answers.
    #[must_use]
    pub fn render(&self) -> String {
        let families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = String::new();
        for (name, family) in families.iter() {
            let _infallible = writeln!(
                out,
                "# HELP {name} {}\n# TYPE {name} {}",
                family.help, family.kind
            );
            for (labels, value) in &family.series {
                let bits = value.load(Ordering::Relaxed);
                let _infallible = if family.kind == "gauge" {
                    writeln!(out, "{name}{labels} {}", f64::from_bits(bits))
                } else {
                    writeln!(out, "{name}{labels} {bits}")
                };
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_render_as_prometheus_reads_them() {
        let metrics = Metrics::default();
        metrics
            .counter_with("a_total", "As.", &[("kind", "x\"y")])
            .inc_by(3);
        metrics.counter_with("a_total", "As.", &[("kind", "x\"y")]).inc();
        metrics.gauge("b", "Bs.").set(0.5);
        let expected = "# HELP a_total As.\n# TYPE a_total counter\na_total{kind=\"x\\\"y\"} 4\n# HELP b Bs.\n# TYPE b gauge\nb 0.5\n";
        assert_eq!(metrics.render(), expected);
    }
}
