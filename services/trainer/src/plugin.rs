//! The plug-in: another process that fits what needs a library. It gets a folder with the rows and a list of jobs, and leaves a
//! graph with golden rows for each; the contract is `plugin/README.md`. Nothing it says is believed before it is scored here.
//!
//! The one that comes with the program is Python, in an environment of its own with pinned versions and hashes; `AUSPEX_TRAINER`
//! names another command, as in `docker run --rm -v {folder}:{folder} image`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::answer;
use crate::artifact::sha256;
use crate::fit::{Fitted, Task};
use crate::sample::Sample;

/// Names another plug-in.
pub const ENVIRONMENT: &str = "AUSPEX_TRAINER";

pub(crate) const LOCK: &str = include_str!("../plugin/requirements.lock");
const LOCK_SEQUENCES: &str = include_str!("../plugin/requirements-lstm.lock");
const SOURCES: [(&str, &str); 7] = [
    ("__init__.py", include_str!("../plugin/auspex_fit/__init__.py")),
    ("__main__.py", include_str!("../plugin/auspex_fit/__main__.py")),
    ("contract.py", include_str!("../plugin/auspex_fit/contract.py")),
    ("trees.py", include_str!("../plugin/auspex_fit/trees.py")),
    ("gradient.py", include_str!("../plugin/auspex_fit/gradient.py")),
    ("bagging.py", include_str!("../plugin/auspex_fit/bagging.py")),
    ("recurrent.py", include_str!("../plugin/auspex_fit/recurrent.py")),
];

/// Threads that wait for each other sleep: where others work, too, waiting by counting takes ten times as long.
pub(crate) const PATIENT: (&str, &str) = ("OMP_WAIT_POLICY", "PASSIVE");

/// The plug-in, ready to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugin {
    /// The command; `{folder}` stands for the folder of the jobs, and the path of their list follows.
    command: Vec<String>,
    /// Where its package lies, when it is our own.
    package: Option<PathBuf>,
    /// What runs a graph that is no trees.
    runtime: Option<PathBuf>,
}

impl Plugin {
    /// Where environments are kept: `AUSPEX_TOOLS`, else `.auspex` below the working directory; in `trainer`.
    #[must_use]
    pub fn folder() -> PathBuf {
        let tools = std::env::var_os("AUSPEX_TOOLS").map(PathBuf::from);
        tools.unwrap_or_else(|| PathBuf::from(".auspex")).join("trainer")
    }

    /// Another plug-in, by its command.
    #[must_use]
    pub fn other(command: &[String]) -> Self {
        Self {
            command: command.to_vec(),
            package: None,
            runtime: None,
        }
    }

    /// With ONNX Runtime's shared library, which runs what is no trees.
    #[must_use]
    pub fn with_runtime(self, runtime: Option<&Path>) -> Self {
        Self {
            runtime: runtime.map(Path::to_owned),
            ..self
        }
    }

    /// The one that comes with the program: makes its environment if there is none yet, which takes a minute.
    ///
    /// # Errors
    /// Why it cannot be used, in words.
    pub fn prepare(folder: &Path, sequences: bool, say: &dyn Fn(&str)) -> Result<Self, String> {
        if let Ok(command) = std::env::var(ENVIRONMENT) {
            let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
            if !words.is_empty() {
                return Ok(Self::other(&words));
            }
        }
        let locks = if sequences {
            vec![LOCK, LOCK_SEQUENCES]
        } else {
            vec![LOCK]
        };
        let package = unpack(folder, "auspex_fit", &SOURCES)?;
        let python = environment(folder, &locks, say)?;
        Ok(Self {
            command: vec![
                python.display().to_string(),
                "-m".to_owned(),
                "auspex_fit".to_owned(),
            ],
            package: Some(package),
            runtime: None,
        })
    }

    /// Fits; one result a task, in order.
    #[must_use]
    pub fn fit(&self, sample: &Sample, tasks: &[&Task]) -> Vec<Fitted> {
        match self.run(sample, tasks) {
            Ok(fitted) => fitted,
            Err(reason) => vec![Fitted::failed(reason); tasks.len()],
        }
    }

    fn run(&self, sample: &Sample, tasks: &[&Task]) -> Result<Vec<Fitted>, String> {
        let folder = tempfile::Builder::new()
            .prefix("auspex-fit-")
            .tempdir()
            .map_err(|fault| fault.to_string())?;
        let list = jobs(folder.path(), sample, tasks)
            .map_err(|fault| format!("{}: {fault}", folder.path().display()))?;
        let (program, rest) = self
            .command
            .split_first()
            .ok_or("the plug-in's command is empty")?;
        let here = folder.path().display().to_string();
        let mut command = Command::new(program);
        command
            .args(rest.iter().map(|word| word.replace("{folder}", &here)))
            .arg(&list);
        if let Some(package) = &self.package {
            command
                .env("PYTHONPATH", package)
                .env("PYTHONDONTWRITEBYTECODE", "1");
        }
        let output = command
            .env(PATIENT.0, PATIENT.1)
            .stdin(Stdio::null())
            .output()
            .map_err(|fault| format!("{program}: {fault}"))?;
        if !output.status.success() {
            return Err(format!(
                "{program} ended with {}: {}",
                output.status,
                last(&output.stderr)
            ));
        }
        let each = tasks.iter().enumerate();
        Ok(each
            .map(|(number, task)| {
                let out = folder.path().join(format!("job-{number}"));
                answer::read(&out, task, sample, self.runtime.as_deref())
            })
            .collect())
    }
}

