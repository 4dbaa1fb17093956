//! The binary `lapwing`: one file per subcommand; parses arguments, calls the engine, picks the exit code.
fn main() {}
