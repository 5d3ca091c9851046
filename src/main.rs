//! The binary: calls the command line. Must not know anything else.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    betternews::cli::run()
}
