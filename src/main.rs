//! Start-up order, and nothing else: crypto provider, panic report, arguments, runtime.

use std::process::ExitCode;

use pilothouse::telemetry::crash;
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> color_eyre::Result<ExitCode> {
    // Two TLS providers may end up in one binary; rustls panics unless one of them is chosen first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // Without colours: the same report goes into a file.
    let hooks = color_eyre::config::HookBuilder::new()
        .theme(color_eyre::config::Theme::new())
        .display_env_section(false)
        .display_location_section(false);
    let (panics, errors) = hooks.into_hooks();
    errors.install()?;
    crash::install(pilothouse::config::state_folder(), move |info| panics.panic_report(info).to_string());
    Ok(pilothouse::cli::main())
}
