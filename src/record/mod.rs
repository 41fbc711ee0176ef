//! Records: JSON lines, audit annotations and metrics of what was decided.
