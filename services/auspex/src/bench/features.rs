//! The feature store: CPU and wall time of a read over gRPC, updates a second, memory.
//!
//! The server is a process of its own (`auspex run features`), so that its CPU and its memory are its own: CPU is what the
//! kernel counted for its threads, and hardly depends on neighbours.

mod child;

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Context;
use auspex_algebra::{Latest, Row as FeatureRow, Shape};
use auspex_chassis::broker::{Broker, Sync};
use auspex_chassis::{Changed, Input, Kept, Route, Verb};
use auspex_features::online::Online;
use auspex_features::rows::{wire_row, wire_shape};
use auspex_features::store::{State, Store, account};
use auspex_proto::rows::{FeatureRows, MOST_ROWS};
use auspex_proto::wire::feature_store_client::FeatureStoreClient;
use auspex_proto::wire::{
    DefinitionsRequest, FeatureEntity, FreshnessRequest, GetOnlineFeaturesRequest, PushRequest, PushRow,
};
use auspex_proto::{Fact, FactId, Meta, Project, Timestamp};
use tonic::transport::Channel;

use self::child::{Child, resident};
use super::row::{Better, Row, median, micros};

/// Features of a view, and entities.
const WIDTH: usize = 32;
const ENTITIES: usize = 10_000;
const MANY: usize = 1_000_000;
/// Rows of one request: as `auspex features push` sends them, as a client of one's own may, and as many as are taken.
const USUAL: usize = 250;
const LARGE: [usize; 2] = [2_000, 10_000];
const MEMORY_OF: &str = "memory of the server, 10,000 entities x 32";
/// The most memory of a server with [`ENTITIES`], MB.
const MEMORY: f64 = 60.0;
const PROJECT: &str = "bench";

pub(super) async fn measure(quick: bool) -> anyhow::Result<Vec<Row>> {
    // First, while this process has freed nothing that it could use again.
    let many = many(if quick { MANY / 10 } else { MANY });
    let mut rows = updates(quick)?;
    rows.extend(served(quick).await?);
    for at_once in LARGE {
        rows.push(after_pushes_of(at_once).await?);
    }
    rows.push(many);
    Ok(rows)
}

fn documents() -> String {
    let features: String = (0..WIDTH)
        .map(|n| format!("    - {{ name: f{n:02} }}\n"))
        .collect();
    let columns: String = (0..WIDTH)
        .map(|n| format!("    - {{ name: f{n:02} }}\n"))
        .collect();
    format!(
        "apiVersion: auspex.dev/v1\nkind: Entity\nmetadata: {{ name: bench_id }}\n---\n\
         apiVersion: auspex.dev/v1\nkind: FeatureView\nmetadata: {{ name: bench_view }}\nspec:\n  entities: [bench_id]\n  \
         source: {{ push: true }}\n  ttl: 365d\n  columns:\n{columns}  features:\n{features}---\n\
         apiVersion: auspex.dev/v1\nkind: FeatureService\nmetadata: {{ name: bench-service }}\n\
         spec: {{ features: [bench_view] }}\n"
    )
}

/// Numbers that are the same in every run and differ from one another.
#[allow(clippy::cast_precision_loss, reason = "52 bits are enough of a number")]
fn number(seed: usize) -> f64 {
    let mixed = (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ (mixed >> 29)) >> 12) as f64 / (1_u64 << 52) as f64
}

fn shape(windows: bool) -> Shape {
    let column = |n: usize| auspex_algebra::Column {
        name: format!("f{n:02}"),
        text: false,
        keep: auspex_algebra::Keep::default(),
        half_life: 0,
    };
    Shape {
        columns: (0..if windows { 4 } else { WIDTH }).map(column).collect(),
        hops: [windows; 3],
        memory: 0,
    }
}

fn batch(shape: &Shape, first: usize, round: usize) -> anyhow::Result<Fact> {
    let at = 1_700_000_000_000 + i64::try_from(round)? * 1_000;
    let row = |n: usize| {
        let values =
            (0..shape.columns.len()).map(|f| auspex_algebra::Value::Number(number(n * WIDTH + f + round)));
        let row = FeatureRow {
            event: at,
            created: at,
            id: (round * ENTITIES + n) as u64,
            values: values.collect(),
        };
        wire_row(shape, format!("bench_id={n}"), &row)
    };
    Ok(Fact::Rows(FeatureRows {
        meta: Meta {
            id: FactId::new(format!("{first}:{round}"))?,
            project: Project::new(PROJECT)?,
            time: Timestamp(at),
            cause: 0,
            source: "bench".to_owned(),
        },
        source: "bench_view".to_owned(),
        shape: wire_shape(shape),
        rows: (first..first + MOST_ROWS).map(row).collect(),
    }))
}

