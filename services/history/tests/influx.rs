//! InfluxDB's faults, injected by a server that answers as it is told; and the real influxd, when `AUSPEX_INFLUXD` names it
//! (`tests/influxd/build` makes one).

#![cfg(feature = "influx")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may"
)]

mod law;
mod parts;
mod scripted;

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use auspex_chassis::Secret;
use auspex_chassis::testing::TestHouse;
use auspex_history::config::InfluxConfig;
use auspex_history::influx::Influx;
use auspex_history::series::{Measure, Point, TimeSeries, WriteFault};
use scripted::{Reply, Scripted};

fn config(port: u16) -> InfluxConfig {
    InfluxConfig {
        url: format!("http://127.0.0.1:{port}/behind/a/path"),
        org: "acme".to_owned(),
        bucket: "metrics".to_owned(),
        token: Secret::new("t0ken"),
        timeout_ms: 1_000,
        max_answer_bytes: 100_000,
    }
}

fn point(instance: &str, value: f64) -> Point {
    Point {
        project: "acme/shop".to_owned(),
        service: "shop".to_owned(),
        track: None,
        region: "eu".to_owned(),
        metric: "cpu".to_owned(),
        instance: instance.to_owned(),
        start_ms: 1_790_000_000_123,
        length_ms: 1_000,
        measure: Measure::Gauge(value),
    }
}

