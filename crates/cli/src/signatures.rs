//! `lapwing signatures`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use lapwing_detect::signature::{self, Problem, SignatureSource, Standing};
use lapwing_engine::SignatureSettings;
use lapwing_protocol::LocalNetworks;
use serde_json::json;

use crate::{Outcome, output};

/// Check, list or test signatures: the shipped ones, or those of a file or folder
#[derive(Args)]
#[command(after_help = "Example: lapwing signatures check my-rules/")]
pub(crate) struct Signatures {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Say what is wrong with rules: file, line, reason
    #[command(after_help = "Example: lapwing signatures check my-rules/")]
    Check(Where),
    /// List rules: level, kind, what they read, whether they are evaluated
    #[command(after_help = "Example: lapwing signatures list --json")]
    List(Where),
    /// Run the cases that must and must not fire
    #[command(after_help = "Example: lapwing signatures test my-rules/port-scan.yml")]
    Test(Where),
}

#[derive(Args)]
struct Where {
    /// Rule files and folders [default: the shipped rules]
    paths: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The rules of a run.
pub(crate) struct Rules {
    pub(crate) sources: Vec<SignatureSource>,
    /// The files they came from, those that could not be read among them.
    pub(crate) files: Vec<PathBuf>,
    /// What was left out on request, for the summary.
    pub(crate) left_out: Vec<String>,
}

impl Rules {
    /// Those of the configuration, and those that arguments add; `without_shipped` leaves ours out.
    pub(crate) fn read(settings: &SignatureSettings, more: &[PathBuf], without_shipped: bool) -> Result<Self> {
        let mut rules = Self { sources: Vec::new(), files: Vec::new(), left_out: Vec::new() };
        if settings.shipped && !without_shipped {
            rules.sources = signature::shipped();
        } else {
            rules.left_out.push("signatures: the shipped ones were left out on request".to_owned());
        }
        for path in settings.folders.iter().chain(more) {
            if !path.exists() {
                bail!("--signatures {}: there is no such file or folder", path.display());
            }
            let (read, problems) = signature::read_directory(path);
            for problem in problems {
                eprintln!("lapwing: {problem}");
                rules.files.push(PathBuf::from(&problem.file));
                rules.left_out.push(format!("signature file {problem}"));
            }
            rules.files.extend(read.iter().map(|source| PathBuf::from(&source.file)));
            rules.sources.extend(read);
        }
        Ok(rules)
    }
}

impl Where {
    fn read(&self) -> (Vec<SignatureSource>, Vec<Problem>) {
        if self.paths.is_empty() {
            return (signature::shipped(), Vec::new());
        }
        let (mut sources, mut problems) = (Vec::new(), Vec::new());
        for path in &self.paths {
            // What cannot be read is among the problems.
            let (read, wrong) = signature::read_directory(path);
            sources.extend(read);
            problems.extend(wrong);
        }
        (sources, problems)
    }
}

impl Signatures {
    pub(crate) fn run(&self) -> Result<Outcome> {
        match &self.action {
            Action::Check(place) => check(place),
            Action::List(place) => list(place),
            Action::Test(place) => test(place),
        }
    }
}

fn check(place: &Where) -> Result<Outcome> {
    let (sources, mut problems) = place.read();
    let (_, report) = signature::Signatures::load(&sources, LocalNetworks::default());
    problems.extend(report.problems);
    let (rules, warnings) = (report.rules.len(), &report.warnings);
    if place.json {
        let document =
            json!({"rules": rules, "problems": problems_json(&problems), "warnings": problems_json(warnings)});
        output::print_json(&document)?;
    } else {
        problems.iter().for_each(|problem| eprintln!("{problem}"));
        warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
        output::print(&format!("{rules} rules load, {} problems, {} warnings\n", problems.len(), warnings.len()))?;
    }
    ended(problems.len())
}

fn list(place: &Where) -> Result<Outcome> {
    let (sources, mut problems) = place.read();
    let (_, report) = signature::Signatures::load(&sources, LocalNetworks::default());
    problems.extend(report.problems);
    problems.iter().for_each(|problem| eprintln!("{problem}"));
    let standing = |standing: &Standing| match standing {
        Standing::Evaluated => "evaluated".to_owned(),
        Standing::NotEvaluated { needs } => format!("not evaluated: needs {needs}"),
    };
    if place.json {
        let rules: Vec<_> = report
            .rules
            .iter()
            .map(|rule| {
                json!({"id": rule.id, "title": rule.title, "kind": rule.kind, "level": rule.severity.as_str(),
                       "reads": rule.reads, "standing": standing(&rule.standing), "file": rule.file, "line": rule.line})
            })
            .collect();
        output::print_json(&json!({"rules": rules, "problems": problems_json(&problems)}))?;
        return Ok(Outcome::Done);
    }
    for rule in &report.rules {
        output::print(&format!("{:<13} {:<20} {:<28} {}\n", rule.severity, rule.kind, rule.reads, rule.title))?;
        if rule.standing != Standing::Evaluated {
            output::print(&format!("{:<13} {}\n", "", standing(&rule.standing)))?;
        }
    }
    Ok(Outcome::Done)
}

fn test(place: &Where) -> Result<Outcome> {
    let (sources, mut problems) = place.read();
    let (results, wrong) = signature::test(&sources);
    problems.extend(wrong);
    let failed = results.iter().filter(|result| !result.passed()).count();
    if place.json {
        let cases: Vec<_> = results
            .iter()
            .map(|case| {
                json!({"file": case.file, "name": case.name, "rule": case.rule, "expected": case.expected,
                       "fired": case.fired, "passed": case.passed()})
            })
            .collect();
        output::print_json(&json!({"cases": cases, "problems": problems_json(&problems)}))?;
    } else {
        problems.iter().for_each(|problem| eprintln!("{problem}"));
        for case in results.iter().filter(|case| !case.passed()) {
            let (wanted, did) = if case.expected { ("fire", "stayed silent") } else { ("stay silent", "fired") };
            eprintln!("{}: '{}' should {wanted} and {did} (rule {})", case.file, case.name, case.rule);
        }
        output::print(&format!("{} cases, {failed} failed, {} problems\n", results.len(), problems.len()))?;
    }
    ended(failed + problems.len())
}

fn problems_json(problems: &[Problem]) -> Vec<serde_json::Value> {
    let one = |problem: &Problem| json!({"file": problem.file, "line": problem.line, "reason": problem.reason});
    problems.iter().map(one).collect()
}

fn ended(faults: usize) -> Result<Outcome> {
    if faults > 0 {
        bail!("{faults} {}", if faults == 1 { "fault" } else { "faults" });
    }
    Ok(Outcome::Done)
}
