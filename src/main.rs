//! The binary: calls the command line. Must not know anything else.

fn main() -> std::process::ExitCode {
    betternews::cli::run()
}