async fn against(replies: Vec<Reply>) -> (Scripted, Influx) {
    let server = Scripted::open(replies).await;
    let influx = Influx::open(&config(server.port)).await.unwrap();
    (server, influx)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_packed_and_says_precision_token_and_bucket() {
    let (server, influx) = against(vec![]).await;
    let evil = "x value=1 1\nauspex,service=shop total=1i";
    influx
        .write(&[point(evil, 0.5), point("nan", f64::NAN)])
        .await
        .unwrap();
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    let head = &seen[0].head;
    assert!(
        head.starts_with("POST /behind/a/path/api/v2/write?"),
        "the path of the address is kept: {head}"
    );
    for part in ["bucket=metrics", "org=acme", "precision=ms"] {
        assert!(head.lines().next().unwrap().contains(part), "{part} in {head}");
    }
    let head = head.to_lowercase();
    assert!(
        head.contains("authorization: token t0ken") && head.contains("content-encoding: gzip"),
        "{head}"
    );
    let mut lines = String::new();
    flate2::read::GzDecoder::new(seen[0].body.as_slice())
        .read_to_string(&mut lines)
        .unwrap();
    assert_eq!(
        lines.lines().count(),
        1,
        "no second line, and none without a number: {lines}"
    );
    assert!(
        lines.ends_with(" value=0.5,length=1000i 1790000000123\n"),
        "{lines}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failed_write_means() {
    let (server, influx) = against(vec![
        Reply::Whole(503, "retry-after: 7\r\n", "busy".to_owned()),
        Reply::Whole(429, "retry-after: 2\r\n", "too much".to_owned()),
        Reply::Whole(500, "", "oh".to_owned()),
        Reply::Whole(401, "", "unauthorized".to_owned()),
        Reply::Close,
        Reply::Stall,
        Reply::Whole(400, "", "partial write: field type conflict".to_owned()),
        Reply::Whole(302, "location: http://127.0.0.1:1/\r\n", String::new()),
    ])
    .await;
    let points = [point("a", 1.0)];
    let mut away = Vec::new();
    for expected in [Some(7_000), Some(2_000), None, None, None, None] {
        match influx.write(&points).await {
            Err(WriteFault::Away {
                reason,
                retry_after_ms,
            }) => {
                assert_eq!(retry_after_ms, expected, "{reason}");
                away.push(reason);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(
        away[0].contains("busy") && !away[0].contains("retry-after-ms"),
        "{}",
        away[0]
    );
    assert!(
        away[3].contains("401"),
        "a wrong token is mended by a person, and nothing is lost until then"
    );
    assert!(away[5].contains("did not answer in time"), "{}", away[5]);
    let refused = influx.write(&points).await;
    assert!(
        matches!(&refused, Err(WriteFault::Refused(reason)) if reason.contains("type conflict")),
        "{refused:?}"
    );
    assert!(
        matches!(influx.write(&points).await, Err(WriteFault::Away { .. })),
        "it is not led elsewhere"
    );
    influx.write(&points).await.unwrap();
    assert_eq!(server.seen().len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_goes_in_halves() {
    let large = || Reply::Whole(413, "", "too large".to_owned());
    let done = || Reply::Whole(204, "", String::new());
    let (server, influx) = against(vec![large(), large(), done(), done(), done()]).await;
    let points: Vec<Point> = (0..4).map(|n| point(&format!("i{n}"), 1.0)).collect();
    influx.write(&points).await.unwrap();
    assert_eq!(server.seen().len(), 5, "4, 2 refused; 1, 1, 2 taken");
}

/// An answer in annotated CSV: one table, one row per value.
fn csv(values: &[&str]) -> String {
    let mut text = "#datatype,string,long,dateTime:RFC3339,string,string,string,string,double\r\n\
                    #group,false,false,false,true,true,true,true,false\r\n#default,mean,,,,,,,\r\n\
                    ,result,table,_time,project,service,track,_field,_value\r\n"
        .to_owned();
    for (n, value) in values.iter().enumerate() {
        text.push_str(&format!(
            ",,0,2026-09-21T14:13:{n:02}Z,acme/shop,shop,none,value,{value}\r\n"
        ));
    }
    text.push_str("\r\n");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_whole_or_not_sound_is_an_error_and_nothing_panics_outside() {
    let error_row =
        "#datatype,string,string\r\n#group,true,true\r\n#default,,\r\n,error,reference\r\n,boom,897\r\n\r\n";
    let (server, influx) = against(vec![
        Reply::Whole(200, "", csv(&["1.5", "2.5"])),
        Reply::Whole(200, "", csv(&["1.5", ""])),
        Reply::Truncated(csv(&["1.5"])),
        Reply::BrokenChunk(csv(&["1.5"])),
        Reply::Whole(200, "", error_row.to_owned()),
        Reply::Whole(200, "", format!("{}{error_row}", csv(&["1.5"]))),
        Reply::Garbage,
        Reply::Whole(200, "", "<html>sign in</html>".to_owned()),
        Reply::Stall,
        Reply::Close,
        Reply::Whole(429, "retry-after: 1\r\n", "slow down".to_owned()),
        Reply::Whole(200, "", csv(&vec!["1.5"; 59]).repeat(40)),
        Reply::Whole(200, "", String::new()),
    ])
    .await;
    let ask = law::ask("cpu", 60_000).on_grid().unwrap();
    let sound = influx.range(&ask).await.unwrap();
    assert_eq!(sound[0].windows.len(), 2);
    assert_eq!(sound[0].windows[1].mean, Some(2.5));
    let mut faults = Vec::new();
    for _ in 0..11 {
        match influx.range(&ask).await {
            Ok(found) => panic!("{found:?} behind {faults:#?}"),
            Err(fault) => faults.push(format!("{fault:#}")),
        }
    }
    let expected = [
        "cannot be read",
        "broke off",
        "broke off",
        "boom,897",
        "boom,897",
        "no annotated CSV",
        "no annotated CSV",
        "did not answer in time",
        "",
        "slow down",
        "longer than 100000 bytes",
    ];
    for (fault, part) in faults.iter().zip(expected) {
        assert!(fault.contains(part), "{part:?} in {fault:?}; all: {faults:#?}");
    }
    assert!(
        influx.range(&ask).await.unwrap().is_empty(),
        "it goes on answering"
    );
    assert_eq!(server.seen().len(), 13);
    let asked = String::from_utf8(server.seen()[0].body.clone()).unwrap();
    assert!(
        asked.contains("createEmpty: false") && asked.contains("exists r._value"),
        "{asked}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn through_an_outage_every_point_arrives() {
    let outage = vec![
        Reply::Whole(503, "retry-after: 1\r\n", "starting".to_owned()),
        Reply::Close,
        Reply::Whole(429, "", "slow".to_owned()),
        Reply::Truncated(String::new()),
    ];
    let server = Scripted::open(outage).await;
    let test = TestHouse::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut settings = parts::config(folder.path());
    settings.metrics.database = "influx".to_owned();
    settings.influx = config(server.port);
    auspex_history::start(&test.house, &settings).await.unwrap();
    parts::publish(test.house.bus(), (0..30).map(parts::observations)).await;
    parts::until("every point has arrived", || async { arrived(&server, 4) >= 120 }).await;
    parts::stop(&test).await;
}

/// Different lines in the requests behind the first ones, which were refused.
fn arrived(server: &Scripted, refused: usize) -> usize {
    let mut lines = std::collections::BTreeSet::new();
    for request in server.seen().iter().skip(refused) {
        let mut text = String::new();
        flate2::read::GzDecoder::new(request.body.as_slice())
            .read_to_string(&mut text)
            .unwrap();
        lines.extend(text.lines().map(str::to_owned));
    }
    lines.len()
}

/// A real influxd with a store of its own.
struct Influxd {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Influxd {
    fn start(program: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let child = Command::new(program)
            .args(["--http-bind-address", &format!("127.0.0.1:{port}")])
            .args(["--bolt-path", &at("b.bolt"), "--engine-path", &at("engine")])
            .args([
                "--sqlite-path",
                &at("s.sqlite"),
                "--reporting-disabled",
                "--store",
                "memory",
            ])
            .args(["--log-level", "error"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            child,
            port,
            _folder: folder,
        }
    }
}

impl Drop for Influxd {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_influxd_keeps_the_law_of_the_port() {
    let Ok(program) = std::env::var("AUSPEX_INFLUXD") else {
        auspex_chassis::testing::not_run("AUSPEX_INFLUXD is not set: nothing was asked of a real influxd");
        return;
    };
    let influxd = Influxd::start(&program);
    let setup = serde_json::json!({
        "username": "u", "password": "long-enough-pw", "org": "acme", "bucket": "metrics", "token": "t0ken",
    });
    let client = reqwest::Client::new();
    let url = format!("http://127.0.0.1:{}", influxd.port);
    parts::until("influxd is set up", || async {
        let request = client.post(format!("{url}/api/v2/setup")).body(setup.to_string());
        request
            .timeout(Duration::from_secs(5))
            .send()
            .await
            .is_ok_and(|answer| answer.status() == 201)
    })
    .await;
    let mut settings = config(influxd.port);
    settings.url = url;
    settings.timeout_ms = 30_000;
    let influx = Influx::open(&settings).await.unwrap();
    law::holds(&influx).await;
    // A field of another type: said, and not tried for ever.
    let mut wrong = settings.clone();
    wrong.bucket = "none".to_owned();
    let nowhere = Influx::open(&wrong).await.unwrap();
    let fault = nowhere.write(&[point("a", 1.0)]).await.unwrap_err();
    assert!(
        matches!(&fault, WriteFault::Away { reason, .. } if reason.contains("404")),
        "{fault:?}"
    );
    let ask = law::ask("cpu", 60_000).on_grid().unwrap();
    assert!(nowhere.range(&ask).await.is_err());
    println!("a real influxd ({program}) keeps the law");
}
