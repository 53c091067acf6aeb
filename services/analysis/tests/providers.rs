//! Providers against servers that answer as the real ones do, well and badly.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod stage;

use auspex_analysis::config::Influx;
use auspex_analysis::provider::{Site, measure};
use auspex_argo::expr::Mode;
use auspex_argo::metric::Metric;
use auspex_argo::phase::Phase;
use auspex_argo::run::Measurement;
use auspex_chassis::Secret;
use serde_json::{Value as Json, json};
use stage::{Web, vector};

fn metric(provider: &Json, success: &str) -> Metric {
    serde_json::from_value(json!({"name": "m", "provider": provider, "successCondition": success})).unwrap()
}

async fn taken(provider: &Json, success: &str, site: &Site, mode: Mode) -> Measurement {
    measure(&metric(provider, success), mode, site).await
}

#[tokio::test]
async fn prometheus_is_asked_and_understood() {
    let web = Web::start(|asked| match asked.body.as_str() {
        body if body.contains("query=up&") => (200, vector(&["0.5", "NaN"])),
        body if body.contains("query=none") => (200, vector(&[])),
        body if body.contains("query=bad") => (
            400,
            "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"parse error\"}".to_owned(),
        ),
        _ => (503, "busy".to_owned()),
    })
    .await;
    let site = Site {
        prometheus: web.url.clone(),
        ..Site::default()
    };
    let ask =
        |query: &str| json!({"prometheus": {"query": query, "headers": [{"key": "X-Scope", "value": "a"}]}});
    let up = taken(
        &ask("up"),
        "len(result) == 2 && result[0] == 0.5 && isNaN(result[1])",
        &site,
        Mode::Strict,
    )
    .await;
    assert_eq!(
        (up.phase, up.value.as_str()),
        (Phase::Successful, "[0.5,NaN]"),
        "{}",
        up.message
    );
    let asked = web.asked();
    assert_eq!(asked[0].path, "/api/v1/query");
    assert_eq!(asked[0].headers["x-scope"], "a");
    let none = taken(&ask("none"), "result[0] > 0", &site, Mode::Strict).await;
    assert_eq!(none.phase, Phase::Error);
    assert!(
        none.message.contains("metric result is nil or empty"),
        "{}",
        none.message
    );
    assert_eq!(
        taken(&ask("none"), "result[0] > 0", &site, Mode::Safe)
            .await
            .phase,
        Phase::NoData
    );
    let bad = taken(&ask("bad"), "true", &site, Mode::Strict).await;
    assert_eq!(
        (bad.phase, bad.message.as_str()),
        (Phase::Error, "bad_data: parse error")
    );
    let busy = taken(&ask("other"), "true", &site, Mode::Strict).await;
    assert_eq!(busy.message, "server_error: server error: 503");
    let nowhere = taken(&ask("up"), "true", &Site::default(), Mode::Strict).await;
    assert_eq!(nowhere.message, "prometheus address is not configured");
}

#[tokio::test]
async fn prometheus_is_asked_with_get_where_it_wants_that_and_with_a_token() {
    let web = Web::start(|asked| match (asked.path.as_str(), asked.method.as_str()) {
        ("/token", _) => (200, "{\"access_token\":\"t0k\"}".to_owned()),
        (_, "POST") => (405, String::new()),
        _ => (200, vector(&["1"])),
    })
    .await;
    let oauth = json!({"tokenUrl": format!("{}/token", web.url), "clientId": "me", "clientSecret": "s", "scopes": ["a", "b"]});
    let provider = json!({"prometheus": {
        "address": web.url, "query": "x + y", "authentication": {"oauth2": oauth},
        "rangeQuery": {"start": "now() - duration(\"1m\")", "end": "now()", "step": "10s"},
    }});
    let found = taken(&provider, "result[0] == 1.0", &Site::default(), Mode::Strict).await;
    assert_eq!(found.phase, Phase::Successful, "{}", found.message);
    let asked = web.asked();
    let got = asked.iter().find(|one| one.method == "GET").unwrap();
    assert!(
        got.path.starts_with("/api/v1/query_range?query=x+%2B+y&start="),
        "{}",
        got.path
    );
    assert_eq!(got.headers["authorization"], "Bearer t0k");
    let token = asked.iter().find(|one| one.path == "/token").unwrap();
    assert_eq!(token.body, "grant_type=client_credentials&scope=a+b");
    assert_eq!(token.headers["authorization"], "Basic bWU6cw==");
}

