//! What traffic is judged by, as arguments.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use lapwing_engine::SignatureSettings;

use crate::signatures::Rules;

/// What is normal, and what is known to be bad.
#[derive(Args, Clone)]
pub(crate) struct JudgeOptions {
    /// Learn what is normal from this trusted capture first; repeatable
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Vec<PathBuf>,
    /// Judge flows by this trained model; repeatable; read anew at SIGHUP while watching
    #[arg(long, value_name = "FILE")]
    pub(crate) model: Vec<PathBuf>,
    /// Signatures (Sigma rules) to use besides the shipped ones: a file or a folder; repeatable; read anew at
    /// SIGHUP while watching
    #[arg(long, value_name = "DIR")]
    pub(crate) signatures: Vec<PathBuf>,
    /// Do not use the shipped signatures
    #[arg(long)]
    no_shipped_signatures: bool,
}

impl JudgeOptions {
    /// The rules of the configuration and of the arguments.
    pub(crate) fn rules(&self, settings: &SignatureSettings) -> Result<Rules> {
        Rules::read(settings, &self.signatures, self.no_shipped_signatures)
    }
}
