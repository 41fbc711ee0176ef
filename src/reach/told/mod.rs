//! What is told of a reach: JSON lines for programs; for people lines that fold what is alike ([`fold`]) as text, and the
//! same drawn, as Mermaid or SVG; of two reaches what differs ([`changes`]).

pub mod changes;
pub mod explain;
pub mod fold;
pub mod json;
mod layout;
pub mod mermaid;
pub mod names;
pub mod picture;
pub mod policies;
pub mod svg;
pub mod table;