/// The Python of an environment that holds what these locks pin, made when there is none yet.
///
/// # Errors
/// Why it cannot be made, in words.
pub(crate) fn environment(folder: &Path, locks: &[&str], say: &dyn Fn(&str)) -> Result<PathBuf, String> {
    let folder = std::path::absolute(folder).map_err(|fault| fault.to_string())?;
    let venv = folder.join(format!("venv-{}", named(locks)));
    if venv.join("complete").is_file() {
        return Ok(venv.join("bin/python"));
    }
    // Two runs at once do not install into one place: the second waits, and finds it there.
    let text = |fault: std::io::Error| format!("{}: {fault}", folder.display());
    std::fs::create_dir_all(&folder).map_err(text)?;
    let turn = std::fs::File::create(venv.with_extension("lock")).map_err(text)?;
    turn.lock().map_err(text)?;
    if !venv.join("complete").is_file() {
        say(&format!(
            "installing Python libraries from PyPI into {} (once)",
            venv.display()
        ));
        install(&venv, locks)?;
    }
    Ok(venv.join("bin/python"))
}

/// A name that is another one when any of the texts is.
fn named(texts: &[&str]) -> String {
    sha256(texts.concat().as_bytes()).chars().take(12).collect()
}

/// The last line that says something.
pub(crate) fn last(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    line.unwrap_or("it says nothing").chars().take(400).collect()
}

/// Lays a package's sources into a folder of their own; gives the folder that holds the package.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn unpack(folder: &Path, package: &str, sources: &[(&str, &str)]) -> Result<PathBuf, String> {
    let folder = std::path::absolute(folder).map_err(|fault| fault.to_string())?;
    let texts: Vec<&str> = sources.iter().map(|(_, text)| *text).collect();
    let root = folder.join(format!("plugin-{}", named(&texts)));
    let text = |path: &Path, fault: std::io::Error| format!("{}: {fault}", path.display());
    let inner = root.join(package);
    std::fs::create_dir_all(&inner).map_err(|fault| text(&inner, fault))?;
    for (name, source) in sources {
        let path = inner.join(name);
        if !std::fs::read_to_string(&path).is_ok_and(|found| found == *source) {
            std::fs::write(&path, source).map_err(|fault| text(&path, fault))?;
        }
    }
    Ok(root)
}

/// Makes an environment, marked when it is whole: one that was cut short is never used, and is made anew.
fn install(venv: &Path, locks: &[&str]) -> Result<(), String> {
    let run = |command: &mut Command, what: &str| {
        let output = command
            .stdin(Stdio::null())
            .output()
            .map_err(|fault| format!("{what}: {fault}"))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(format!("{what}: {}", last(&output.stderr))),
        }
    };
    let text = |path: &Path, fault: std::io::Error| format!("{}: {fault}", path.display());
    run(
        Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv),
        "python3 -m venv",
    )?;
    for (number, lock) in locks.iter().enumerate() {
        let path = venv.join(format!("requirements-{number}.lock"));
        std::fs::write(&path, lock).map_err(|fault| text(&path, fault))?;
        let mut pip = Command::new(venv.join("bin/python"));
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-input",
            "--only-binary=:all:",
            "--require-hashes",
            "-r",
        ])
        .arg(&path);
        run(&mut pip, "pip install")?;
    }
    let mark = venv.join("complete");
    std::fs::write(&mark, "").map_err(|fault| text(&mark, fault))
}

/// Lays the rows and the list of jobs into a folder; gives the path of the list.
fn jobs(folder: &Path, sample: &Sample, tasks: &[&Task]) -> std::io::Result<PathBuf> {
    let floats: Vec<u8> = sample
        .table
        .values()
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    std::fs::write(folder.join("x.f32"), floats)?;
    let labels: Vec<u8> = sample.labels.iter().map(|y| u8::from(*y)).collect();
    std::fs::write(folder.join("y.u8"), labels)?;
    let groups: Vec<u8> = sample.groups.iter().flat_map(|g| g.to_le_bytes()).collect();
    std::fs::write(folder.join("groups.u32"), groups)?;
    let mut listed = Vec::new();
    for (number, task) in tasks.iter().enumerate() {
        let rows: Vec<u8> = task
            .rows
            .iter()
            .flat_map(|row| (*row as u32).to_le_bytes())
            .collect();
        let weights: Vec<u8> = task.weights.iter().flat_map(|w| w.to_le_bytes()).collect();
        std::fs::write(folder.join(format!("rows-{number}.u32")), rows)?;
        std::fs::write(folder.join(format!("weights-{number}.f64")), weights)?;
        listed.push(json!({
            "out": format!("job-{number}"), "candidate": task.candidate.name(), "seed": task.seed,
            "settings": task.candidate.settings(task.rows.len()),
            "rows": format!("rows-{number}.u32"), "weights": format!("weights-{number}.f64"),
        }));
    }
    let work = json!({
        "contract": 1, "threads": threads(), "features": sample.names, "x": "x.f32", "y": "y.u8", "groups": "groups.u32", "jobs": listed,
    });
    let list = folder.join("jobs.json");
    std::fs::write(&list, format!("{work:#}\n"))?;
    Ok(list)
}

/// Threads that a fit may use; more gain little on tables of this size.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get().min(4))
}