#[tokio::test]
async fn the_web_is_read_by_json_path() {
    let web = Web::start(|asked| match asked.path.as_str() {
        "/json" => (200, "{\"data\":{\"ok\":true,\"n\":3}}".to_owned()),
        "/text" => (200, "all is well".to_owned()),
        _ => (404, "no".to_owned()),
    })
    .await;
    let ask = |path: &str, json_path: &str| json!({"web": {"url": format!("{}{path}", web.url), "jsonPath": json_path}});
    let site = Site::default();
    let of = async |path: &str, json_path: &str, success: &str| {
        let found = taken(&ask(path, json_path), success, &site, Mode::Strict).await;
        (found.phase, found.value, found.message)
    };
    let (phase, value, _) = of("/json", "{$.data}", "result.ok && asInt(result.n) == 3").await;
    assert_eq!(
        (phase, value.as_str()),
        (Phase::Successful, "{\"n\":3,\"ok\":true}")
    );
    assert_eq!(of("/json", "{$.data.ok}", "result").await.0, Phase::Successful);
    let (phase, _, message) = of("/json", "{$.nothing}", "true").await;
    assert_eq!(
        (phase, message.as_str()),
        (
            Phase::Error,
            "Could not find JSONPath in body: nothing is not found"
        )
    );
    let (phase, _, message) = of("/none", "", "true").await;
    assert_eq!(
        (phase, message.as_str()),
        (Phase::Error, "received non 2xx response code: 404")
    );
    // As Argo Rollouts has it: what is no JSON is successful, whatever the condition says.
    assert_eq!(of("/text", "", "false").await.0, Phase::Successful);
    let posted = json!({"web": {"url": format!("{}/json", web.url), "method": "POST", "jsonBody": {"a": 1}, "jsonPath": "{$.data.ok}"}});
    assert_eq!(
        taken(&posted, "result", &site, Mode::Strict).await.phase,
        Phase::Successful
    );
    let last = web.asked().pop().unwrap();
    assert_eq!((last.method.as_str(), last.body.as_str()), ("POST", "{\"a\":1}"));
    assert_eq!(last.headers["content-type"], "application/json");
    let body = json!({"web": {"url": format!("{}/json", web.url), "body": "x"}});
    assert_eq!(
        taken(&body, "true", &site, Mode::Strict).await.message,
        "Body/JSONBody can only be used with POST or PUT WebMetric Method types"
    );
}

#[tokio::test]
async fn influx_is_asked_in_flux() {
    let web = Web::start(|_| {
        let csv = "#datatype,string,long,double\n#group,false,false,false\n#default,_result,,\n,result,table,_value\n,,0,0.25\n";
        (200, csv.to_owned())
    })
    .await;
    let mut site = Site::default();
    let provider = json!({"influxdb": {"query": "from(bucket: \"x\")"}});
    let none = taken(&provider, "true", &site, Mode::Strict).await;
    assert!(
        none.message.contains("[analysis.influx.influxdb]"),
        "{}",
        none.message
    );
    let server = Influx {
        url: web.url.clone(),
        org: "shop".to_owned(),
        token: Secret::new("t0k"),
    };
    site.influx.insert("influxdb".to_owned(), server);
    let found = taken(&provider, "result[0] == 0.25", &site, Mode::Strict).await;
    assert_eq!(found.phase, Phase::Successful, "{}", found.message);
    let asked = web.asked().pop().unwrap();
    assert_eq!(asked.path, "/api/v2/query?org=shop");
    assert_eq!(asked.headers["authorization"], "Token t0k");
    assert_eq!(asked.body, "from(bucket: \"x\")");
}

