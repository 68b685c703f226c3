//! draft
pub mod domain;
pub mod engine;
pub mod kubernetes;
pub mod mesh;
pub mod runner;
