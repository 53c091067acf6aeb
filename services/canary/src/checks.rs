//! Carries checks out: commands and questions over HTTP. What came of them goes back as a fact; nothing is decided here.
//!
//! The state says which attempt is wanted; a crash repeats at most the attempts under way, and a report is known by its
//! check, attempt and time, so that it counts once.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use auspex_chassis::outbound::{self, Reach};
use auspex_chassis::{Errand, Errands, House, Settle};
use auspex_proto::command::{Ask, CheckReport};
use auspex_proto::{Command, Fact, FactId, Meta, Project, Timestamp};

use crate::document::gates::{Check, Http};
use crate::state::{Rollout, Run, State};

/// Under whose name a check reports.
pub const ACTOR: &str = "auspex";
/// Longest detail of a report, in characters.
const LONGEST: usize = 160;
/// Most of a body that is read.
const MOST_BODY: usize = 64 * 1024;
/// How often a report is offered to the bus, and how long apart.
const TRIES: u32 = 20;
const APART: Duration = Duration::from_millis(500);
/// Most reports that are remembered as sent.
const MOST_SENT: usize = 4_096;

/// The hands of canary control.
#[derive(Debug, Clone)]
pub struct Checks {
    house: House,
    allow_commands: bool,
    sent: Arc<Mutex<BTreeSet<String>>>,
}

/// One attempt, with everything it needs.
struct Attempt {
    id: String,
    project: Project,
    rollout: auspex_proto::RolloutName,
    key: String,
    run: Run,
    check: Check,
    about: Vec<(&'static str, String)>,
}

impl Checks {
    /// Hands that may, or may not, run programs here.
    #[must_use]
    pub fn new(house: House, allow_commands: bool) -> Self {
        Self {
            house,
            allow_commands,
            sent: Arc::default(),
        }
    }

    fn wanted(&self, key: &str, rollout: &Rollout) -> Vec<Attempt> {
        let Ok(project) = Project::new(key) else {
            return Vec::new();
        };
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let open = rollout
            .course
            .checks
            .iter()
            .filter(|(_, run)| run.passed.is_none());
        open.filter_map(|(name, run)| {
            let id = format!("{project}/{}/{name}/{}/{}", rollout.name, run.attempt, run.at);
            let plain = name.split_once('@').map_or(name.as_str(), |(plain, _)| plain);
            let check = rollout
                .terms
                .gates
                .check(plain)
                .or_else(|| rollout.terms.gates.check(name))?;
            (!sent.contains(&id)).then(|| Attempt {
                id,
                project: project.clone(),
                rollout: rollout.name.clone(),
                key: name.clone(),
                run: run.clone(),
                check: check.clone(),
                about: about(rollout, name),
            })
        })
        .collect()
    }

    async fn carry_out(self, attempt: Attempt) {
        let limit = attempt.check.timeout.duration();
        let ran = async {
            match &attempt.check.http {
                Some(http) => ask(http, limit).await,
                None if self.allow_commands => command(&attempt.check.command, &attempt.about).await,
                None => Err("canary.allow_commands does not allow commands".to_owned()),
            }
        };
        let ran = match tokio::time::timeout(limit, ran).await {
            Ok(ran) => ran,
            Err(_) => Err(format!("took longer than {}", attempt.check.timeout)),
        };
        let (passed, detail) = match ran {
            Ok(detail) => (true, detail),
            Err(detail) => (false, detail),
        };
        self.report(attempt, passed, &detail).await;
    }

    async fn report(&self, attempt: Attempt, passed: bool, detail: &str) {
        let fact = Fact::Command(Command {
            meta: Meta {
                id: FactId::outside("canary/checks", &attempt.id),
                project: attempt.project,
                time: self.house.now(),
                cause: 0,
                source: "canary/checks".to_owned(),
            },
            rollout: attempt.rollout,
            actor: ACTOR.to_owned(),
            note: String::new(),
            ask: Ask::Report(CheckReport {
                check: attempt.key,
                attempt: attempt.run.attempt,
                passed,
                detail: line(detail),
                started_ms: attempt.run.at.0,
            }),
        });
        for _ in 0..TRIES {
            match self.house.bus().publish(&fact).await {
                Ok(_) => {
                    let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
                    if sent.len() >= MOST_SENT {
                        sent.pop_first();
                    }
                    sent.insert(attempt.id);
                    return;
                }
                Err(fault) => tracing::warn!(check = %attempt.id, %fault, "not reported yet"),
            }
            tokio::time::sleep(APART).await;
        }
    }
}

impl Errands<State> for Checks {
    fn due(
        &self,
        key: &str,
        state: &State,
        _now: Timestamp,
        busy: &BTreeSet<(String, String)>,
    ) -> Vec<Errand<State>> {
        let wanted = state
            .active
            .values()
            .flat_map(|rollout| self.wanted(key, rollout));
        let free = wanted.filter(|attempt| !busy.contains(&(key.to_owned(), lane(attempt))));
        free.map(|attempt| {
            let (lane, hands) = (lane(&attempt), self.clone());
            Errand {
                key: key.to_owned(),
                lane,
                run: Box::pin(async move {
                    hands.carry_out(attempt).await;
                    // What came of it is a fact by now: the state learns it from the log, like everything.
                    let nothing: Settle<State> = Box::new(|_, _| Vec::new());
                    nothing
                }),
            }
        })
        .collect()
    }

