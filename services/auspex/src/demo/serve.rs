//! The ground without a script: everything runs, and a person plays CI.

use std::path::Path;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::ci::{self, REPOSITORY, SERVICE};
use super::ground::{Ground, Version};
use super::load::Counts;
use super::report::{self, Show};
use super::shop::Habits;
use super::story::{self, Change};

/// How often users are asked what they got.
const ASK_EVERY: Duration = Duration::from_secs(10);

/// Keeps everything running until interrupted.
///
/// # Errors
/// When the mesh cannot be started, or a service fails.
pub async fn serve() -> anyhow::Result<()> {
    let show = Show::Progress;
    show.line("starting the mesh, the shop, its users, and receivers");
    let ground = Box::pin(Ground::start((7700, 7780))).await?;
    let served = tokio::select! {
        served = Box::pin(play(&ground, show)) => served,
        fault = ground.failed() => Err(anyhow::anyhow!(fault)),
        () = super::interrupted() => Ok(()),
    };
    show.line("stopping");
    let stopped = ground.stop().await;
    served.and(stopped)
}

async fn play(ground: &Ground, show: Show) -> anyhow::Result<()> {
    let good = Version::start(Habits::healthy()).await?;
    let bad = Version::start(Habits::broken()).await?;
    prepare(ground, "good", &good, &story::small())?;
    prepare(ground, "bad", &bad, &story::risky())?;
    show.line(&welcome(ground, &good, &bad));
    let mut ticks = tokio::time::interval(Duration::from_millis(500));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut shown, mut asked, mut before) = (0, tokio::time::Instant::now(), Counts::default());
    loop {
        ticks.tick().await;
        shown = report::messages(show, &ground.receivers.inbox(), shown);
        if asked.elapsed() >= ASK_EVERY {
            let now = ground.load.counts();
            show.line(&report::traffic(&before, &now));
            (asked, before) = (tokio::time::Instant::now(), now);
        }
    }
}

/// Writes the change and the Rollout document of a version, for a person to send.
fn prepare(ground: &Ground, name: &str, version: &Version, change: &Change) -> anyhow::Result<()> {
    let event = ci::checkout(&version.revision, change)?;
    let folder = ground.folder();
    std::fs::write(
        folder.join(format!("{name}.json")),
        serde_json::to_vec_pretty(&event)?,
    )?;
    std::fs::write(folder.join(format!("{name}.yaml")), ground.document(version))?;
    Ok(())
}

fn welcome(ground: &Ground, good: &Version, bad: &Version) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "auspex".to_owned());
    let server = ground.server();
    let reach = if server == "http://127.0.0.1:7700" {
        String::new()
    } else {
        format!(" --server {server}")
    };
    let auspex = format!("{program}{reach}");
    let stable = &ground.stable.revision;
    let commands = |name: &str, what: &str, version: &Version| {
        let file = |ending: &str| shown(&ground.folder().join(format!("{name}.{ending}")));
        let (json, yaml, revision) = (file("json"), file("yaml"), &version.revision);
        format!(
            "\n  # {what}\n  {auspex} event publish --file {json}\n  {auspex} event publish --kind deployment \
             --project {REPOSITORY} --service {SERVICE} \\\n    --revision {revision} --document {yaml}\n"
        )
    };
    format!(
        "\nmesh    {server} (gRPC and HTTP; /readyz, /metrics)\nproxy   http://{} with {} requests a second, all on {}\n\
         alerts  to local receivers; shown here as they arrive\n\nin another terminal, announce a change and deploy it:\n\
         {}{}\nand watch, or steer:\n\n  {auspex} rollout get {SERVICE} --watch\n  {auspex} rollout pause {SERVICE}\n  \
         {auspex} rollout resume {SERVICE}\n  {auspex} rollout promote {SERVICE} --full\n  {auspex} rollout abort {SERVICE}\n\
         \nCtrl-C ends it\n",
        ground.proxy,
        super::ground::CROWD.rate,
        report::version(stable, "stable"),
        commands("good", "a small change, healthy", good),
        commands("bad", "a risky change with a regression", bad),
    )
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