#[tokio::test]
async fn a_job_is_a_command_where_that_is_allowed() {
    let job = |script: &str| {
        let container =
            json!({"command": ["sh", "-c"], "args": [script], "env": [{"name": "WHO", "value": "it"}]});
        json!({"job": {"spec": {"backoffLimit": 0, "template": {"spec": {"containers": [container]}}}}})
    };
    let mut site = Site::default();
    let refused = taken(&job("exit 0"), "", &site, Mode::Strict).await;
    assert_eq!(
        (refused.phase, refused.message.contains("not allowed")),
        (Phase::Error, true)
    );
    site.jobs = true;
    assert_eq!(
        taken(&job("exit 0"), "", &site, Mode::Strict).await.phase,
        Phase::Successful
    );
    let failed = taken(&job("echo $WHO failed >&2; exit 3"), "", &site, Mode::Safe).await;
    assert_eq!(
        (failed.phase, failed.value.as_str(), failed.message.as_str()),
        (Phase::Failed, "exit code 3", "it failed")
    );
    let absent =
        json!({"job": {"spec": {"template": {"spec": {"containers": [{"command": ["/no/such/program"]}]}}}}});
    assert_eq!(taken(&absent, "", &site, Mode::Strict).await.phase, Phase::Error);
}

#[tokio::test]
async fn the_judge_stands_in_for_a_condition() {
    let series = |values: &dyn Fn(u32) -> String| {
        let points: Vec<String> = (0..60)
            .map(|at| format!("[{},\"{}\"]", at * 10, values(at)))
            .collect();
        format!(
            "{{\"status\":\"success\",\"data\":{{\"resultType\":\"matrix\",\"result\":[{{\"values\":[{}]}}]}}}}",
            points.join(",")
        )
    };
    let answers = [
        ("query=bad&", series(&|at| (20 + at % 3).to_string())),
        ("query=few&", series(&|at| (at % 2).to_string())),
        ("query=all&", series(&|_| "200".to_owned())),
    ];
    let web = Web::start(move |asked| {
        let found = answers.iter().find(|(query, _)| asked.body.contains(query));
        (
            200,
            found.map_or_else(|| vector(&[]), |(_, answer)| answer.clone()),
        )
    })
    .await;
    let ask = |candidate: &str, baseline: &str| {
        json!({"auspex": {"judge": {
            "address": web.url, "candidate": candidate, "baseline": baseline,
            "candidateTotal": "all", "baselineTotal": "all", "window": "10m",
        }}})
    };
    let of = async |candidate: &str, baseline: &str, mode: Mode| {
        taken(&ask(candidate, baseline), "", &Site::default(), mode).await
    };
    let worse = of("bad", "few", Mode::Strict).await;
    assert_eq!(worse.phase, Phase::Failed, "{worse:?}");
    let same = of("few", "few", Mode::Strict).await;
    assert!(
        matches!(same.phase, Phase::Successful | Phase::Inconclusive),
        "{same:?}"
    );
    assert_eq!(of("none", "few", Mode::Strict).await.phase, Phase::Inconclusive);
    assert_eq!(of("none", "few", Mode::Safe).await.phase, Phase::NoData);
}

#[tokio::test]
async fn secrets_are_not_shown_and_others_are_refused_by_name() {
    let web = Web::start(|_| (200, "{\"token\":\"s3cret\"}".to_owned())).await;
    let site = Site {
        secrets: [("token".to_owned(), "s3cret".to_owned())].into(),
        ..Site::default()
    };
    let shown = taken(
        &json!({"web": {"url": web.url, "jsonPath": "{$.token}"}}),
        "result == '{{args.token}}'",
        &site,
        Mode::Strict,
    )
    .await;
    assert_eq!(
        (shown.phase, shown.value.as_str()),
        (Phase::Successful, "\"*****\"")
    );
    let refused = taken(&json!({"datadog": {"query": "x"}}), "", &site, Mode::Strict).await;
    assert_eq!(refused.phase, Phase::Error);
    assert!(
        refused.message.starts_with("provider.datadog: "),
        "{}",
        refused.message
    );
}