/// Rows a second that one core absorbs: decoded from the log's bytes, absorbed key by key, encoded as they are saved, taken in by
/// the online store. Nothing waits for a disk or a network here.
fn updates(quick: bool) -> anyhow::Result<Vec<Row>> {
    let rounds = if quick { 5 } else { 15 };
    let mut told = Vec::new();
    for (windows, name) in [
        (false, "32 features, latest"),
        (true, "4 columns, windows of 3 widths"),
    ] {
        let shape = shape(windows);
        let mut states: std::collections::BTreeMap<String, State> = std::collections::BTreeMap::new();
        let online = Online::default();
        let mut rates = Vec::new();
        for round in 0..=rounds {
            let facts: Vec<Vec<u8>> = (0..ENTITIES / MOST_ROWS)
                .map(|n| Ok(batch(&shape, n * MOST_ROWS, round)?.encode()))
                .collect::<anyhow::Result<_>>()?;
            let began = cpu_of_this_thread()?;
            for bytes in &facts {
                absorb(bytes, &mut states, &online)?;
            }
            let took = cpu_of_this_thread()?.saturating_sub(began);
            if round > 0 {
                rates.push(rate(facts.len() * MOST_ROWS, took));
            }
        }
        let row = Row::told(format!("updates, one core: {name}"), median(&rates), "updates/s");
        told.push(if windows {
            row
        } else {
            row.floor(100_000.0, Better::More)
        });
    }
    Ok(told)
}

fn absorb(
    bytes: &[u8],
    states: &mut std::collections::BTreeMap<String, State>,
    online: &Online,
) -> anyhow::Result<()> {
    let fact = Fact::decode(auspex_proto::FactKind::Rows, bytes)?;
    let Route::Keys(keys) = Store.route(&fact) else {
        anyhow::bail!("rows go to keys")
    };
    let mut changes = Vec::with_capacity(keys.len());
    for key in keys {
        if !states.contains_key(&key) {
            states.insert(key.clone(), State::default());
        }
        let state = states.get_mut(&key).context("it is there")?;
        let input = Input {
            key: &key,
            fact: &fact,
            seq: 1,
            now: Timestamp(0),
        };
        Store.absorb(state, &input)?;
        black_box(rmp_serde::to_vec_named(state)?);
        let kept = Some(Kept {
            seq: 1,
            state: state.clone(),
        });
        changes.push(Changed {
            key,
            kept,
            behind: 0,
            place: 1,
        });
    }
    online.put(changes);
    Ok(())
}

/// CPU time of this thread, as the kernel counts it.
fn cpu_of_this_thread() -> anyhow::Result<Duration> {
    let text =
        std::fs::read_to_string("/proc/thread-self/schedstat").context("CPU time is read from /proc")?;
    let nanos = text.split_whitespace().next().context("no time")?.parse()?;
    Ok(Duration::from_nanos(nanos))
}

#[allow(clippy::cast_precision_loss, reason = "a count of rows")]
fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// A server of its own, which has the definitions.
struct Serving {
    client: FeatureStoreClient<Channel>,
    child: Child,
    _broker: Broker,
    _folder: tempfile::TempDir,
}

impl Serving {
    async fn start() -> anyhow::Result<Self> {
        let folder = super::scratch()?;
        let broker = Broker::start(None, &folder.path().join("nats"), Sync::EverySecond).await?;
        let child = Child::start(&broker.url()).await?;
        let mut client = FeatureStoreClient::connect(child.address()).await?;
        let define = DefinitionsRequest {
            documents: documents(),
            remove: Vec::new(),
        };
        let applied = client.apply(define).await?.into_inner();
        anyhow::ensure!(
            applied.applied,
            "definitions were refused: {:?}",
            applied.problems
        );
        Ok(Self {
            client,
            child,
            _broker: broker,
            _folder: folder,
        })
    }
}

/// The memory of a server that was told every entity in requests of so many rows.
async fn after_pushes_of(at_once: usize) -> anyhow::Result<Row> {
    let Serving { client, child, .. } = &mut Serving::start().await?;
    fill(client, at_once).await?;
    let name = format!("{MEMORY_OF}, {at_once} rows a request");
    Ok(Row::told(name, child.resident()?, "MB").floor(MEMORY, Better::Less))
}

