//! The Dockerfile and the systemd unit: hadolint from the Python environment, and what we promise ourselves of both.
//!
//! Deliberately absent: building the image, which needs a daemon.

use crate::workspace::Workspace;
use crate::{process, python};
use anyhow::{Context, Result, bail};
use std::process::Command;
use std::time::Duration;

const DOCKERFILE: &str = "Dockerfile";
const UNIT: &str = "packaging/lavandin.service";
const LIMIT: Duration = Duration::from_secs(60);

/// Lines without which the unit is not confined as docs/operations.md says.
const UNIT_LINES: [&str; 14] = [
    "NoNewPrivileges=true",
    "ProtectSystem=strict",
    "ProtectHome=true",
    "PrivateTmp=true",
    "PrivateDevices=true",
    "ProtectKernelTunables=true",
    "ProtectKernelModules=true",
    "ProtectControlGroups=true",
    "RestrictNamespaces=true",
    "RestrictSUIDSGID=true",
    "LockPersonality=true",
    "CapabilityBoundingSet=",
    "SystemCallFilter=@system-service",
    "StateDirectory=lavandin",
];

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let dockerfile = std::fs::read_to_string(DOCKERFILE).context(DOCKERFILE)?;
    let unit = std::fs::read_to_string(UNIT).context(UNIT)?;
    let mut findings = dockerfile_findings(&dockerfile);
    findings.extend(unit_findings(&unit));
    for finding in &findings {
        println!("{finding}");
    }
    python::prepare(workspace)?;
    process::run(Command::new(python::program(workspace, "hadolint")).arg(DOCKERFILE), LIMIT)?;
    if !findings.is_empty() {
        bail!("{} findings in {DOCKERFILE} and {UNIT}", findings.len());
    }
    println!("{DOCKERFILE} and {UNIT} are fine");
    Ok(())
}

/// What the image must have beyond hadolint's rules: pinned bases, an ordinary user, a health check without extra
/// programs, a volume.
fn dockerfile_findings(text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let instructions: Vec<&str> =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    for base in instructions.iter().filter_map(|line| line.strip_prefix("FROM ")) {
        let image = base.split_whitespace().next().unwrap_or("");
        let pinned = image.split_once(':').is_some_and(|(_, tag)| !tag.is_empty() && tag != "latest");
        if !pinned {
            findings.push(format!("{DOCKERFILE}: base image {image:?} has no tag, or the tag \"latest\""));
        }
    }
    let last = instructions.iter().rposition(|line| line.starts_with("FROM ")).unwrap_or(0);
    let stage = instructions.get(last..).unwrap_or_default();
    let user = stage.iter().rev().find_map(|line| line.strip_prefix("USER "));
    if matches!(user, None | Some("root" | "0" | "0:0" | "root:root")) {
        findings.push(format!("{DOCKERFILE}: the last stage runs as root"));
    }
    for (instruction, what) in [("HEALTHCHECK ", "health check"), ("VOLUME ", "volume"), ("EXPOSE ", "port")]
    {
        if !stage.iter().any(|line| line.starts_with(instruction)) {
            findings.push(format!("{DOCKERFILE}: the last stage names no {what}"));
        }
    }
    findings
}

fn unit_findings(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    UNIT_LINES
        .iter()
        .filter(|wanted| !lines.contains(wanted))
        .map(|wanted| format!("{UNIT}: the line {wanted:?} is missing"))
        .collect()
}

#[cfg(test)]
mod tests;
