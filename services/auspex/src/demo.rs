//! The demonstration: a real mesh, real traffic, and CI played through the real doors.
//!
//! [`run`] plays a [`Script`]: what CI tells of a change, and how the version behaves that it brings. Nothing here but the
//! script knows how it should end, so tests may tell a risky story of a healthy version, and the other way round.

pub mod argo;
pub mod ci;
pub mod ground;
pub mod load;
pub mod receivers;
pub mod report;
pub mod schedule;
pub mod serve;
pub mod shop;
pub mod story;
pub mod watch;

use std::time::Duration;

use anyhow::{Context as _, bail};
use auspex_proto::wire::RolloutView;
use tokio::time::Instant;

use self::ci::{Ci, Wanted};
use self::ground::{CROWD, Ground, Version};
use self::load::Tally;
use self::receivers::{Inbox, Service};
pub use self::report::Show;
use self::schedule::Figure;
pub use self::story::{Change, Scenario, Script};
use self::watch::Watch;
use crate::cli::view;

/// Users are at work this long before CI begins: a baseline.
const WARM_UP: Duration = Duration::from_secs(2);
/// A score takes milliseconds; after this long something is wrong.
const SCORE_WITHIN: Duration = Duration::from_secs(10);
/// A rollout is given up on after this long.
const OVER_WITHIN: Duration = Duration::from_secs(60);
/// Messages follow a decision within moments, at the pace that Slack asks for.
const TOLD_WITHIN: Duration = Duration::from_secs(10);

/// How a script ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The script's name.
    pub scenario: String,
    /// `rolled_back`, `promoted`, or the phase it was left in.
    pub outcome: String,
    /// The probability of failure before the first request.
    pub p_failure: f64,
    /// From the start of the rollout to its end.
    pub seconds_to_decision: f64,
    /// Requests of all users in that run.
    pub requests: u64,
    /// Bad answers that users got from the candidate while it was one.
    pub harmed_requests: u64,
    /// Requests that nobody answered.
    pub unanswered: u64,
    /// What a fixed schedule would have done.
    pub schedule: Figure,
    /// Messages about this revision that Slack and PagerDuty got.
    pub alerts_delivered: u64,
    /// Whether both were told of the end.
    pub told: bool,
    /// What Slack and PagerDuty would have refused.
    pub faults: Vec<String>,
    /// The last decision's reason.
    pub reason: String,
}

/// Somebody wants it to end: not a failure of anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Resolves when somebody asks for the end. Asked once more, the process ends at once.
async fn interrupted() {
    signal().await;
    tokio::spawn(async {
        signal().await;
        std::process::exit(130);
    });
}

/// The next Ctrl-C or SIGTERM.
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Plays a script on a ground of its own.
///
/// # Errors
/// When the mesh cannot be started, a door refuses, or a service fails; [`Interrupted`].
pub async fn run(script: &Script, show: Show) -> anyhow::Result<Outcome> {
    show.line(&format!(
        "\n== {}: starting the mesh, the shop, its users, and receivers",
        script.name
    ));
    let ground = Box::pin(Ground::start((0, 0))).await?;
    let played = tokio::select! {
        played = Box::pin(play(&ground, script, show)) => played,
        fault = ground.failed() => Err(anyhow::anyhow!(fault)),
        () = interrupted() => Err(Interrupted.into()),
    };
    let stopped = ground.stop().await;
    let outcome = played?;
    stopped?;
    Ok(outcome)
}

async fn play(ground: &Ground, script: &Script, show: Show) -> anyhow::Result<Outcome> {
    let candidate = Version::start(script.candidate).await?;
    let mut ci = ground.ci().await?;
    tokio::time::sleep(WARM_UP).await;
    show.line(&format!(
        "users: {} requests a second through the proxy at http://{}, all on {}",
        CROWD.rate,
        ground.proxy,
        short(&ground.stable.revision)
    ));
    let mut watch = Watch::at(&ground.server()).await?;
    announce(&mut ci, &mut watch, (&candidate.revision, &script.change), show).await?;
    let document = ground.document(&candidate);
    let wanted = Wanted {
        stable: &ground.stable.revision,
        revision: &candidate.revision,
        document: &document,
    };
    ci.deploy(&wanted).await?;
    show.line(&format!(
        "CI: deploy {} to production",
        short(&candidate.revision)
    ));
    let end = follow(ground, &candidate, &mut watch, show).await?;
    let end = told(ground, &candidate.revision, &mut watch, (end, show)).await;
    Ok(outcome(ground, script, &candidate, &end))
}

/// A push, then CI's step that reads the checkout, then the build: the risk becomes clearer with each.
async fn announce(
    ci: &mut Ci,
    watch: &mut Watch,
    (revision, change): (&str, &Change),
    show: Show,
) -> anyhow::Result<()> {
    ci.push(revision, change).await?;
    let (short, Change { author, title, .. }) = (short(revision), change);
    show.line(&format!("CI: {author} pushed {short}: \"{title}\""));
    let score = watch.score(revision, 0, SCORE_WITHIN).await?;
    report::risk(show, "by the webhook alone", &score);
    let sequence = ci.checkout(revision, change).await?;
    let score = watch.score(revision, sequence, SCORE_WITHIN).await?;
    report::risk(
        show,
        "with what the checkout tells, before the first request",
        &score,
    );
    ci.build(revision).await?;
    show.line(&format!("CI: build of {short} passed"));
    Ok(())
}

