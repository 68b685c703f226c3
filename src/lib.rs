//! draft
pub mod cli;
pub mod config;
pub mod daemon;
pub mod domain;
pub mod engine;
pub mod git;
pub mod kubernetes;
pub mod kustomize;
pub mod mesh;
pub mod metrics;
pub mod notify;
pub mod runner;
pub mod session;
pub mod telemetry;
pub mod ui;
