//! Start-up order, and nothing else: crypto provider, panic report, arguments, runtime.

use std::process::ExitCode;

fn main() -> color_eyre::Result<ExitCode> {
    // Two TLS providers may end up in one binary; rustls panics unless one of them is chosen first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    color_eyre::config::HookBuilder::default().display_env_section(false).display_location_section(false).install()?;
    Ok(pilothouse::cli::main())
}