/// How a rollout ended, and what users had got from its candidate by then.
struct End {
    view: RolloutView,
    tally: Tally,
    /// What had arrived; `shown` of it is on the terminal.
    inbox: Inbox,
    shown: usize,
}

/// Shows the rollout until it is over.
async fn follow(ground: &Ground, candidate: &Version, watch: &mut Watch, show: Show) -> anyhow::Result<End> {
    let begun = Instant::now();
    let mut rollout = watch.rollout(SCORE_WITHIN).await?;
    let mut last: Option<RolloutView> = None;
    let (mut shown, mut number) = (0, 0);
    loop {
        let left = OVER_WITHIN.saturating_sub(begun.elapsed());
        let next = tokio::time::timeout(left.min(Duration::from_millis(500)), rollout.message()).await;
        let tally = ground.load.counts().of(&candidate.revision);
        shown = report::messages(show, &ground.receivers.inbox(), shown);
        match next {
            Ok(Ok(Some(view))) => {
                number = report::progress(show, begun.elapsed(), &view, tally, number);
                let over = view::is_over(view.phase);
                last = Some(view);
                if over {
                    break;
                }
            }
            Ok(Ok(None)) => bail!("the rollout is no longer shown"),
            Ok(Err(status)) => return Err(status).context("watching the rollout"),
            Err(_) if left.is_zero() => break,
            Err(_) => {}
        }
    }
    let view = last.context("the rollout was never shown")?;
    let tally = ground.load.counts().of(&candidate.revision);
    Ok(End {
        view,
        tally,
        inbox: Inbox::default(),
        shown,
    })
}

/// Waits until both receivers know how it ended, and nothing waits to be delivered.
async fn told(ground: &Ground, revision: &str, watch: &mut Watch, (end, show): (End, Show)) -> End {
    let begun = Instant::now();
    let ending = view::phase(end.view.phase);
    let mut shown = end.shown;
    loop {
        // Nobody to ask counts as nothing waiting: the receivers themselves say what arrived.
        let waiting = watch.waiting().await.unwrap_or(0);
        let inbox = ground.receivers.inbox();
        shown = report::messages(show, &inbox, shown);
        let done = waiting == 0 && told_of_end(&inbox, revision, &ending);
        if done || begun.elapsed() > TOLD_WITHIN {
            return End { inbox, shown, ..end };
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Slack knows how it ended; PagerDuty has an incident of a rollback, and the deployment among its changes in any case.
fn told_of_end(inbox: &Inbox, revision: &str, ending: &str) -> bool {
    let says = |to: Service, word: &str| {
        inbox
            .about(to, revision)
            .any(|message| message.title.contains(word))
    };
    let changed = inbox.about(Service::Change, revision).next().is_some();
    match ending {
        "rolled_back" => {
            says(Service::Slack, "Rolled back") && says(Service::Trigger, "Rolled back") && changed
        }
        "promoted" => says(Service::Slack, "Promoted") && changed,
        _ => false,
    }
}

fn outcome(ground: &Ground, script: &Script, candidate: &Version, end: &End) -> Outcome {
    let counts = ground.load.counts();
    let (view, inbox) = (&end.view, &end.inbox);
    let ending = view::phase(view.phase);
    // After a rollback the last answers are still on their way; after a promotion it is no candidate any more.
    let tally = if ending == "rolled_back" {
        counts.of(&candidate.revision)
    } else {
        end.tally
    };
    let ended = if view.ended_ms == 0 {
        view.started_ms
    } else {
        view.ended_ms
    };
    let about = |to| inbox.about(to, &candidate.revision).count();
    let delivered: usize = [
        Service::Slack,
        Service::Trigger,
        Service::Resolve,
        Service::Change,
    ]
    .map(about)
    .iter()
    .sum();
    Outcome {
        scenario: script.name.clone(),
        p_failure: view.prior,
        seconds_to_decision: Duration::from_millis(u64::try_from(ended - view.started_ms).unwrap_or(0))
            .as_secs_f64(),
        requests: counts.requests(),
        harmed_requests: tally.bad,
        unanswered: counts.unanswered,
        schedule: schedule::harmed(share(tally), CROWD.rate),
        alerts_delivered: u64::try_from(delivered).unwrap_or(u64::MAX),
        told: told_of_end(inbox, &candidate.revision, &ending),
        faults: inbox.faults.clone(),
        reason: view
            .last
            .as_ref()
            .map(|last| last.reason_text.clone())
            .unwrap_or_default(),
        outcome: ending,
    }
}

/// The share of bad answers.
#[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn share(tally: Tally) -> f64 {
    tally.bad as f64 / tally.requests.max(1) as f64
}

/// A revision as people write it.
fn short(revision: &str) -> &str {
    revision.get(..8).unwrap_or(revision)
}
