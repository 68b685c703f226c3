# Sourced by tests/run and tests/play: finds cargo and go where their installers put them.
PATH=$PATH:${CARGO_HOME:-${HOME:-/nonexistent}/.cargo}/bin:/usr/local/go/bin
export PATH
# With another home than at its installation, rustup's cargo finds no toolchain; they lie beside its own folder.
if command -v cargo >/dev/null 2>&1 && ! cargo --version >/dev/null 2>&1; then
    beside=$(cd "$(dirname "$(command -v cargo)")/../.." && pwd)/.rustup
    [ ! -d "$beside" ] || export RUSTUP_HOME=$beside
fi
