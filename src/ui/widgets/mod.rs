//! Small things that screens are made of: text of a certain width, glyphs, bars, sparklines.
//!
//! Here live pure functions from values to spans; they know roles, not screens. Never here: the model,
//! layout of whole screens. Read `text.rs` first.

pub mod glyph;
pub mod sparkline;
pub mod stages;
pub mod text;
pub mod weight_bar;