    fn next_at(&self, _state: &State, _now: Timestamp) -> Option<Timestamp> {
        None
    }
}

fn lane(attempt: &Attempt) -> String {
    format!("{}/{}", attempt.rollout, attempt.key)
}

/// What a command may know of the rollout.
fn about(rollout: &Rollout, check: &str) -> Vec<(&'static str, String)> {
    let region = check.split_once('@').map(|(_, region)| region.to_owned());
    vec![
        ("AUSPEX_ROLLOUT", rollout.name.to_string()),
        ("AUSPEX_SERVICE", rollout.service.to_string()),
        ("AUSPEX_STABLE", rollout.stable.revision.clone()),
        ("AUSPEX_CANDIDATE", rollout.candidate.revision.clone()),
        ("AUSPEX_CANDIDATE_URL", rollout.candidate.url.clone()),
        ("AUSPEX_WEIGHT", rollout.weight.to_string()),
        ("AUSPEX_REGION", region.unwrap_or_default()),
    ]
}

/// Whether the answer is the one wanted.
async fn ask(http: &Http, limit: Duration) -> Result<String, String> {
    let client = outbound::client(Reach::Private, limit).map_err(|fault| format!("{fault:#}"))?;
    let url = outbound::check(&http.url, Reach::Private)?;
    let method = http
        .method
        .parse()
        .map_err(|_| format!("{} is no method", http.method))?;
    let mut request = client.request(method, url);
    for (name, value) in &http.headers {
        request = request.header(name, value);
    }
    if !http.body.is_empty() {
        request = request.body(http.body.clone());
    }
    let mut answer = request.send().await.map_err(|fault| root(&fault))?;
    let status = answer.status();
    let wanted = match http.status {
        0 => status.is_success(),
        wanted => status.as_u16() == wanted,
    };
    if !wanted {
        return Err(format!("answered {status}"));
    }
    if http.contains.is_empty() {
        return Ok(status.to_string());
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|fault| root(&fault))? {
        body.extend_from_slice(&chunk);
        if body.len() > MOST_BODY {
            break;
        }
    }
    match String::from_utf8_lossy(&body).contains(&http.contains) {
        true => Ok(format!("{status}, with {}", http.contains)),
        false => Err(format!("answered {status} without {}", http.contains)),
    }
}

/// The innermost reason: the outer ones name the URL, which may hold a secret.
fn root(fault: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = fault;
    while let Some(next) = inner.source() {
        inner = next;
    }
    inner.to_string()
}

async fn command(words: &[String], about: &[(&'static str, String)]) -> Result<String, String> {
    let (program, arguments) = words.split_first().ok_or("names no program")?;
    let ran = tokio::process::Command::new(program)
        .args(arguments)
        .envs(about.iter().map(|(name, value)| (*name, value.as_str())))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|fault| format!("{program}: {fault}"))?;
    let text = if ran.stdout.is_empty() {
        &ran.stderr
    } else {
        &ran.stdout
    };
    let text = String::from_utf8_lossy(text);
    let last = text.trim().lines().last().unwrap_or_default().to_owned();
    match ran.status.success() {
        true => Ok(last),
        false => Err(format!("{}: {last}", ran.status)),
    }
}

fn line(text: &str) -> String {
    text.lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(LONGEST)
        .collect()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Asks somebody who answers this, and no more.
    async fn asked(answer: &'static str) -> Result<String, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1_024];
            let read = stream.read(&mut head).await.unwrap();
            assert!(read > 0);
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let http = serde_yaml_ng::from_str(&format!("{{url: \"{url}\"}}")).unwrap();
        ask(&http, Duration::from_secs(60)).await
    }

    #[tokio::test]
    async fn an_answer_that_is_no_yes_is_a_no() {
        let yes = asked("HTTP/1.1 204 No Content\r\n\r\n").await;
        assert_eq!(yes.unwrap(), "204 No Content");
        for answer in [
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n",
            "",
        ] {
            asked(answer).await.unwrap_err();
        }
    }
}
