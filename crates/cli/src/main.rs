//! The binary `lapwing`: one file per subcommand; parses arguments, calls the engine, picks the exit code.

mod alerts;
mod baseline;
mod config;
mod delivery;
mod devices;
#[cfg(target_os = "linux")]
mod doctor;
mod features;
mod flows;
mod input;
mod judge;
mod models;
#[cfg(target_os = "linux")]
mod monitor;
mod output;
mod progress;
mod query;
mod report;
#[cfg(target_os = "linux")]
mod sandbox;
mod scan;
mod selftest;
#[cfg(target_os = "linux")]
mod serve;
mod signatures;
mod sources;
mod store;
mod suppress;
#[cfg(target_os = "linux")]
mod token;
mod train;
#[cfg(target_os = "linux")]
mod user;

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Watches a network of things, learns what is normal for each device, and finds and explains what is not.
#[derive(Parser)]
#[command(name = "lapwing", version, arg_required_else_help = true, max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Scan(scan::Scan),
    #[cfg(target_os = "linux")]
    Monitor(monitor::Monitor),
    #[cfg(target_os = "linux")]
    Serve(serve::Serve),
    #[cfg(target_os = "linux")]
    Doctor(doctor::Doctor),
    Train(train::Train),
    Flows(flows::Flows),
    Features(features::Features),
    Devices(devices::Devices),
    Models(models::Models),
    Signatures(signatures::Signatures),
    Query(query::Query),
    Alerts(alerts::Alerts),
    Suppress(suppress::Suppress),
    #[cfg(target_os = "linux")]
    User(user::User),
    #[cfg(target_os = "linux")]
    Token(token::Token),
    Selftest(selftest::Selftest),
    Config(config::ConfigVerb),
}

/// What a verb came to.
enum Outcome {
    /// Done.
    Done,
    /// Done, and something at or above the severity asked for was found.
    Found,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.verb {
        Verb::Scan(verb) => verb.run(),
        #[cfg(target_os = "linux")]
        Verb::Monitor(verb) => verb.run(),
        #[cfg(target_os = "linux")]
        Verb::Serve(verb) => verb.run(),
        #[cfg(target_os = "linux")]
        Verb::Doctor(verb) => verb.run(),
        Verb::Train(verb) => verb.run(),
        Verb::Flows(verb) => verb.run(),
        Verb::Features(verb) => verb.run(),
        Verb::Devices(verb) => verb.run(),
        Verb::Models(verb) => verb.run(),
        Verb::Signatures(verb) => verb.run(),
        Verb::Query(verb) => verb.run(),
        Verb::Alerts(verb) => verb.run(),
        Verb::Suppress(verb) => verb.run(),
        #[cfg(target_os = "linux")]
        Verb::User(verb) => verb.run(),
        #[cfg(target_os = "linux")]
        Verb::Token(verb) => verb.run(),
        Verb::Selftest(verb) => verb.run(),
        Verb::Config(verb) => verb.run(),
    };
    match outcome {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Found) => ExitCode::from(1),
        Err(error) if reader_left(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lapwing: {}", told(&error));
            ExitCode::from(2)
        }
    }
}

/// An error with its causes, each said once: many an error's own words end in its cause.
fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// Whoever read our output through a pipe has seen enough: nothing went wrong.
fn reader_left(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::told;

    #[test]
    fn a_cause_is_said_once() {
        let error = anyhow!("No such file or directory (os error 2)")
            .context("f: cannot be opened: No such file or directory (os error 2)");
        assert_eq!(told(&error), "f: cannot be opened: No such file or directory (os error 2)");
        assert_eq!(told(&anyhow!("cause").context("what")), "what: cause");
    }
}