/// Reads of a server of its own, with everything in it.
async fn served(quick: bool) -> anyhow::Result<Vec<Row>> {
    let Serving { client, child, .. } = &mut Serving::start().await?;
    let took = fill(client, USUAL).await?;
    let mut rows = vec![
        Row::told(
            format!("{ENTITIES} rows pushed over gRPC until readable"),
            rate(ENTITIES, took),
            "updates/s",
        ),
        Row::told(MEMORY_OF, child.resident()?, "MB").floor(MEMORY, Better::Less),
    ];
    for (entities, calls, floor) in [(1, 4_000, 0.1), (50, 800, 1.0)] {
        let count = if quick { calls / 8 } else { calls };
        let (cpu, wall) = reads(client, child, entities, count).await?;
        let name = format!("read {entities} x {WIDTH} over gRPC");
        rows.push(Row::told(format!("{name}, CPU of the server"), cpu, "ms").floor(floor, Better::Less));
        rows.push(Row::told(format!("{name}, wall p50"), median(&wall), "us"));
        rows.push(Row::told(
            format!("{name}, wall p99"),
            super::row::quantile(&wall, 0.99),
            "us",
        ));
    }
    Ok(rows)
}

/// Pushes every entity, so many a request; how long until the last can be read.
async fn fill(client: &mut FeatureStoreClient<Channel>, at_once: usize) -> anyhow::Result<Duration> {
    let row = |n: usize| PushRow {
        keys: [("bench_id".to_owned(), n.to_string())].into(),
        numbers: (0..WIDTH)
            .map(|f| (format!("f{f:02}"), number(n * WIDTH + f)))
            .collect(),
        ..PushRow::default()
    };
    let began = Instant::now();
    for first in (0..ENTITIES).step_by(at_once) {
        let rows = (first..first + at_once).map(row).collect();
        let request = PushRequest {
            project: PROJECT.to_owned(),
            view: "bench_view".to_owned(),
            rows,
            wait: false,
        };
        client.push(request).await?;
    }
    let all = u64::try_from(ENTITIES)?;
    while began.elapsed() < Duration::from_secs(300) {
        let found = client
            .freshness(FreshnessRequest::default())
            .await?
            .into_inner()
            .sources;
        if found.iter().any(|source| source.entities == all) {
            return Ok(began.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    anyhow::bail!("what was pushed cannot be read")
}

/// CPU milliseconds of the server for each read, and how long each took, in microseconds.
async fn reads(
    client: &mut FeatureStoreClient<Channel>,
    child: &Child,
    entities: usize,
    count: usize,
) -> anyhow::Result<(f64, Vec<f64>)> {
    let request = |call: usize| GetOnlineFeaturesRequest {
        project: PROJECT.to_owned(),
        feature_service: "bench-service".to_owned(),
        entities: (0..entities)
            .map(|n| FeatureEntity {
                keys: [(
                    "bench_id".to_owned(),
                    ((call * 7_919 + n * 31) % ENTITIES).to_string(),
                )]
                .into(),
                ..FeatureEntity::default()
            })
            .collect(),
        ..GetOnlineFeaturesRequest::default()
    };
    let mut wall = Vec::with_capacity(count);
    let mut began = Duration::ZERO;
    // The first tenth warms up.
    for call in 0..count + count / 10 {
        if call == count / 10 {
            began = child.cpu()?;
            wall.clear();
        }
        let asked = request(call);
        let start = Instant::now();
        let found = client.get_online_features(asked).await?.into_inner();
        wall.push(micros(start.elapsed()));
        let whole =
            found.rows.len() == entities && found.rows.iter().all(|row| row.statuses.iter().all(|s| *s == 1));
        anyhow::ensure!(whole, "a value was not there");
    }
    let cpu = child.cpu()?.saturating_sub(began);
    #[allow(clippy::cast_precision_loss, reason = "a count of calls")]
    let each = cpu.as_secs_f64() * 1e3 / count as f64;
    Ok((each, wall))
}

/// The online store alone with many entities: how much this process grows.
fn many(count: usize) -> Row {
    let before = resident(std::process::id()).unwrap_or(f64::NAN);
    let online = Online::default();
    let digest = shape(false).digest();
    for first in (0..count).step_by(10_000) {
        let changed = |n: usize| Changed {
            place: 1,
            key: format!(
                "{}/latest",
                account(PROJECT, "bench_view", &digest, &format!("bench_id={n}"))
            ),
            kept: Some(Kept {
                seq: 1,
                state: State::Latest(Latest {
                    order: (1, 1, n as u64),
                    numbers: (0..WIDTH).map(|f| number(n * WIDTH + f)).collect(),
                    memory: 0,
                }),
            }),
            behind: 0,
        };
        online.put((first..first + 10_000).map(changed).collect());
    }
    let after = resident(std::process::id()).unwrap_or(f64::NAN);
    black_box(online.len());
    Row::told(
        format!("memory of the online store, {count} entities x 32"),
        after - before,
        "MB",
    )
}
